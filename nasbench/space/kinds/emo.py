"""Inverted residual mobile blocks: EMO and EMOv2."""

from __future__ import annotations

from nasbench.space.kinds.rules import (
    ACTIVATION,
    COUNT,
    COUNT_OR_NONE,
    FACTOR,
    FLAG,
    KERNEL,
    NORM,
    ODD,
    SE,
    Option,
    make_kind,
)

_SILU = Option("act", ACTIVATION, "silu")
_EXPAND = Option("expand", FACTOR, 4)
_NORM = Option("norm", NORM, "batch")
_ATTENTION = (
    Option("attention", FLAG, False),
    Option("window", COUNT_OR_NONE, 7, needs="attention"),
    Option("head_width", COUNT, 20, needs="attention"),
)

KINDS = (
    make_kind(
        "irmb",
        "inverted residual with attention over spread windows before the expansion",
        "Zhang et al. 2023, arXiv:2301.01146",
        KERNEL,
        _EXPAND,
        _SILU,
        _NORM,
        *_ATTENTION,
    ),
    make_kind(
        "i2rmb",
        "inverted residual with attention over near and spread windows behind the expansion, layer scale",
        "Zhang et al. 2024, arXiv:2412.06674",
        Option("kernel", ODD, 5),
        _EXPAND,
        _SILU,
        _NORM,
        *_ATTENTION,
    ),
    make_kind(
        "emo_stem",
        "convolution, then depthwise and pointwise, optional squeeze-excite",
        "Zhang et al. 2023, arXiv:2301.01146; Zhang et al. 2024, arXiv:2412.06674",
        KERNEL,
        _SILU,
        Option("first_act", ACTIVATION, "none"),
        SE,
    ),
)
