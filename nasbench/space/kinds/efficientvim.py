"""State-space duality with hidden-state mixing: EfficientViM."""

from __future__ import annotations

from nasbench.space.kinds.rules import COUNT, FACTOR, FLAG, Kind, Option, make_kind

_SOURCE = "Lee et al. 2024, arXiv:2411.15241"
_STATE = Option("state", COUNT, 49)
_MLP = Option("mlp", FACTOR, 4)

KINDS: tuple[Kind, ...] = (
    make_kind("vim_stem", "four convolutions of stride 2", _SOURCE, strided=False),
    make_kind(
        "vim_block",
        "depthwise convolutions around a mixer of a few hidden states, then feed-forward",
        _SOURCE,
        _STATE,
        _MLP,
        out="same",
        strided=False,
    ),
    make_kind(
        "vim_first_tap",
        "vim_block, and a summary of its hidden states for the head",
        _SOURCE,
        _STATE,
        _MLP,
        out="same",
        strided=False,
        gives=("images", "tokens"),
    ),
    make_kind(
        "vim_next",
        "vim_block beside the summaries of earlier ones; it may add its own",
        _SOURCE,
        _STATE,
        _MLP,
        Option("tap", FLAG, False),
        out="same",
        strided=False,
        takes=("images", "tokens"),
        gives=("images", "tokens"),
    ),
    make_kind(
        "vim_merge",
        "halve the image in an inverted residual block without shortcut, between depthwise convolutions",
        _SOURCE,
        Option("expand", FACTOR, 4),
        strided=False,
        takes=("images", "tokens"),
        gives=("images", "tokens"),
    ),
    make_kind(
        "vim_head",
        "a linear classifier on the mean of the image and the summaries of hidden states",
        _SOURCE,
        out="classes",
        strided=False,
        takes=("images", "tokens"),
        gives=("classes",),
        sized=True,
    ),
)
