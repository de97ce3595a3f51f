"""RepNeXt: depthwise convolutions of several sizes on shares of the channels, trained as parallel branches."""

from __future__ import annotations

from nasbench.space.kinds.rules import ACTIVATION, FACTOR, ODD, Kind, Option, make_kind

KINDS: tuple[Kind, ...] = (
    make_kind(
        "repnext",
        "depthwise 3x3, 7x7 and 1xk with kx1 on a quarter of the channels each, then feed-forward",
        "Zhao et al. 2024, arXiv:2406.16004",
        Option("large", ODD, 11),
        Option("expand", FACTOR, 2),
        Option("act", ACTIVATION, "gelu"),
    ),
)
