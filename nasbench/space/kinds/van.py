"""Large kernel attention: VAN."""

from __future__ import annotations

from nasbench.space.kinds.rules import ACTIVATION, COUNT, FACTOR, Option, make_kind

KINDS = (
    make_kind(
        "van",
        "residuals: large kernel attention, and a feed-forward network with a depthwise convolution",
        "Guo et al. 2022, arXiv:2202.09741",
        Option("kernel", COUNT, 21),
        Option("dilation", COUNT, 3),
        Option("expand", FACTOR, 4),
        Option("act", ACTIVATION, "gelu"),
    ),
)
