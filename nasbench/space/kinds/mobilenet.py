"""Depthwise separable convolutions and inverted residuals."""

from __future__ import annotations

from nasbench.space.kinds.rules import FACTOR, GATE, KERNEL, RELU, SE, Option, make_kind

KINDS = (
    make_kind(
        "dw_separable",
        "depthwise convolution, then pointwise",
        "Howard et al. 2017, arXiv:1704.04861, figure 3",
        KERNEL,
        RELU,
    ),
    make_kind(
        "mbconv",
        "inverted residual: expand, depthwise, squeeze-excite, project",
        "Sandler et al. 2018, arXiv:1801.04381, table 1; Howard et al. 2019, arXiv:1905.02244, figure 4",
        KERNEL,
        Option("expand", FACTOR, 6),
        RELU,
        SE,
        Option("se_gate", GATE, "hard_sigmoid", needs="se"),
    ),
)
