"""The search: ask, decode, count, measure, train, store, tell."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from nasbench.accuracy.base import Accuracy
from nasbench.device.base import Device
from nasbench.errors import CandidateError, DefinitionError, SearchError
from nasbench.measure.cache import MeasurementCache
from nasbench.measure.levels import Progress as Round
from nasbench.measure.levels import screen
from nasbench.model.cost import count
from nasbench.objectives import OBJECTIVES
from nasbench.records import Cost, Evaluation
from nasbench.search.confirm import confirm_members, to_confirm
from nasbench.search.front import LiveFront
from nasbench.search.plan import Budget, SearchPlan
from nasbench.search.rungs import Rungs
from nasbench.search.samplers import grid_points
from nasbench.search.study import Candidate, Study
from nasbench.space.architecture import Architecture, Scalar
from nasbench.space.space import SearchSpace
from nasbench.store.log import RunLog
from nasbench.store.parquet import FlushSchedule, flush

_PROBES = 200
"""Architectures sampled to see whether the limits can be met at all."""

_IDLE = 500
"""Proposals in a row that were duplicates or beyond a free limit, after which the sampler has nothing new."""

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


Outcome = tuple[list[float] | None, float]
"""What a sampler is told of a candidate: its objectives' values (None: it failed) and its violation of the limits."""


@dataclass(frozen=True, slots=True)
class _First:
    """What is remembered of a network for when it is proposed again; its raw samples are on disk."""

    trial: int
    cost: Cost | None
    outcome: Outcome


