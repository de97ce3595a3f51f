"""Attention over channels and positions, for any space: rows of their own, and the `gate` of residual blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasbench.space.kinds.rules import (
    COUNT,
    FACTOR,
    FLAG,
    GATE,
    ODD,
    ODD_OR_NONE,
    Kind,
    Option,
    Rule,
    make_kind,
    one_of,
)


def _keeping(name: str, about: str, source: str, *options: Option, sized: bool = False) -> Kind:
    return make_kind(name, about, source, *options, out="same", strided=False, sized=sized)


_EXTENT = Rule("0 (the whole image), 2, 4 or 8", lambda value: not isinstance(value, bool) and value in (0, 2, 4, 8))

KINDS: tuple[Kind, ...] = (
    _keeping(
        "se",
        "squeeze-and-excitation: scale channels by what all channels say",
        "Hu et al. 2018, arXiv:1709.01507, figure 3",
        Option("ratio", FACTOR, 0.0625),
        Option("se_gate", GATE, "sigmoid"),
    ),
    _keeping(
        "scse",
        "squeeze-and-excitation of channels and of positions, added",
        "Roy et al. 2018, arXiv:1803.02579",
        Option("ratio", FACTOR, 0.5),
    ),
    _keeping(
        "eca",
        "scale channels by a convolution over neighbouring channels; kernel 0 follows from their number",
        "Wang et al. 2020, arXiv:1910.03151",
        Option("kernel", ODD_OR_NONE, 0),
    ),
    _keeping(
        "ela",
        "scale rows and columns by convolutions along them",
        "Xu and Wan 2024, arXiv:2403.01123",
        Option("variant", one_of("tiny", "base", "small", "large"), "base"),
    ),
    _keeping(
        "coord",
        "coordinate attention: scale rows and columns by what all channels say",
        "Hou et al. 2021, arXiv:2103.02907",
        Option("ratio", FACTOR, 0.03125),
    ),
    _keeping(
        "cbam",
        "scale channels, then positions, by means and maxima",
        "Woo et al. 2018, arXiv:1807.06521, figures 1 and 2",
        Option("ratio", FACTOR, 0.0625),
        Option("kernel", ODD, 7),
    ),
    _keeping(
        "gc",
        "global context: add to every position what one attention map pools",
        "Cao et al. 2019, arXiv:1904.11492",
        Option("ratio", FACTOR, 0.0625),
    ),
    _keeping(
        "non_local",
        "add to every position what its own attention map pools, or where `simple` one map for all",
        "Wang et al. 2018, arXiv:1711.07971, figure 2; simple: Cao et al. 2019, arXiv:1904.11492",
        Option("ratio", FACTOR, 0.5, unless="simple"),
        Option("simple", FLAG, False),
    ),
    _keeping(
        "gather_excite",
        "scale positions by their surroundings: learned none (theta-), gather (theta) or both (theta+)",
        "Hu et al. 2018, arXiv:1810.12348",
        Option("learned", one_of("none", "gather", "both"), "none"),
        Option("extent", _EXTENT, 0),
        sized=True,
    ),
    _keeping(
        "ulsam",
        "one attention map for each group of channels",
        "Saini et al. 2020, arXiv:2006.15102",
        Option("subspaces", COUNT, 4),
    ),
    _keeping(
        "lka",
        "scale every value by a large depthwise convolution in two steps",
        "Guo et al. 2022, arXiv:2202.09741",
        Option("kernel", COUNT, 21),
        Option("dilation", COUNT, 3),
    ),
    _keeping(
        "lska",
        "scale every value by a large depthwise convolution in four steps along rows and columns",
        "Lau et al. 2023, arXiv:2309.01439",
        Option("kernel", COUNT, 23),
        Option("dilation", COUNT, 3),
    ),
)

GATES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "se": ("se", {}),
    "scse": ("scse", {}),
    "eca": ("eca", {}),
    "eca_3": ("eca", {"kernel": 3}),
    "eca_5": ("eca", {"kernel": 5}),
    "eca_7": ("eca", {"kernel": 7}),
    "ela_t": ("ela", {"variant": "tiny"}),
    "ela_b": ("ela", {"variant": "base"}),
    "ela_s": ("ela", {"variant": "small"}),
    "ela_l": ("ela", {"variant": "large"}),
    "coord": ("coord", {}),
    "cbam": ("cbam", {}),
    "gc": ("gc", {}),
    "non_local": ("non_local", {}),
    "ge": ("gather_excite", {}),
    "ge_8": ("gather_excite", {"extent": 8}),
    "ge_theta": ("gather_excite", {"learned": "gather"}),
    "ge_theta_8": ("gather_excite", {"learned": "gather", "extent": 8}),
    "ge_theta_plus": ("gather_excite", {"learned": "both"}),
    "ulsam": ("ulsam", {}),
    "lka": ("lka", {}),
    "lska": ("lska", {}),
}
"""What the option `gate` may be beside none: a kind of this file with options, the others at their defaults."""

GATED = Option("gate", one_of("none", *GATES), "none")
