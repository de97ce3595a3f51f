"""EdgeNeXt: convolutional and split depthwise transpose attention encoders."""

from __future__ import annotations

from math import gcd, pi

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasbench.errors import BuildError
from nasbench.model.blocks.layers import make_convolution
from nasbench.model.blocks.norms import LayerNorm2d, LayerScale
from nasbench.model.blocks.registry import BLOCKS

_WAVES = 32
"""Sines and cosines for each axis, as in the authors' code and that of XCiT, arXiv:2106.09681."""


def _pointwise_pair(channels: int, expand: float) -> nn.Sequential:
    """Make layer norm, 1x1 expand, GELU, 1x1 project and a layer scale."""
    hidden = int(channels * expand)
    return nn.Sequential(
        LayerNorm2d(channels),
        nn.Conv2d(channels, hidden, 1),
        nn.GELU(),
        nn.Conv2d(hidden, channels, 1),
        LayerScale(channels),
    )


@BLOCKS.register("edgenext_conv")
class EdgeNeXtConv(nn.Module):
    """Depthwise kxk, layer norm, 1x1 expand, GELU, 1x1 project, layer scale, and the input added.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). Where the shape changes, what comes from the
    depthwise convolution is added in place of the input.

    Source: Maaz et al., EdgeNeXt, 2022, arXiv:2206.10589; mmaaz60/EdgeNeXt, models/conv_encoder.py.
    Differs: a stride and a change of channels are possible; the latter in groups of the greatest common divisor.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, kernel: int, expand: float) -> None:
        super().__init__()
        groups = gcd(in_channels, out_channels)
        self.spatial = make_convolution(in_channels, out_channels, kernel, stride=stride, groups=groups, bias=True)
        self.pointwise = _pointwise_pair(out_channels, expand)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, images: Tensor) -> Tensor:
        """Run the block on (N, C_in, H, W)."""
        mixed: Tensor = self.spatial(images)
        branch: Tensor = self.pointwise(mixed)
        return (images if self.residual else mixed) + branch


class _CrossCovariance(nn.Module):
    """Attention between the channels of each head, over all positions; (N, C, H, W) keeps its shape.

    Source: El-Nouby et al., XCiT: Cross-Covariance Image Transformers, 2021, arXiv:2106.09681.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        if channels % heads:
            raise BuildError(f"{heads} heads do not divide {channels} channels evenly")
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.project = nn.Sequential(nn.Conv2d(channels, channels, 1), LayerScale(channels))

    def forward(self, images: Tensor) -> Tensor:
        """Let every channel attend to those of its head."""
        parts = self.qkv(images).flatten(2).unflatten(1, (3, self.heads, -1))
        queries, keys, values = parts.unbind(1)
        queries, keys = functional.normalize(queries, dim=-1), functional.normalize(keys, dim=-1)
        weights = (queries @ keys.transpose(2, 3) * self.temperature).softmax(-1)
        mixed: Tensor = self.project((weights @ values).reshape(images.shape))
        return mixed

    def draw(self, generator: torch.Generator) -> None:
        """Start at the temperature 1."""
        self.temperature.fill_(1.0)


class _FourierPositions(nn.Module):
    """Add a learned mixture of sines and cosines of the position; (N, C, H, W) keeps its shape."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.size = (height, width)
        self.project = nn.Conv2d(2 * _WAVES, channels, 1)
        self.register_buffer("waves", self._make_waves(), persistent=False)
        self.waves: Tensor

    def _make_waves(self) -> Tensor:
        """Give (2 waves, H, W): rows first, then columns, from 0 to a full turn, sine and cosine in turns."""
        wave_lengths = 10000 ** (torch.arange(0, _WAVES, 2) / _WAVES)
        axes = []
        for size in self.size:
            turns = torch.arange(1, size + 1) / (size + 1e-6) * 2 * pi
            angles = turns / wave_lengths[:, None]
            axes.append(torch.stack((angles.sin(), angles.cos()), 1).flatten(0, 1))
        rows, columns = axes
        return torch.cat((rows[:, :, None].expand(-1, *self.size), columns[:, None].expand(-1, *self.size)))

    def forward(self, images: Tensor) -> Tensor:
        """Add positions to (N, C, H, W)."""
        positions: Tensor = self.project(self.waves[None])
        return images + positions

    def draw(self, generator: torch.Generator) -> None:
        """Compute the waves, which are constant."""
        self.waves.copy_(self._make_waves())

    def deploy(self) -> nn.Module:
        """Give the positions as they are once the weights are fixed."""
        return _FixedPositions(self.project(self.waves[None]))


class _FixedPositions(nn.Module):
    def __init__(self, positions: Tensor) -> None:
        super().__init__()
        self.positions = nn.Parameter(positions, requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        """Add positions to (N, C, H, W)."""
        return images + self.positions


@BLOCKS.register("edgenext_sdta")
class EdgeNeXtSDTA(nn.Module):
    """Split depthwise convolutions, attention between channels, and two pointwise layers with layer scale.

    (N, C, H, W) keeps its shape. Of `splits` channel splits all but the last pass a 3x3 depthwise convolution, each
    after adding what the one before gave. `position` adds a Fourier encoding before the attention.

    Source: Maaz et al., EdgeNeXt, 2022, arXiv:2206.10589; mmaaz60/EdgeNeXt, models/sdta_encoder.py; the splits: Gao et
    al., Res2Net, 2019, arXiv:1904.01169.
    Differs: the inference form holds the encoding as a constant.

    Raises:
        BuildError: heads do not divide the channels, or a split would be empty.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        splits: int,
        heads: int,
        expand: float,
        position: bool,
        shape: tuple[int, int, int],
    ) -> None:
        super().__init__()
        width = -(-in_channels // splits)
        if width * (splits - 1) >= in_channels:
            raise BuildError(f"{in_channels} channels cannot be split {splits} times into {width} and a rest")
        self.spatial = nn.ModuleList(
            make_convolution(width, width, 3, groups=width, bias=True) for _ in range(splits - 1)
        )
        self.positions = _FourierPositions(in_channels, *shape[1:]) if position else nn.Identity()
        self.attention = nn.Sequential(LayerNorm2d(in_channels), _CrossCovariance(in_channels, heads))
        self.pointwise = _pointwise_pair(in_channels, expand)

    def forward(self, images: Tensor) -> Tensor:
        """Run the block on (N, C, H, W)."""
        parts = images.chunk(len(self.spatial) + 1, dim=1)
        mixed = [self.spatial[0](parts[0])]
        for part, convolution in zip(parts[1:-1], list(self.spatial)[1:], strict=True):
            mixed.append(convolution(mixed[-1] + part))
        flow = self.positions(torch.cat((*mixed, parts[-1]), dim=1))
        flow = flow + self.attention(flow)
        branch: Tensor = self.pointwise(flow)
        return images + branch


@BLOCKS.register("edgenext_patch")
class EdgeNeXtPatch(nn.Sequential):
    """A convolution of patches as large as the stride, with a layer norm before it (`first`) or behind it (`last`).

    (N, C_in, H, W) -> (N, C_out, H // stride, W // stride).

    Source: Maaz et al., EdgeNeXt, 2022, arXiv:2206.10589, after Liu et al., A ConvNet for the 2020s, 2022,
    arXiv:2201.03545, sections 2.2 and 2.6.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, norm: str) -> None:
        convolution = nn.Conv2d(in_channels, out_channels, stride, stride)
        if norm == "first":
            super().__init__(LayerNorm2d(in_channels), convolution)
        else:
            super().__init__(convolution, LayerNorm2d(out_channels))
