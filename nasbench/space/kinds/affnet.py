"""Adaptive frequency filters: AFFNet."""

from __future__ import annotations

from nasbench.space.kinds.rules import ACTIVATION, COUNT, DEPTH, FACTOR, FLAG, Option, make_kind

KINDS = (
    make_kind(
        "aff",
        "inverted residuals, each followed by a filter of frequencies that depends on the image",
        "Huang et al. 2023, arXiv:2307.14008, figure 2",
        Option("depth", DEPTH, 2),
        Option("ratio", FACTOR, 2),
        Option("groups", COUNT, 8),
        Option("fuse", FLAG, True),
        Option("act", ACTIVATION, "silu"),
        Option("mask_act", ACTIVATION, "relu"),
        sized=True,
    ),
)
