"""Token mixers of images: pooling, a random matrix, separable convolution, attention and its linear relatives."""

from __future__ import annotations

from math import ceil, sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasbench.model.blocks.attention import attend, count_heads, to_images, to_tokens
from nasbench.model.blocks.layers import make_activation, make_convolution
from nasbench.model.blocks.scan import SelectiveScan, choose_rank

_MOST_IN_CHUNK = 64
"""Positions that retention compares with each other. The result does not depend on it, time and memory do."""

_STATES = 16
"""States of each channel, as in Mamba, arXiv:2312.00752."""


class StarReLU(nn.Module):
    """Give s relu(x)^2 + b, with two learned numbers.

    Source: Yu et al., MetaFormer Baselines for Vision, 2022, arXiv:2210.13452; that s starts at 1 and b at 0 is from
    the authors' code, sail-sg/metaformer, metaformer_baselines.py.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.offset = nn.Parameter(torch.zeros(1))

    def forward(self, flow: Tensor) -> Tensor:
        """Activate any shape."""
        return self.scale * functional.relu(flow).square() + self.offset

    def draw(self, generator: torch.Generator) -> None:
        """Start as the squared ReLU."""
        self.scale.fill_(1.0)
        self.offset.zero_()


def make_act(name: str) -> nn.Module:
    """Make an activation, StarReLU among them."""
    return StarReLU() if name == "star_relu" else make_activation(name)


class PoolingMixer(nn.Module):
    """The average of the neighbours, without the position itself; (N, C, H, W) keeps its shape.

    Source: Yu et al., MetaFormer Is Actually What You Need for Vision, 2021, arXiv:2111.11418, algorithm 1.
    """

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(kernel, 1, kernel // 2, count_include_pad=False)

    def forward(self, images: Tensor) -> Tensor:
        """Mix the positions of (N, C, H, W)."""
        averages: Tensor = self.pool(images)
        return averages - images


class RandomMixer(nn.Module):
    """Mix all positions by one random matrix, whose rows sum to 1 and which is not learned.

    Source: Yu et al., MetaFormer Baselines for Vision, 2022, arXiv:2210.13452, figure 2.
    """

    matrix: Tensor

    def __init__(self, positions: int) -> None:
        super().__init__()
        self.register_buffer("matrix", torch.full((positions, positions), 1.0 / positions))

    def forward(self, images: Tensor) -> Tensor:
        """Mix the positions of (N, C, H, W)."""
        return (images.flatten(2) @ self.matrix.T).reshape(images.shape)

    def draw(self, generator: torch.Generator) -> None:
        """Draw the matrix."""
        self.matrix.uniform_(generator=generator)
        self.matrix.copy_(self.matrix.softmax(-1))


class SeparableMixer(nn.Sequential):
    """1x1 expand to twice the channels, activation, depthwise kxk, 1x1 project; (N, C, H, W) keeps its shape.

    Source: Yu et al., MetaFormer Baselines for Vision, 2022, arXiv:2210.13452, figure 2.
    """

    def __init__(self, channels: int, kernel: int, act: str, *, bias: bool) -> None:
        hidden = 2 * channels
        super().__init__(
            make_convolution(channels, hidden, 1, bias=bias),
            make_act(act),
            make_convolution(hidden, hidden, kernel, groups=hidden, bias=bias),
            make_convolution(hidden, channels, 1, bias=bias),
        )


class HeadMixer(nn.Module):
    """Queries, keys and values of several heads, mixed in `mix`, and a projection; (N, C, H, W) keeps its shape.

    Raises:
        BuildError: the width of a head does not divide the channels.
    """

    def __init__(self, channels: int, head_width: int, *, bias: bool) -> None:
        super().__init__()
        self.heads = count_heads(channels, head_width)
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.project = nn.Linear(channels, channels, bias=bias)

    def forward(self, images: Tensor) -> Tensor:
        """Mix the positions of (N, C, H, W)."""
        parts = self.qkv(to_tokens(images)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = self.mix(*parts.unbind(0)).transpose(1, 2).flatten(2)
        return to_images(self.project(mixed), *images.shape[2:])

    def mix(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Mix values of (N, heads, L, width) over L."""
        raise NotImplementedError


