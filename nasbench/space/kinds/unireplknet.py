"""UniRepLKNet: large depthwise kernels, trained with parallel dilated ones."""

from __future__ import annotations

from nasbench.space.kinds.rules import ACTIVATION, FACTOR, FLAG, KERNEL, Kind, Option, Rule, make_kind

_SOURCE = "Ding et al. 2023, arXiv:2311.15599"
_LARGE = Rule("an odd number from 3 to 17", lambda v: isinstance(v, int) and v in range(3, 18, 2))

KINDS: tuple[Kind, ...] = (
    make_kind(
        "unireplknet_reduce",
        "convolution, layer norm over the channels, activation",
        _SOURCE,
        KERNEL,
        Option("act", ACTIVATION, "none"),
    ),
    make_kind(
        "unireplknet",
        "large depthwise kernel trained with dilated ones, squeeze-excite, feed-forward",
        _SOURCE,
        Option("kernel", _LARGE, 13),
        Option("dilated", FLAG, True),
        Option("expand", FACTOR, 4),
        Option("act", ACTIVATION, "gelu"),
        Option("se", FACTOR, 0.25),
        Option("grn", FLAG, True),
    ),
)
