"""Harmonic dense blocks: HarDNet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasbench.space.kinds.rules import ACTIVATION, COUNT, DEPTH, FACTOR, FLAG, ODD, Option, make_kind

_RELU6 = Option("act", ACTIVATION, "relu6")


def harmonic_links(layer: int) -> tuple[int, ...]:
    """Give the layers that one layer, counted from 1, takes its input from; layer 0 is the block's input.

    Source: Chao et al., HarDNet, 2019, arXiv:1909.00948.
    """
    return tuple(layer - 2**power for power in range(layer.bit_length()) if layer % 2**power == 0)


def harmonic_width(layer: int, in_channels: int, growth: int, multiplier: float) -> int:
    """Give the output channels of one layer: `growth`, times `multiplier` for each 2 in the layer's number, made even.

    Source: Chao et al., HarDNet, 2019, arXiv:1909.00948; rounded as in the authors' code.
    """
    if layer == 0:
        return in_channels
    width = float(growth)
    while layer % 2 == 0:
        width *= multiplier
        layer //= 2
    return int(width + 1) // 2 * 2


def harmonic_outputs(layers: int) -> tuple[int, ...]:
    """Give the layers that make up the output of a block: those with odd numbers, and the last."""
    return tuple(layer for layer in range(1, layers + 1) if layer % 2 == 1 or layer == layers)


def _count_output(in_channels: int, options: Mapping[str, Any]) -> int:
    growth, multiplier = options["growth"], options["multiplier"]
    return sum(harmonic_width(k, in_channels, growth, multiplier) for k in harmonic_outputs(options["layers"]))


KINDS = (
    make_kind(
        "hard_block",
        "harmonic dense block: a layer takes those that lie a power of 2 before it",
        "Chao et al. 2019, arXiv:1909.00948",
        Option("layers", DEPTH, 8),
        Option("growth", COUNT, 16),
        Option("multiplier", FACTOR, 1.7),
        Option("depthwise", FLAG, False),
        _RELU6,
        out=_count_output,
        strided=False,
    ),
    make_kind(
        "hard_transition",
        "convolution, then downsampling by max pooling or a depthwise convolution",
        "Chao et al. 2019, arXiv:1909.00948",
        Option("kernel", ODD, 1),
        Option("pool_kernel", COUNT, 2, unless="depthwise"),
        Option("depthwise", FLAG, False),
        _RELU6,
    ),
)
