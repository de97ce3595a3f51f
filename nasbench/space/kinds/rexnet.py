"""Inverted residuals whose channels grow in every layer: ReXNet."""

from __future__ import annotations

from nasbench.space.kinds.rules import ACTIVATION, COUNT, COUNT_OR_NONE, FACTOR, KERNEL, Kind, Option, make_kind

KINDS: tuple[Kind, ...] = (
    make_kind(
        "rexnet",
        "inverted residual; the input is added to the first of more output channels, squeeze-excite has a norm",
        "Han et al. 2020, arXiv:2007.00992",
        KERNEL,
        Option("expand", FACTOR, 6),
        Option("act", ACTIVATION, "silu"),
        Option("dw_act", ACTIVATION, "relu6"),
        Option("squeeze", COUNT_OR_NONE, 12),
        Option("se_divisor", COUNT, 1, needs="squeeze"),
    ),
)
