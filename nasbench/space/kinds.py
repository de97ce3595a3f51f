"""The kinds of rows: which options each has, what they may be, and their defaults.

This is the grammar of a row, and it needs no torch. The module that a kind stands for is registered under the same name
in `nasbench.model.blocks`; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from string import hexdigits
from typing import Any

from nasbench.errors import DefinitionError
from nasbench.registry import unknown_name
from nasbench.space.architecture import Block, Scalar


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value may be: a test, and the words that an error uses for it."""

    words: str
    test: Callable[[Any], bool]


def one_of(*words: str) -> Rule:
    """Allow one of a few words."""
    return Rule("one of " + ", ".join(words), lambda value: isinstance(value, str) and value in words)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


COUNT = Rule("a whole number from 1 to 1,000,000", lambda value: _is_int(value) and 1 <= value <= 1_000_000)
COUNT_OR_NONE = Rule("a whole number from 0 to 1,000,000", lambda value: _is_int(value) and 0 <= value <= 1_000_000)
ODD = Rule(
    "an odd number from 1 to 63 (so that padding keeps the size)", lambda v: _is_int(v) and 1 <= v <= 63 and v % 2 == 1
)
FACTOR = Rule("a number above 0, at most 64", lambda value: _is_number(value) and 0 < value <= 64)
SHARE = Rule("a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1)
FLAG = Rule("true or false", lambda value: isinstance(value, bool))
ACTIVATION = one_of("none", "relu", "relu6", "hswish", "silu", "gelu")
GATE = one_of("sigmoid", "hard_sigmoid")
TEXT = Rule("a text", lambda value: isinstance(value, str) and 1 <= len(value) <= 4096)
SHA256 = Rule("64 hexadecimal digits", lambda v: isinstance(v, str) and len(v) == 64 and set(v) <= set(hexdigits))
NB201_OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NB201_OPERATION = one_of(*NB201_OPERATIONS)


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a kind; a value equal to the default leaves no trace in a row.

    `needs` names the option without which this one has no effect: where that is 0, this one leaves no trace either.
    `unless` names the option that takes this one's place: where that is not 0, this one leaves no trace.
    """

    name: str
    rule: Rule
    default: Scalar
    needs: str | None = None
    unless: str | None = None

    def has_effect(self, values: Mapping[str, Scalar]) -> bool:
        """Say whether this option changes the module, given the values of all options of its kind."""
        return (self.needs is None or bool(values[self.needs])) and (self.unless is None or not values[self.unless])


@dataclass(frozen=True)
class Kind:
    """A kind of rows.

    `out` says where the output channels come from: the row gives them, they are the number of classes (a head), or they
    are the input's. Only a `strided` kind takes a stride.
    """

    name: str
    about: str
    source: str
    options: tuple[Option, ...] = ()
    out: str = "given"
    strided: bool = True

    def option(self, name: str) -> Option:
        """Give an option by name; KeyError if there is none."""
        return next(option for option in self.options if option.name == name)

    def has(self, name: str) -> bool:
        """Say whether the kind has this option."""
        return any(option.name == name for option in self.options)


def _kind(name: str, about: str, source: str, *options: Option, out: str = "given", strided: bool = True) -> Kind:
    return Kind(name, about, source, options, out, strided)


_KERNEL = Option("kernel", ODD, 3)
_RELU = Option("act", ACTIVATION, "relu")
_SE = Option("se", SHARE, 0.0)

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        _kind(
            "conv",
            "convolution, batch norm, activation",
            "Ioffe and Szegedy 2015, arXiv:1502.03167",
            _KERNEL,
            _RELU,
            Option("bias", FLAG, False),
            Option("norm", FLAG, True),
            Option("groups", COUNT, 1),
        ),
        _kind("max_pool", "max pooling", "He et al. 2016, arXiv:1512.03385, table 1", _KERNEL, out="same"),
        _kind(
            "norm_act", "batch norm, activation", "He et al. 2016, arXiv:1603.05027", _RELU, out="same", strided=False
        ),
        _kind("identity", "nothing: the row vanishes from the network", "-", out="same", strided=False),
        _kind(
            "dw_separable",
            "depthwise convolution, then pointwise",
            "Howard et al. 2017, arXiv:1704.04861, figure 3",
            _KERNEL,
            _RELU,
        ),
        _kind(
            "mbconv",
            "inverted residual: expand, depthwise, squeeze-excite, project",
            "Sandler et al. 2018, arXiv:1801.04381, table 1; Howard et al. 2019, arXiv:1905.02244, figure 4",
            _KERNEL,
            Option("expand", FACTOR, 6),
            _RELU,
            _SE,
            Option("se_gate", GATE, "hard_sigmoid", needs="se"),
        ),
        _kind(
            "shuffle_v2",
            "split, depthwise branch, concatenate, shuffle",
            "Ma et al. 2018, arXiv:1807.11164, figure 3",
            _KERNEL,
            _RELU,
        ),
        _kind(
            "basic",
            "two convolutions and a shortcut",
            "He et al. 2016, arXiv:1512.03385, figure 5 left",
            _KERNEL,
            _RELU,
        ),
        _kind(
            "bottleneck",
            "1x1, grouped kxk, squeeze-excite, 1x1 and a shortcut",
            "He et al. 2016, arXiv:1512.03385, figure 5 right; Radosavovic et al. 2020, arXiv:2003.13678, figure 4",
            _KERNEL,
            Option("ratio", FACTOR, 0.25),
            Option("groups", COUNT, 1, unless="group_width"),
            Option("group_width", COUNT_OR_NONE, 0),
            _SE,
            _RELU,
        ),
        _kind(
            "nb201_cell",
            "a cell of four nodes, an operation on each of six edges",
            "Dong and Yang 2020, arXiv:2001.00326, figure 1",
            *(Option(f"edge_{a}_{b}", NB201_OPERATION, "none") for b in range(4) for a in range(b)),
            out="same",
            strided=False,
        ),
        _kind(
            "nb201_reduction",
            "residual block that halves the size, with average pooling on the shortcut",
            "Dong and Yang 2020, arXiv:2001.00326, figure 1",
        ),
        _kind(
            "pool_linear",
            "average over the image, optional hidden layer, classifier",
            "Lin et al. 2014, arXiv:1312.4400; hidden layer: Howard et al. 2019, arXiv:1905.02244, figure 5",
            Option("hidden", COUNT_OR_NONE, 0),
            Option("hidden_bias", FLAG, True, needs="hidden"),
            Option("act", ACTIVATION, "hswish", needs="hidden"),
            out="classes",
            strided=False,
        ),
    )
}
"""Every kind by name. A new one is one entry here and one class in `nasbench.model.blocks`."""

FOREIGN_KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        _kind(
            "onnx_file",
            "a whole network from an ONNX file",
            "the user's",
            Option("path", TEXT, ""),
            Option("sha256", SHA256, ""),
            out="same",
            strided=False,
        ),
        _kind(
            "factory",
            "a whole network from a Python function, package.module:function",
            "the user's",
            Option("target", TEXT, ""),
            Option("sha256", SHA256, ""),
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
    present = {option.name: kept.get(option.name, option.default) for option in kind.options}
    seen = tuple((name, value) for name, value in kept.items() if kind.option(name).has_effect(present))
    return Block(kind_name, in_channels, out_channels, stride, seen)
