"""Gated CNN blocks: MambaOut."""

from __future__ import annotations

from nasbench.space.kinds.rules import ACTIVATION, FACTOR, KERNEL, ODD, Option, make_kind

_PAPER = "Yu and Wang 2024, arXiv:2405.07992"
_GELU = Option("act", ACTIVATION, "gelu")

KINDS = (
    make_kind("conv_layer_norm", "convolution, layer norm over channels, activation", _PAPER, KERNEL, _GELU),
    make_kind(
        "gated_cnn",
        "a gate times channels of which some pass a depthwise convolution",
        f"{_PAPER}; gate: Dauphin et al. 2016, arXiv:1612.08083",
        Option("kernel", ODD, 7),
        Option("expand", FACTOR, 2.6667),  # 8/3, near enough for 3,000 channels
        Option("share", FACTOR, 1),
        _GELU,
    ),
    make_kind(
        "mambaout_head",
        "average over the image, layer norm, hidden layer, layer norm, classifier",
        f"{_PAPER}, as in the authors' code",
        Option("ratio", FACTOR, 4),
        _GELU,
        out="classes",
        strided=False,
    ),
)
