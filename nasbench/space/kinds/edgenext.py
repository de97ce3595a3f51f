"""EdgeNeXt: convolutional and split depthwise transpose attention encoders."""

from __future__ import annotations

from nasbench.space.kinds.rules import COUNT, FACTOR, FLAG, KERNEL, Kind, Option, Rule, make_kind, one_of

_SOURCE = "Maaz et al. 2022, arXiv:2206.10589"
_SPLITS = Rule("a whole number from 2 to 64", lambda value: COUNT.test(value) and 2 <= value <= 64)

KINDS: tuple[Kind, ...] = (
    make_kind(
        "edgenext_conv",
        "depthwise convolution, layer norm, two pointwise layers, layer scale",
        _SOURCE,
        KERNEL,
        Option("expand", FACTOR, 4),
    ),
    make_kind(
        "edgenext_sdta",
        "depthwise convolutions of channel splits in a row, attention between channels, two pointwise layers",
        _SOURCE,
        Option("splits", _SPLITS, 2),
        Option("heads", COUNT, 4),
        Option("expand", FACTOR, 4),
        Option("position", FLAG, False),
        out="same",
        strided=False,
        sized=True,
    ),
    make_kind(
        "edgenext_patch",
        "convolution of patches as large as the stride, with a layer norm before or behind it",
        _SOURCE,
        Option("norm", one_of("first", "last"), "first"),
    ),
)
