"""Depthwise separable convolutions and inverted residuals."""

from __future__ import annotations

from nasbench.space.kinds.rules import COUNT, FACTOR, GATE, KERNEL, RELU, SE, Option, make_kind, one_of

SE_GATE = Option("se_gate", GATE, "hard_sigmoid", needs="se")
SE_DIVISOR = Option("se_divisor", COUNT, 8, needs="se")

KINDS = (
    make_kind(
        "dw_separable",
        "depthwise convolution, squeeze-excite, pointwise",
        "Howard et al. 2017, arXiv:1704.04861, figure 3; Cui et al. 2021, arXiv:2109.15099, figure 2",
        KERNEL,
        RELU,
        SE,
        SE_GATE,
        SE_DIVISOR,
    ),
    make_kind(
        "mbconv",
        "inverted residual: expand, depthwise, squeeze-excite, project",
        "Sandler et al. 2018, arXiv:1801.04381, table 1; Howard et al. 2019, arXiv:1905.02244, figure 4",
        KERNEL,
        Option("expand", FACTOR, 6),
        RELU,
        SE,
        SE_GATE,
        Option("se_of", one_of("hidden", "input"), "hidden", needs="se"),
        SE_DIVISOR,
        Option("se_act", one_of("relu", "relu6", "hswish", "silu", "gelu"), "relu", needs="se"),
    ),
    make_kind(
        "fused_mbconv",
        "inverted residual whose expansion is a full kxk convolution",
        "Tan and Le 2021, arXiv:2104.00298, figure 2",
        KERNEL,
        Option("expand", FACTOR, 4),
        RELU,
    ),
)
