"""The kinds of rows: which options each has, what they may be, and their defaults.

This is the grammar of a row, and it needs no torch; each family has a file. The module that a kind stands for is
registered under the same name in `nasbench.model.blocks`, in a file of the same name; a test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from string import hexdigits

from nasbench.errors import DefinitionError
from nasbench.registry import unknown_name
from nasbench.space.architecture import Block, Scalar
from nasbench.space.kinds import (
    affnet,
    convnext,
    convolution,
    densenet,
    edgenext,
    efficientformer,
    efficientvim,
    efficientvmamba,
    emo,
    gates,
    hardnet,
    head,
    iformer,
    mambaout,
    mixers,
    mobileformer,
    mobilemamba,
    mobilenet,
    mobilenet_v4,
    mobileone,
    moganet,
    nasbench201,
    repnext,
    repvit,
    resnet,
    rexnet,
    shufflenet,
    shvit,
    starnet,
    tnt,
    unireplknet,
    van,
    vit,
    vovnet,
    wavemix,
)
from nasbench.space.kinds.rules import COUNT, Kind, Option, Rule, make_kind

FAMILIES = (
    convolution,
    mobilenet,
    shufflenet,
    resnet,
    nasbench201,
    mobilenet_v4,
    rexnet,
    mobileone,
    repvit,
    repnext,
    starnet,
    unireplknet,
    densenet,
    hardnet,
    vovnet,
    convnext,
    van,
    moganet,
    affnet,
    mambaout,
    wavemix,
    efficientformer,
    emo,
    edgenext,
    iformer,
    mobileformer,
    vit,
    tnt,
    mixers,
    mobilemamba,
    efficientvmamba,
    efficientvim,
    shvit,
    gates,
    head,
)
"""The files of kinds, in the order in which `nasbench ls blocks` lists them."""

KINDS: dict[str, Kind] = {kind.name: kind for family in FAMILIES for kind in family.KINDS}
"""Every kind by name. A new one is one entry in its family's file and one class in `nasbench.model.blocks`."""

_TEXT = Rule("a text", lambda value: isinstance(value, str) and 1 <= len(value) <= 4096)
_SHA256 = Rule("64 hexadecimal digits", lambda v: isinstance(v, str) and len(v) == 64 and set(v) <= set(hexdigits))
# timm takes more than names, such as hf-hub:user/network, which it would fetch
_TIMM_NAME = Rule(
    "a name of timm", lambda v: isinstance(v, str) and re.fullmatch(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_-]+)?", v) is not None
)

FOREIGN_KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        make_kind(
            "onnx_file",
            "a whole network from an ONNX file",
            "the user's",
            Option("path", _TEXT, ""),
            Option("sha256", _SHA256, ""),
            out="same",
            strided=False,
        ),
        make_kind(
            "factory",
            "a whole network from a Python function, package.module:function",
            "the user's",
            Option("target", _TEXT, ""),
            Option("sha256", _SHA256, ""),
            out="same",
            strided=False,
        ),
        make_kind(
            "timm",
            "a whole network of timm, by its name there",
            "timm, PyTorch Image Models",
            Option("name", _TIMM_NAME, ""),
            Option("version", _TEXT, ""),
            out="same",
            strided=False,
        ),
    )
}
"""Networks that nasbench did not build, as one row each. `nasbench.model.foreign` makes them, and no definition can."""


def find_kind(name: str) -> Kind:
    """Give a kind by name, or raise UnknownNameError."""
    kind = KINDS.get(name) or FOREIGN_KINDS.get(name)
    if kind is None:
        raise unknown_name("block", name, KINDS)
    return kind


def make_block(
    kind: str,
    in_channels: int,
    out_channels: int,
    stride: int,
    options: Mapping[str, Scalar] | Iterable[tuple[str, Scalar]],
    where: str,
) -> Block:
    """Make a row that is checked against its kind, its options in the one form that equal rows share.

    Args:
        kind: a name in `KINDS`.
        in_channels: channels of the input, from 1.
        out_channels: channels of the output, from 1.
        stride: 1 or more; above 1 only for a strided kind.
        options: values by name; what is absent takes the kind's default.
        where: the place that an error names.

    Raises:
        DefinitionError: the kind is unknown, or a number or option does not fit it.
    """
    pairs = tuple(sorted(options.items() if isinstance(options, Mapping) else options))
    try:
        # types are part of the key, since True == 1 == 1.0 would share an entry otherwise
        return _checked_block(kind, in_channels, out_channels, stride, pairs, tuple(type(value) for _, value in pairs))
    except DefinitionError as error:
        raise type(error)(f"{where}: {error}") from None


@lru_cache(maxsize=65536)
def _checked_block(
    kind_name: str,
    in_channels: int,
    out_channels: int,
    stride: int,
    options: tuple[tuple[str, Scalar], ...],
    _types: tuple[type, ...],
) -> Block:
    kind = find_kind(kind_name)
    for what, count in (("in_channels", in_channels), ("out_channels", out_channels), ("stride", stride)):
        if not COUNT.test(count):
            raise DefinitionError(f"{what} of {kind_name} is {count!r}; {COUNT.words} is needed")
    if stride > 1 and not kind.strided:
        raise DefinitionError(f"{kind_name} has the stride {stride}; this kind takes none")
    if kind.out == "same" and out_channels != in_channels:
        raise DefinitionError(f"{kind_name} turns {in_channels} channels into {out_channels}; this kind keeps them")
    kept: dict[str, Scalar] = {}
    for name, value in options:
        if not kind.has(name):
            raise unknown_name(f"option of {kind_name}", name, (option.name for option in kind.options))
        option = kind.option(name)
        if not option.rule.test(value):
            raise DefinitionError(f"{name} of {kind_name} is {value!r}; {option.rule.words} is needed")
        if isinstance(value, float) and value.is_integer() and not isinstance(option.default, float):
            value = int(value)
        if isinstance(option.default, float):
            value = float(value)
        if value != option.default:
            kept[name] = value
    present = kind.values(kept)
    if callable(kind.out) and out_channels != (computed := kind.out(in_channels, present)):
        raise DefinitionError(f"{kind_name} turns {in_channels} channels into {computed}, and not into {out_channels}")
    seen = tuple((name, value) for name, value in kept.items() if kind.option(name).has_effect(present))
    return Block(kind_name, in_channels, out_channels, stride, seen)
