"""How good a sampler's front is after so many evaluations, replayed on a table that knows every network.

Nothing is measured or trained, so that many runs with many seeds take minutes. As in a search, what was proposed before
is no evaluation, and a network whose entry is missing or faulty is one that failed.

Sources: Dong and Yang, NAS-Bench-201, 2020, arXiv:2001.00326 (tables in place of trainings); Zitzler and Thiele, 1998,
doi:10.1007/BFb0056872 (hypervolume).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from nasbench import pareto
from nasbench.errors import DefinitionError
from nasbench.model.cost import count
from nasbench.objectives import Objective
from nasbench.search.study import Study, hints_of
from nasbench.space.space import SearchSpace
from nasbench.surrogate.sampler import HINTS

REFERENCE = 1.1
"""The corner of the box that volumes are counted in: so far from the ideal, where the true front's nadir is at 1."""

_IDLE = 500
"""Proposals in a row without a new network, after which a run ends."""

_RESAMPLES = 10_000

Losses = NDArray[np.float64]


@dataclass(frozen=True)
class Benchmark:
    """A space of which every network's figures are known. `values` has them by digest, in the objectives' order."""

    space: SearchSpace
    objectives: tuple[Objective, ...]
    values: Mapping[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        if not self.values:
            raise DefinitionError(f"the tables have no network of {self.space.name} in common")

    @cached_property
    def front(self) -> Losses:
        """The losses of the true front, shape (members, objectives)."""
        losses = np.array([self.losses(values) for values in self.values.values()])
        return losses[pareto.non_dominated(losses)]

    @cached_property
    def best_hypervolume(self) -> float:
        """The hypervolume of the true front."""
        return pareto.hypervolume(self.scale(self.front), np.full(len(self.objectives), REFERENCE))

    def losses(self, values: Sequence[float]) -> list[float]:
        """Give values as losses."""
        return [objective.loss(value) for objective, value in zip(self.objectives, values, strict=True)]

    def scale(self, losses: Losses) -> Losses:
        """Scale losses so that the true front's ideal is at 0 and its nadir at 1."""
        ideal, nadir = self.front.min(axis=0), self.front.max(axis=0)
        span = np.where(nadir > ideal, nadir - ideal, 1.0)
        return np.asarray((losses - ideal) / span)


@dataclass(frozen=True, slots=True)
class Step:
    """Where a run of a sampler stands after so many evaluations.

    `gap` is what is missing: with one objective the regret, best possible less best found, in the objective's unit;
    with several the share of the true front's hypervolume that is not found. `proposing_s` is how long this proposal
    took, the failed and repeated ones before it included.
    """

    sampler: str
    seed: int
    evaluations: int
    gap: float
    proposing_s: float


@dataclass(frozen=True, slots=True)
class Standing:
    """A sampler over its seeds. `low` and `high` bound the mean gap with 95 % over seeds drawn again.

    `to_best` is the median number of evaluations until nothing was missing, None when half of the runs never got there.
    """

    sampler: str
    seeds: int
    evaluations: int
    gap: float
    low: float
    high: float
    to_best: float | None
    proposing_s: float


Tell = Callable[[Sequence[float] | None], object]
"""Called with a network's values in the objectives' order, None where it failed."""


def play(benchmark: Benchmark, sampler: str, seed: int, trials: int) -> Iterator[Step]:
    """Run a sampler on a benchmark, without the space's published points."""
    study = Study(benchmark.space, benchmark.objectives, sampler, seed)
    numbers = itertools.count()

    def ask() -> tuple[str, Tell]:
        candidate = study.ask(next(numbers))

        def tell(values: Sequence[float] | None) -> None:
            hinted = sampler == "surrogate" and values is not None
            facts = {HINTS: hints_of(count(candidate.architecture))} if hinted else {}
            study.mark(candidate, 0.0, facts)
            study.tell(candidate, values)

        return candidate.architecture.digest, tell

    return follow(benchmark, sampler, seed, trials, ask)


def follow(
    benchmark: Benchmark, name: str, seed: int, trials: int, ask: Callable[[], tuple[str, Tell]]
) -> Iterator[Step]:
    """Run whatever proposes networks: `ask` gives the digest of the next one, and what is to be told of it."""
    gap = _Gap(benchmark)
    seen: set[str] = set()
    idle, spent_s = 0, 0.0
    while len(seen) < trials and idle < _IDLE:
        began = time.perf_counter()
        digest, tell = ask()
        spent_s += time.perf_counter() - began
        values = benchmark.values.get(digest)
        tell(values)
        if digest in seen:
            idle += 1
            continue
        seen.add(digest)
        yield Step(name, seed, len(seen), gap.add(values), spent_s)
        idle, spent_s = 0, 0.0


def play_all(
    benchmark: Benchmark, samplers: Sequence[str], seeds: int, trials: int, workers: int = 1
) -> Iterator[list[Step]]:
    """Run each sampler with every seed from 0, seed by seed, so many at a time; each run as it ends."""
    jobs = [(sampler, seed) for seed in range(seeds) for sampler in samplers]
    if workers == 1:
        for sampler, seed in jobs:
            yield list(play(benchmark, sampler, seed, trials))
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _keep, (benchmark, trials)) as pool:
        yield from pool.map(_play_kept, jobs)


_kept: list[tuple[Benchmark, int]] = []
"""What a process of the pool plays, so that it is sent once."""


def _keep(benchmark: Benchmark, trials: int) -> None:
    _kept.append((benchmark, trials))


def _play_kept(job: tuple[str, int]) -> list[Step]:
    benchmark, trials = _kept[0]
    return list(play(benchmark, *job, trials))


class _Gap:
    """What is missing of the optimum, as networks come."""

    def __init__(self, benchmark: Benchmark) -> None:
        self._benchmark = benchmark
        self._tracker = pareto.FrontTracker(np.full(len(benchmark.objectives), REFERENCE))
        self._alone = len(benchmark.objectives) == 1
        self._best = np.inf

    def add(self, values: Sequence[float] | None) -> float:
        """Take one more network, None for one that failed, and give what is missing."""
        benchmark = self._benchmark
        if values is not None:
            losses = np.array(benchmark.losses(values))
            self._best = min(self._best, losses[0])
            if not self._alone:
                self._tracker.add(benchmark.scale(losses[None, :])[0])
        if self._alone:
            return float(self._best - benchmark.front[:, 0].min())
        return 1.0 - self._tracker.hypervolume / benchmark.best_hypervolume


def summarize(steps: Sequence[Step], evaluations: int, seed: int = 0) -> list[Standing]:
    """Compare samplers after so many evaluations, or at the end of runs that were shorter; the best first."""
    found = []
    for sampler in dict.fromkeys(step.sampler for step in steps):
        runs: dict[int, list[Step]] = {}
        for step in steps:
            if step.sampler == sampler and step.evaluations <= evaluations:
                runs.setdefault(step.seed, []).append(step)
        gaps = np.array([run[-1].gap for run in runs.values()])
        reached = [next((s.evaluations for s in run if s.gap <= 1e-12), np.inf) for run in runs.values()]
        drawn = np.random.default_rng(seed).choice(gaps, size=(_RESAMPLES, len(gaps)))
        low, high = np.quantile(drawn.mean(axis=1), [0.025, 0.975])
        median = float(np.median(reached))
        found.append(
            Standing(
                sampler,
                len(runs),
                evaluations,
                float(gaps.mean()),
                float(low),
                float(high),
                median if np.isfinite(median) else None,
                float(np.mean([step.proposing_s for run in runs.values() for step in run])),
            )
        )
    return sorted(found, key=lambda one: one.gap)
