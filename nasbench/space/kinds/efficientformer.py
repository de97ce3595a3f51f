"""Pooling blocks and attention blocks with a bias for each distance: EfficientFormer."""

from __future__ import annotations

from nasbench.space.kinds.rules import ACTIVATION, COUNT, FACTOR, KERNEL, Option, make_kind, one_of

_PAPER = "Li et al. 2022, arXiv:2206.01191"
_RATIO = Option("ratio", FACTOR, 4)
_GELU = Option("act", ACTIVATION, "gelu")

KINDS = (
    make_kind("efficientformer_4d", "average pooling, then 1x1 convolutions", _PAPER, KERNEL, _RATIO, _GELU),
    make_kind(
        "efficientformer_3d",
        "self-attention with a bias for each distance, then a multilayer perceptron",
        f"{_PAPER}; bias: Graham et al. 2021, arXiv:2104.01136",
        Option("heads", COUNT, 8),
        Option("key", COUNT, 32),
        Option("value", COUNT, 128),
        _RATIO,
        _GELU,
        sized=True,
    ),
    make_kind(
        "efficientformer_head",
        "layer norm, average over the image, the mean of one or two classifiers",
        f"{_PAPER}; two classifiers: Touvron et al. 2020, arXiv:2012.12877",
        Option("classifiers", one_of("one", "two"), "two"),
        out="classes",
        strided=False,
    ),
)
