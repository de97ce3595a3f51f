"""Transformer in transformer: TNT."""

from __future__ import annotations

from nasbench.space.kinds.rules import COUNT, FACTOR, Kind, Option, make_kind

_SOURCE = "Han et al. 2021, arXiv:2103.00112"

KINDS: tuple[Kind, ...] = (
    make_kind(
        "tnt_embed",
        "patches as tokens behind a class token, and beside them the pixels of each patch as tokens",
        _SOURCE,
        Option("patch", COUNT, 16),
        Option("pixel", COUNT, 4),
        Option("inner", COUNT, 24),
        strided=False,
        gives=("tokens", "tokens"),
        sized=True,
    ),
    make_kind(
        "tnt_block",
        "a transformer block over the pixels of each patch, whose result is added to the patch, and one over patches",
        _SOURCE,
        Option("inner_heads", COUNT, 4),
        Option("head_width", COUNT, 64),
        Option("mlp", FACTOR, 4),
        out="same",
        strided=False,
        takes=("tokens", "tokens"),
        gives=("tokens", "tokens"),
        sized=True,
    ),
    make_kind(
        "tnt_head",
        "layer norm and a linear classifier on the class token of the patches",
        _SOURCE,
        out="classes",
        strided=False,
        takes=("tokens", "tokens"),
        gives=("classes",),
    ),
)
