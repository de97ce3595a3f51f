"""MobileOne: depthwise and pointwise convolutions trained as parallel branches."""

from __future__ import annotations

from torch import Tensor, nn

from nasbench.model.blocks.layers import SqueezeExcite, conv_norm_act, make_activation
from nasbench.model.blocks.registry import BLOCKS
from nasbench.model.blocks.reparam import (
    Kernel,
    add_up,
    as_convolution,
    fold_norm_behind,
    identity_kernel,
    kernel_of,
)
from nasbench.space.stack import make_divisible


class BranchedConvolution(nn.Module):
    """The sum of kxk convolutions, a 1x1 convolution and the identity, each with batch norm; deployed, one convolution.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). The 1x1 branch is there for kernels above 1, the
    identity where the shapes agree.

    Source: Vasu et al., MobileOne, 2022, arXiv:2206.04040.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, *, stride: int, branches: int, groups: int = 1
    ) -> None:
        super().__init__()
        self.identity = nn.BatchNorm2d(out_channels) if stride == 1 and in_channels == out_channels else None
        kernels = [kernel] * branches + ([1] if kernel > 1 else [])
        self.convolutions = nn.ModuleList(
            conv_norm_act(in_channels, out_channels, size, stride=stride, groups=groups) for size in kernels
        )

    def forward(self, images: Tensor) -> Tensor:
        """Add the branches up."""
        first, *others = self.convolutions
        output: Tensor = first(images)
        for convolution in others:
            output = output + convolution(images)
        return output if self.identity is None else output + self.identity(images)

    def deploy(self) -> nn.Conv2d:
        """Give the one convolution that all branches are."""
        like = self.convolutions[0][0]  # type: ignore[index]
        assert isinstance(like, nn.Conv2d)
        kernels: list[Kernel] = [kernel_of(convolution) for convolution in self.convolutions]
        if self.identity is not None:
            kernels.append(fold_norm_behind(identity_kernel(like), self.identity))
        return as_convolution(add_up(*kernels), like)


@BLOCKS.register("mobileone_conv")
class MobileOneConv(nn.Sequential):
    """A branched kxk convolution and an activation, as the stem of MobileOne.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)).

    Source: Vasu et al., MobileOne, 2022, arXiv:2206.04040.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, *, kernel: int, branches: int, act: str
    ) -> None:
        super().__init__(
            BranchedConvolution(in_channels, out_channels, kernel, stride=stride, branches=branches),
            make_activation(act),
        )


@BLOCKS.register("mobileone")
class MobileOne(nn.Sequential):
    """A branched depthwise kxk and a branched pointwise convolution, each with squeeze-and-excitation and activation.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). There is no shortcut around the block. Squeezed
    channels are a share of those that they scale, rounded to multiples of 8.

    Source: Vasu et al., MobileOne, 2022, arXiv:2206.04040; squeeze-and-excitation: its variant S4.
    Differs: kernel and activation are chosen by the space.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, *, kernel: int, branches: int, act: str, se: float
    ) -> None:
        layers: list[nn.Module] = []
        for convolution, channels in (
            (
                BranchedConvolution(
                    in_channels, in_channels, kernel, stride=stride, branches=branches, groups=in_channels
                ),
                in_channels,
            ),
            (BranchedConvolution(in_channels, out_channels, 1, stride=1, branches=branches), out_channels),
        ):
            layers.append(convolution)
            if se > 0:
                layers.append(SqueezeExcite(channels, make_divisible(channels * se), "sigmoid"))
            layers.append(make_activation(act))
        super().__init__(*layers)
