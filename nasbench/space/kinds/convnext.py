"""ConvNeXt, InceptionNeXt and ConvFirst: stem, blocks and head."""

from __future__ import annotations

from nasbench.space.kinds.rules import (
    ACTIVATION,
    COUNT,
    FACTOR,
    FLAG,
    KERNEL,
    NORM,
    ODD,
    SHARE,
    Option,
    make_kind,
    one_of,
)

MIXER = one_of("3x3", "5x5", "7x7", "inception")
_EXPAND = Option("expand", FACTOR, 4)
_GELU = Option("act", ACTIVATION, "gelu")

KINDS = (
    make_kind(
        "patchify",
        "convolution of patches that do not overlap, then a norm",
        "Liu et al. 2022, arXiv:2201.03545, section 2.2",
        Option("norm", NORM, "layer"),
    ),
    make_kind(
        "convnext",
        "residual: depthwise, layer norm, pointwise expand, global response norm, pointwise project",
        "Liu et al. 2022, arXiv:2201.03545, figure 4; Woo et al. 2023, arXiv:2301.00808, figure 5",
        Option("kernel", ODD, 7),
        _EXPAND,
        Option("grn", FLAG, False),
        _GELU,
    ),
    make_kind(
        "metanext",
        "residual: depthwise operator, batch norm, pointwise expand, pointwise project",
        "Yu et al. 2023, arXiv:2303.16900",
        Option("mixer", MIXER, "inception"),
        Option("share", SHARE, 0.125, only=("mixer", ("inception",))),
        Option("band", ODD, 11, only=("mixer", ("inception",))),
        _EXPAND,
        _GELU,
    ),
    make_kind(
        "convfirst",
        "residual: grouped convolution, pointwise expand, pointwise project, each with batch norm",
        "Lavin 2024, arXiv:2404.03617",
        KERNEL,
        Option("group_width", COUNT, 8),
        _EXPAND,
        Option("act", ACTIVATION, "silu"),
    ),
    make_kind(
        "metanext_head",
        "average over the image, hidden layer, activation, layer norm, classifier",
        "Yu et al. 2023, arXiv:2303.16900",
        Option("expand", FACTOR, 3),
        _GELU,
        out="classes",
        strided=False,
    ),
)
