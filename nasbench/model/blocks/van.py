"""Large kernel attention: VAN."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasbench.errors import BuildError
from nasbench.model.blocks.convnext import Added, NormedConvolution
from nasbench.model.blocks.layers import make_activation, make_convolution
from nasbench.model.blocks.norms import LayerScale
from nasbench.model.blocks.registry import BLOCKS
from nasbench.model.blocks.reparam import gain_and_shift

_SCALE = 0.01
"""Where the layer scales start, as in the authors' code."""


class LargeKernelAttention(nn.Module):
    """Multiply the input by what a large kernel, decomposed into three convolutions, makes of it; the shape stays.

    A kernel K with the dilation d is a depthwise convolution of 2d - 1, a depthwise one of ceil(K / d) with the
    dilation d, and a 1x1 convolution.

    Source: Guo et al., Visual Attention Network, 2022, arXiv:2202.09741; Visual-Attention-Network/VAN-Classification,
    models/van.py.

    Raises:
        BuildError: the dilated convolution would change the size, since no padding on both sides equals its reach.
    """

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        dilated = -(-kernel // dilation)
        reach = dilation * (dilated - 1)
        if reach % 2:
            raise BuildError(
                f"the kernel {kernel} with the dilation {dilation} is a dilated one of {dilated}, which reaches over "
                f"{reach + 1} positions; an odd number is needed, so that padding keeps the size"
            )
        self.local = make_convolution(channels, channels, 2 * dilation - 1, groups=channels, bias=True)
        self.wide = nn.Conv2d(channels, channels, dilated, padding=reach // 2, dilation=dilation, groups=channels)
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Weigh (N, C, H, W)."""
        output: Tensor = images * self.mix(self.wide(self.local(images)))
        return output


class AttentionResidual(nn.Module):
    """Batch norm, 1x1, activation, attention, 1x1 with a shortcut from behind the norm, scale; added to the input.

    For inference the norm and the scale become part of the convolutions and of one factor for each channel.
    """

    def __init__(self, channels: int, kernel: int, dilation: int, act: str) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.enter = nn.Conv2d(channels, channels, 1)
        self.act = make_activation(act)
        self.attention = LargeKernelAttention(channels, kernel, dilation)
        self.leave = nn.Conv2d(channels, channels, 1)
        self.scale = LayerScale(channels, _SCALE)

    def forward(self, images: Tensor) -> Tensor:
        """Add the branch to (N, C, H, W)."""
        normed = self.norm(images)
        output: Tensor = images + self.scale(self.leave(self.attention(self.act(self.enter(normed)))) + normed)
        return output

    def deploy(self) -> nn.Module:
        """Give a gain of the input and a branch that equal this in evaluation mode."""
        assert self.enter.bias is not None and self.leave.bias is not None
        with torch.no_grad():
            gain, offset = gain_and_shift(self.norm)
            scale = self.scale.scale.flatten()
            self.enter.bias.add_(self.enter.weight.sum((2, 3)) @ offset)
            self.enter.weight.mul_(gain[:, None, None])
            self.leave.bias.add_(offset).mul_(scale)
            self.leave.weight.mul_(scale[:, None, None, None])
            branch = nn.Sequential(self.enter, self.act, self.attention, self.leave)
            return GainAndBranch((1 + scale * gain)[:, None, None], branch)


class GainAndBranch(nn.Module):
    """The inference form of a residual whose branch has a shortcut of its own: gain * x + branch(x)."""

    def __init__(self, gain: Tensor, branch: nn.Module) -> None:
        super().__init__()
        self.gain = nn.Parameter(gain)
        self.branch = branch

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        output: Tensor = images * self.gain + self.branch(images)
        return output


@BLOCKS.register("van")
class VisualAttention(nn.Sequential):
    """Large kernel attention and a feed-forward network with a depthwise 3x3 convolution, each with a shortcut.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). Where the shape changes, a convolution with a
    kernel of 2 * stride - 1 and a batch norm come first.

    Source: Guo et al., Visual Attention Network, 2022, arXiv:2202.09741; norms, scales and the embedding of patches:
    the authors' code, Visual-Attention-Network/VAN-Classification, models/van.py.
    Differs: kernel, dilation, expansion and activation are chosen by the space.

    Raises:
        BuildError: kernel and dilation do not keep the size.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        kernel: int,
        dilation: int,
        expand: float,
        act: str,
    ) -> None:
        inner = int(expand * out_channels)
        layers: list[nn.Module] = [
            AttentionResidual(out_channels, kernel, dilation, act),
            Added(
                nn.Sequential(
                    NormedConvolution(out_channels, inner),
                    make_convolution(inner, inner, 3, groups=inner, bias=True),
                    make_activation(act),
                    nn.Conv2d(inner, out_channels, 1),
                    LayerScale(out_channels, _SCALE),
                )
            ),
        ]
        if stride > 1 or in_channels != out_channels:
            convolution = make_convolution(in_channels, out_channels, 2 * stride - 1, stride=stride, bias=True)
            layers = [convolution, nn.BatchNorm2d(out_channels), *layers]
        super().__init__(*layers)
