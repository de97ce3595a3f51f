"""The star operation: StarNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasbench.model.blocks.layers import conv_norm_act, make_activation, make_convolution
from nasbench.model.blocks.registry import BLOCKS

_START = 0.02
"""The deviation with which the authors' code draws all weights."""


class QuietDepthwise(nn.Conv2d):
    """A depthwise convolution with bias whose weights start small; the shape stays.

    It ends the branch of a star. No norm follows, so drawn like other convolutions it would let the products of a deep
    network grow until they overflow fp16, and amplify every rounding error on the way.

    Source: Ma et al., Rewrite the Stars, 2024, arXiv:2403.19967; ma-xu/Rewrite-the-Stars, imagenet/starnet.py.
    """

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__(channels, channels, kernel, padding=kernel // 2, groups=channels)

    def draw(self, generator: torch.Generator) -> None:
        """Start small."""
        self.weight.normal_(0.0, _START, generator=generator)
        assert self.bias is not None
        self.bias.zero_()


@BLOCKS.register("star")
class Star(nn.Module):
    """Depthwise kxk, two parallel 1x1 convolutions mixed element by element, 1x1, depthwise kxk, and a shortcut.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). Where the shape changes, a 3x3 convolution with
    batch norm stands before, as between the stages of StarNet. The mix is act(a) * b, or act(a) + b.

    Source: Ma et al., Rewrite the Stars, 2024, arXiv:2403.19967; ma-xu/Rewrite-the-Stars, imagenet/starnet.py;
    addition instead of the star: the paper's comparison of the two.
    Differs: kernel and activation are chosen by the space.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, *, kernel: int, expand: float, act: str, mix: str
    ) -> None:
        super().__init__()
        changes = stride > 1 or in_channels != out_channels
        self.reduce = (
            conv_norm_act(in_channels, out_channels, 3, stride=stride, bias=True) if changes else nn.Identity()
        )
        hidden = max(1, round(out_channels * expand))
        self.before = conv_norm_act(out_channels, out_channels, kernel, groups=out_channels, bias=True)
        self.left = make_convolution(out_channels, hidden, 1, bias=True)
        self.right = make_convolution(out_channels, hidden, 1, bias=True)
        self.project = conv_norm_act(hidden, out_channels, 1, bias=True)
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
