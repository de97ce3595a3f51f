"""iFormer for mobile applications: convolutional blocks and single-head modulation attention."""

from __future__ import annotations

from nasbench.space.kinds.rules import ACTIVATION, COUNT, FACTOR, KERNEL, ODD, Kind, Option, make_kind

_SOURCE = "Zheng 2025, arXiv:2501.15369"
_EXPAND = Option("expand", FACTOR, 4)
_GELU = Option("act", ACTIVATION, "gelu")

KINDS: tuple[Kind, ...] = (
    make_kind(
        "iformer_conv",
        "depthwise convolution and two pointwise layers, all with batch norm",
        _SOURCE,
        Option("kernel", ODD, 7),
        _EXPAND,
        _GELU,
    ),
    make_kind(
        "iformer_shma",
        "convolutional positions, single-head attention modulated by a gate, two pointwise layers",
        _SOURCE,
        KERNEL,
        Option("reduce", COUNT, 2),
        Option("expand", FACTOR, 3),
        _GELU,
        out="same",
        strided=False,
    ),
)
