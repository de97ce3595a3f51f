"""Norms and scales that several families share: over the channels of images, over a whole image, a learned scale."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class LayerNorm2d(nn.LayerNorm):
    """Normalize the channels of each position of (N, C, H, W).

    Source: Ba et al., Layer Normalization, 2016, arXiv:1607.06450; over the channels of images: Liu et al., A ConvNet
    for the 2020s, 2022, arXiv:2201.03545, section 2.6.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__(channels, eps=eps)

    def forward(self, images: Tensor) -> Tensor:
        """Normalize (N, C, H, W)."""
        last = images.permute(0, 2, 3, 1)
        return functional.layer_norm(last, self.normalized_shape, self.weight, self.bias, self.eps).permute(0, 3, 1, 2)


class LayerScale(nn.Module):
    """Multiply each channel by a learned number that starts at `start`; of images, or of tokens where `of_tokens`.

    Right behind a convolution in an `nn.Sequential` it is folded into it for inference.

    Source: Touvron et al., Going deeper with Image Transformers, 2021, arXiv:2103.17239, equation 4.
    """

    def __init__(self, channels: int, start: float = 1e-6, *, of_tokens: bool = False) -> None:
        super().__init__()
        self.start = start
        self.scale = nn.Parameter(torch.full((channels,) if of_tokens else (channels, 1, 1), start))

    def forward(self, flow: Tensor) -> Tensor:
        """Scale (N, C, H, W), or (N, L, C)."""
        return flow * self.scale

    def draw(self, generator: torch.Generator) -> None:
        """Start at the same number everywhere."""
        self.scale.fill_(self.start)
