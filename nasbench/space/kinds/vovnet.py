"""One-shot aggregation: VoVNet."""

from __future__ import annotations

from nasbench.space.kinds.rules import COUNT, DEPTH, FLAG, KERNEL, RELU, Option, make_kind

KINDS = (
    make_kind(
        "osa",
        "max pooling, a chain of convolutions, and one on the outputs of all of them",
        "Lee et al. 2019, arXiv:1904.09730; Lee and Park 2020, arXiv:1911.06667",
        Option("width", COUNT, 128),
        Option("layers", DEPTH, 5),
        KERNEL,
        Option("depthwise", FLAG, False),
        Option("residual", FLAG, False),
        Option("ese", FLAG, False),
        RELU,
    ),
    make_kind(
        "separable_conv",
        "depthwise convolution without norm, then pointwise with norm and activation",
        "Lee and Park 2020, arXiv:1911.06667; Chollet 2017, arXiv:1610.02357, section 3",
        KERNEL,
        RELU,
    ),
)
