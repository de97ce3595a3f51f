"""Two networks against each other: paired, interleaved inferences in fresh processes, and the interval on their ratio.

Within a process both are loaded and run in turns, one pair after the other, in an order drawn for each pair, so that
whatever slows the machine slows both. Between processes the ratio still differs, by how their memory happens to lie; so
each process gives one ratio, and processes are added until it is decided or cannot be (`nasbench.measure.sequential`).
"""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nasbench.device.base import Device, Turn
from nasbench.device.timing import median_interval
from nasbench.device.verdict import KEPT_LIMIT
from nasbench.errors import CandidateError, DefinitionError
from nasbench.measure.sequential import Decision, check_last, decide
from nasbench.measure.statistics import Interval, log_interval
from nasbench.records import TimingPlan
from nasbench.space.architecture import Architecture

BACK_OFFS_S = (1.0, 2.0, 4.0)
"""How long to wait after the first, second and third process that was disturbed; from then on disturbed ones count."""

TARGET_HALFWIDTH = 0.003
"""A process ends when the 95 % interval of its median log ratio is this narrow; processes differ by more than that."""

LEAST_PAIRS = 6
"""Fewer pairs bound no median."""

_CAPS_S = {"screen": 2.0}
_CAP_S = 5.0
_ROUND_S = 0.25
_FIRST_ROUND = 4

_PATIENCE = 3
"""A process in which nearly no pair had the cores is held this many times as long as one that is quiet."""

