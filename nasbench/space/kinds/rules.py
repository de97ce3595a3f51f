"""What a row's grammar is made of: rules for values, options and kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nasbench.space.architecture import Scalar


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
DEPTH = Rule("a whole number from 1 to 64", lambda value: _is_int(value) and 1 <= value <= 64)
ODD = Rule(
    "an odd number from 1 to 63 (so that padding keeps the size)", lambda v: _is_int(v) and 1 <= v <= 63 and v % 2 == 1
)
ODD_OR_NONE = Rule(
    "0 or an odd number from 1 to 63", lambda v: _is_int(v) and (v == 0 or (1 <= v <= 63 and v % 2 == 1))
)
FACTOR = Rule("a number above 0, at most 64", lambda value: _is_number(value) and 0 < value <= 64)
SHARE = Rule("a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1)
FLAG = Rule("true or false", lambda value: isinstance(value, bool))
ACTIVATIONS = ("none", "relu", "relu6", "hswish", "silu", "gelu")
ACTIVATION = one_of(*ACTIVATIONS)
GATE = one_of("sigmoid", "hard_sigmoid")
NORM = one_of("none", "batch", "layer")


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a kind; a value equal to the default leaves no trace in a row.

    `needs` names the option without which this one has no effect: where that is 0, this one leaves no trace either.
    `unless` names the option that takes this one's place: where that is not 0, this one leaves no trace.
    `only` names an option and those values of it with which this one has an effect.
    """

    name: str
    rule: Rule
    default: Scalar
    needs: str | None = None
    unless: str | None = None
    only: tuple[str, tuple[Scalar, ...]] | None = None

    def conditions(self) -> Iterator[tuple[str, Callable[[Scalar], bool], str]]:
        """Give each option that decides on this one's effect: its name, the values that take it away, and words."""
        if self.needs is not None:
            yield self.needs, lambda value: not value, "is 0"
        if self.unless is not None:
            yield self.unless, bool, "is above 0"
        if self.only is not None:
            other, wanted = self.only
            yield other, lambda value: value not in wanted, f"is not {' or '.join(map(str, wanted))}"

    def has_effect(self, values: Mapping[str, Scalar]) -> bool:
        """Say whether this option changes the module, given the values of all options of its kind."""
        return not any(idles(values[other]) for other, idles, _ in self.conditions())


ComputeOut = Callable[[int, Mapping[str, Any]], int]
"""Gives the output channels of a kind from its input channels and the values of all its options."""


@dataclass(frozen=True)
class Kind:
    """A kind of rows.

    `out` says where the output channels come from: the row gives them (`given`), they are the number of classes (a
    head), they are the input's (`same`), or a function computes them. Only a `strided` kind takes a stride.

    `takes` and `gives` say what flows in and out, one word or a pair for each of two streams: `images` (channels,
    height, width) or `tokens` (positions, channels). A `sized` kind has weights that depend on the input's shape, such
    as a bias for each pair of positions; its class is given `shape`.
    """

    name: str
    about: str
    source: str
    options: tuple[Option, ...] = ()
    out: str | ComputeOut = "given"
    strided: bool = True
    takes: tuple[str, ...] = ("images",)
    gives: tuple[str, ...] = ("images",)
    sized: bool = False

    def option(self, name: str) -> Option:
        """Give an option by name; KeyError if there is none."""
        return next(option for option in self.options if option.name == name)

    def has(self, name: str) -> bool:
        """Say whether the kind has this option."""
        return any(option.name == name for option in self.options)

    def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Give the values of all options: those that are given, and defaults."""
        return {option.name: given.get(option.name, option.default) for option in self.options}


def make_kind(
    name: str,
    about: str,
    source: str,
    *options: Option,
    out: str | ComputeOut = "given",
    strided: bool = True,
    takes: tuple[str, ...] = ("images",),
    gives: tuple[str, ...] = ("images",),
    sized: bool = False,
) -> Kind:
    """Make a kind with its options as arguments."""
    return Kind(name, about, source, options, out, strided, takes, gives, sized)


KERNEL = Option("kernel", ODD, 3)
RELU = Option("act", ACTIVATION, "relu")
SE = Option("se", SHARE, 0.0)
