"""Classifiers."""

from __future__ import annotations

from nasbench.space.kinds.rules import ACTIVATION, COUNT_OR_NONE, DEPTH, FLAG, NORM, Option, make_kind

KINDS = (
    make_kind(
        "pool_linear",
        "average over the image, optional hidden layers, classifier",
        "Lin et al. 2014, arXiv:1312.4400; hidden layer: Howard et al. 2019, arXiv:1905.02244, figure 5",
        Option("norm", NORM, "none"),
        Option("hidden", COUNT_OR_NONE, 0),
        Option("hidden_layers", DEPTH, 1, needs="hidden"),
        Option("hidden_bias", FLAG, True, needs="hidden"),
        Option("act", ACTIVATION, "hswish", needs="hidden"),
        out="classes",
        strided=False,
    ),
)
