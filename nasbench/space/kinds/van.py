"""Large kernel attention: VAN."""

from __future__ import annotations

from nasbench.space.kinds.rules import ACTIVATION, COUNT, FACTOR, Option, make_kind

KINDS = (
    make_kind(
        "van",
        "residuals: large kernel attention, and a feed-forward network with a depthwise convolution",
        "Guo et al. 2022, arXiv:2202.09741, figure 3",
        Option("kernel", COUNT, 21),
        Option("dilation", COUNT, 3),
        Option("expand", FACTOR, 4),
        Option("act", ACTIVATION, "gelu"),
    ),
    make_kind(
        "layer_norm",
        "layer norm over the channels of each position of an image",
        "Ba et al. 2016, arXiv:1607.06450",
        out="same",
        strided=False,
    ),
)
