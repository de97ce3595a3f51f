"""The star operation: StarNet."""

from __future__ import annotations

from nasbench.space.kinds.rules import ACTIVATION, FACTOR, ODD, Kind, Option, make_kind, one_of

STAR_MIX = one_of("multiply", "add")

KINDS: tuple[Kind, ...] = (
    make_kind(
        "star",
        "two 1x1 convolutions multiplied element by element between depthwise convolutions",
        "Ma et al. 2024, arXiv:2403.19967",
        Option("kernel", ODD, 7),
        Option("expand", FACTOR, 4),
        Option("act", ACTIVATION, "relu6"),
        Option("mix", STAR_MIX, "multiply"),
    ),
)
