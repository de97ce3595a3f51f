"""What attention blocks share: images as tokens and back, attention itself, and self-attention over tokens."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from nasbench.errors import BuildError, ShapeError


def tile(height: int, width: int, patch: int) -> tuple[int, int]:
    """Give how many rows and columns of patches an image has.

    Raises:
        ShapeError: they do not cover it evenly.
    """
    if height % patch or width % patch:
        raise ShapeError(f"patches of {patch}x{patch} do not tile an image of {height}x{width}")
    return height // patch, width // patch


def to_tokens(images: Tensor) -> Tensor:
    """Turn (N, C, H, W) into (N, H * W, C)."""
    return images.flatten(2).transpose(1, 2)


def to_images(tokens: Tensor, height: int, width: int) -> Tensor:
    """Turn (N, H * W, C) into (N, C, H, W)."""
    return tokens.transpose(1, 2).reshape(tokens.shape[0], -1, height, width)


def attend(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None) -> Tensor:
    """Give softmax(Q K^T / sqrt(d) + bias) V for (..., L, d) and (..., S, d).

    Source: Vaswani et al., Attention Is All You Need, 2017, arXiv:1706.03762, equation 1.
    """
    return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=bias)


class SelfAttention(nn.Module):
    """Multi-head self-attention over tokens; (N, L, C) -> (N, L, C).

    Source: Vaswani et al., Attention Is All You Need, 2017, arXiv:1706.03762, section 3.2.2.
    """

    def __init__(self, channels: int, heads: int, *, qkv_bias: bool = True) -> None:
        super().__init__()
        if channels % heads:
            raise BuildError(f"{heads} heads do not divide {channels} channels evenly")
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels, bias=qkv_bias)
        self.project = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Let every token attend to all."""
        queries, keys, values = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        mixed: Tensor = self.project(attend(queries, keys, values).transpose(1, 2).flatten(2))
        return mixed


class TransformerLayer(nn.Module):
    """Layer norm, attention, shortcut; layer norm, MLP with GELU, shortcut; (N, L, C) -> (N, L, C).

    Source: Vaswani et al., Attention Is All You Need, 2017, arXiv:1706.03762; norms first, and GELU: Dosovitskiy et
    al., An Image is Worth 16x16 Words, 2020, arXiv:2010.11929.
    """

    def __init__(self, channels: int, attention: nn.Module, hidden: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(channels, eps=eps), attention)
        self.mlp = nn.Sequential(
            nn.LayerNorm(channels, eps=eps), nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, channels)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Mix (N, L, C) over positions, then over channels."""
        tokens = tokens + self.attention(tokens)
        mixed: Tensor = tokens + self.mlp(tokens)
        return mixed


def count_heads(channels: int, head_width: int) -> int:
    """Give the number of heads of a width.

    Raises:
        BuildError: they do not divide the channels.
    """
    if channels % head_width:
        raise BuildError(f"heads of {head_width} channels do not divide {channels} channels evenly")
    return channels // head_width
