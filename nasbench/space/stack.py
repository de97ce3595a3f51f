"""The skeleton `stack`: stem, stages of repeated rows, head."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

from nasbench.space.architecture import Architecture, Block, Scalar
from nasbench.space.choice import Choice, Pick
from nasbench.space.kinds import KINDS, make_block
from nasbench.space.kinds.rules import Kind

Slot = Scalar | Choice | tuple[Choice, ...]
"""What a definition says at one place: a fixed value, one choice, or a choice for every repeat."""

Chosen = Mapping[str, Scalar]


def make_divisible(channels: float, divisor: int = 8) -> int:
    """Round channels to a multiple of `divisor`, losing at most a tenth.

    Source: the rounding of Sandler et al., MobileNetV2, 2018, arXiv:1801.04381, in the authors' own models.
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


@dataclass(frozen=True)
class Row:
    """A row of a definition, with its choices. `where` is the place that errors name.

    The stride belongs to the first repeat. `scale` says when the width multiplier applies to `out`: always, never, or
    above_one.
    """

    path: str
    where: str
    kind: Slot
    repeat: Slot = 1
    out: Slot | None = None
    stride: Slot = 1
    scale: str = "always"
    options: Mapping[str, Slot] = field(default_factory=dict)

    def kinds(self, layer: int) -> tuple[str, ...]:
        """Give the kinds that one repeat may be of."""
        return tuple(str(kind) for kind in slot_values(at_layer(self.kind, layer)))

    @property
    def choices(self) -> Iterator[Choice]:
        """Give every choice of the row, shared ones included."""
        for slot in (self.kind, self.repeat, self.out, self.stride, *self.options.values()):
            for choice in slot if isinstance(slot, tuple) else (slot,):
                if isinstance(choice, Choice):
                    yield choice

    def slots(self, kind: Kind, layer: int) -> Iterator[tuple[str, Scalar | Choice]]:
        """Give what one repeat of a kind says or asks, by name, in the order of the kind's options."""
        if kind.name == "identity":
            return
        if kind.out == "given" and self.out is not None:
            yield "out", at_layer(self.out, layer)
        if layer == 0 and kind.strided:
            yield "stride", at_layer(self.stride, layer)
        for option in kind.options:
            if option.name in self.options:
                yield option.name, at_layer(self.options[option.name], layer)

    def channels(self, out: Any, width: float) -> int:
        """Give the output channels that `out` stands for under a width multiplier."""
        if width == 1 or self.scale == "never":
            return int(out)
        return make_divisible(out * (max(1.0, width) if self.scale == "above_one" else width))


def at_layer(slot: Slot, layer: int) -> Scalar | Choice:
    """Give what a slot holds for one repeat."""
    return slot[layer] if isinstance(slot, tuple) else slot


def slot_values(slot: Scalar | Choice) -> tuple[Scalar, ...]:
    """Give all values a slot can take."""
    return tuple(slot.values) if isinstance(slot, Choice) else (slot,)


@dataclass(frozen=True)
class Stack:
    """Rows one after the other. Stem and head are rows that appear once; the head comes last."""

    space: str
    channels: int
    size: Scalar | Choice
    classes: int
    width: Scalar | Choice
    rows: tuple[Row, ...]

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """Give every choice that can exist, in the order of the definition."""
        choices = [slot for slot in (self.size, self.width) if isinstance(slot, Choice)]
        choices += [choice for row in self.rows for choice in row.choices]
        found: dict[str, Choice] = {}
        for choice in choices:
            first = found.setdefault(choice.name, choice)
            assert first == choice, f"two choices are named {choice.name}"
        return tuple(found.values())

    def decode(self, pick: Pick) -> Architecture:
        """Choose, and lay the rows out. `pick` is asked once for each choice that has an effect, and no other.

        Raises:
            DefinitionError: a row does not fit its kind.
        """
        chosen: dict[str, Scalar] = {}

        def value(slot: Scalar | Choice) -> Any:
            if not isinstance(slot, Choice):
                return slot
            if slot.name not in chosen:
                chosen[slot.name] = pick(slot)
            return chosen[slot.name]

        size, width = value(self.size), value(self.width)
        channels = self.channels
        blocks: list[Block] = []
        for row in self.rows:
            for layer in range(value(at_layer(row.repeat, 0))):
                kind = KINDS[value(at_layer(row.kind, layer))]
                if kind.name == "identity":
                    continue
                given = {name: value(slot) for name, slot in row.slots(kind, layer)}
                out, stride = given.pop("out", None), given.pop("stride", 1)
                out = self._out_channels(row, kind, channels, out, width, given)
                blocks.append(make_block(kind.name, channels, out, stride, given, row.where))
                channels = out
        return Architecture((self.channels, size, size), self.classes, tuple(blocks), self.space)

    def _out_channels(
        self, row: Row, kind: Kind, channels: int, out: Any, width: float, options: Mapping[str, Any]
    ) -> int:
        if kind.out == "classes":
            return self.classes
        if callable(kind.out):
            return _compute(kind, channels, options, row.where)
        return channels if kind.out == "same" else row.channels(out, width)

    def encode(self, architecture: Architecture) -> dict[str, Scalar] | None:
        """Find choices that decode to an equal architecture, or None when there are none."""
        channels, height, width = architecture.input_shape
        if channels != self.channels or height != width or architecture.classes != self.classes:
            return None
        for chosen in _bind({}, self.size, height):
            for _, with_width in _branch(chosen, self.width):
                found = next(_Matcher(self, architecture.blocks).rows(0, 0, with_width), None)
                if found is not None:
                    return dict(found)
        return None

    @cached_property
    def size_of_space(self) -> int:
        """Count the different ways to choose, counting only choices that have an effect."""
        return _count(self)


