"""MetaFormer: the block around any token mixer, the stem and downsampling, and the heads of its networks."""

from __future__ import annotations

from nasbench.space.kinds.rules import ACTIVATIONS, COUNT, FACTOR, FLAG, ODD, Kind, Option, make_kind, one_of

_POOLFORMER = "Yu et al. 2021, arXiv:2111.11418"
_BASELINES = "Yu et al. 2022, arXiv:2210.13452"

MIXER = one_of("pooling", "identity", "random", "separable", "attention", "linear_attention", "retention", "ssm")
_ACT = one_of(*ACTIVATIONS, "star_relu")

KINDS: tuple[Kind, ...] = (
    make_kind(
        "overlap_patchify",
        "convolution of patches that overlap, a layer norm before or after it",
        f"{_POOLFORMER}, figure 2; {_BASELINES}, figure 2",
        Option("norm", one_of("none", "before", "after"), "none"),
    ),
    make_kind(
        "metaformer",
        "residual: norm, token mixer, scale; then norm, MLP, scale",
        f"{_POOLFORMER}, figure 1; {_BASELINES}, figure 2",
        Option("mixer", MIXER, "pooling"),
        Option("kernel", ODD, 3, only=("mixer", ("pooling", "separable"))),
        Option("head_width", COUNT, 32, only=("mixer", ("attention", "linear_attention", "retention"))),
        Option("expand", FACTOR, 4),
        Option("norm", one_of("image", "layer"), "image"),
        Option("layer_scale", one_of("branch", "shortcut", "none"), "branch"),
        Option("act", _ACT, "gelu"),
        Option("bias", FLAG, True),
        sized=True,
    ),
    make_kind(
        "poolformer_head",
        "norm of the whole image, average over it, classifier",
        f"{_POOLFORMER}; sail-sg/poolformer, models/poolformer.py",
        out="classes",
        strided=False,
    ),
    make_kind(
        "metaformer_head",
        "average over the image, layer norm, hidden layer, squared ReLU, layer norm, classifier",
        f"{_BASELINES}; sail-sg/metaformer, metaformer_baselines.py",
        Option("expand", FACTOR, 4),
        out="classes",
        strided=False,
    ),
)
