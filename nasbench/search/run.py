"""The search: ask, decode, count, measure, train, store, tell."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from nasbench import pareto
from nasbench.accuracy.base import Accuracy
from nasbench.device.base import Device
from nasbench.errors import CandidateError, SearchError
from nasbench.measure.cache import MeasurementCache
from nasbench.measure.levels import Progress as Round
from nasbench.measure.levels import screen
from nasbench.model.cost import count
from nasbench.objectives import Objective, find_objective
from nasbench.records import Cost, Evaluation, Score, TimingPlan
from nasbench.search.confirm import confirm_members, to_confirm
from nasbench.search.crew import Crew, Stillness
from nasbench.search.front import LiveFront
from nasbench.search.plan import Budget, SearchPlan
from nasbench.search.rungs import Rungs
from nasbench.search.starts import keep_limits, starting_points
from nasbench.search.study import Candidate, Study, hints_of
from nasbench.space.architecture import Scalar
from nasbench.space.space import SearchSpace
from nasbench.store.log import RunLog
from nasbench.store.parquet import FlushSchedule, flush
from nasbench.surrogate.sampler import CURVES, EXCESS, HINTS, NOISE, PRELIMINARY, STANDS_IN

_IDLE = 500
"""Proposals in a row that were duplicates or beyond a free limit, after which the sampler has nothing new."""

_GROWTH = 0.001
"""The share by which a candidate has to let the hypervolume grow for the front not to count as flat."""

_END_LIMIT_S = 5.0
"""For what was under way to end, when the search does: a process ends with the thread that started it."""

_FAILURES = 8
"""When so many first candidates fail and none succeeds, the cause is not the candidates."""


@dataclass(frozen=True)
class Progress:
    """Where a search stands after a trial. `evaluated` counts neither duplicates nor what a free limit kept out."""

    evaluation: Evaluation
    evaluated: int
    front: int
    hypervolume: float
    seconds: float


FUNCTION = "nasbench:function"
"""Where the details of a score have the digest of what the network computes."""

SAME_FUNCTION = "nasbench:same_function_as"
"""Where they have the trial whose score was taken over, since its network computes the same."""

Scored = Mapping[str | None, tuple[int, Score]]
"""By what networks compute, the trial that was trained and its score."""

Outcome = tuple[list[float] | None, float]
"""What a sampler is told of a candidate: its objectives' values (None: it failed) and its violation of the limits."""


@dataclass(frozen=True, slots=True)
class _First:
    """What is remembered of a network for when it is proposed again; its raw samples are on disk."""

    trial: int
    cost: Cost | None
    outcome: Outcome
    facts: Mapping[str, Any]


@dataclass(slots=True)
class _Running:
    """A candidate under way. `finish` waits for its evaluation; None when another trial has its figures."""

    candidate: Candidate
    published: str | None
    finish: Callable[[], Evaluation] | None = None


