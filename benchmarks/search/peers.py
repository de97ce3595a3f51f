"""Other projects' searchers on the same benchmarks: each asks for a point and is told its losses.

A point is a list of level numbers, one a choice. What a searcher proposes again counts as an evaluation no more than it
does for ours. Failed networks are told the worst losses that there are, which is what these projects advise.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

warnings.simplefilter("ignore")


class Searcher(Protocol):
    """A searcher over `levels[i]` levels of choice i."""

    def ask(self) -> Sequence[int]:
        """Propose a point."""
        ...

    def tell(self, point: Sequence[int], losses: Sequence[float]) -> None:
        """Learn a point's losses."""
        ...


class OptunaSearcher:
    """A sampler of Optuna as its users set it up."""

    def __init__(self, sampler: Any, levels: Sequence[int], objectives: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(sampler=sampler, directions=["minimize"] * objectives)
        self._levels = levels

    def ask(self) -> Sequence[int]:
        self._trial = self._study.ask()
        return [
            self._trial.suggest_categorical(f"c{index}", list(range(count))) for index, count in enumerate(self._levels)
        ]

    def tell(self, point: Sequence[int], losses: Sequence[float]) -> None:
        self._study.tell(self._trial, list(losses))


class PymooSearcher:
    """NSGA-II of pymoo on whole numbers."""

    def __init__(self, levels: Sequence[int], objectives: int, seed: int, population: int) -> None:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.problem import Problem
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.sampling.rnd import IntegerRandomSampling
        from pymoo.termination import get_termination

        most = np.array(levels) - 1
        self._problem = Problem(n_var=len(levels), n_obj=objectives, xl=0, xu=most, vtype=int)
        self._algorithm = NSGA2(
            pop_size=population,
            sampling=IntegerRandomSampling(),
            crossover=SBX(prob=0.9, eta=3, vtype=float, repair=RoundingRepair()),
            mutation=PM(eta=3, vtype=float, repair=RoundingRepair()),
            eliminate_duplicates=True,
        )
        self._algorithm.setup(self._problem, termination=get_termination("n_gen", 10**9), seed=seed, verbose=False)
        self._waiting: list[list[int]] = []
        self._told: list[Sequence[float]] = []

    def ask(self) -> Sequence[int]:
        if not self._waiting:
            self._offspring = self._algorithm.ask()
            self._waiting = [[int(v) for v in row] for row in self._offspring.get("X")]
            self._told = []
        return self._waiting[len(self._told)]

    def tell(self, point: Sequence[int], losses: Sequence[float]) -> None:
        from pymoo.core.evaluator import Evaluator
        from pymoo.problems.static import StaticProblem

        self._told.append(losses)
        if len(self._told) == len(self._waiting):
            Evaluator().eval(StaticProblem(self._problem, F=np.array(self._told)), self._offspring)
            self._algorithm.tell(infills=self._offspring)
            self._waiting = []


class SyneTuneSearcher:
    """Multi-objective regularized evolution of Syne Tune."""

    def __init__(self, levels: Sequence[int], objectives: int, seed: int) -> None:
        from syne_tune.config_space import choice
        from syne_tune.optimizer.schedulers.multiobjective.multi_objective_regularized_evolution import (
            MultiObjectiveRegularizedEvolution,
        )

        self._count = len(levels)
        space = {f"c{index}": choice(list(range(count))) for index, count in enumerate(levels)}
        self._searcher = MultiObjectiveRegularizedEvolution(space, random_seed=seed)
        self._number = 0

    def ask(self) -> Sequence[int]:
        self._config = self._searcher.suggest()
        return [int(self._config[f"c{index}"]) for index in range(self._count)]

    def tell(self, point: Sequence[int], losses: Sequence[float]) -> None:
        self._searcher.on_trial_complete(self._number, self._config, list(map(float, losses)))
        self._number += 1


class BotorchSearcher:
    """qLogNEHVI of BoTorch over one-hot choices, the acquisition optimized by local search over categories."""

    def __init__(self, levels: Sequence[int], objectives: int, seed: int, startup: int = 20) -> None:
        import torch

        torch.manual_seed(seed)
        torch.set_num_threads(1)
        self._levels, self._rng, self._startup = levels, np.random.default_rng(seed), startup
        self._points: list[list[int]] = []
        self._losses: list[list[float]] = []

    def ask(self) -> Sequence[int]:
        if len(self._points) < self._startup:
            return [int(self._rng.integers(count)) for count in self._levels]
        import torch
        from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import SingleTaskGP
        from botorch.optim import optimize_acqf_discrete
        from gpytorch.mlls import ExactMarginalLogLikelihood

        x = torch.tensor(np.array([self._one_hot(point) for point in self._points]), dtype=torch.float64)
        losses = torch.tensor(np.array(self._losses), dtype=torch.float64)
        y = -(losses - losses.mean(0)) / losses.std(0)
        model = SingleTaskGP(x, y)
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        acquisition = qLogNoisyExpectedHypervolumeImprovement(
            model=model, ref_point=(y.min(0).values - 0.1).tolist(), X_baseline=x, prune_baseline=True
        )
        known = {tuple(point) for point in self._points}
        drawn = {tuple(int(self._rng.integers(count)) for count in self._levels) for _ in range(500)}
        front = [self._points[i] for i in np.argsort([sum(one) for one in self._losses])[:20]]
        near = {
            (*point[:column], level, *point[column + 1 :])
            for point in front
            for column, count in enumerate(self._levels)
            for level in range(count)
        }
        pool = sorted((drawn | near) - known)
        options = torch.tensor(np.array([self._one_hot(point) for point in pool]), dtype=torch.float64)
        best, _ = optimize_acqf_discrete(acquisition, q=1, choices=options, max_batch_size=512)
        return pool[int((options == best).all(dim=1).nonzero()[0])]

    def tell(self, point: Sequence[int], losses: Sequence[float]) -> None:
        self._points.append(list(point))
        self._losses.append(list(losses))

    def _one_hot(self, point: Sequence[int]) -> np.ndarray:
        return np.concatenate([np.eye(count)[level] for level, count in zip(point, self._levels, strict=True)])


def make_peers() -> dict[str, Callable[[Sequence[int], int, int], Searcher]]:
    """Give the peers that are installed, by name; each takes the levels, the number of objectives and a seed."""
    import optuna

    samplers = optuna.samplers
    found: dict[str, Callable[[Sequence[int], int, int], Searcher]] = {
        "optuna TPE": lambda levels, m, seed: OptunaSearcher(samplers.TPESampler(seed=seed), levels, m),
        "optuna NSGA-II": lambda levels, m, seed: OptunaSearcher(samplers.NSGAIISampler(seed=seed), levels, m),
        "optuna GP": lambda levels, m, seed: OptunaSearcher(samplers.GPSampler(seed=seed), levels, m),
        "pymoo NSGA-II": lambda levels, m, seed: PymooSearcher(levels, m, seed, population=20),
        "Syne Tune MO-REA": lambda levels, m, seed: SyneTuneSearcher(levels, m, seed),
        "BoTorch qLogNEHVI": lambda levels, m, seed: BotorchSearcher(levels, m, seed),
    }
    needs = {"pymoo NSGA-II": "pymoo", "Syne Tune MO-REA": "syne_tune", "BoTorch qLogNEHVI": "botorch"}
    for name, package in needs.items():
        if importlib.util.find_spec(package) is None:
            print(f"left out: {name}, since {package} is not installed", file=sys.stderr)
            del found[name]
    return found
