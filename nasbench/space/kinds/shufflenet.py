"""The block of ShuffleNet V2."""

from __future__ import annotations

from nasbench.space.kinds.rules import KERNEL, RELU, make_kind

KINDS = (
    make_kind(
        "shuffle_v2",
        "split, depthwise branch, concatenate, shuffle",
        "Ma et al. 2018, arXiv:1807.11164, figure 3",
        KERNEL,
        RELU,
    ),
)
