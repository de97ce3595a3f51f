"""Atrous selective scan: EfficientVMamba."""

from __future__ import annotations

from nasbench.space.kinds.rules import COUNT, FACTOR, KERNEL, SHARE, Kind, Option, make_kind

_PAPER = "Pei et al. 2024, arXiv:2403.09977"

KINDS: tuple[Kind, ...] = (
    make_kind(
        "evss",
        "selective scans over every second row and column beside a convolution, each times a gate",
        f"{_PAPER}, section 4.2",
        KERNEL,
        Option("state", COUNT, 16),
        Option("expand", FACTOR, 2),
        Option("squeeze", SHARE, 0.125),
    ),
    make_kind(
        "patch_merge",
        "layer norm and a linear layer on patches that do not overlap",
        "Liu et al. 2021, arXiv:2103.14030, section 3.1",
    ),
)
