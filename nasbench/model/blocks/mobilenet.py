"""The MobileNet family: depthwise separable convolutions and inverted residuals."""

from __future__ import annotations

from torch import nn

from nasbench.model.blocks.layers import ShortcutBranch, SqueezeExcite, conv_norm_act
from nasbench.model.blocks.registry import BLOCKS
from nasbench.space.stack import make_divisible


@BLOCKS.register("dw_separable")
class DepthwiseSeparable(nn.Sequential):
    """Depthwise kxk, optional squeeze-and-excitation, pointwise 1x1; batch norm and activation; no shortcut.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). Squeezed channels are rounded to multiples of
    `se_divisor`.

    Source: Howard et al., MobileNets, 2017, arXiv:1704.04861, figure 3 right; squeeze-and-excitation between the two:
    Cui et al., PP-LCNet, 2021, arXiv:2109.15099, figure 2.
    Differs: kernel, activation and gate are chosen by the space.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        kernel: int,
        act: str,
        se: float,
        se_gate: str,
        se_divisor: int,
    ) -> None:
        layers: list[nn.Module] = [
            conv_norm_act(in_channels, in_channels, kernel, stride=stride, groups=in_channels, act=act)
        ]
        if se > 0:
            layers.append(SqueezeExcite(in_channels, make_divisible(in_channels * se, se_divisor), se_gate))
        layers.append(conv_norm_act(in_channels, out_channels, 1, act=act))
        super().__init__(*layers)


@BLOCKS.register("mbconv")
class MBConv(ShortcutBranch):
    """Inverted residual: 1x1 expand, depthwise kxk, squeeze-and-excitation, linear 1x1 project.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). Adds the input when the shapes agree. An
    expansion of 1 leaves the first convolution out. Hidden channels are rounded to multiples of 8. The squeezed ones
    are the share `se` of the hidden channels or of the input's, as `se_of` says, in multiples of `se_divisor`.

    Source: Sandler et al., MobileNetV2, 2018, arXiv:1801.04381, table 1 and figure 4d; squeeze-and-excitation on the
    expanded channels: Howard et al., Searching for MobileNetV3, 2019, arXiv:1905.02244, figure 4 and section 5.3; a
    share of the input's: Tan and Le, EfficientNet, 2019, arXiv:1905.11946, in the authors' own models.
    Differs: activations and gate are chosen by the space.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        kernel: int,
        expand: float,
        act: str,
        se: float,
        se_gate: str,
        se_of: str,
        se_divisor: int,
        se_act: str,
    ) -> None:
        hidden = in_channels if expand == 1 else make_divisible(in_channels * expand)
        layers: list[nn.Module] = []
        if expand != 1:
            layers.append(conv_norm_act(in_channels, hidden, 1, act=act))
        layers.append(conv_norm_act(hidden, hidden, kernel, stride=stride, groups=hidden, act=act))
        if se > 0:
            squeezed = make_divisible((hidden if se_of == "hidden" else in_channels) * se, se_divisor)
            layers.append(SqueezeExcite(hidden, squeezed, se_gate, se_act))
        layers.append(conv_norm_act(hidden, out_channels, 1))
        super().__init__(in_channels, out_channels, stride, nn.Sequential(*layers))


@BLOCKS.register("fused_mbconv")
class FusedMBConv(ShortcutBranch):
    """Inverted residual with one kxk convolution in place of expansion and depthwise convolution, linear 1x1 project.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). Adds the input when the shapes agree. An
    expansion of 1 leaves the projection out. Hidden channels are rounded to multiples of 8.

    Source: Tan and Le, EfficientNetV2, 2021, arXiv:2104.00298, figure 2; an expansion of 1 as in the authors' models.
    Differs: no squeeze-and-excitation; the activation is chosen by the space.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, *, kernel: int, expand: float, act: str
    ) -> None:
        hidden = out_channels if expand == 1 else make_divisible(in_channels * expand)
        branch = nn.Sequential(conv_norm_act(in_channels, hidden, kernel, stride=stride, act=act))
        if expand != 1:
            branch.append(conv_norm_act(hidden, out_channels, 1))
        super().__init__(in_channels, out_channels, stride, branch)