_DISCARD_LIMIT = 6
"""A machine on which so many processes had too few pairs is not fit for a comparison."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a comparison stands when its next process begins; `decision` is None before the first one is done."""

    processes: int
    max_processes: int
    discarded: int
    decision: Decision | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the first of two networks is against the second.

    `verdict` is faster, slower, tie or undecided; faster means that the first takes less than `against` (1, unless
    something else was asked) of the second's time. `ratio` is the time of the first over that of the second, `low` and
    `high` hold it with 95 % confidence however often one has looked; `ratios` has one value a process. `first_s` and
    `second_s` are geometric means of the processes' medians with their 95 % intervals, each for itself: the ratio is
    known far better than they are. What does not exist is None: the interval before the fourth process, all figures
    when no process was quiet enough.

    `pairs` were timed in the processes that count. `discarded` processes were disturbed and are not among those;
    `reasons` says what was wrong with them. `stop` says why it ended, `noise` what the machine did in each process.
    """

    names: tuple[str, str]
    architectures: tuple[str, str]
    device: str
    device_digest: str
    plan: TimingPlan
    margin: float
    against: float
    verdict: str
    ratio: float | None
    low: float | None
    high: float | None
    ratios: tuple[float, ...]
    first_s: Interval | None
    second_s: Interval | None
    processes: int
    pairs: int
    discarded: int
    seconds: float
    stop: str
    reasons: tuple[str, ...] = ()
    host: Mapping[str, Any] = field(default_factory=dict)
    noise: tuple[Mapping[str, Any], ...] = ()

    def sentence(self) -> str:
        """Say it in one line for a person."""
        first, second = self.names
        if self.ratio is None:
            return f"{first} and {second}: {self.verdict}, {self.stop}"
        if self.low is None or self.high is None:
            return f"{first} takes about {self.ratio:.2f} of {second}'s time (n={self.processes}): {self.verdict}"
        half = (self.high - self.low) / 2
        digits = max(2, min(4, math.ceil(-math.log10(half)))) if half else 4
        ratio, low, high = (f"{value:.{digits}f}" for value in (self.ratio, self.low, self.high))
        asked = "" if self.against == 1 else f" (asked: {self.against:.3g})"
        return f"{first} takes {ratio} of {second}'s time ({low} to {high}, 95 %): {self.verdict}{asked}"


def compare(
    device: Device,
    first: Architecture,
    second: Architecture,
    plan: TimingPlan,
    *,
    margin: float = 0.01,
    against: float = 1.0,
    max_processes: int = 15,
    names: tuple[str, str] = ("a", "b"),
    watch: Callable[[Progress], object] = lambda progress: None,
    seed: int = 0,
    pause: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Comparison:
    """Find out which of two networks is faster on a device, by how much, and how sure that is.

    From the fourth process on it ends as soon as the interval does not hold `against`, lies within `margin` of it, or
    more processes would hardly decide. A process that the gates object to is discarded and repeated after a pause,
    three times in all; later ones count if they have pairs enough, and `reasons` says so.

    Args:
        device: open.
        first: what is judged.
        second: what it is judged against.
        plan: how inferences are taken; its own numbers of processes play no part.
        margin: a smaller difference is none, as a share of one.
        against: the ratio that is asked about, such as one that a paper claims; faster and slower are of this.
        max_processes: 4 to 30.
        names: of the two, for sentences and errors.
        watch: called before every process.
        seed: of the orders within pairs.
        pause: waits so many seconds; tests bring their own.
        clock: gives the time in seconds; so do they.

    Raises:
        DefinitionError: `margin`, `against` or `max_processes` is out of its range.
        CandidateError: one of the networks failed; the text names it.
        DeviceError: the device is gone.
    """
    check_last(max_processes)
    if not 0 < against < math.inf:
        raise DefinitionError(f"the ratio of a comparison is {against:g}; it is above 0")
    if not 0 < margin < 1:
        raise DefinitionError(f"the margin of a comparison is {margin:g}; it is a share of one, such as 0.01")
    began = clock()
    so_far = _Gathered()
    while so_far.decision is None or so_far.decision.verdict is None:
        count, discarded = len(so_far.taken), so_far.discarded
        if discarded >= _DISCARD_LIMIT:
            break
        watch(Progress(count, max_processes, discarded, so_far.decision, clock() - began))
        pairs = _Pairs(random.Random(f"{seed}:{count}:{discarded}"), count % 2 == 1, _cap_s(plan), clock)
        if so_far.add(_take(device, (first, second), names, plan, pairs)):
            so_far.decision = decide([process.log_ratio for process in so_far.taken], max_processes, margin, against)
        elif so_far.discarded < _DISCARD_LIMIT:
            pause(BACK_OFFS_S[min(discarded, len(BACK_OFFS_S) - 1)])
    taken, decision = so_far.taken, so_far.decision
    unfit = f"{so_far.discarded} processes were disturbed, the machine is not fit"
    return Comparison(
        names=names,
        architectures=(first.digest, second.digest),
        device=device.spec.name,
        device_digest=device.spec.digest,
        plan=plan,
        margin=margin,
        against=against,
        verdict=(decision and decision.verdict) or "undecided",
        ratio=decision.ratio if decision else None,
        low=decision.low if decision else None,
        high=decision.high if decision else None,
        ratios=tuple(math.exp(process.log_ratio) for process in taken),
        first_s=log_interval([process.medians_s[0] for process in taken]),
        second_s=log_interval([process.medians_s[1] for process in taken]),
        processes=len(taken),
        pairs=sum(process.pairs for process in taken),
        discarded=so_far.discarded,
        seconds=clock() - began,
        stop=(decision and decision.reason) or unfit,
        reasons=tuple(so_far.reasons),
        host=taken[-1].host if taken else {},
        noise=tuple(process.noise for process in taken),
    )


@dataclass(frozen=True, slots=True)
class _Process:
    """What one process says. It `counts` when it has pairs enough; `complaints` are the gates that it failed."""

    log_ratio: float
    medians_s: tuple[float, float]
    pairs: int
    counts: bool
    complaints: tuple[str, ...]
    host: Mapping[str, Any]
    noise: Mapping[str, Any]


@dataclass(slots=True)
class _Gathered:
    """The processes that count so far, how many were discarded, and what was wrong with processes."""

    taken: list[_Process] = field(default_factory=list)
    discarded: int = 0
    reasons: list[str] = field(default_factory=list)
    decision: Decision | None = None

    def add(self, process: _Process) -> bool:
        """Take a process or discard it; say which.

        A disturbed one is discarded as long as there are back-offs left, and one with too few pairs always.
        """
        tries_left = self.discarded < len(BACK_OFFS_S)
        counts = process.counts and not (process.complaints and tries_left)
        if process.complaints:
            fate = "counts all the same" if counts else "was discarded"
            number = len(self.taken) + self.discarded + 1
            self.reasons.append(f"process {number} {fate}: {'; '.join(process.complaints)}")
        if counts:
            self.taken.append(process)
        else:
            self.discarded += 1
        return counts


def _take(
    device: Device,
    architectures: tuple[Architecture, Architecture],
    names: tuple[str, str],
    plan: TimingPlan,
    pairs: _Pairs,
) -> _Process:
    """Hold both networks in one process, the one to be built first in front."""
    order = (1, 0) if pairs.swapped else (0, 1)
    try:
        record = device.take_turns([architectures[index] for index in order], plan, pairs)
    except CandidateError as error:
        if error.side is None:
            raise
        raise type(error)(f"{names[order[error.side]]}: {error}") from error
    kept = pairs.kept
    complaints = list(record.get("reasons", ()))
    if not pairs.count or len(kept) / pairs.count < KEPT_LIMIT:
        complaints.append(f"only {len(kept)} of {pairs.count} pairs had the cores to themselves")
    return _Process(
        log_ratio=_median(pairs.log_ratios),
        medians_s=(_median([first for first, _ in kept]), _median([second for _, second in kept])),
        pairs=pairs.count,
        counts=len(kept) >= LEAST_PAIRS,
        complaints=tuple(complaints),
        host=record["host"],
        noise={**record["noise"], "pairs": pairs.count, "kept_pairs": len(kept)},
    )


def _median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else math.nan


def _cap_s(plan: TimingPlan) -> float:
    return min(plan.max_sampling_s, _CAPS_S.get(plan.level, _CAP_S))


class _Pairs:
    """Steers one process: pairs until the interval of their median log ratio is narrow, or until the cap.

    `kept` holds the medians of (first, second), in seconds, of the pairs in which both had the cores.
    """

    def __init__(self, source: random.Random, swapped: bool, cap_s: float, clock: Callable[[], float]) -> None:
        self.swapped = swapped
        self.kept: list[tuple[float, float]] = []
        self.log_ratios: list[float] = []
        self.count = 0
        self._source = source
        self._cap_s = cap_s
        self._clock = clock
        self._began: float | None = None

    def __call__(self, turns: Sequence[Turn]) -> list[int] | None:
        """Note the pairs of a round, and order those of the next."""
        if self._began is None:
            self._began = self._clock()
        elapsed_s = self._clock() - self._began
        for one, other in zip(turns[::2], turns[1::2], strict=True):
            self._note(one, other)
        if self._is_enough(elapsed_s):
            return None
        pairs = max(1, round(_ROUND_S * self.count / elapsed_s)) if self.count else _FIRST_ROUND
        return [side for _ in range(pairs) for side in self._source.choice(((0, 1), (1, 0)))]

    def _note(self, one: Turn, other: Turn) -> None:
        self.count += 1
        if one.kept and other.kept:
            medians = {turn.side: statistics.median(turn.seconds) for turn in (one, other)}
            first, second = (medians[1], medians[0]) if self.swapped else (medians[0], medians[1])
            self.kept.append((first, second))
            self.log_ratios.append(math.log(first / second))

    def _is_enough(self, elapsed_s: float) -> bool:
        if elapsed_s >= self._cap_s and len(self.kept) >= LEAST_PAIRS:
            return True
        if elapsed_s >= _PATIENCE * self._cap_s and self.count >= _PATIENCE * LEAST_PAIRS:
            return True
        interval = median_interval(self.log_ratios)
        return interval is not None and (interval[1] - interval[0]) / 2 <= TARGET_HALFWIDTH
