"""The star operation: StarNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasbench.model.blocks.layers import make_activation, make_convolution
from nasbench.model.blocks.registry import BLOCKS

_START = 0.02
"""The deviation with which the authors' code draws all weights."""


class QuietDepthwise(nn.Module):
    """A depthwise convolution with bias whose weights start small; deployed, a plain one. The shape stays.

    It ends the branch of a star. No norm follows, so drawn like other convolutions it would let the products of a deep
    network grow until they overflow fp16, and amplify every rounding error on the way.

    Source: Ma et al., Rewrite the Stars, 2024, arXiv:2403.19967, figure 4.
    """

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 1, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(channels))
        nn.init.normal_(self.weight, std=_START)

    def forward(self, images: Tensor) -> Tensor:
        """Convolve (N, C, H, W)."""
        channels, _, kernel, _ = self.weight.shape
        return functional.conv2d(images, self.weight, self.bias, padding=kernel // 2, groups=channels)

    def draw(self, generator: torch.Generator) -> None:
        """Start small."""
        self.weight.normal_(0.0, _START, generator=generator)
        self.bias.zero_()

    def deploy(self) -> nn.Conv2d:
        """Give a plain convolution with the same weights."""
        channels, _, kernel, _ = self.weight.shape
        convolution = make_convolution(channels, channels, kernel, groups=channels, bias=True).eval()
        convolution.weight, convolution.bias = self.weight, self.bias
        return convolution


@BLOCKS.register("star")
class Star(nn.Module):
    """Depthwise kxk, two parallel 1x1 convolutions mixed element by element, 1x1, depthwise kxk, and a shortcut.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). Where the shape changes, a 3x3 convolution with
    batch norm stands before, as between the stages of StarNet. The mix is act(a) * b, or act(a) + b.

    Source: Ma et al., Rewrite the Stars, 2024, arXiv:2403.19967, figure 4; addition instead of the star: table 1.
    Differs: kernel and activation are chosen by the space.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, *, kernel: int, expand: float, act: str, mix: str
    ) -> None:
        super().__init__()
        changes = stride > 1 or in_channels != out_channels
        self.reduce = _conv_norm(in_channels, out_channels, 3, stride=stride) if changes else nn.Identity()
        hidden = max(1, round(out_channels * expand))
        self.before = _conv_norm(out_channels, out_channels, kernel, groups=out_channels)
        self.left = make_convolution(out_channels, hidden, 1, bias=True)
        self.right = make_convolution(out_channels, hidden, 1, bias=True)
        self.project = _conv_norm(hidden, out_channels, 1)
        self.behind = QuietDepthwise(out_channels, kernel)
        self.act = make_activation(act)
        self.multiply = mix == "multiply"

    def forward(self, images: Tensor) -> Tensor:
        """Add the mixed images to the input, or to what it was reduced to."""
        images = self.reduce(images)
        mixed = self.before(images)
        left, right = self.act(self.left(mixed)), self.right(mixed)
        output: Tensor = images + self.behind(self.project(left * right if self.multiply else left + right))
        return output


def _conv_norm(in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Make a convolution with a bias and a batch norm behind it, as the authors have them."""
    return nn.Sequential(
        make_convolution(in_channels, out_channels, kernel, stride=stride, groups=groups, bias=True),
        nn.BatchNorm2d(out_channels),
    )