class Search:
    """One run of a search. `log` is its memory on disk; everything here can be made again from it."""

    def __init__(
        self,
        space: SearchSpace,
        plan: SearchPlan,
        log: RunLog,
        accuracy: Accuracy | None,
        device: Device | None,
        cache: MeasurementCache | None = None,
    ) -> None:
        self._space = space
        self._plan = plan
        self._log = log
        self._accuracy = accuracy
        self._device = device
        self._cache = cache
        self._objectives = [OBJECTIVES[name] for name in plan.objectives]
        self._study = Study(space, self._objectives, plan.sampler, plan.seed)
        self._rungs = Rungs()
        self._first: dict[str, _First] = {}
        self._idle = 0
        self._succeeded = False
        self._schedule = FlushSchedule()
        self.evaluated = 0
        self.front = LiveFront(self._objectives, plan.limits)
        self._starts = starting_points(space, plan)
        self._next = self._replay()

    def run(self, budget: Budget, watch: Callable[[Progress], None] = lambda progress: None) -> str | None:
        """Search until the budget is spent; every trial is on disk before the next one begins.

        Returns:
            Why the search ended before its budget was spent, or None when it did not.

        Raises:
            SearchError: everything fails.
            DeviceError: the device is gone. The run can be resumed.
        """
        began = time.monotonic()
        try:
            while not budget.spent(self.evaluated, time.monotonic() - began):
                evaluation = self._trial()
                self._note(evaluation)
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
                if nothing_new := self._nothing_new():
                    return nothing_new
        finally:
            flush(self._log)
        return None

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
        if self._device is None or "latency" not in self._plan.objectives:
            return []
        return to_confirm(self.front.members, self._plan.confirming, self._log)

    def confirm_front(
        self, say: Callable[[str], object], watch: Callable[[Round], object] = lambda progress: None
    ) -> None:
        """Measure the members of the front again, interleaved and in several processes each, and store what comes.

        Figures of an earlier confirmation are replaced. A member that fails is said, and keeps the search's figure.

        Raises:
            DeviceError: the device is gone. What was confirmed is stored; a resumed run confirms anew.
        """
        assert self._device is not None, "only a device can confirm"
        try:
            confirm_members(
                self.to_confirm(), self._plan.confirming, self._device, self._log, self._cache, say=say, watch=watch
            )
        finally:
            flush(self._log)

    def _trial(self) -> Evaluation:
        start = self._starts[self._next] if self._next < len(self._starts) else None
        candidate = self._study.ask(self._next, start[1] if start else None)
        evaluation = self._evaluate(candidate, start[0] if start else None)
        values, violation = self._outcome(evaluation)
        state = self._study.mark(candidate, violation)
        self._log.append(evaluation, state, self._study.changed_state())
        self._study.tell(candidate, values)
        self._next += 1
        return evaluation

    def _evaluate(self, candidate: Candidate, published: str | None) -> Evaluation:
        began = time.monotonic()
        evaluation = Evaluation(
            candidate.number,
            "complete",
            candidate.choices,
            candidate.architecture,
            published=published,
            started_at=datetime.now(UTC).isoformat(),
        )
        first = self._first.get(candidate.architecture.digest)
        if first is not None:
            return replace(evaluation, status="duplicate", of_trial=first.trial, cost=first.cost)
        for step in (self._count_cost, self._measure, self._estimate):
            try:
                evaluation = step(evaluation)
            except CandidateError as error:
                evaluation = replace(evaluation, status=error.status, error=str(error))
            if evaluation.status != "complete":
                break
        return replace(evaluation, seconds=time.monotonic() - began)

    def _count_cost(self, evaluation: Evaluation) -> Evaluation:
        return _limited(replace(evaluation, cost=count(evaluation.architecture)), self._plan.limits)

    def _measure(self, evaluation: Evaluation) -> Evaluation:
        if self._device is None:
            return evaluation
        architecture, timing = evaluation.architecture, self._plan.timing
        measurement = self._cache.find(self._device, architecture, timing) if self._cache else None
        if measurement is None:
            measurement = screen(self._device, architecture, timing)
            if self._cache:
                self._cache.keep(self._device, architecture, measurement, self._log.name)
        return _limited(replace(evaluation, measurements=(measurement,)), self._plan.limits)

    def _estimate(self, evaluation: Evaluation) -> Evaluation:
        if self._accuracy is None:
            return evaluation

        def go_on(epoch: int, value: float) -> bool:
            losses = self._losses_at_rung(evaluation, value)
            promising = self._rungs.promising(epoch, losses)
            return promising or not self._plan.early_stop

        score = self._accuracy.estimate(evaluation.architecture, go_on)
        return replace(evaluation, score=score, status="complete" if score.finished else "pruned")

    def _losses_at_rung(self, evaluation: Evaluation, accuracy: float) -> list[float]:
        values = [accuracy if o.name == "accuracy" else o.read(evaluation) for o in self._objectives]
        return [o.loss(v) for o, v in zip(self._objectives, values, strict=True) if v is not None]

    def _outcome(self, evaluation: Evaluation) -> Outcome:
        """Give what the sampler is told: values, or None for a failure, and how far beyond the limits they are.

        A candidate that a measured limit stopped has no accuracy yet; the sampler compares such by their violation
        alone, so that 0 in its place decides nothing.
        """
        if evaluation.status == "duplicate":
            return self._first[evaluation.architecture.digest].outcome
        if evaluation.status not in ("complete", "pruned", "infeasible") or _kept_out_free(evaluation):
            return None, 0.0
        values = [o.read(evaluation) for o in self._objectives]
        if evaluation.status == "infeasible":
            values = [0.0 if o.name == "accuracy" else v for o, v in zip(self._objectives, values, strict=True)]
        known = [value for value in values if value is not None]
        return (known if len(known) == len(values) else None), self._violation(evaluation)

    def _violation(self, evaluation: Evaluation) -> float:
        excess = 0.0
        for name, limit in self._plan.limits.items():
            value = OBJECTIVES[name].read(evaluation)
            if value is not None:
                excess += max(0.0, value / limit - 1)
        return excess

    def _note(self, evaluation: Evaluation) -> None:
        """Take a stored trial into account."""
        first = _First(evaluation.trial, evaluation.cost, self._outcome(evaluation))
        self._first.setdefault(evaluation.architecture.digest, first)
        self.front.add(evaluation)
        if evaluation.score is not None and self._accuracy is not None:
            for epoch, value in evaluation.score.curve:
                if epoch in self._accuracy.rungs:
                    self._rungs.add(epoch, self._losses_at_rung(evaluation, value))
        new = evaluation.status != "duplicate" and not _kept_out_free(evaluation)
        self.evaluated += new
        self._idle = 0 if new else self._idle + 1
        self._succeeded |= evaluation.status in ("complete", "pruned", "infeasible")

    def _nothing_new(self) -> str | None:
        """Say why going on would find nothing, if so."""
        if self._plan.sampler == "grid":
            done = self._next >= len(self._starts)
            return f"all {self._space.size():,} points of {self._space.name} were visited" if done else None
        if self._idle >= _IDLE:
            return f"the last {_IDLE} proposals of {self._plan.sampler} were duplicates or beyond the limits"
        return None

    def _replay(self) -> int:
        """Fill the memory from the log; gives the number of the next trial."""
        number = 0
        for evaluation, state in self._log.evaluations():
            self._note(evaluation)
            self._study.replay(evaluation.choices, self._outcome(evaluation)[0], state)
            number = evaluation.trial + 1
        self._study.replay_state(self._log.study_state())
        return number


