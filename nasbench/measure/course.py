"""The course of a race: from the turns so far to what is sure, and to who runs in the next round."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasbench.device.base import Turn
from nasbench.measure.additive import Fit, Values, fit

ERROR = 0.05
"""Share of races in which one or more networks are said to be in or out and are not, at most."""

FIRST_ROUNDS = 3
"""Rounds in which everybody runs: of two values that differ nobody can say which is the spike."""

SAMPLES_EACH = 50
"""What a screen takes of each network at least; a race gets a quarter of that, unless it is told its budget."""

EACH_SIDE = 4
"""Networks of each side of the boundary in a later round: few, and enough to tell their changes from the round's."""

_REACH = 1.0
"""Standard errors that count as reach across the boundary when the next round is chosen: to run what is near and what
is unsure. The quantile by which things are sure would choose what is unsure alone."""

_KEPT_LEAST = 0.25
"""When fewer turns had the cores, too few are left to go by; networks whose turns are lost run again until then."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class View:
    """What the turns so far say; every array has one value a network, in the order of the fit.

    `front` are the undecided that would be in if it ended now, `rest` those that would be out. `tied` are the undecided
    that are within the margin of each one on the other side that they are not sure to differ from. `quantile` times a
    standard error is how far an effect may be off.
    """

    effects: Values
    errors: Values
    quantile: float
    inside: Flags
    outside: Flags
    front: Flags
    rest: Flags
    tied: Flags

    def membership(self, network: int) -> str:
        """Give in, out, tie or undecided."""
        if self.inside[network]:
            return "in"
        if self.outside[network]:
            return "out"
        return "tie" if self.tied[network] else "undecided"


def view(fitted: Fit, top: int, margin: float, looks: int) -> View:
    """Say of every network whether it surely is one of the `top` fastest, surely not, or neither.

    In when all but `top` are surely slower, out when `top` are surely faster. The claims of all `looks` hold together
    with 95 % confidence (Bonferroni).
    """
    from scipy.special import stdtrit

    count = len(fitted.effects)
    # What can be claimed wrongly: the order of each pair across the boundary, and both ends of each own interval.
    claims = looks * max(top * (count - top), 2 * count)
    quantile = float(stdtrit(max(1, fitted.freedom), 1 - ERROR / claims))
    effects = np.nan_to_num(fitted.effects, nan=math.inf)
    with np.errstate(invalid="ignore"):
        slower = effects[None, :] - effects[:, None]  # by how much the second is slower than the first
        reach = quantile * fitted.errors_between()
    faster = slower > reach
    inside = faster.sum(axis=1) >= count - top
    outside = faster.sum(axis=0) >= top
    undecided = np.flatnonzero(~inside & ~outside)
    undecided = undecided[np.argsort(effects[undecided], kind="stable")]
    places = top - int(inside.sum())
    front, rest = np.zeros(count, bool), np.zeros(count, bool)
    front[undecided[:places]] = True
    rest[undecided[places:]] = True
    across = (front[:, None] & rest[None, :]) | (rest[:, None] & front[None, :])
    unlike = ~(np.abs(slower) + reach <= math.log1p(margin))
    tied = (front | rest) & ~(across & ~faster & ~faster.T & unlike).any(axis=1)
    return View(effects, fitted.errors(), quantile, inside, outside, front, rest, tied)


class Course:
    """Steers a race: notes the turns of a round and orders those of the next, until it is decided or paid for.

    Networks are numbered as the device has them. What a turn costs is known when it has run, so the first round may
    cost more than the budget, and nothing later may. `counts_samples` says that the budget is one of samples: it grows
    to their inferences after the first round. `stop` says why it ended, `reasons` what disturbed it.
    """

    def __init__(
        self, count: int, top: int, budget: int, margin: float, *, counts_samples: bool = False, seed: int
    ) -> None:
        self.rounds = 0
        self.budget = budget
        self.stop = ""
        self.reasons: tuple[str, ...] = ()
        self.spent = np.zeros(count, int)
        self._count, self._top, self._margin = count, top, margin
        self._counts_samples = counts_samples
        self._source = random.Random(seed)
        self._costs = np.zeros(count, int)
        self._times = np.empty((count, 0))
        self._kept = np.empty((count, 0), bool)

    @property
    def inferences(self) -> int:
        """Inferences so far."""
        return int(self.spent.sum())

    def __call__(self, turns: Sequence[Turn]) -> list[int] | None:
        """Note the turns of a round; give the networks of the next, shuffled, or None to end."""
        if turns:
            self._note(turns)
        chosen = self._everybody() if self.rounds < FIRST_ROUNDS else self._choose()
        self._source.shuffle(chosen)
        return chosen or None

    def _note(self, turns: Sequence[Turn]) -> None:
        times, kept = np.full(self._count, math.nan), np.zeros(self._count, bool)
        if not self.rounds and self._counts_samples:
            self.budget = round(self.budget * statistics.fmean(_inferences_each(turn) for turn in turns))
        for turn in turns:
            times[turn.side] = math.log(statistics.median(turn.seconds))
            kept[turn.side] = turn.kept
            self._costs[turn.side] = turn.inferences
            self.spent[turn.side] += turn.inferences
        self._times = np.column_stack([self._times, times])
        self._kept = np.column_stack([self._kept, kept])
        self.rounds += 1

    def view(self) -> View:
        """Say what is known of every network now."""
        ran = np.isfinite(self._times)
        kept_share = self._kept[ran].mean()
        self.reasons = ()
        trusted = self._kept
        if kept_share < _KEPT_LEAST:
            trusted = ran
            self.reasons = (f"only {kept_share:.0%} of the turns had the cores to themselves; the order rests on all",)
        # As many rounds as the budget can pay for, if each of the later ones had two networks of the cheapest turn.
        looks = self.budget // (2 * max(1, int(self._costs.min())))
        return view(fit(np.where(trusted, self._times, math.nan)), self._top, self._margin, looks)

    def _everybody(self) -> list[int]:
        if self.inferences + self._costs.sum() > self.budget:
            self.stop = (
                f"ended after {self.rounds} rounds: the budget of {self.budget} inferences is spent, and the first "
                f"{FIRST_ROUNDS} alone take {FIRST_ROUNDS * self._costs.sum()}"
            )
            return []
        return list(range(self._count))

    def _choose(self) -> list[int]:
        """Choose the undecided that reach farthest across the boundary, from each side as many."""
        now = self.view()
        undecided = now.front | now.rest
        ended = f"ended after {self.rounds} rounds: "
        if not undecided.any():
            self.stop = f"{ended}every network is surely in or out"
            return []
        if now.tied[undecided].all():
            self.stop = f"{ended}what is left at the boundary is a tie within ±{self._margin:.2g}"
            return []
        reach = _REACH * np.nan_to_num(now.errors, posinf=1e9)
        effects = np.nan_to_num(now.effects, posinf=0.0)
        front, rest = np.flatnonzero(now.front), np.flatnonzero(now.rest)
        front = front[np.argsort(-(effects + reach)[front], kind="stable")]
        rest = rest[np.argsort((effects - reach)[rest], kind="stable")]
        for each_side in range(EACH_SIDE, 0, -1):
            chosen = [*front[:each_side].tolist(), *rest[:each_side].tolist()]
            if self.inferences + self._costs[chosen].sum() <= self.budget:
                return chosen
        self.stop = (
            f"{ended}the budget of {self.budget} inferences is spent, and it is not sure where {undecided.sum()} "
            "networks belong"
        )
        return []


def _inferences_each(turn: Turn) -> int:
    """Give the inferences of a sample: with an inner loop more than one, and then the untimed one is the remainder."""
    return max(1, (turn.inferences - 1) // len(turn.seconds))
