"""The levels of trust: `screen` takes one process, `confirm` several in shuffled rounds with all that is compared.

The same network differs more from process to process than from sample to sample, and one measured now differs from one
measured a minute later. So a figure that carries a claim rests on several fresh processes, and everything that is to be
compared with it is measured in between, with a canary that tells when the machine itself has changed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nasbench.device.base import Device
from nasbench.errors import CandidateError
from nasbench.measure.canary import CANARY, Canary
from nasbench.measure.processes import UNDISTURBED, combine, is_finished
from nasbench.records import Measurement, TimingPlan, place_of
from nasbench.space.architecture import Architecture

BACK_OFFS_S = (1.0, 2.0, 4.0)
"""How long to wait after one, two, and three or more disturbed processes in a row."""

BACK_OFF_LIMIT_S = 60.0
"""The most that one `confirm` waits in all: a neighbour that stays is a verdict, not a reason to wait for ever."""

INTERRUPTED = "interrupted"
"""Why a measurement stopped that has fewer processes than it was to have."""

Outcome = Measurement | CandidateError


@dataclass(frozen=True, slots=True)
class Job:
    """A network to confirm on a device. `name` is for the eyes of who watches."""

    name: str
    device: Device
    architecture: Architecture
    plan: TimingPlan


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a confirmation stands when its next process begins.

    `processes` are done, `expected` are all of them if every network needs no more than its fewest from here on.
    `current` is what is measured now, `latency_s` what the last process found: None before the first and after a
    failure.
    """

    round: int
    processes: int
    expected: int
    current: str
    latency_s: float | None
    seconds: float


def screen(
    device: Device, architecture: Architecture, plan: TimingPlan, pause: Callable[[float], object] = time.sleep
) -> Measurement:
    """Take a network in one process, and once more after a pause when the verdict is not ok.

    Of two the better is kept: the first that is ok, else the one with the larger share of undisturbed samples and,
    among equals, the narrower interval; `noise["tries"]` tells of both. Raises as `Device.take`.
    """
    tries = [device.take(architecture, plan)]
    if tries[0].verdict not in UNDISTURBED:
        pause(BACK_OFFS_S[0])
        tries.append(device.take(architecture, plan))
    best = min(tries, key=_rank)
    return replace(best, noise={**best.noise, "tries": [_summary(one) for one in tries]})


def confirm(
    jobs: Sequence[Job],
    *,
    seed: int = 0,
    pause: Callable[[float], object] = time.sleep,
    watch: Callable[[Progress], object] = lambda progress: None,
    done: Callable[[int, Outcome], object] = lambda index, outcome: None,
) -> list[Outcome]:
    """Measure all jobs in fresh processes, in rounds, each round in an order of its own drawn from `seed`.

    A round takes every unfinished job once, and the canary once for each distinct backend. A job is finished when it
    has `plan.min_processes` undisturbed processes and the interval over them is within `plan.target_process_halfwidth`,
    or when `plan.max_processes` were tried. After a disturbed process there is a pause. Energy, where the plan asks for
    it, is taken in a job's first process.

    Args:
        jobs: what is to be compared; measured together they differ by what they are and not by when.
        seed: of the orders.
        pause: waits so many seconds; tests bring their own.
        watch: called before every process.
        done: called with the number of a job and what came of it, after the round that finished it; at once after a
            failure.

    Returns:
        What came of each job, in their order: a measurement, or the error of the first process that failed.

    Raises:
        DeviceError: a device is gone. However this ends, what there is of every job has been given to `done`; `stop` of
            a measurement that was not finished is `interrupted`.
    """
    return _Confirmation(jobs, pause, watch, done).run(random.Random(seed))


@dataclass(slots=True)
class _Standing:
    """What is known of a job so far."""

    index: int
    job: Job
    canary: _Perch
    processes: list[Measurement] = field(default_factory=list)
    outcome: Outcome | None = None


@dataclass(slots=True)
class _Perch:
    """The canary of one backend: where it is measured, and what came in each round."""

    device: Device
    plan: TimingPlan
    processes: list[Measurement | None] = field(default_factory=list)
    error: str | None = None


class _BackOff:
    """Waits before a process when those before it were disturbed, the longer the more of them in a row."""

    def __init__(self, pause: Callable[[float], object]) -> None:
        self._pause = pause
        self._in_a_row = 0
        self._due_s = 0.0
        self._left_s = BACK_OFF_LIMIT_S

    def note(self, verdict: str) -> None:
        self._in_a_row = 0 if verdict in UNDISTURBED else self._in_a_row + 1
        self._due_s = BACK_OFFS_S[min(self._in_a_row, len(BACK_OFFS_S)) - 1] if self._in_a_row else 0.0

    def wait(self) -> None:
        if waited_s := min(self._due_s, self._left_s):
            self._pause(waited_s)
        self._left_s -= waited_s
        self._due_s = 0.0


