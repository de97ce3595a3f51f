"""MobileOne: depthwise and pointwise convolutions trained as parallel branches."""

from __future__ import annotations

from nasbench.space.kinds.rules import DEPTH, KERNEL, RELU, SE, Kind, Option, make_kind

_SOURCE = "Vasu et al. 2022, arXiv:2206.04040"
_BRANCHES = Option("branches", DEPTH, 1)

KINDS: tuple[Kind, ...] = (
    make_kind("mobileone_conv", "convolution trained as parallel branches", _SOURCE, KERNEL, _BRANCHES, RELU),
    make_kind(
        "mobileone",
        "depthwise, then pointwise convolution, both trained as parallel branches",
        _SOURCE,
        KERNEL,
        _BRANCHES,
        RELU,
        SE,
    ),
)