class AttentionMixer(HeadMixer):
    """Multi-head self-attention.

    Source: Vaswani et al., Attention Is All You Need, 2017, arXiv:1706.03762, section 3.2; without biases of queries,
    keys and values: Yu et al., MetaFormer Baselines for Vision, 2022, arXiv:2210.13452.
    """

    def mix(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Let every position attend to all."""
        return attend(queries, keys, values)


class LinearAttentionMixer(HeadMixer):
    """Attention whose similarity is a product of positive features, so that it is linear in the number of positions.

    Source: Katharopoulos et al., Transformers are RNNs, 2020, arXiv:2006.16236, section 3.2.
    """

    def mix(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Sum over all positions first, then ask for each."""
        queries, keys = functional.elu(queries) + 1, functional.elu(keys) + 1
        # cancels below; without it the sums over a large image overflow in half precision
        keys = keys / sqrt(keys.shape[2])
        weights = queries @ keys.sum(2)[..., None]
        return queries @ (keys.transpose(2, 3) @ values) / weights


class RetentionMixer(HeadMixer):
    """Sum up the values of a position and those before it, row by row, which fade with their distance.

    Head h keeps 1 - 2^(-5 - h) of what it knew at each step. Positions are taken in chunks: within one in the parallel
    form, and what earlier chunks hold arrives as one matrix for each; the result is that of the recurrent form.

    Source: Sun et al., Retentive Network, 2023, arXiv:2307.08621, section 2; over images and without the gate:
    Hatamizadeh et al., ViR: Vision Retention Networks, 2023, arXiv:2310.19731.
    Differs: queries and keys are not rotated by their position; the norm of each head has no weights of its own, which
    the projection behind it would hold.
    """

    within: Tensor
    between: Tensor
    since_start: Tensor
    until_end: Tensor

    def __init__(self, channels: int, head_width: int, positions: int, *, bias: bool) -> None:
        super().__init__(channels, head_width, bias=bias)
        self.chunks = ceil(positions / _MOST_IN_CHUNK)
        self.length = ceil(positions / self.chunks)
        for name, factors in self._fading().items():
            self.register_buffer(name, factors)

    def _fading(self) -> dict[str, Tensor]:
        """Give what is kept over the steps within a chunk, between chunks, and to and from their borders."""
        kept = (1 - 2.0 ** (-5 - torch.arange(self.heads)))[:, None, None]
        step, chunk = torch.arange(self.length), torch.arange(self.chunks)
        apart = (step[:, None] - step).clamp(min=0)
        chunks_apart = (chunk[:, None] - chunk - 1).clamp(min=0)
        return {
            "within": (kept**apart).tril()[:, None],
            "between": (kept ** (self.length * chunks_apart)).tril(-1),
            "since_start": (kept ** (step[:, None] + 1))[:, None],
            "until_end": (kept ** (self.length - 1 - step[:, None]))[:, None],
        }

    def mix(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Retain values over the positions before each."""
        batch, heads, positions, width = queries.shape
        missing = self.chunks * self.length - positions
        queries, keys, values = (
            functional.pad(part, (0, 0, 0, missing)).reshape(batch, heads, self.chunks, self.length, width)
            for part in (queries / sqrt(width), keys, values)
        )
        mixed = (queries @ keys.transpose(3, 4) * self.within) @ values
        if self.chunks > 1:
            held = (keys * self.until_end).transpose(3, 4) @ values
            arriving = (self.between @ held.flatten(3)).reshape(held.shape)
            mixed = mixed + (queries * self.since_start) @ arriving
        mixed = mixed.flatten(2, 3)[:, :, :positions]
        return functional.layer_norm(mixed, (width,))

    def draw(self, generator: torch.Generator) -> None:
        """Refill what is computed and not learned."""
        for name, factors in self._fading().items():
            getattr(self, name).copy_(factors)


class StateSpaceMixer(nn.Module):
    """Selective scans over the positions, forwards and backwards, times a gate; (N, C, H, W) keeps its shape.

    1x1 to values and gate, depthwise 3x3 and SiLU on the values, the sum of two scans, SiLU on the gate, 1x1.

    Source: Zhu et al., Vision Mamba, 2024, arXiv:2401.09417, algorithm 1; the scan: Gu and Dao, Mamba, 2023,
    arXiv:2312.00752.
    Differs: the convolution is one of images for both directions, as in Liu et al., VMamba, 2024, arXiv:2401.10166; the
    channels are not expanded, which the MLP of the block does.
    """

    def __init__(self, channels: int, *, bias: bool) -> None:
        super().__init__()
        self.split = nn.Linear(channels, 2 * channels, bias=False)
        self.spatial = nn.Sequential(
            make_convolution(channels, channels, 3, groups=channels, bias=True), nn.SiLU(inplace=True)
        )
        self.scan = SelectiveScan(channels, state=_STATES, rank=choose_rank(channels), groups=2)
        self.project = nn.Linear(channels, channels, bias=bias)

    def forward(self, images: Tensor) -> Tensor:
        """Mix the positions of (N, C, H, W)."""
        height, width = images.shape[2:]
        values, gate = self.split(to_tokens(images)).chunk(2, dim=2)
        values = to_tokens(self.spatial(to_images(values, height, width)))
        forwards, backwards = self.scan(torch.stack((values, values.flip(1)), dim=1)).unbind(1)
        mixed = self.project((forwards + backwards.flip(1)) * functional.silu(gate))
        return to_images(mixed, height, width)


def make_mixer(
    name: str, channels: int, positions: int, *, kernel: int, head_width: int, act: str, bias: bool
) -> nn.Module:
    """Make a mixer of images by its name in the kinds."""
    match name:
        case "pooling":
            return PoolingMixer(kernel)
        case "identity":
            return nn.Identity()
        case "random":
            return RandomMixer(positions)
        case "separable":
            return SeparableMixer(channels, kernel, act, bias=bias)
        case "attention":
            return AttentionMixer(channels, head_width, bias=bias)
        case "linear_attention":
            return LinearAttentionMixer(channels, head_width, bias=bias)
        case "retention":
            return RetentionMixer(channels, head_width, positions, bias=bias)
        case "ssm":
            return StateSpaceMixer(channels, bias=bias)
    raise AssertionError(f"no mixer is named {name!r}; the kinds should have refused it")
