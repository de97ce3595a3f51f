"""The skeleton `regnet`: stage widths and depths from a quantized linear rule.

Source: Radosavovic et al., Designing Network Design Spaces, 2020, arXiv:2003.13678, section 3.3, equations 2 to 4.
Differs: a rule that gives other than four stages is a network too; the paper drops those.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from nasbench.space.architecture import Architecture, Block, Scalar
from nasbench.space.choice import Choice, Pick, Steps
from nasbench.space.kinds import make_block
from nasbench.space.stack import slot_values

RULE = ("depth", "group_width", "se", "w0", "wa", "wm")
"""The parameters of the rule, in the order in which they are chosen."""

_QUANTUM = 8


def stage_widths(depth: int, w0: float, wa: float, wm: float) -> list[tuple[int, int]]:
    """Give (width, depth) of each stage before group widths are made to fit (equations 2 to 4)."""
    widths = []
    for j in range(depth):
        s = round(math.log((w0 + wa * j) / w0) / math.log(wm))
        widths.append(_quantize(w0 * wm**s))
    return [(width, len(list(group))) for width, group in groupby(widths)]


def fit_group_width(width: int, group_width: int) -> tuple[int, int]:
    """Make a width a multiple of the group width, and the group width no wider than that."""
    group_width = min(width, group_width)
    return max(group_width, round(width / group_width) * group_width), group_width


@dataclass(frozen=True)
class RegNet:
    """A stem, stages of bottleneck rows with the ratio 1, a head; each stage halves the size."""

    space: str
    where: str
    channels: int
    size: Scalar | Choice
    classes: int
    stem: int
    rule: dict[str, Scalar | Choice]

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Give every choice, in the order in which they are made."""
        slots = [self.size, *(self.rule[name] for name in RULE)]
        return tuple(slot for slot in slots if isinstance(slot, Choice))

    @property
    def size_of_space(self) -> int:
        """Count the ways to choose; many of them give the same network."""
        return math.prod(len(choice.values) for choice in self.choices)

    def decode(self, pick: Pick) -> Architecture:
        """Choose the parameters of the rule and lay its rows out.

        Raises:
            DefinitionError: a row does not fit its kind.
        """

        def value(slot: Scalar | Choice) -> Any:
            return pick(slot) if isinstance(slot, Choice) else slot

        size = value(self.size)
        rule = {name: value(self.rule[name]) for name in RULE}
        blocks = [make_block("conv", self.channels, self.stem, 2, (), self.where)]
        for width, depth in stage_widths(rule["depth"], rule["w0"], rule["wa"], rule["wm"]):
            width, group_width = fit_group_width(width, rule["group_width"])
            options = {"ratio": 1.0, "group_width": group_width, "se": rule["se"]}
            for layer in range(depth):
                stride = 2 if layer == 0 else 1
                blocks.append(make_block("bottleneck", blocks[-1].out_channels, width, stride, options, self.where))
        blocks.append(make_block("pool_linear", blocks[-1].out_channels, self.classes, 1, (), self.where))
        return Architecture((self.channels, size, size), self.classes, tuple(blocks), self.space)

    def encode(self, architecture: Architecture) -> dict[str, Scalar] | None:
        """Find parameters of the rule that decode to an equal architecture, or None when there are none."""
        body = architecture.blocks[1:-1]
        if not body or any(block.kind != "bottleneck" for block in body):
            return None
        for rule in self._rules(body):
            chosen: dict[str, Scalar] = {}
            for name, wanted in [("input.size", architecture.input_shape[1]), *rule.items()]:
                slot = self.size if name == "input.size" else self.rule[name]
                if isinstance(slot, Choice) and (member := slot.find(wanted)) is not None:
                    chosen[slot.name] = member
            complete = {choice.name for choice in self.choices} == set(chosen)
            if complete and self.decode(lambda choice, made=chosen: made[choice.name]) == architecture:  # type: ignore[misc]
                return chosen
        return None

    def _rules(self, body: tuple[Block, ...]) -> Iterator[dict[str, Scalar]]:
        """Yield the parameters under which every block index falls into the stage where it is seen.

        For given w0 and wm the stage of block j bounds wa from both sides, so wa need not be tried value by value.
        """
        depth = len(body)
        starts = [j for j, block in enumerate(body) if block.stride > 1]
        stage_of = [sum(start <= j for start in starts) - 1 for j in range(depth)]
        options = [dict(block.options) for block in body]
        fixed: dict[str, Scalar] = {"depth": depth, "se": options[0].get("se", 0.0)}
        seen = [(block.out_channels, option.get("group_width", 0)) for block, option in zip(body, options, strict=True)]
        groups = [g for g in slot_values(self.rule["group_width"]) if all(min(w, int(g)) == own for w, own in seen)]
        for group_width in groups:
            for w0 in slot_values(self.rule["w0"]):
                if fit_group_width(int(w0), int(group_width))[0] != body[0].out_channels:
                    continue
                for wm in slot_values(self.rule["wm"]):
                    for wa in self._slopes(body, stage_of, float(w0), float(wm), int(group_width)):
                        yield {**fixed, "group_width": group_width, "w0": w0, "wa": wa, "wm": wm}

    def _slopes(
        self, body: tuple[Block, ...], stage_of: list[int], w0: float, wm: float, group_width: int
    ) -> Iterator[Scalar]:
        """Yield a value of wa for each way to read the stages' widths as quantized powers of wm times w0.

        A way is the width of its last stage and the bounds of wa so far; it ends where the bounds cross.
        """
        ways = [(0, 0.0, math.inf)]
        for stage in range(stage_of[-1] + 1):
            inside = [j for j, of in enumerate(stage_of) if of == stage]
            wanted = body[inside[0]].out_channels
            fitting = [(int(w0), *_powers(int(w0), w0, wm))] if stage == 0 else _readings(wanted, w0, wm, group_width)
            following = []
            for last, low, high in ways:
                for width, first_power, last_power in fitting:
                    least = [w0 * (wm ** (first_power - 0.5) - 1) / j for j in inside if j]
                    most = [w0 * (wm ** (last_power + 0.5) - 1) / j for j in inside if j]
                    bounds = max([low, *least]), min([high, *most])
                    if width > last and bounds[0] <= bounds[1]:
                        following.append((width, *bounds))
            ways = following
        for _, low, high in ways:
            yield _nearest(self.rule["wa"], low if math.isinf(high) else (low + high) / 2)


