"""The MobileNet family: depthwise separable convolutions and inverted residuals."""

from __future__ import annotations

from torch import Tensor, nn

from nasbench.model.blocks.layers import SqueezeExcite, conv_norm_act
from nasbench.model.blocks.registry import BLOCKS
from nasbench.space.stack import make_divisible


@BLOCKS.register("dw_separable")
class DepthwiseSeparable(nn.Sequential):
    """Depthwise kxk, pointwise 1x1, each with batch norm and activation; no shortcut.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)).

    Source: Howard et al., MobileNets, 2017, arXiv:1704.04861, figure 3 right.
    Differs: kernel and activation are chosen by the space.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, kernel: int, act: str) -> None:
        super().__init__(
            conv_norm_act(in_channels, in_channels, kernel, stride=stride, groups=in_channels, act=act),
            conv_norm_act(in_channels, out_channels, 1, act=act),
        )


@BLOCKS.register("mbconv")
class MBConv(nn.Module):
    """Inverted residual: 1x1 expand, depthwise kxk, squeeze-and-excitation, linear 1x1 project.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). Adds the input when the shapes agree. An
    expansion of 1 leaves the first convolution out. Hidden and squeezed channels are rounded to multiples of 8.

    Source: Sandler et al., MobileNetV2, 2018, arXiv:1801.04381, table 1 and figure 4d; squeeze-and-excitation on the
    expanded channels: Howard et al., Searching for MobileNetV3, 2019, arXiv:1905.02244, figure 4 and section 5.3.
    Differs: activation and gate are chosen by the space.
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
    ) -> None:
        super().__init__()
        hidden = in_channels if expand == 1 else make_divisible(in_channels * expand)
        layers: list[nn.Module] = []
        if expand != 1:
            layers.append(conv_norm_act(in_channels, hidden, 1, act=act))
        layers.append(conv_norm_act(hidden, hidden, kernel, stride=stride, groups=hidden, act=act))
        if se > 0:
            layers.append(SqueezeExcite(hidden, make_divisible(hidden * se), se_gate))
        layers.append(conv_norm_act(hidden, out_channels, 1))
        self.branch = nn.Sequential(*layers)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, images: Tensor) -> Tensor:
        """Run the branch, and add the input when the shapes agree."""
        output: Tensor = self.branch(images)
        return images + output if self.residual else output