def starting_points(space: SearchSpace, plan: SearchPlan) -> list[tuple[str | None, Mapping[str, Scalar]]]:
    """Give the candidates that a search begins with: names, where they have one, and choices.

    Those are the published architectures of the space that are within the limits on what is counted; for a grid, every
    point of the space after them.
    """
    points: list[tuple[str | None, Mapping[str, Scalar]]] = []
    if plan.warm_start:
        points += [
            (named.name, named.choices)
            for named in space.architectures
            if named.choices and _counted(named.architecture, plan.limits).status == "complete"
        ]
    if plan.sampler == "grid":
        known = [choices for _, choices in points]
        points += [(None, choices) for choices in grid_points(space, plan.seed) if choices not in known]
    return points


def check_limits(space: SearchSpace, plan: SearchPlan) -> None:
    """Look before a search whether any sampled candidate meets the limits on what is counted.

    Raises:
        DefinitionError: none does; the text has the smallest figures seen.
    """
    free = {name: limit for name, limit in plan.limits.items() if OBJECTIVES[name].free}
    if not free:
        return
    rng = random.Random(plan.seed)
    sampled = []
    for _ in range(_PROBES):
        sampled.append(_counted(space.sample(rng)[1], free))
        if sampled[-1].status == "complete":
            return
    if any(_counted(n.architecture, free).status == "complete" for n in space.architectures if n.choices):
        return
    asked = ", ".join(f"{name}={OBJECTIVES[name].show(limit)}" for name, limit in free.items())
    seen = [evaluation for evaluation in sampled if evaluation.cost]
    smallest = ", ".join(
        f"{OBJECTIVES[name].show(min(OBJECTIVES[name].read(e) or 0.0 for e in seen))} {name}" for name in free if seen
    )
    raise DefinitionError(
        f"none of {_PROBES} architectures sampled from {space.name} meets --max {asked}; the smallest seen: "
        f"{smallest or 'none could be built'}. Raise the limit or search another space."
    )


def _counted(architecture: Architecture, limits: Mapping[str, float]) -> Evaluation:
    """Give a trial that went no further than counting."""
    evaluation = Evaluation(0, "complete", {}, architecture)
    try:
        return _limited(replace(evaluation, cost=count(architecture)), limits)
    except CandidateError as error:
        return replace(evaluation, status=error.status, error=str(error))


def _limited(evaluation: Evaluation, limits: Mapping[str, float]) -> Evaluation:
    """Mark a candidate that is beyond a limit, as far as its figures are known."""
    for name, limit in limits.items():
        objective = OBJECTIVES[name]
        value = objective.read(evaluation)
        if value is not None and value > limit:
            reason = f"{name} is {objective.show(value)}; the limit is {objective.show(limit)}"
            return replace(evaluation, status="infeasible", error=reason)
    return evaluation


def _kept_out_free(evaluation: Evaluation) -> bool:
    return evaluation.status == "infeasible" and not evaluation.measurements and evaluation.score is None
