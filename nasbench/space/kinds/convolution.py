"""Single layers as rows."""

from __future__ import annotations

from nasbench.space.kinds.rules import COUNT, DEPTH, FLAG, KERNEL, RELU, Option, make_kind

KINDS = (
    make_kind(
        "conv",
        "convolution, batch norm, activation",
        "Ioffe and Szegedy 2015, arXiv:1502.03167",
        KERNEL,
        RELU,
        Option("bias", FLAG, False),
        Option("norm", FLAG, True),
        Option("groups", COUNT, 1),
    ),
    make_kind(
        "fragments",
        "as many branches of 1x1 convolutions as asked for, each so deep, added",
        "Ma et al. 2018, arXiv:1807.11164, guideline G3",
        RELU,
        Option("branches", DEPTH, 1),
        Option("depth", DEPTH, 1),
        out="same",
        strided=False,
    ),
    make_kind("max_pool", "max pooling", "He et al. 2016, arXiv:1512.03385, table 1", KERNEL, out="same"),
    make_kind(
        "norm_act", "batch norm, activation", "He et al. 2016, arXiv:1603.05027", RELU, out="same", strided=False
    ),
    make_kind(
        "layer_norm",
        "layer norm over the channels of each position of an image",
        "Ba et al. 2016, arXiv:1607.06450",
        out="same",
        strided=False,
    ),
    make_kind("identity", "nothing: the row vanishes from the network", "-", out="same", strided=False),
)