def _compute(kind: Kind, channels: int, options: Mapping[str, Any], where: str) -> int:
    """Ask a kind for its output channels; values that break its rules are for `make_block` to name."""
    assert callable(kind.out)
    try:
        return kind.out(channels, kind.values(options))
    except (ArithmeticError, TypeError, ValueError):
        make_block(kind.name, channels, channels, 1, options, where)
        raise


def _branch(chosen: Chosen, slot: Scalar | Choice) -> Iterator[tuple[Scalar, Chosen]]:
    """Yield each value that a slot can take, with the choices that this means."""
    if not isinstance(slot, Choice):
        yield slot, chosen
    elif slot.name in chosen:
        yield chosen[slot.name], chosen
    else:
        for value in slot.values:
            yield value, {**chosen, slot.name: value}


def _bind(chosen: Chosen, slot: Scalar | Choice, value: Scalar) -> Iterator[Chosen]:
    """Yield the choices that make a slot equal to `value`, if it can be."""
    if not isinstance(slot, Choice):
        if slot == value:
            yield chosen
    elif slot.name in chosen:
        if chosen[slot.name] == value:
            yield chosen
    elif (member := slot.find(value)) is not None:
        yield {**chosen, slot.name: member}


class _Matcher:
    """Lays given blocks against the rows of a stack, backwards where a repeat or a kind was guessed wrongly."""

    def __init__(self, stack: Stack, blocks: tuple[Block, ...]) -> None:
        self._stack = stack
        self._blocks = blocks

    def rows(self, index: int, position: int, chosen: Chosen) -> Iterator[Chosen]:
        """Yield every way to match the rows from `index` with the blocks from `position`."""
        if index == len(self._stack.rows):
            if position == len(self._blocks):
                yield chosen
            return
        for repeat, bound in _branch(chosen, at_layer(self._stack.rows[index].repeat, 0)):
            yield from self._layers(index, 0, int(repeat), position, bound)

    def _layers(self, index: int, layer: int, repeat: int, position: int, chosen: Chosen) -> Iterator[Chosen]:
        if layer == repeat:
            yield from self.rows(index + 1, position, chosen)
            return
        row = self._stack.rows[index]
        for name, bound in _branch(chosen, at_layer(row.kind, layer)):
            if name == "identity":
                yield from self._layers(index, layer + 1, repeat, position, bound)
            elif position < len(self._blocks) and self._blocks[position].kind == name:
                for matched in self._block(row, layer, self._blocks[position], bound):
                    yield from self._layers(index, layer + 1, repeat, position + 1, matched)

    def _block(self, row: Row, layer: int, block: Block, chosen: Chosen) -> Iterator[Chosen]:
        kind = KINDS[block.kind]
        present: dict[str, Scalar] = {option.name: option.default for option in kind.options}
        present.update(block.options)
        slots = dict(row.slots(kind, layer))
        if any(name not in slots and present[name] != kind.option(name).default for name in present):
            return
        ways: list[Chosen] = [chosen]
        for name, slot in slots.items():
            if kind.has(name) and not kind.option(name).has_effect(present):
                continue
            if name == "out":
                width = self._width(chosen)
                ways = [b for w in ways for v, b in _branch(w, slot) if row.channels(v, width) == block.out_channels]
            else:
                wanted = block.stride if name == "stride" else present[name]
                ways = [bound for way in ways for bound in _bind(way, slot, wanted)]
        if "stride" in slots or block.stride == 1:
            yield from ways

    def _width(self, chosen: Chosen) -> float:
        width = self._stack.width
        return float(chosen[width.name] if isinstance(width, Choice) else width)


_State = tuple[frozenset[str], frozenset[tuple[str, Scalar]]]
"""Choices asked so far that a later row may ask again, and the values of those that decide what is asked."""


def _count(stack: Stack) -> int:
    """Count choices row by row; rows are independent but for shared choices.

    A choice leaves the state after the last row that has it; else the states would double with every shared choice.
    """
    sizes = {choice.name: len(choice.values) for choice in stack.choices}
    last = {choice.name: index for index, row in enumerate(stack.rows) for choice in row.choices}
    states: dict[_State, int] = {(frozenset(), frozenset()): 1}
    for index, row in enumerate(stack.rows):
        following: defaultdict[_State, int] = defaultdict(int)
        for (used, bound), ways in states.items():
            for repeat, with_repeat in _branch(dict(bound), at_layer(row.repeat, 0)):
                layers: dict[_State, int] = {(used, frozenset(with_repeat.items())): ways}
                for layer in range(int(repeat)):
                    layers = _count_layer(row, layer, layers)
                for (asked, chosen), count in layers.items():
                    done = {name for name in asked if last[name] == index}
                    free = prod(sizes[name] for name in done - dict(chosen).keys())
                    later = frozenset(item for item in chosen if last[item[0]] > index)
                    following[asked - done, later] += count * free
        states = following
    return sum(states.values()) * prod(
        len(slot.values) for slot in (stack.size, stack.width) if isinstance(slot, Choice)
    )


def _count_layer(row: Row, layer: int, states: Mapping[_State, int]) -> dict[_State, int]:
    following: defaultdict[_State, int] = defaultdict(int)
    for (used, bound), ways in states.items():
        for kind, chosen in _branch(dict(bound), at_layer(row.kind, layer)):
            asked, factor = set(used), 1
            for name, slot in row.slots(KINDS[str(kind)], layer):
                if isinstance(slot, Choice):
                    if isinstance(row.out if name == "out" else row.options.get(name), tuple):
                        factor *= len(slot.values)
                    else:
                        asked.add(slot.name)
            kept = bound if isinstance(row.kind, tuple) else frozenset(chosen.items())
            following[frozenset(asked), kept] += ways * factor
    return following
