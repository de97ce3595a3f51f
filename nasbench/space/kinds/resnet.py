"""Residual blocks: ResNet, ResNeXt, Wide ResNet and RegNet."""

from __future__ import annotations

from nasbench.space.kinds.gates import GATED
from nasbench.space.kinds.rules import COUNT, COUNT_OR_NONE, FACTOR, KERNEL, RELU, SE, Option, make_kind, one_of

_SHORTCUT = Option("shortcut", one_of("conv", "pool", "none"), "conv")

KINDS = (
    make_kind(
        "basic",
        "two convolutions, a gate and a shortcut",
        "He et al. 2016, arXiv:1512.03385, figure 5 left",
        KERNEL,
        RELU,
        GATED,
        _SHORTCUT,
        sized=True,
    ),
    make_kind(
        "bottleneck",
        "1x1, grouped kxk, squeeze-excite, 1x1, a gate and a shortcut",
        "He et al. 2016, arXiv:1512.03385, figure 5 right; Radosavovic et al. 2020, arXiv:2003.13678, figure 4",
        KERNEL,
        Option("ratio", FACTOR, 0.25),
        Option("groups", COUNT, 1, unless="group_width"),
        Option("group_width", COUNT_OR_NONE, 0),
        SE,
        RELU,
        GATED,
        _SHORTCUT,
        sized=True,
    ),
)
