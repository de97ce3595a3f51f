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


class BranchNorm(nn.BatchNorm2d):
    """A batch norm that ends a residual branch and starts small, so that the variance does not double with every block.

    Source: Goyal et al., Accurate, Large Minibatch SGD, 2017, arXiv:1706.02677, section 5.1.
    Differs: the scale starts at 0.25 and not at 0, which would hide every layer of the branch; 50 blocks of ResNet do
    not overflow fp16 before training with it.
    """

    def draw(self, generator: torch.Generator) -> None:
        """Start as a batch norm does, with a smaller scale."""
        self.reset_parameters()
        self.weight.fill_(0.25)


class GlobalResponseNorm(nn.Module):
    """Scale each channel by its norm over the image, relative to the mean of those of all channels; the shape stays.

    `shift` is None where a block has merged it into what follows.

    Source: Woo et al., ConvNeXt V2, 2023, arXiv:2301.00808, algorithm 1.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(channels, 1, 1))
        self.shift: nn.Parameter | None = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Scale (N, C, H, W)."""
        norms: Tensor = torch.linalg.vector_norm(images, dim=(2, 3), keepdim=True)
        shares = norms / (norms.mean(1, keepdim=True) + 1e-6)
        output: Tensor = images * (self.scale * shares + 1)
        return output if self.shift is None else output + self.shift

    def draw(self, generator: torch.Generator) -> None:
        """Start as the identity."""
        self.scale.zero_()
        if self.shift is not None:
            self.shift.zero_()


class LayerScale(nn.Module):
    """Multiply each channel by a learned number that starts at `start`; of images, or of tokens where `of_tokens`.

    Right behind a convolution in an `nn.Sequential` it is folded into it for inference.

    Source: Touvron et al., Going deeper with Image Transformers, 2021, arXiv:2103.17239.
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
