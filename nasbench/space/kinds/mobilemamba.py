"""Multi-receptive-field feature interaction: MobileMamba."""

from __future__ import annotations

from nasbench.space.kinds.rules import COUNT, FACTOR, ODD, SHARE, Kind, Option, make_kind

KINDS: tuple[Kind, ...] = (
    make_kind(
        "mobilemamba",
        "scan some channels beside their wavelets, convolve some, keep the rest, between convolutions and feed-forward",
        "He et al. 2024, arXiv:2411.15941, figure 4",
        Option("kernel", ODD, 7),
        Option("scanned", SHARE, 0.8),
        Option("convolved", SHARE, 0.2),
        Option("state", COUNT, 1, needs="scanned"),
        Option("expand", FACTOR, 2, needs="scanned"),
        Option("mlp", FACTOR, 2),
    ),
)
