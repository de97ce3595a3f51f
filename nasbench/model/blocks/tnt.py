"""Transformer in transformer: TNT."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasbench.errors import BuildError, ShapeError
from nasbench.model.blocks.attention import SelfAttention, TransformerLayer, count_heads, tile, to_tokens
from nasbench.model.blocks.registry import BLOCKS

_EMBEDDING_STD = 0.02
"""As timm draws position embeddings."""

Streams = tuple[Tensor, Tensor]
"""Outer tokens (N, 1 + P, C), a class token and P patches, and inner tokens (N, P * pixels, inner), patch by patch."""


def _project_pixels(pixels: int, inner: int, channels: int, *, bias: bool) -> nn.Sequential:
    """Make what turns the pixels of a patch (…, pixels * inner) into an outer token (…, channels)."""
    return nn.Sequential(
        nn.LayerNorm(pixels * inner), nn.Linear(pixels * inner, channels, bias=bias), nn.LayerNorm(channels)
    )


@BLOCKS.register("tnt_embed")
class NestedEmbedding(nn.Module):
    """Embed the pixels of each patch by a 7x7 convolution, and each patch by all its embedded pixels.

    (N, C_in, H, W) -> (N, 1 + P, C_out) and (N, P * (patch / pixel)^2, inner), where P = H / patch * W / patch. Both
    have learned positions, the inner ones the same in each patch; the class token stands first.

    Source: Han et al., Transformer in Transformer, 2021, arXiv:2103.00112.
    Differs: the paper leaves the pixel embedding open; a convolution within each patch is that of timm.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        patch: int,
        pixel: int,
        inner: int,
        shape: tuple[int, int, int],
    ) -> None:
        super().__init__()
        self.rows, self.columns = tile(*shape[1:], patch)
        if patch % pixel:
            raise BuildError(f"pixels of {pixel}x{pixel} do not tile a patch of {patch}x{patch}")
        self.patch, self.inner = patch, inner
        side = patch // pixel
        self.class_token = nn.Parameter(torch.zeros(1, 1, out_channels))
        self.positions = nn.Parameter(torch.zeros(1, 1 + self.rows * self.columns, out_channels))
        self.pixel_positions = nn.Parameter(torch.zeros(1, inner, side, side))
        self.embed = nn.Conv2d(in_channels, inner, 7, pixel, padding=3)
        self.project = _project_pixels(side**2, inner, out_channels, bias=True)

    def forward(self, images: Tensor) -> Streams:
        """Give the outer and inner tokens of (N, C, H, W)."""
        count, channels = images.shape[:2]
        split = images.reshape(count, channels, self.rows, self.patch, self.columns, self.patch)
        patches = split.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, self.patch, self.patch)
        pixels = to_tokens(self.embed(patches) + self.pixel_positions)
        outer = self.project(pixels.reshape(count, self.rows * self.columns, -1))
        outer = torch.cat((self.class_token.expand(count, -1, -1), outer), dim=1) + self.positions
        return outer, pixels.reshape(count, -1, self.inner)

    def draw(self, generator: torch.Generator) -> None:
        """Draw small embeddings."""
        for embedding in (self.class_token, self.positions, self.pixel_positions):
            embedding.normal_(0.0, _EMBEDDING_STD, generator=generator)


def _transformer(channels: int, heads: int, hidden: int) -> TransformerLayer:
    return TransformerLayer(channels, SelfAttention(channels, heads, qkv_bias=False), hidden, eps=1e-5)


@BLOCKS.register("tnt_block")
class NestedBlock(nn.Module):
    """A transformer block over the pixels of each patch, their projection added to its token, a block over patches.

    (N, 1 + P, C) and (N, P * pixels, inner) -> the same. There are C / head_width outer heads; the inner MLP always
    widens by 4.

    Source: Han et al., Transformer in Transformer, 2021, arXiv:2103.00112.
    Differs: the projection is normalized before and behind its linear layer, as in timm.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        inner_heads: int,
        head_width: int,
        mlp: float,
        shape: tuple[tuple[int, int], tuple[int, int]],
    ) -> None:
        super().__init__()
        (outer_tokens, _), (inner_tokens, inner) = shape
        self.patches = outer_tokens - 1
        if self.patches < 1 or inner_tokens % self.patches:
            raise ShapeError(f"{inner_tokens} inner tokens do not fill {self.patches} patches evenly")
        self.pixels = inner_tokens // self.patches
        self.over_pixels = _transformer(inner, inner_heads, 4 * inner)
        self.project = _project_pixels(self.pixels, inner, in_channels, bias=False)
        self.over_patches = _transformer(in_channels, count_heads(in_channels, head_width), int(in_channels * mlp))

    def forward(self, streams: Streams) -> Streams:
        """Mix the inner tokens of each patch, then the outer ones."""
        outer, pixels = streams
        inner = self.over_pixels(pixels.reshape(-1, self.pixels, pixels.shape[2]))
        patches = outer[:, 1:] + self.project(inner.reshape(outer.shape[0], self.patches, -1))
        outer = self.over_patches(torch.cat((outer[:, :1], patches), dim=1))
        return outer, inner.reshape(pixels.shape)


@BLOCKS.register("tnt_head")
class NestedHead(nn.Module):
    """Classify by the normalized first outer token; (N, L, C) and inner tokens -> (N, classes).

    Source: Han et al., Transformer in Transformer, 2021, arXiv:2103.00112.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(in_channels)
        self.linear = nn.Linear(in_channels, out_channels)

    def forward(self, streams: Streams) -> Tensor:
        """Give the logits; the inner tokens have done their work."""
        logits: Tensor = self.linear(self.norm(streams[0][:, 0]))
        return logits
