"""Mobile-Former: images and a few tokens beside them, with bridges both ways."""

from __future__ import annotations

from nasbench.space.kinds.rules import COUNT, Kind, Option, make_kind

_SOURCE = "Chen et al. 2022, arXiv:2108.05895"
_BOTH = ("images", "tokens")
_GROUPS = Option("groups", COUNT, 1)
_HEADS = (Option("heads", COUNT, 2), Option("token_heads", COUNT, 4))

KINDS: tuple[Kind, ...] = (
    make_kind(
        "mobileformer_lite",
        "expanding depthwise convolution, then pointwise",
        f"{_SOURCE}; Li et al. 2021, arXiv:2108.05894",
        Option("expand", COUNT, 2),
        _GROUPS,
    ),
    make_kind(
        "mobileformer_tokens",
        "a second stream of learned tokens beside the images",
        _SOURCE,
        Option("tokens", COUNT, 6),
        Option("width", COUNT, 192),
        out="same",
        strided=False,
        gives=_BOTH,
    ),
    make_kind(
        "mobileformer_block",
        "inverted residual with dynamic ReLU, beside a transformer of tokens",
        _SOURCE,
        Option("expand", COUNT, 6),
        *_HEADS,
        _GROUPS,
        takes=_BOTH,
        gives=_BOTH,
        sized=True,
    ),
    make_kind(
        "mobileformer_down",
        "two expanding depthwise and pointwise pairs with dynamic ReLU, beside a transformer of tokens",
        _SOURCE,
        Option("expand", COUNT, 6),
        Option("expand_again", COUNT, 4),
        *_HEADS,
        _GROUPS,
        takes=_BOTH,
        gives=_BOTH,
        sized=True,
    ),
    make_kind(
        "mobileformer_head",
        "tokens look at the images once more; pooled images and the first token, two layers",
        _SOURCE,
        Option("expand", COUNT, 6),
        Option("hidden", COUNT, 1280),
        Option("heads", COUNT, 2),
        _GROUPS,
        out="classes",
        strided=False,
        takes=_BOTH,
        sized=True,
    ),
)