class _Confirmation:
    def __init__(
        self,
        jobs: Sequence[Job],
        pause: Callable[[float], object],
        watch: Callable[[Progress], object],
        done: Callable[[int, Outcome], object],
    ) -> None:
        self._back_off = _BackOff(pause)
        self._watch = watch
        self._done = done
        self._began = time.monotonic()
        self._round = 0
        self._taken = 0
        self._last_s: float | None = None
        perches: dict[tuple[str, ...], _Perch] = {}  # jobs on one piece of hardware share a canary
        self._standings = []
        # On eager where there is a choice: nothing is compiled or exported for it, so that hardly anything can fail.
        for job in sorted(jobs, key=lambda job: job.device.spec.runtime != "eager"):
            perches.setdefault(place_of(job.device.spec), _Perch(job.device, replace(job.plan, batch=1, energy=False)))
        for index, job in enumerate(jobs):
            self._standings.append(_Standing(index, job, perches[place_of(job.device.spec)]))

    def run(self, shuffler: random.Random) -> list[Outcome]:
        try:
            self._take_rounds(shuffler)
        except BaseException:
            for standing in self._unfinished():
                if standing.processes:
                    combined = self._combined(standing)
                    whole = is_finished(standing.processes, standing.job.plan)
                    self._finish(standing, combined if whole else replace(combined, stop=INTERRUPTED))
            raise
        return [standing.outcome for standing in self._standings if standing.outcome is not None]

    def _take_rounds(self, shuffler: random.Random) -> None:
        while unfinished := self._unfinished():
            self._round += 1
            # Insertion order, not that of a set: the shuffled order must follow from the seed alone.
            perches = list({id(standing.canary): standing.canary for standing in unfinished}.values())
            entries: list[_Standing | _Perch] = [*unfinished, *perches]
            shuffler.shuffle(entries)
            for entry in entries:
                if isinstance(entry, _Perch):
                    self._take_canary(entry)
                else:
                    self._take_job(entry)
            for standing in self._unfinished():
                if is_finished(standing.processes, standing.job.plan):
                    self._finish(standing, self._combined(standing))

    def _unfinished(self) -> list[_Standing]:
        return [standing for standing in self._standings if standing.outcome is None]

    def _take_job(self, standing: _Standing) -> None:
        job, before = standing.job, len(standing.processes)
        known = any(one.verdict == "ok" for one in standing.processes if one.plan.energy)
        plan = replace(job.plan, energy=job.plan.energy and not known)
        try:
            standing.processes.append(self._take(job.name, job.device, job.architecture, plan))
        except CandidateError as error:
            if before:
                said = f"{error}; this was its process {before + 1}, after {before} that did not fail"
                error = type(error)(said).with_traceback(error.__traceback__)
            self._finish(standing, error)

    def _take_canary(self, perch: _Perch) -> None:
        if perch.error is None:
            try:
                perch.processes.append(self._take("canary", perch.device, CANARY, perch.plan))
                return
            except CandidateError as error:
                perch.error = f"the canary failed in round {self._round} and was left out from there: {error}"
        perch.processes.append(None)

    def _take(self, name: str, device: Device, architecture: Architecture, plan: TimingPlan) -> Measurement:
        self._back_off.wait()
        self._watch(
            Progress(
                self._round,
                self._taken,
                self._taken + self._expected(),
                name,
                self._last_s,
                time.monotonic() - self._began,
            )
        )
        self._taken += 1
        self._last_s = None
        measurement = device.take(architecture, plan)
        self._back_off.note(measurement.verdict)
        self._last_s = measurement.latency_s
        return measurement

    def _expected(self) -> int:
        """Give how many processes are left at least; every unfinished job has one a round."""
        count = 0
        last_round: dict[int, int] = {}
        for standing in self._unfinished():
            ends = max(self._round, standing.job.plan.min_processes)
            count += ends - len(standing.processes)
            last_round[id(standing.canary)] = max(ends, last_round.get(id(standing.canary), 0))
        perches = {id(standing.canary): standing.canary for standing in self._standings}
        return count + sum(ends - len(perches[which].processes) for which, ends in last_round.items())

    def _combined(self, standing: _Standing) -> Measurement:
        perch = standing.canary
        return combine(standing.processes, standing.job.plan, Canary(tuple(perch.processes), perch.error))

    def _finish(self, standing: _Standing, outcome: Outcome) -> None:
        standing.outcome = outcome
        self._done(standing.index, outcome)


def _rank(one: Measurement) -> tuple[bool, float, float]:
    """Order tries, the best first."""
    width = float("inf") if one.low_s is None or one.high_s is None else one.high_s - one.low_s
    return one.verdict != "ok", -_kept_share(one), width


def _kept_share(one: Measurement) -> float:
    return sum(one.kept) / len(one.kept)


def _summary(one: Measurement) -> dict[str, Any]:
    return {
        "low_s": one.low_s,
        "high_s": one.high_s,
        "samples": len(one.latencies_s),
        "kept_share": _kept_share(one),
        "verdict": one.verdict,
        "reasons": list(one.reasons),
    }
