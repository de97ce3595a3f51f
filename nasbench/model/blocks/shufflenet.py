"""The ShuffleNet V2 unit."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasbench.errors import ShapeError
from nasbench.model.blocks.layers import conv_norm_act
from nasbench.model.blocks.registry import BLOCKS


def shuffle_channels(images: Tensor, groups: int) -> Tensor:
    """Interleave the channels of `groups` equal groups; the shape stays.

    Source: Zhang et al., ShuffleNet, 2018, arXiv:1707.01083, figure 1c.
    """
    batch, channels, height, width = images.shape
    split = images.view(batch, groups, channels // groups, height, width)
    return split.transpose(1, 2).reshape(batch, channels, height, width)


@BLOCKS.register("shuffle_v2")
class ShuffleV2(nn.Module):
    """Channel split, a depthwise branch on one half, concatenation and channel shuffle.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). At stride 1 half of the channels pass untouched,
    so C_in = C_out; above 1 both halves of the output come from the whole input.

    Source: Ma et al., ShuffleNet V2, 2018, arXiv:1807.11164, figure 3c (stride 1) and 3d (stride 2).
    Differs: kernel and activation are chosen by the space.

    Raises:
        ShapeError: the output channels are odd, or stride 1 changes their number.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, kernel: int, act: str) -> None:
        super().__init__()
        if out_channels % 2:
            raise ShapeError(f"{out_channels} output channels cannot be split in two halves; use an even number")
        if stride == 1 and in_channels != out_channels:
            raise ShapeError(
                f"stride 1 passes half of the channels untouched, so {in_channels} channels cannot become "
                f"{out_channels}; change the channels where the stride is 2"
            )
        half = out_channels // 2
        branch_in = half if stride == 1 else in_channels
        self.shortcut = (
            None
            if stride == 1
            else nn.Sequential(
                conv_norm_act(in_channels, in_channels, kernel, stride=stride, groups=in_channels),
                conv_norm_act(in_channels, half, 1, act=act),
            )
        )
        self.branch = nn.Sequential(
            conv_norm_act(branch_in, half, 1, act=act),
            conv_norm_act(half, half, kernel, stride=stride, groups=half),
            conv_norm_act(half, half, 1, act=act),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Run both branches, concatenate and shuffle."""
        if self.shortcut is None:
            untouched, images = images.chunk(2, dim=1)
        else:
            untouched = self.shortcut(images)
        return shuffle_channels(torch.cat((untouched, self.branch(images)), dim=1), 2)
