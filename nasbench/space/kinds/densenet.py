"""Dense blocks and transitions: DenseNet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasbench.space.kinds.rules import COUNT, COUNT_OR_NONE, DEPTH, RELU, SHARE, Option, make_kind


def _grow(in_channels: int, options: Mapping[str, Any]) -> int:
    return int(in_channels + options["layers"] * options["growth"])


def _compress(in_channels: int, options: Mapping[str, Any]) -> int:
    return max(1, int(in_channels * options["compress"]))


KINDS = (
    make_kind(
        "dense_block",
        "layers on the outputs of all layers before them, which the block puts out together",
        "Huang et al. 2017, arXiv:1608.06993, figure 1",
        Option("layers", DEPTH, 6),
        Option("growth", COUNT, 32),
        Option("bottleneck", COUNT_OR_NONE, 4),
        RELU,
        out=_grow,
        strided=False,
    ),
    make_kind(
        "dense_transition",
        "batch norm, activation, pointwise convolution, average pooling",
        "Huang et al. 2017, arXiv:1608.06993, section 3",
        Option("compress", SHARE, 0.5),
        RELU,
        out=_compress,
    ),
)
