"""Pooling blocks and attention blocks with a bias for each distance: EfficientFormer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasbench.model.blocks.attention import attend, to_images, to_tokens
from nasbench.model.blocks.layers import make_activation, make_convolution
from nasbench.model.blocks.norms import LayerNorm2d, LayerScale
from nasbench.model.blocks.registry import BLOCKS

_SCALE = 1e-5
"""Where layer scales start, as in the authors' code."""

_TOKEN_EPS = 1e-5


def embed(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Make what changes size or channels before a block, a 3x3 convolution with bias and a batch norm; else nothing.

    Source: Li et al., EfficientFormer, 2022, arXiv:2206.01191; snap-research/EfficientFormer,
    models/efficientformer.py.
    """
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    convolution = make_convolution(in_channels, out_channels, 3, stride=stride, bias=True)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels))


@BLOCKS.register("efficientformer_4d")
class EfficientFormer4D(nn.Module):
    """Average pooling less its input, then two 1x1 convolutions, each scaled and added; 4D as images have a batch too.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). An embedding comes first where the shape changes.

    Source: Li et al., EfficientFormer, 2022, arXiv:2206.01191; pooling: Yu et al., MetaFormer, 2022,
    arXiv:2111.11418.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, *, kernel: int, ratio: float, act: str
    ) -> None:
        super().__init__()
        self.embed = embed(in_channels, out_channels, stride)
        self.pool = nn.AvgPool2d(kernel, 1, kernel // 2, count_include_pad=False)
        self.scale = LayerScale(out_channels, _SCALE)
        hidden = int(out_channels * ratio)
        self.mlp = nn.Sequential(
            nn.Conv2d(out_channels, hidden, 1),
            nn.BatchNorm2d(hidden),
            make_activation(act),
            nn.Conv2d(hidden, out_channels, 1),
            nn.BatchNorm2d(out_channels),
            LayerScale(out_channels, _SCALE),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Mix positions, then channels."""
        images = self.embed(images)
        images = images + self.scale(self.pool(images) - images)
        output: Tensor = images + self.mlp(images)
        return output


@BLOCKS.register("efficientformer_3d")
class EfficientFormer3D(nn.Module):
    """Self-attention over all positions, then a multilayer perceptron, each behind a layer norm, scaled and added.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). An embedding comes first where the shape changes.
    `key` and `value` are the channels of one head. The weights depend on the size of the image.

    Source: Li et al., EfficientFormer, 2022, arXiv:2206.01191; snap-research/EfficientFormer,
    models/efficientformer.py.
    Differs: takes and gives images, so that it can stand behind any block; between two of these the change of layout
    and back is a change of strides.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        heads: int,
        key: int,
        value: int,
        ratio: float,
        act: str,
        shape: tuple[int, int, int],
    ) -> None:
        super().__init__()
        _, height, width = shape
        self.embed = embed(in_channels, out_channels, stride)
        self.norm = nn.LayerNorm(out_channels, eps=_TOKEN_EPS)
        self.attention = BiasedAttention(out_channels, heads, key, value, (-(-height // stride), -(-width // stride)))
        self.scale = LayerScale(out_channels, _SCALE, of_tokens=True)
        self.mlp_norm = nn.LayerNorm(out_channels, eps=_TOKEN_EPS)
        hidden = int(out_channels * ratio)
        self.mlp = nn.Sequential(nn.Linear(out_channels, hidden), make_activation(act), nn.Linear(hidden, out_channels))
        self.mlp_scale = LayerScale(out_channels, _SCALE, of_tokens=True)

    def forward(self, images: Tensor) -> Tensor:
        """Let every position attend to all, then mix channels."""
        images = self.embed(images)
        tokens = to_tokens(images)
        tokens = tokens + self.scale(self.attention(self.norm(tokens)))
        tokens = tokens + self.mlp_scale(self.mlp(self.mlp_norm(tokens)))
        return to_images(tokens, images.shape[2], images.shape[3])


class BiasedAttention(nn.Module):
    """Self-attention with a learned bias for each head and each distance between two positions of a grid.

    (N, L, C) -> (N, L, C), where L is height times width of the grid.

    Source: Graham et al., LeViT, 2021, arXiv:2104.01136.
    """

    distances: Tensor

    def __init__(self, channels: int, heads: int, key: int, value: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        self.bias = nn.Parameter(torch.zeros(heads, grid[0] * grid[1]))
        self.register_buffer("distances", self._find_distances(), persistent=False)
        self.attention = _Attention(channels, heads, key, value)

    def _find_distances(self) -> Tensor:
        """Give for each pair of positions where its bias stands: rows apart * width + columns apart."""
        height, width = self.grid
        rows = torch.arange(height).repeat_interleave(width)
        columns = torch.arange(width).repeat(height)
        return (rows[:, None] - rows).abs() * width + (columns[:, None] - columns).abs()

    def draw(self, generator: torch.Generator) -> None:
        """Start without a bias."""
        self.bias.zero_()
        self.distances.copy_(self._find_distances())

    def forward(self, tokens: Tensor) -> Tensor:
        """Let every token attend to all."""
        mixed: Tensor = self.attention(tokens, self.bias[:, self.distances])
        return mixed

    def deploy(self) -> nn.Module:
        """Look the biases up once and for all."""
        return _FixedBias(self.attention, self.bias[:, self.distances])


class _Attention(nn.Module):
    """Multi-head attention of tokens to each other; queries, keys and values of a head stand together."""

    def __init__(self, channels: int, heads: int, key: int, value: int) -> None:
        super().__init__()
        self.heads = heads
        self.sizes = (key, key, value)
        self.qkv = nn.Linear(channels, heads * sum(self.sizes))
        self.project = nn.Linear(heads * value, channels)

    def forward(self, tokens: Tensor, bias: Tensor) -> Tensor:
        """Attend, given the bias of each head for each pair of positions."""
        queries, keys, values = self.qkv(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2).split(self.sizes, 3)
        mixed: Tensor = self.project(attend(queries, keys, values, bias).transpose(1, 2).flatten(2))
        return mixed


class _FixedBias(nn.Module):
    """The inference form of `BiasedAttention`: the bias of each head for each pair of positions is stored."""

    def __init__(self, attention: _Attention, bias: Tensor) -> None:
        super().__init__()
        self.attention = attention
        self.bias = nn.Parameter(bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Let every token attend to all."""
        mixed: Tensor = self.attention(tokens, self.bias)
        return mixed


@BLOCKS.register("efficientformer_head")
class EfficientFormerHead(nn.Module):
    """Layer norm at each position, average over the image, and the mean of one or two linear classifiers.

    (N, C, H, W) -> (N, classes). `out_channels` is the number of classes. Two classifiers are one for inference.

    Source: Li et al., EfficientFormer, 2022, arXiv:2206.01191; a second classifier, which learns from a
    teacher: Touvron et al., DeiT, 2020, arXiv:2012.12877.
    Differs: gives the mean of both in training, too, which is a matter of training.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, classifiers: str) -> None:
        super().__init__()
        self.norm = LayerNorm2d(in_channels, _TOKEN_EPS)
        self.classifier = nn.Linear(in_channels, out_channels)
        self.teacher_classifier = nn.Linear(in_channels, out_channels) if classifiers == "two" else None

    def forward(self, images: Tensor) -> Tensor:
        """Classify (N, C, H, W)."""
        means = self.norm(images).mean((2, 3))
        logits: Tensor = self.classifier(means)
        return logits if self.teacher_classifier is None else (logits + self.teacher_classifier(means)) / 2

    def deploy(self) -> nn.Module:
        """Merge the classifiers."""
        if self.teacher_classifier is not None:
            with torch.no_grad():
                for mine, other in zip(self.classifier.parameters(), self.teacher_classifier.parameters(), strict=True):
                    mine.add_(other).div_(2)
        return nn.Sequential(self.norm, nn.AdaptiveAvgPool2d(1), nn.Flatten(), self.classifier)
