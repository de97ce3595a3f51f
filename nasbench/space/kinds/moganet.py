"""Multi-order gated aggregation: MogaNet."""

from __future__ import annotations

from nasbench.space.kinds.rules import ACTIVATION, FACTOR, Option, make_kind

KINDS = (
    make_kind(
        "moga",
        "depthwise convolutions of three reaches under a gate, then a perceptron that reallocates channels",
        "Li et al. 2022, arXiv:2211.03295",
        Option("ratio", FACTOR, 4),
        Option("act", ACTIVATION, "gelu"),
        Option("gate_act", ACTIVATION, "silu"),
    ),
)
