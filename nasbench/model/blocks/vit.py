"""Plain and gated self-attention over patches: ViT, DeiT, ConViT."""

from __future__ import annotations

from math import isqrt

import torch
from torch import Tensor, nn

from nasbench.errors import ShapeError
from nasbench.model.blocks.attention import SelfAttention, TransformerLayer, count_heads, tile, to_tokens
from nasbench.model.blocks.registry import BLOCKS

_EMBEDDING_STD = 0.02
"""As timm draws position embeddings."""


@BLOCKS.register("vit_embed")
class PatchEmbedding(nn.Module):
    """Turn patches into tokens, put a class token first where asked for, add a learned embedding of each position.

    (N, C_in, H, W) -> (N, 1 + H / patch * W / patch, C_out).

    Source: Dosovitskiy et al., An Image is Worth 16x16 Words, 2020, arXiv:2010.11929, equation 1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        patch: int,
        class_token: bool,
        shape: tuple[int, int, int],
    ) -> None:
        super().__init__()
        rows, columns = tile(*shape[1:], patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, out_channels)) if class_token else None
        positions = rows * columns + class_token
        self.positions = nn.Parameter(torch.zeros(1, positions, out_channels))
        self.project = nn.Conv2d(in_channels, out_channels, patch, patch)

    def forward(self, images: Tensor) -> Tensor:
        """Give the tokens of (N, C, H, W), the class token first."""
        tokens = to_tokens(self.project(images))
        if self.class_token is not None:
            tokens = torch.cat((self.class_token.expand(tokens.shape[0], -1, -1), tokens), dim=1)
        return tokens + self.positions

    def draw(self, generator: torch.Generator) -> None:
        """Draw small embeddings."""
        if self.class_token is not None:
            self.class_token.normal_(0.0, _EMBEDDING_STD, generator=generator)
        self.positions.normal_(0.0, _EMBEDDING_STD, generator=generator)


@BLOCKS.register("vit_block")
class TransformerBlock(TransformerLayer):
    """Layer norm, self-attention, shortcut; layer norm, MLP with GELU, shortcut.

    (N, L, C) -> (N, L, C). There are C / head_width heads.

    Source: Dosovitskiy et al., An Image is Worth 16x16 Words, 2020, arXiv:2010.11929, equations 2 and 3.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, *, head_width: int, mlp: float, qkv_bias: bool
    ) -> None:
        attention = SelfAttention(in_channels, count_heads(in_channels, head_width), qkv_bias=qkv_bias)
        super().__init__(in_channels, attention, int(in_channels * mlp))


@BLOCKS.register("vit_head")
class ClassTokenHead(nn.Module):
    """Classify by the normalized first token; (N, L, C) -> (N, classes).

    Source: Dosovitskiy et al., An Image is Worth 16x16 Words, 2020, arXiv:2010.11929, equation 4.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(in_channels, eps=1e-6)
        self.linear = nn.Linear(in_channels, out_channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Give the logits of (N, L, C)."""
        logits: Tensor = self.linear(self.norm(tokens[:, 0]))
        return logits


@BLOCKS.register("class_token")
class ClassToken(nn.Module):
    """Put a learned token first; (N, L, C) -> (N, L + 1, C).

    Source: d'Ascoli et al., ConViT, 2021, arXiv:2103.10697; facebookresearch/convit, convit.py.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 1, in_channels))

    def forward(self, tokens: Tensor) -> Tensor:
        """Extend (N, L, C)."""
        return torch.cat((self.token.expand(tokens.shape[0], -1, -1), tokens), dim=1)

    def draw(self, generator: torch.Generator) -> None:
        """Draw a small token."""
        self.token.normal_(0.0, _EMBEDDING_STD, generator=generator)


class _MixedAttention(nn.Module):
    """Attention by content, times a share for each head, plus attention by position; the inference form."""

    shares: Tensor
    by_position: Tensor

    def __init__(self, layers: _GatedAttention) -> None:
        super().__init__()
        self.heads = layers.heads
        self.queries_keys, self.values, self.project = layers.queries_keys, layers.values, layers.project
        shares, by_position = layers.mix()
        self.register_buffer("shares", shares)
        self.register_buffer("by_position", by_position)

    def forward(self, tokens: Tensor) -> Tensor:
        return _mix(self, tokens, self.shares, self.by_position)


class _GatedAttention(nn.Module):
    offsets: Tensor

    def __init__(self, channels: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads, self.side = heads, side
        self.gates = nn.Parameter(torch.ones(heads))
        self.register_buffer("offsets", torch.zeros(side**2, side**2, 3), persistent=False)
        self.queries_keys = nn.Linear(channels, 2 * channels, bias=False)
        self.values = nn.Linear(channels, channels, bias=False)
        self.project = nn.Linear(channels, channels)
        self.positions = nn.Linear(3, heads)

    def mix(self) -> tuple[Tensor, Tensor]:
        """Give the share of content for each head (heads, 1, 1), and what position adds (heads, L, L)."""
        gates = self.gates.sigmoid()[:, None, None]
        return 1 - gates, gates * self.positions(self.offsets).permute(2, 0, 1).softmax(2)

    def forward(self, tokens: Tensor) -> Tensor:
        return _mix(self, tokens, *self.mix())

    def deploy(self) -> nn.Module:
        """Compute once what no input changes."""
        return _MixedAttention(self)

    def draw(self, generator: torch.Generator) -> None:
        """Start with gates of 1, and fill in the offsets of each pair of positions: x, y and the squared distance."""
        self.gates.fill_(1.0)
        rows, columns = torch.meshgrid(torch.arange(self.side), torch.arange(self.side), indexing="ij")
        x, y = (line.flatten()[None] - line.flatten()[:, None] for line in (columns, rows))
        self.offsets.copy_(torch.stack((x, y, x**2 + y**2), dim=2))


def _mix(layers: _GatedAttention | _MixedAttention, tokens: Tensor, shares: Tensor, by_position: Tensor) -> Tensor:
    count, length, channels = tokens.shape
    split = (count, length, layers.heads, channels // layers.heads)
    queries, keys = (half.reshape(split).transpose(1, 2) for half in layers.queries_keys(tokens).chunk(2, dim=2))
    values = layers.values(tokens).reshape(split).transpose(1, 2)
    by_content = (queries @ keys.transpose(2, 3) * split[3] ** -0.5).softmax(3)
    mixed: Tensor = layers.project(((shares * by_content + by_position) @ values).transpose(1, 2).flatten(2))
    return mixed


@BLOCKS.register("gpsa_block")
class GatedPositionalBlock(TransformerLayer):
    """Layer norm, attention mixed from content and relative position by a gate for each head; MLP; shortcuts.

    (N, L, C) -> (N, L, C), of a square image without class token.

    Source: d'Ascoli et al., ConViT, 2021, arXiv:2103.10697; facebookresearch/convit, convit.py.
    Differs: attention is not divided by its sums, which are 1; the linear layers of positions are drawn as any other.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        head_width: int,
        mlp: float,
        shape: tuple[int, int],
    ) -> None:
        heads, side = count_heads(in_channels, head_width), isqrt(shape[0])
        if side**2 != shape[0]:
            raise ShapeError(f"{shape[0]} tokens are not the positions of a square image")
        super().__init__(in_channels, _GatedAttention(in_channels, heads, side), int(in_channels * mlp))
