"""Gated CNN blocks: MambaOut."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasbench.errors import BuildError
from nasbench.model.blocks.layers import make_activation, make_convolution
from nasbench.model.blocks.norms import LayerNorm2d
from nasbench.model.blocks.registry import BLOCKS

_EPS = 1e-6


def make_pure_activation(name: str) -> nn.Module:
    """Make an activation that leaves its input alone, for one that is a part of a larger tensor or is read twice."""
    activation = make_activation(name)
    if hasattr(activation, "inplace"):
        activation.inplace = False  # type: ignore[assignment]
    return activation


@BLOCKS.register("conv_layer_norm")
class ConvLayerNorm(nn.Sequential):
    """Convolution with bias, layer norm over the channels of each position, activation.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)).

    Source: Yu and Wang, MambaOut, 2024, arXiv:2405.07992, as yuweihao/MambaOut, models/mambaout.py, makes the stem
    and every reduction of size; layer norm of images: Liu et al., A ConvNet for the 2020s, 2022, arXiv:2201.03545,
    section 2.6.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, kernel: int, act: str) -> None:
        super().__init__(
            make_convolution(in_channels, out_channels, kernel, stride=stride, bias=True),
            LayerNorm2d(out_channels, _EPS),
            make_activation(act),
        )


@BLOCKS.register("gated_cnn")
class GatedCNN(nn.Module):
    """1x1 to a gate and values, depthwise kxk on some of the values, their product, 1x1 back; the input is added.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). A 3x3 convolution with layer norm comes first
    where the shape changes. Gate and values have `expand` times as many channels as the output, and `share` times as
    many as the output pass the convolution.

    Source: Yu and Wang, MambaOut, 2024, arXiv:2405.07992; gate: Dauphin et al., Language
    Modeling with Gated Convolutional Networks, 2016, arXiv:1612.08083.
    Differs: linear layers are 1x1 convolutions, which compute the same on images.

    Raises:
        BuildError: more channels would pass the convolution than there are values.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        kernel: int,
        expand: float,
        share: float,
        act: str,
    ) -> None:
        super().__init__()
        hidden, mixed = int(out_channels * expand), int(out_channels * share)
        if not 1 <= mixed <= hidden:
            raise BuildError(
                f"{mixed} of {hidden} values cannot pass a convolution (share {share:g}, expand {expand:g} of "
                f"{out_channels} channels); take a share above 0 and at most the expansion"
            )
        changes = stride > 1 or in_channels != out_channels
        self.embed = (
            ConvLayerNorm(in_channels, out_channels, stride, kernel=3, act="none") if changes else nn.Identity()
        )
        self.sizes = [hidden, hidden - mixed, mixed]
        self.norm = LayerNorm2d(out_channels, _EPS)
        self.expand = nn.Conv2d(out_channels, 2 * hidden, 1)
        self.act = make_pure_activation(act)
        self.mix = make_convolution(mixed, mixed, kernel, groups=mixed, bias=True)
        self.project = nn.Conv2d(hidden, out_channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Add the gated values."""
        images = self.embed(images)
        gate, kept, mixed = self.expand(self.norm(images)).split(self.sizes, 1)
        values = torch.cat([kept, self.mix(mixed)], 1) if self.sizes[1] else self.mix(mixed)
        output: Tensor = images + self.project(self.act(gate) * values)
        return output


@BLOCKS.register("mambaout_head")
class MambaOutHead(nn.Sequential):
    """Average over the image, layer norm, hidden layer with activation, layer norm, linear classifier.

    (N, C, H, W) -> (N, classes). `out_channels` is the number of classes; the hidden layer has `ratio` times as many
    channels as the input.

    Source: Yu and Wang, MambaOut, 2024, arXiv:2405.07992, as in yuweihao/MambaOut, models/mambaout.py.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, ratio: float, act: str) -> None:
        hidden = int(in_channels * ratio)
        super().__init__(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.LayerNorm(in_channels, eps=_EPS),
            nn.Linear(in_channels, hidden),
            make_activation(act),
            nn.LayerNorm(hidden, eps=_EPS),
            nn.Linear(hidden, out_channels),
        )
