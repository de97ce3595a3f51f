"""The fastest few of many networks, with few inferences: all run in one process, and only what is unsure goes on.

First everybody runs in every round, then only those of which it is not sure whether they belong to the fastest, and of
those the ones whose intervals reach farthest across the boundary. What slows a whole round is taken out of it.

Sources: Maron and Moore, Hoeffding races, NeurIPS 1994 (drop what is surely worse and stop spending on it);
Kalyanakrishnan et al., PAC subset selection in stochastic multi-armed bandits, ICML 2012 (LUCB: spend where the order
at the boundary is least sure).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nasbench.device.base import Device, Steer, Turn
from nasbench.errors import CandidateError, DefinitionError, OutOfMemory
from nasbench.measure.course import FIRST_ROUNDS, SAMPLES_EACH, Course
from nasbench.records import TimingPlan
from nasbench.space.architecture import Architecture
from nasbench.units import format_bytes


@dataclass(frozen=True, slots=True)
class Standing:
    """One network at the end of a race.

    `membership` is in or out where that is sure, tie where it is within the margin of what lies on the other side of
    the boundary, and undecided where the inferences did not suffice. `latency_s` lies between `low_s` and `high_s`,
    like those of all others together, with 95 % confidence in the process that it ran in; another process may differ
    by per cents. All three are None when no turn of it had its cores. `inferences` includes those that were not timed.
    """

    index: int
    name: str
    architecture: str
    latency_s: float | None
    low_s: float | None
    high_s: float | None
    membership: str
    inferences: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A network that could not take part, with the status and text of its error."""

    index: int
    name: str
    status: str
    error: str


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a race stands: `running` are the networks of the round that begins, 0 at the end."""

    rounds: int
    running: int
    inferences: int
    budget: int
    seconds: float


@dataclass(frozen=True, slots=True)
class RaceResult:
    """Who is fastest. `ranking` is ordered, the fastest first; its first `top` are the answer.

    `inferences` counts every one after the warm-up, those of an inner loop each. `stop` says why it ended, `reasons`
    what disturbed it.
    """

    top: int
    ranking: tuple[Standing, ...]
    failures: tuple[Failure, ...]
    device: str
    device_digest: str
    plan: TimingPlan
    margin: float
    rounds: int
    inferences: int
    budget: int
    seconds: float
    stop: str
    reasons: tuple[str, ...] = ()
    host: Mapping[str, Any] = field(default_factory=dict)
    noise: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fastest(self) -> tuple[Standing, ...]:
        """The first `top` of the ranking, sure or not."""
        return self.ranking[: self.top]


def race(
    device: Device,
    architectures: Sequence[Architecture],
    plan: TimingPlan,
    top: int,
    *,
    budget: int | None = None,
    margin: float = 0.01,
    names: Sequence[str] | None = None,
    watch: Callable[[Progress], object] = lambda progress: None,
    seed: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> RaceResult:
    """Find the `top` fastest networks on a device.

    It ends when it is sure of every network, when what is left at the boundary is a tie, or when the budget is spent. A
    network that fails is listed and takes no part; the others begin again with what is left of the budget, and with the
    least that a race of so many takes if that is more.

    Args:
        device: open. It holds all networks in one process at once.
        architectures: two or more.
        plan: how inferences are taken; its numbers of samples and processes play no part.
        top: how many are looked for.
        budget: inferences in all, the warm-up apart; by default those of a quarter of 50 samples of each network. Of an
            inference below a millisecond a sample holds several. The first round runs whatever it costs.
        margin: networks that differ by less are a tie, as a share of one.
        names: for sentences and errors; the first digits of the digests by default.
        watch: called before every round.
        seed: of the orders within rounds.
        clock: gives the time in seconds; tests bring their own.

    Raises:
        DefinitionError: `top`, `budget` or `margin` is out of its range, or the networks take too much memory together.
        CandidateError: a network failed and it is not known which.
        DeviceError: the device is gone.
    """
    names = [architecture.digest[:8] for architecture in architectures] if names is None else names
    counts_samples = budget is None
    budget = len(architectures) * SAMPLES_EACH // 4 if budget is None else budget
    _check(len(architectures), top, budget, margin)
    _check_memory(device, architectures)
    began = clock()
    running = list(range(len(architectures)))
    failures: list[Failure] = []
    spent_before = 0

    def steer(course: Course) -> Steer:
        def watched(turns: Sequence[Turn]) -> Sequence[int] | None:
            order = course(turns)
            spent, allowed = spent_before + course.inferences, spent_before + course.budget
            watch(Progress(course.rounds, len(order or ()), spent, allowed, clock() - began))
            return order

        return watched

    course = Course(0, 0, budget, margin, seed=seed)
    record: Mapping[str, Any] = {}
    while running:
        count, left = len(running), max(_least(len(running)), budget - spent_before)
        course = Course(count, min(top, count), left, margin, counts_samples=counts_samples, seed=seed)
        try:
            record = device.take_turns([architectures[index] for index in running], plan, steer(course))
            break
        except CandidateError as error:
            if error.side is None:
                raise
            if isinstance(error, OutOfMemory):
                _check_alone(device, architectures[running[error.side]], plan, len(running))
            index = running.pop(error.side)
            failures.append(Failure(index, names[index], error.status, str(error)))
            if course.rounds:
                budget, counts_samples = spent_before + course.budget, False
            spent_before += course.inferences
    return RaceResult(
        top=top,
        ranking=_ranking(course, running, names, architectures),
        failures=tuple(sorted(failures, key=lambda failure: failure.index)),
        device=device.spec.name,
        device_digest=device.spec.digest,
        plan=plan,
        margin=margin,
        rounds=course.rounds,
        inferences=spent_before + course.inferences,
        budget=spent_before + course.budget if running else budget,
        seconds=clock() - began,
        stop=course.stop if running else "every network failed",
        reasons=(*record.get("reasons", ()), *course.reasons),
        host=record.get("host", {}),
        noise=record.get("noise", {}),
    )


def _ranking(
    course: Course, running: Sequence[int], names: Sequence[str], architectures: Sequence[Architecture]
) -> tuple[Standing, ...]:
    if not course.rounds:
        return ()
    seen = course.view()
    ranking = []
    for side in sorted(range(len(running)), key=lambda side: seen.effects[side]):
        index, effect, reach = running[side], float(seen.effects[side]), seen.quantile * float(seen.errors[side])
        known = math.isfinite(effect)
        ranking.append(
            Standing(
                index=index,
                name=names[index],
                architecture=architectures[index].digest,
                latency_s=math.exp(effect) if known else None,
                low_s=math.exp(effect - reach) if known else None,
                high_s=math.exp(effect + reach) if known else None,
                membership=seen.membership(side),
                inferences=int(course.spent[side]),
            )
        )
    return tuple(ranking)


def _check(count: int, top: int, budget: int, margin: float) -> None:
    if count < 2:
        raise DefinitionError(f"a race takes two networks or more; {count} came")
    if not 1 <= top < count:
        raise DefinitionError(f"the fastest {top} of {count} were asked for; 1 to {count - 1} can be looked for")
    if budget < (least := _least(count)):
        raise DefinitionError(
            f"a budget of {budget} inferences is too small for {count} networks; {least} is the least"
        )
    if not 0 < margin < 1:
        raise DefinitionError(f"the margin of a race is {margin:g}; it is a share of one, such as 0.01")


def _least(count: int) -> int:
    """Give the inferences of the first rounds, when a turn is one untimed and one timed."""
    return 2 * FIRST_ROUNDS * count


def _check_memory(device: Device, architectures: Sequence[Architecture]) -> None:
    """Refuse networks that would not fit into one process, as far as their weights tell."""
    weights = sum(_weight_bytes(architecture) for architecture in architectures)
    if 2 * weights > (limit := device.spec.memory_limit_bytes):
        raise DefinitionError(
            f"the {len(architectures)} networks hold {format_bytes(weights)} of weights, and a race holds them all at "
            f"once; device {device.spec.name!r} may use {format_bytes(limit)}, half of it for weights. Race fewer, or "
            "raise memory_limit"
        )


def _weight_bytes(architecture: Architecture) -> int:
    from nasbench.measure.bench import cost_of
    from nasbench.model.foreign import is_onnx_file, name_foreign

    if is_onnx_file(architecture):
        path = Path(name_foreign(architecture))
        return path.stat().st_size if path.exists() else 0
    cost = cost_of(architecture)
    return 0 if cost is None else cost.weight_bytes  # what cannot be counted fails on the device, and is listed


def _check_alone(device: Device, architecture: Architecture, plan: TimingPlan, count: int) -> None:
    """Find out whether a network that ran out of memory among others is to blame for it.

    Raises:
        DefinitionError: alone it fits.
    """
    try:
        device.take_turns([architecture], plan, lambda turns: None)
    except CandidateError:
        return
    raise DefinitionError(
        f"{count} networks do not fit into {format_bytes(device.spec.memory_limit_bytes)} at once on device "
        f"{device.spec.name!r}; race fewer, or raise memory_limit"
    )
