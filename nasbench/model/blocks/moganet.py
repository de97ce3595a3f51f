"""Multi-order gated aggregation: MogaNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasbench.errors import BuildError
from nasbench.model.blocks.layers import make_activation, make_convolution
from nasbench.model.blocks.registry import BLOCKS

_SCALE = 1e-5
"""Where every learned scale starts, as in the authors' code."""


@BLOCKS.register("moga")
class Moga(nn.Module):
    """Gated aggregation of positions, then of channels, each behind a batch norm, scaled and added.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). A 3x3 convolution with batch norm comes first
    where the shape changes. `act` is that of the perceptron, `gate_act` that of gate and values.

    Source: Li et al., MogaNet, 2022, arXiv:2211.03295; as in Westlake-AI/MogaNet, models/moganet.py.
    Differs: from the equations, as the authors' code does: the input of the aggregation is added behind its norm, too.

    Raises:
        BuildError: the output channels cannot be split 1 : 3 : 4.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, *, ratio: float, act: str, gate_act: str
    ) -> None:
        super().__init__()
        if out_channels % 8:
            raise BuildError(f"{out_channels} channels cannot be split 1 : 3 : 4; take a multiple of 8")
        self.embed: nn.Module = nn.Identity()
        if stride > 1 or in_channels != out_channels:
            convolution = make_convolution(in_channels, out_channels, 3, stride=stride, bias=True)
            self.embed = nn.Sequential(convolution, nn.BatchNorm2d(out_channels))
        self.norm = nn.BatchNorm2d(out_channels)
        self.aggregation = _GatedAggregation(out_channels, gate_act)
        self.perceptron_norm = nn.BatchNorm2d(out_channels)
        self.perceptron = _ChannelAggregation(out_channels, int(out_channels * ratio), act)
        self.scale = nn.Parameter(torch.full((out_channels, 1, 1), _SCALE))
        self.perceptron_scale = nn.Parameter(torch.full((out_channels, 1, 1), _SCALE))

    def draw(self, generator: torch.Generator) -> None:
        """Start both scales small."""
        self.scale.fill_(_SCALE)
        self.perceptron_scale.fill_(_SCALE)

    def forward(self, images: Tensor) -> Tensor:
        """Mix positions, then channels."""
        images = self.embed(images)
        normed = self.norm(images)
        images = images + self.scale * (self.aggregation(normed) + normed)
        output: Tensor = images + self.perceptron_scale * self.perceptron(self.perceptron_norm(images))
        return output


class _Diversify(nn.Module):
    """Move every element away from what it has in common with others: x + sigma (x - common), sigma for each channel.

    Source: Li et al., MogaNet, 2022, arXiv:2211.03295.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.sigma = nn.Parameter(torch.full((channels, 1, 1), _SCALE))

    def draw(self, generator: torch.Generator) -> None:
        """Start small."""
        self.sigma.fill_(_SCALE)

    def forward(self, images: Tensor, common: Tensor) -> Tensor:
        """Move (N, C, H, W) away from what broadcasts to it."""
        return images + self.sigma * (images - common)


class _GatedAggregation(nn.Module):
    """Take the mean of the image off, gate three reaches of depthwise convolutions, project; the shape stays.

    Source: Li et al., MogaNet, 2022, arXiv:2211.03295.
    """

    def __init__(self, channels: int, act: str) -> None:
        super().__init__()
        self.project_in = nn.Conv2d(channels, channels, 1)
        self.diversify = _Diversify(channels)
        self.act = make_activation(act)
        self.gate = nn.Sequential(nn.Conv2d(channels, channels, 1), make_activation(act))
        self.value = nn.Sequential(_MultiOrder(channels), nn.Conv2d(channels, channels, 1), make_activation(act))
        self.project_out = nn.Conv2d(channels, channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Aggregate (N, C, H, W)."""
        images = self.project_in(images)
        images = self.act(self.diversify(images, images.mean((2, 3), keepdim=True)))
        output: Tensor = self.project_out(self.gate(images) * self.value(images))
        return output


class _MultiOrder(nn.Module):
    """A depthwise 5x5 convolution, behind which 3/8 of the channels pass one of 9x9, and 4/8 one of 19x19 positions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.sizes = [channels // 8, channels * 3 // 8, channels // 2]
        self.near = _dilated(channels, 5, 1)
        self.middle = _dilated(self.sizes[1], 5, 2)
        self.far = _dilated(self.sizes[2], 7, 3)

    def forward(self, images: Tensor) -> Tensor:
        """Convolve (N, C, H, W)."""
        near, middle, far = self.near(images).split(self.sizes, 1)
        return torch.cat([near, self.middle(middle), self.far(far)], 1)


def _dilated(channels: int, kernel: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, kernel, padding=dilation * (kernel // 2), dilation=dilation, groups=channels)


class _ChannelAggregation(nn.Module):
    """1x1 expand, depthwise 3x3, move every channel away from one mixture of all, 1x1 project.

    Source: Li et al., MogaNet, 2022, arXiv:2211.03295.
    """

    def __init__(self, channels: int, hidden: int, act: str) -> None:
        super().__init__()
        self.expand = nn.Sequential(
            nn.Conv2d(channels, hidden, 1),
            make_convolution(hidden, hidden, 3, groups=hidden, bias=True),
            make_activation(act),
        )
        self.mixture = nn.Sequential(nn.Conv2d(hidden, 1, 1), make_activation(act))
        self.diversify = _Diversify(hidden)
        self.project = nn.Conv2d(hidden, channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Mix the channels of (N, C, H, W)."""
        hidden = self.expand(images)
        output: Tensor = self.project(self.diversify(hidden, self.mixture(hidden)))
        return output
