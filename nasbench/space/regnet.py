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
from nasbench.space.choice import Choice, Pick
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
        widths.append(round(w0 * wm**s / _QUANTUM) * _QUANTUM)
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
        widest_group = max(int(option.get("group_width", 0)) for option in options)
        fixed: dict[str, Scalar] = {"depth": depth, "se": options[0].get("se", 0.0)}
        groups = [g for g in slot_values(self.rule["group_width"]) if int(g) >= widest_group]
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
        """Yield a value of wa for each way to read the stages' widths as powers of wm times w0."""
        slot = self.rule["wa"]
        for exponents in self._exponents(body, stage_of, w0, wm, group_width):
            low, high = 0.0, math.inf
            for j, stage in enumerate(stage_of):
                if j:
                    low = max(low, w0 * (wm ** (exponents[stage] - 0.5) - 1) / j)
                    high = min(high, w0 * (wm ** (exponents[stage] + 0.5) - 1) / j)
            if low <= high:
                middle = low if math.isinf(high) else (low + high) / 2
                yield min(slot_values(slot), key=lambda value, middle=middle: abs(float(value) - middle))  # type: ignore[misc]

    def _exponents(
        self, body: tuple[Block, ...], stage_of: list[int], w0: float, wm: float, group_width: int
    ) -> list[tuple[int, ...]]:
        """Give the powers of wm, one a stage, that quantize to the stages' widths."""
        ways: list[tuple[int, ...]] = [()]
        for stage in range(stage_of[-1] + 1):
            wanted = body[stage_of.index(stage)].out_channels
            fitting = [s for s in range(24) if self._quantized(w0, wm, s, group_width) == wanted]
            ways = [(*way, s) for way in ways for s in fitting if (not way and s == 0) or (way and s > way[-1])]
        return ways

    def _quantized(self, w0: float, wm: float, power: int, group_width: int) -> int:
        width = round(w0 * wm**power / _QUANTUM) * _QUANTUM
        return fit_group_width(width, group_width)[0]