class Search:
    """One run of a search. `log` is its memory on disk; everything here can be made again from it.

    Up to `plan.lag` candidates are under way at a time. They are proposed and stored in order, and the sampler is told
    of candidate n right before it proposes candidate n + lag: what it knows then does not hang on what finished first.
    """

    def __init__(
        self,
        space: SearchSpace,
        plan: SearchPlan,
        log: RunLog,
        accuracy: Accuracy | None,
        devices: Sequence[Device] = (),
        cache: MeasurementCache | None = None,
        starts: Sequence[Mapping[str, Scalar]] = (),
    ) -> None:
        self._space = space
        self._plan = plan
        self._log = log
        self._accuracy = accuracy
        self._devices = {device.spec.name: device for device in devices}
        self._cache = cache
        self._stillness = Stillness(accuracy)
        self._objectives = [find_objective(name) for name in plan.objectives]
        self._study = Study(space, self._objectives, plan.sampler, plan.seed, plan.lag)
        self._rungs = Rungs()
        self._scored: dict[str | None, tuple[int, Score]] = {}
        self._first: dict[str, _First] = {}
        self._largest: dict[str, float] = {}
        self._idle = 0
        self._flat = 0
        self._succeeded = False
        self._schedule = FlushSchedule()
        self.evaluated = 0
        self.front = LiveFront(self._objectives, plan.limits)
        self._starts = starting_points(space, plan, starts)
        self._running: deque[_Running] = deque()
        self._untold: deque[tuple[Candidate, Evaluation]] = deque()
        self._ending = False
        self._next = self._replay()

    def run(self, budget: Budget, watch: Callable[[Progress], None] = lambda progress: None) -> str | None:
        """Search until the budget is spent; every trial is on disk before the next one begins.

        Returns:
            Why the search ended before its budget was spent, or None when it did not.

        Raises:
            SearchError: everything fails.
            DeviceError: the device is gone. The run can be resumed.
        """
        self._check_going_on()
        began = time.monotonic()
        crew: Crew[Evaluation] = Crew(self._plan.lag)
        nothing_new = self._nothing_new(budget)
        try:
            while True:
                while nothing_new is None and self._may_begin(budget, time.monotonic() - began):
                    self._running.append(self._begin(crew))
                    nothing_new = self._nothing_left()
                if not self._running:
                    return nothing_new
                evaluation = self._finish(self._running[0])
                self._running.popleft()
                watch(
                    Progress(
                        evaluation,
                        self.evaluated,
                        len(self.front.members),
                        self.front.hypervolume,
                        time.monotonic() - began,
                    )
                )
                if self._schedule.is_due():
                    self._schedule.run(lambda: flush(self._log))
                if self.evaluated >= _FAILURES and not self._succeeded:
                    raise SearchError(f"all first {self.evaluated} candidates failed; the last: {evaluation.error}")
                nothing_new = self._nothing_left() or self._nothing_new(budget)
        except BaseException:
            self._end_running(crew)
            raise
        finally:
            crew.close(_END_LIMIT_S)
            flush(self._log)

    def score_front(self, say: Callable[[str], None]) -> None:
        """Score the members of the front on the test split, each once; one that fails is said and left out."""
        assert self._accuracy is not None, "only an estimator can score"
        scored = self._log.final_scores()
        for evaluation in self.front.members:
            if evaluation.trial in scored:
                continue
            say(f"final score of trial {evaluation.trial} ...")
            try:
                self._log.append_final(evaluation.trial, self._accuracy.final(evaluation.architecture))
            except CandidateError as error:
                say(f"trial {evaluation.trial} has no final score: {error}")
        flush(self._log)

    def to_confirm(self) -> list[Evaluation]:
        """Give what `confirm_front` would measure: the whole front, or nothing.

        Nothing when latency is no objective, and when the front of now was confirmed together by the plan of now.
        """
        if not self._plan.latencies or not (confirming := self._confirming() if self._devices else []):
            return []
        return to_confirm(self.front.members, confirming, self._log)

    def confirm_front(
        self, say: Callable[[str], object], watch: Callable[[Round], object] = lambda progress: None
    ) -> None:
        """Measure the members of the front again, interleaved and in several processes each, and store what comes.

        Figures of an earlier confirmation are replaced. A member that fails is said, and keeps the search's figure.

        Raises:
            DeviceError: the device is gone. What was confirmed is stored; a resumed run confirms anew.
        """
        assert self._devices, "only a device can confirm"
        try:
            confirm_members(self.to_confirm(), self._confirming(), self._log, self._cache, say=say, watch=watch)
        finally:
            flush(self._log)

    def _confirming(self) -> list[tuple[Device, TimingPlan]]:
        """Give the devices whose latency is an objective, and how each confirms; none if one only looks them up."""
        first = next(iter(self._devices))
        wanted = {find_objective(name).device or first for name in self._plan.latencies}
        if not all(self._devices[name].measures for name in wanted):
            return []
        return [(one, self._plan.confirming_on(name)) for name, one in self._devices.items() if name in wanted]

    def _may_begin(self, budget: Budget, seconds: float) -> bool:
        """Say whether another candidate may be proposed now; one under way counts as one that will be evaluated."""
        return len(self._running) < self._plan.lag and not budget.spent(self.evaluated + len(self._running), seconds)

    def _begin(self, crew: Crew[Evaluation]) -> _Running:
        """Propose the next candidate and have it evaluated."""
        while self._untold and self._untold[0][0].number <= self._next - self._plan.lag:
            self._tell(*self._untold.popleft())
        start = self._starts[self._next] if self._next < len(self._starts) else None
        if start is not None and start.beside is not None:
            candidate = self._study.put_beside(self._next, start.beside)
        else:
            candidate = self._study.ask(self._next, start.choices if start else None)
        self._next += 1
        running = _Running(candidate, start.name if start else None)
        digest = candidate.architecture.digest
        under_way = (other.candidate.architecture.digest for other in self._running)
        if digest not in self._first and digest not in under_way:
            # One that is alone meets nothing new while it is under way.
            alone = self._plan.lag == 1
            rungs, scored = (self._rungs, self._scored) if alone else (self._rungs.copy(), dict(self._scored))
            running.finish = crew.submit(lambda: self._evaluate(candidate, running.published, rungs, scored))
        return running

    def _finish(self, running: _Running) -> Evaluation:
        """Wait for a candidate and store it."""
        candidate = running.candidate
        evaluation = running.finish() if running.finish else self._repeat(running)
        _, violation = self._outcome(evaluation)
        state = self._study.mark(candidate, violation, self._facts(evaluation))
        self._log.append(evaluation, state, self._study.changed_state())
        self._note(evaluation)
        self._untold.append((candidate, evaluation))
        return evaluation

    def _tell(self, candidate: Candidate, evaluation: Evaluation) -> None:
        """Let the sampler and the rungs learn from a stored candidate."""
        self._study.tell(candidate, self._lesson(evaluation))
        self._learn(evaluation)

    def _lesson(self, evaluation: Evaluation) -> list[float] | None:
        """Give the values that the sampler learns from; none of a network beside the space, which has no choices."""
        return self._first[evaluation.architecture.digest].outcome[0] if evaluation.choices else None

    def _learn(self, evaluation: Evaluation) -> None:
        if evaluation.score is None or SAME_FUNCTION in evaluation.score.details:
            return
        function = evaluation.score.details.get(FUNCTION)
        if isinstance(function, str) and evaluation.score.finished:
            self._scored.setdefault(function, (evaluation.trial, evaluation.score))
        if self._accuracy is not None:
            for epoch, value in evaluation.score.curve:
                if epoch in self._accuracy.rungs:
                    self._rungs.add(epoch, self._losses_at_rung(evaluation, value))

    def _end_running(self, crew: Crew[Evaluation]) -> None:
        """End what is under way; a resumed search evaluates it again."""
        self._ending = True
        crew.drop()
        if self._accuracy is not None and self._plan.lag > 1:
            self._accuracy.abort()

    def _check_going_on(self) -> None:
        """Let nothing begin that the end of the search would wait for, or leave behind."""
        if self._ending:
            raise SearchError("the search has ended; open its run again to go on")

    def _new(self, candidate: Candidate, published: str | None) -> Evaluation:
        return Evaluation(
            candidate.number,
            "complete",
            candidate.choices,
            candidate.architecture,
            published=published,
            started_at=datetime.now(UTC).isoformat(),
        )

    def _repeat(self, running: _Running) -> Evaluation:
        first = self._first[running.candidate.architecture.digest]
        evaluation = self._new(running.candidate, running.published)
        return replace(evaluation, status="duplicate", of_trial=first.trial, cost=first.cost)

    def _evaluate(self, candidate: Candidate, published: str | None, rungs: Rungs, scored: Scored) -> Evaluation:
        began = time.monotonic()
        evaluation = self._new(candidate, published)
        steps: list[Callable[[Evaluation], Evaluation]] = [self._count_cost]
        steps += [partial(self._measure, device) for device in self._devices.values()]
        steps += [partial(self._estimate, rungs, scored)]
        for step in steps:
            self._check_going_on()
            try:
                evaluation = step(evaluation)
            except CandidateError as error:
                evaluation = replace(evaluation, status=error.status, error=str(error))
            if evaluation.status != "complete":
                break
        return replace(evaluation, seconds=time.monotonic() - began)

    def _count_cost(self, evaluation: Evaluation) -> Evaluation:
        return keep_limits(replace(evaluation, cost=count(evaluation.architecture)), self._plan.limits)

    def _measure(self, device: Device, evaluation: Evaluation) -> Evaluation:
        architecture, timing = evaluation.architecture, self._plan.timing_on(device.spec.name)
        cache = self._cache if device.measures else None
        measurement = cache.find(device, architecture, timing) if cache else None
        if measurement is None:
            with self._stillness.on(device.place) if device.measures else nullcontext():
                self._check_going_on()
                measurement = screen(device, architecture, timing)
            if cache:
                cache.keep(device, architecture, measurement, self._log.name)
        measured = replace(evaluation, measurements=(*evaluation.measurements, measurement))
        return keep_limits(measured, self._plan.limits)

    def _estimate(self, rungs: Rungs, scored: Scored, evaluation: Evaluation) -> Evaluation:
        if self._accuracy is None:
            return evaluation
        function = self._accuracy.identify(evaluation.architecture) if self._plan.share_equal else None
        if function in scored:
            trial, first = scored[function]
            details = {**first.details, SAME_FUNCTION: trial}
            return replace(evaluation, score=replace(first, seconds=0.0, details=details))

        def go_on(epoch: int, value: float) -> bool:
            losses = self._losses_at_rung(evaluation, value)
            promising = rungs.promising(epoch, losses)
            return promising or not self._plan.early_stop

        score = self._accuracy.estimate(evaluation.architecture, go_on)
        if function:
            score = replace(score, details={**score.details, FUNCTION: function})
        return replace(evaluation, score=score, status="complete" if score.finished else "pruned")

    def _losses_at_rung(self, evaluation: Evaluation, accuracy: float) -> list[float]:
        values = [accuracy if o.name == "accuracy" else o.read(evaluation) for o in self._objectives]
        return [o.loss(v) for o, v in zip(self._objectives, values, strict=True) if v is not None]

    def _outcome(self, evaluation: Evaluation) -> Outcome:
        """Give what the sampler is told: values, or None for a failure, and how far beyond the limits they are.

        A candidate that a measured limit stopped has no accuracy yet, nor a figure of the devices that come later. Most
        samplers compare such by their violation alone; for those that do not, the worst that was seen stands in.
        """
        if evaluation.status == "duplicate":
            return self._first[evaluation.architecture.digest].outcome
        if evaluation.status not in ("complete", "pruned", "infeasible") or _kept_out_free(evaluation):
            return None, 0.0
        values = [o.read(evaluation) for o in self._objectives]
        if evaluation.status == "infeasible":
            values = [self._worst(o) if v is None else v for o, v in zip(self._objectives, values, strict=True)]
        known = [value for value in values if value is not None]
        return (known if len(known) == len(values) else None), self._violation(evaluation)

    def _facts(self, evaluation: Evaluation) -> Mapping[str, Any]:
        """Give what the surrogate reads of a candidate besides its values; the other samplers have no use for it."""
        if self._plan.sampler != "surrogate":
            return {}
        if evaluation.status == "duplicate":
            return self._first[evaluation.architecture.digest].facts
        limits = {name: (find_objective(name).read(evaluation), limit) for name, limit in self._plan.limits.items()}
        facts: dict[str, Any] = {EXCESS: {n: value / limit - 1 for n, (value, limit) in limits.items() if value}}
        values = [objective.read(evaluation) for objective in self._objectives]
        if None in values and evaluation.status == "infeasible":
            facts[STANDS_IN] = [index for index, value in enumerate(values) if value is None]
        if evaluation.cost is not None:
            facts[HINTS] = hints_of(evaluation.cost)
        if evaluation.score is not None and evaluation.score.curve:
            estimated = [index for index, objective in enumerate(self._objectives) if objective.figure == "accuracy"]
            facts[CURVES] = {str(index): [list(point) for point in evaluation.score.curve] for index in estimated}
            if not evaluation.score.finished:
                facts[PRELIMINARY] = estimated
        noise = [_deviation(evaluation, objective) for objective in self._objectives]
        return facts | ({NOISE: noise} if any(noise) else {})

    def _worst(self, objective: Objective) -> float:
        if objective.maximize:
            return 0.0
        return self._largest.get(objective.name, 0.0)

    def _violation(self, evaluation: Evaluation) -> float:
        excess = 0.0
        for name, limit in self._plan.limits.items():
            value = find_objective(name).read(evaluation)
            if value is not None:
                excess += max(0.0, value / limit - 1)
        return excess

    def _note(self, evaluation: Evaluation) -> None:
        """Take a stored trial into account."""
        for objective in self._objectives:
            if (value := objective.read(evaluation)) is not None:
                self._largest[objective.name] = max(value, self._largest.get(objective.name, value))
        first = _First(evaluation.trial, evaluation.cost, self._outcome(evaluation), self._facts(evaluation))
        self._first.setdefault(evaluation.architecture.digest, first)
        growth = self.front.add(evaluation)
        new = evaluation.status != "duplicate" and not _kept_out_free(evaluation)
        self.evaluated += new
        self._idle = 0 if new else self._idle + 1
        self._flat = 0 if growth > _GROWTH or not self.front.members else self._flat + new
        self._succeeded |= evaluation.status in ("complete", "pruned", "infeasible")

    def _nothing_left(self) -> str | None:
        """Say that a grid was visited as a whole, if so."""
        if self._plan.sampler != "grid" or self._next < len(self._starts):
            return None
        return f"all {self._space.size():,} points of {self._space.name} were visited"

    def _nothing_new(self, budget: Budget) -> str | None:
        """Say why going on would find nothing, if so."""
        if budget.flat is not None and self._flat >= budget.flat:
            return f"the last {self._flat} evaluated candidates added less than {_GROWTH:.1%} each to the hypervolume"
        if self._plan.sampler != "grid" and self._idle >= _IDLE:
            return f"the last {_IDLE} proposals of {self._plan.sampler} were duplicates or beyond the limits"
        return None

    def _replay(self) -> int:
        """Fill the memory from the log; gives the number of the next trial."""
        number = 0
        recent: deque[tuple[Evaluation, Mapping[str, Any]]] = deque()
        for evaluation, noted in self._log.evaluations():
            self._note(evaluation)
            # A run of an earlier nasbench may lack facts that the surrogate reads now.
            recent.append((evaluation, {**self._facts(evaluation), **noted}))
            number = evaluation.trial + 1
            if len(recent) >= self._plan.lag:
                told, state = recent.popleft()
                self._study.replay(told.choices, self._lesson(told), state)
                self._learn(told)
        self._study.replay_state(self._log.study_state())
        # Undisturbed, the sampler would know that it proposed these, and not yet what became of them.
        for evaluation, state in recent:
            beside = None if evaluation.choices else evaluation.architecture
            candidate = self._study.replay_asked(evaluation.trial, evaluation.choices, state, beside)
            self._untold.append((candidate, evaluation))
        return number


def _deviation(evaluation: Evaluation, objective: Objective) -> float | None:
    """Give the standard deviation that the 95 % interval of a latency stands for; None where there is none."""
    measurement = pareto.measurement_for(evaluation, objective)
    if objective.figure != "latency" or measurement is None or measurement.low_s is None or measurement.high_s is None:
        return None
    return (measurement.high_s - measurement.low_s) / (2 * 1.96)


def _kept_out_free(evaluation: Evaluation) -> bool:
    return evaluation.status == "infeasible" and not evaluation.measurements and evaluation.score is None
