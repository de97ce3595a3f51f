"""Plain and gated self-attention over patches: ViT, DeiT, ConViT."""

from __future__ import annotations

from nasbench.space.kinds.rules import COUNT, FACTOR, FLAG, Kind, Option, make_kind

_SOURCE = "Dosovitskiy et al. 2020, arXiv:2010.11929"

KINDS: tuple[Kind, ...] = (
    make_kind(
        "vit_embed",
        "patches as tokens, with a class token and position embeddings",
        f"{_SOURCE}, equation 1",
        Option("patch", COUNT, 16),
        Option("class_token", FLAG, True),
        strided=False,
        gives=("tokens",),
        sized=True,
    ),
    make_kind(
        "vit_block",
        "self-attention and an MLP over tokens",
        f"{_SOURCE}, equations 2 and 3",
        Option("head_width", COUNT, 64),
        Option("mlp", FACTOR, 4),
        Option("qkv_bias", FLAG, True),
        out="same",
        strided=False,
        takes=("tokens",),
        gives=("tokens",),
    ),
    make_kind(
        "gpsa_block",
        "gated positional self-attention and an MLP over the tokens of a square image",
        "d'Ascoli et al. 2021, arXiv:2103.10697",
        Option("head_width", COUNT, 48),
        Option("mlp", FACTOR, 4),
        out="same",
        strided=False,
        takes=("tokens",),
        gives=("tokens",),
        sized=True,
    ),
    make_kind(
        "class_token",
        "put a learned token first",
        "d'Ascoli et al. 2021, arXiv:2103.10697",
        out="same",
        strided=False,
        takes=("tokens",),
        gives=("tokens",),
    ),
    make_kind(
        "vit_head",
        "layer norm and a linear classifier on the class token",
        f"{_SOURCE}, equation 4",
        out="classes",
        strided=False,
        takes=("tokens",),
        gives=("classes",),
    ),
)
