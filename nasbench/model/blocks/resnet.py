"""Residual blocks: ResNet, ResNeXt, Wide ResNet and RegNet."""

from __future__ import annotations

from torch import Tensor, nn

from nasbench.errors import BuildError
from nasbench.model.blocks.gates import make_attention
from nasbench.model.blocks.layers import SqueezeExcite, conv_norm_act, make_activation
from nasbench.model.blocks.registry import BLOCKS


class Residual(nn.Module):
    """A branch, gated where there is a gate, added to a shortcut, then an activation.

    The branch ends in a convolution with a batch norm that starts small. The shortcut is a 1x1 convolution where the
    shape changes; where it is `pool`, a 2x2 average makes the image smaller and not the stride of the convolution, and
    where it is `none` nothing is added.

    Source: He et al., Bag of Tricks, 2019, arXiv:1812.01187, figure 2c (the pooling shortcut, ResNet-D).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        branch: nn.Sequential,
        act: str,
        gate: nn.Module | None = None,
        shortcut: str = "conv",
    ) -> None:
        super().__init__()
        self.branch = branch
        self.gate = gate
        self.adds = shortcut != "none"
        self.shortcut: nn.Module | None = None
        if stride > 1 and shortcut == "pool":
            pool = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)
            self.shortcut = nn.Sequential(pool, *conv_norm_act(in_channels, out_channels, 1))
        elif shortcut != "none" and (stride > 1 or in_channels != out_channels):
            self.shortcut = conv_norm_act(in_channels, out_channels, 1, stride=stride)
        self.act = make_activation(act)

    def forward(self, images: Tensor) -> Tensor:
        """Add the branch to the shortcut, if there is one."""
        shortcut = images if self.shortcut is None else self.shortcut(images)
        branch = self.branch(images)
        if self.gate is not None:
            branch = self.gate(branch)
        output: Tensor = self.act(branch + shortcut if self.adds else branch)
        return output


Shape = tuple[int, int, int]


def _strided(channels: int, stride: int, shape: Shape | None) -> Shape | None:
    """Give the shape behind a convolution that keeps the size at stride 1."""
    return None if shape is None else (channels, -(-shape[1] // stride), -(-shape[2] // stride))


@BLOCKS.register("basic")
class Basic(Residual):
    """Two kxk convolutions, a gate and a shortcut.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)).

    Source: He et al., Deep Residual Learning, 2016, arXiv:1512.03385, figure 5 left; shortcut B of section 4.1; the
    gate's place: Hu et al., Squeeze-and-Excitation Networks, 2018, arXiv:1709.01507, figure 3.
    Differs: kernel and activation are chosen by the space.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        kernel: int,
        act: str,
        gate: str,
        shortcut: str,
        shape: Shape | None,
    ) -> None:
        branch = nn.Sequential(
            conv_norm_act(in_channels, out_channels, kernel, stride=stride, act=act),
            conv_norm_act(out_channels, out_channels, kernel, ends_branch=True),
        )
        attention = make_attention(gate, out_channels, _strided(out_channels, stride, shape))
        super().__init__(in_channels, out_channels, stride, branch, act, attention, shortcut)


@BLOCKS.register("bottleneck")
class Bottleneck(Residual):
    """1x1, grouped kxk, squeeze-and-excitation, 1x1, a gate and a shortcut.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). The inner width is `ratio` of the output's. A
    `group_width` above 0 gives the channels of one group, and `groups` is then not looked at. `se` is a share of the
    block's input channels, not of the inner width, as RegNetY has it; `gate` stands
    before the addition, as SENet has it.

    Source: He et al., Deep Residual Learning, 2016, arXiv:1512.03385, figure 5 right; groups: Xie et al., Aggregated
    Residual Transformations, 2017, arXiv:1611.05431, figure 3c; wide: Zagoruyko and Komodakis, 2016, arXiv:1605.07146;
    group width and squeeze-and-excitation: Radosavovic et al., Designing Network Design Spaces, 2020, arXiv:2003.13678,
    figure 4 and section 5; gate: Hu et al., Squeeze-and-Excitation Networks, 2018, arXiv:1709.01507, figure 3.
    Differs: the kxk convolution carries the stride, not the first 1x1, as in all implementations since (ResNet v1.5).

    Raises:
        BuildError: the inner width is no multiple of the groups or of the group width.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        kernel: int,
        ratio: float,
        groups: int,
        group_width: int,
        se: float,
        act: str,
        gate: str,
        shortcut: str,
        shape: Shape | None,
    ) -> None:
        inner = max(1, round(out_channels * ratio))
        if group_width > 0:
            if inner % group_width:
                raise BuildError(
                    f"the inner width {inner} (ratio {ratio} of {out_channels}) is no multiple of the group width "
                    f"{group_width}"
                )
            groups = inner // group_width
        layers: list[nn.Module] = [
            conv_norm_act(in_channels, inner, 1, act=act),
            conv_norm_act(inner, inner, kernel, stride=stride, groups=groups, act=act),
        ]
        if se > 0:
            layers.append(SqueezeExcite(inner, max(1, round(in_channels * se)), "sigmoid"))
        layers.append(conv_norm_act(inner, out_channels, 1, ends_branch=True))
        attention = make_attention(gate, out_channels, _strided(out_channels, stride, shape))
        super().__init__(in_channels, out_channels, stride, nn.Sequential(*layers), act, attention, shortcut)