def _nearest(slot: Scalar | Choice, wanted: float) -> Scalar:
    if isinstance(slot, Choice) and isinstance(slot.values, Steps):
        return slot.values.nearest(wanted)
    return min(slot_values(slot), key=lambda value: abs(float(value) - wanted))


def _readings(wanted: int, w0: float, wm: float, group_width: int) -> list[tuple[int, int, int]]:
    """Give the quantized widths that the group width turns into `wanted`, each with its first and last power of wm."""
    spread = group_width // 2 if wanted >= group_width else 0
    lowest = max(_QUANTUM, -((spread - wanted) // _QUANTUM) * _QUANTUM)
    found = []
    for width in range(lowest, wanted + spread + 1, _QUANTUM):
        first, last = _powers(width, w0, wm) if fit_group_width(width, group_width)[0] == wanted else (0, -1)
        if first <= last:
            found.append((width, first, last))
    return found


def _powers(width: int, w0: float, wm: float) -> tuple[int, int]:
    """Give the first and last power of wm that, times w0, quantizes to `width`; the last is smaller if none does."""
    half = _QUANTUM / 2
    first = max(0, math.ceil(math.log((width - half) / w0) / math.log(wm)) - 1)
    last = math.floor(math.log((width + half) / w0) / math.log(wm)) + 1
    while first <= last and _quantize(w0 * wm**first) != width:
        first += 1
    while first <= last and _quantize(w0 * wm**last) != width:
        last -= 1
    return first, last


def _quantize(width: float) -> int:
    return round(width / _QUANTUM) * _QUANTUM
