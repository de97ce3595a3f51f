"""Inverted residuals whose channels grow in every layer: ReXNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasbench.model.blocks.layers import SqueezeExcite, conv_norm_act, make_activation
from nasbench.model.blocks.registry import BLOCKS
from nasbench.space.stack import make_divisible


@BLOCKS.register("rexnet")
class RexBottleneck(nn.Module):
    """Inverted residual: 1x1 expand, depthwise kxk, squeeze-and-excitation, activation, linear 1x1 project.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). At stride 1 the input is added to the first C_in
    output channels, unless there are fewer. An expansion of 1 leaves the first convolution out. Hidden channels are
    rounded to a whole number; the squeezed ones are the `squeeze`-th part of them, in multiples of `se_divisor`, and
    have a batch norm. A `squeeze` of 0 leaves squeeze-and-excitation out.

    Source: Han et al., Rethinking Channel Dimensions for Efficient Model Design, 2020, arXiv:2007.00992; as in
    clovaai/rexnet, rexnetv1.py and, without squeeze-and-excitation, rexnetv1_lite.py.
    Differs: kernel and activations are chosen by the space.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        kernel: int,
        expand: float,
        act: str,
        dw_act: str,
        squeeze: int,
        se_divisor: int,
    ) -> None:
        super().__init__()
        hidden = max(1, round(in_channels * expand))
        layers: list[nn.Module] = []
        if expand != 1:
            layers.append(conv_norm_act(in_channels, hidden, 1, act=act))
        layers.append(conv_norm_act(hidden, hidden, kernel, stride=stride, groups=hidden))
        if squeeze:
            layers.append(_make_excite(hidden, make_divisible(hidden // squeeze, se_divisor)))
        layers += [make_activation(dw_act), conv_norm_act(hidden, out_channels, 1)]
        self.branch = nn.Sequential(*layers)
        self.added = in_channels if stride == 1 and in_channels <= out_channels else 0
        self.grows = in_channels < out_channels

    def forward(self, images: Tensor) -> Tensor:
        """Run the branch, and add the input to as many of its channels."""
        output: Tensor = self.branch(images)
        if not self.added:
            return output
        if not self.grows:
            return images + output
        return torch.cat([images + output[:, : self.added], output[:, self.added :]], 1)


def _make_excite(channels: int, squeezed: int) -> SqueezeExcite:
    """Make squeeze-and-excitation with a batch norm behind its first convolution."""
    excite = SqueezeExcite(channels, squeezed, "sigmoid")
    excite.add_module("reduce", nn.Sequential(excite.reduce, nn.BatchNorm2d(squeezed)))
    return excite
