"""The samplers, by the names that users write. Adding one is one entry here."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nasbench import pareto
from nasbench.errors import DefinitionError
from nasbench.registry import unknown_name
from nasbench.search.names import SAMPLER_NAMES
from nasbench.space.architecture import Scalar
from nasbench.space.choice import Choice
from nasbench.space.space import SearchSpace

_LARGEST_GRID = 20_000


class RegularizedEvolutionSampler(BaseSampler):
    """Mutate one choice of the best of a few drawn from the youngest trials.

    Source: Real et al., Regularized Evolution for Image Classifier Architecture Search, 2018, arXiv:1802.01548,
    algorithm 1. Differs: with several objectives, the best is one of the lowest non-domination rank in the population.
    """

    def __init__(self, seed: int, population_size: int = 50, tournament_size: int = 10) -> None:
        self._rng = np.random.default_rng(seed)
        self._random = RandomSampler(seed)
        self._population_size = population_size
        self._tournament_size = tournament_size

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Leave every choice to `sample_independent`, since which exist is known only while decoding."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Give nothing."""
        return {}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Choose the parent, and which of its choices to draw anew."""
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        self._parent: dict[str, Any] = {}
        self._mutated = ""
        if len(complete) < self._population_size:
            return
        population = complete[-self._population_size :]
        drawn = self._rng.choice(len(population), size=self._tournament_size, replace=False)
        ranks = pareto.rank(_losses(study, population))
        best = min(drawn, key=lambda index: (_violation(population[index]), ranks[index]))
        self._parent = population[best].params
        self._mutated = str(self._rng.choice(sorted(self._parent)))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Inherit the parent's value, or draw a new one where there is none or it is the mutated choice."""
        inherited = self._parent.get(param_name)
        if inherited is None or not param_distribution._contains(param_distribution.to_internal_repr(inherited)):
            return self._random.sample_independent(study, trial, param_name, param_distribution)
        if param_name != self._mutated:
            return inherited
        for _ in range(20):
            value = self._random.sample_independent(study, trial, param_name, param_distribution)
            if value != inherited:
                break
        return value


def _losses(study: Study, trials: Sequence[FrozenTrial]) -> Any:
    signs = [1.0 if direction == optuna.study.StudyDirection.MINIMIZE else -1.0 for direction in study.directions]
    return np.array([[sign * value for sign, value in zip(signs, t.values, strict=True)] for t in trials])


def _violation(trial: FrozenTrial) -> float:
    return sum(max(0.0, value) for value in trial.constraints.values())


SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "random": lambda seed: RandomSampler(seed),
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=False),
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=20),
    "nsga3": lambda seed: optuna.samplers.NSGAIIISampler(seed=seed, population_size=20),
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False),
    "evolution": lambda seed: RegularizedEvolutionSampler(seed, population_size=20, tournament_size=5),
    "grid": lambda seed: RandomSampler(seed),  # never asked: the search hands it the points one by one
}


def check_sampler(name: str, space: SearchSpace) -> None:
    """Check a sampler's name, and that a space is small enough for it.

    Raises:
        UnknownNameError: there is no such sampler.
        DefinitionError: a grid over the space would never end.
    """
    if name not in SAMPLERS:
        raise unknown_name("sampler", name, SAMPLERS)
    if name == "grid" and space.size() > _LARGEST_GRID:
        raise DefinitionError(
            f"the sampler 'grid' would visit all {space.size():,} points of {space.name}; it is for spaces of at most "
            f"{_LARGEST_GRID:,}. Use tpe, nsga2 or evolution."
        )


def grid_points(space: SearchSpace, seed: int) -> list[dict[str, Scalar]]:
    """Give the choices of every point of a small space, in an order drawn from the seed."""
    points: list[dict[str, Scalar]] = []
    branches: list[list[Scalar]] = [[]]  # the values of the choices asked so far, in the order they are asked
    while branches:
        values = branches.pop()
        chosen: dict[str, Scalar] = {}

        def pick(choice: Choice, values: list[Scalar] = values, chosen: dict[str, Scalar] = chosen) -> Scalar:
            if len(chosen) == len(values):
                branches.extend([*values, value] for value in choice.values)
                raise _OpenBranch
            chosen[choice.name] = values[len(chosen)]
            return chosen[choice.name]

        with contextlib.suppress(_OpenBranch):
            space.decode(pick)
            points.append(chosen)
    order = np.random.default_rng(seed).permutation(len(points))
    return [points[index] for index in order]


class _OpenBranch(Exception):
    """Ends a decoding at the first choice that has no value yet."""


def make_sampler(name: str, seed: int, trial: int) -> BaseSampler:
    """Make the sampler that asks for one trial.

    Every trial gets a fresh one, seeded by the run's seed and its own number. What it answers then depends on the
    trials before and on nothing else, and a search that was killed goes on as if it had not been.
    """
    own_seed = int(np.random.SeedSequence([seed, trial]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return SAMPLERS[name](own_seed)


assert set(SAMPLERS) == set(SAMPLER_NAMES)
