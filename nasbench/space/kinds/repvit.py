"""RepViT: a depthwise convolution trained as parallel branches, then a feed-forward layer."""

from __future__ import annotations

from nasbench.space.kinds.rules import ACTIVATION, FACTOR, FLAG, KERNEL, SE, Kind, Option, make_kind

KINDS: tuple[Kind, ...] = (
    make_kind(
        "repvit",
        "depthwise convolution trained as branches, squeeze-excite, feed-forward",
        "Wang et al. 2023, arXiv:2307.09283",
        KERNEL,
        Option("expand", FACTOR, 2),
        SE,
        Option("act", ACTIVATION, "gelu"),
        Option("norm_behind", FLAG, True),
    ),
)
