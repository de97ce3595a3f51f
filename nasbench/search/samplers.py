"""The samplers, by the names that users write. Adding one is one entry here."""

from __future__ import annotations

import contextlib
import math
import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nasbench import pareto
from nasbench.errors import DefinitionError
from nasbench.registry import unknown_name
from nasbench.search.names import SAMPLER_NAMES
from nasbench.space.architecture import Scalar
from nasbench.space.choice import Choice, Steps
from nasbench.space.space import SearchSpace
from nasbench.surrogate.sampler import SurrogateSampler

_LARGEST_GRID = 20_000


class UniformSampler(BaseSampler):
    """Draw every value of a choice with the same probability.

    Optuna's own gives the same distribution by a detour through real numbers, which with its seeding takes a quarter of
    a trial that costs nothing else.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Leave every choice to `sample_independent`, since which exist is known only while decoding."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Give nothing."""
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw a value of one choice."""
        if isinstance(param_distribution, CategoricalDistribution):
            return self._random.choice(param_distribution.choices)
        assert isinstance(param_distribution, IntDistribution | FloatDistribution), "a choice is one of the three"
        low, high, step = param_distribution.low, param_distribution.high, param_distribution.step
        assert step is not None, "numbers of a choice are evenly spaced"
        return min(low + step * self._random.randrange(round((high - low) / step) + 1), high)


class RegularizedEvolutionSampler(UniformSampler):
    """Mutate one choice of the best of a few drawn from the youngest trials.

    Source: Real et al., Regularized Evolution for Image Classifier Architecture Search, 2018, arXiv:1802.01548,
    algorithm 1. Differs: with several objectives, the best is one of the lowest non-domination rank in the population.
    """

    def __init__(self, seed: int, population_size: int = 50, tournament_size: int = 10) -> None:
        super().__init__(seed)
        self._rng = np.random.default_rng(seed)
        self._population_size = population_size
        self._tournament_size = tournament_size

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
            return super().sample_independent(study, trial, param_name, param_distribution)
        if param_name != self._mutated:
            return inherited
        for _ in range(20):
            value = super().sample_independent(study, trial, param_name, param_distribution)
            if value != inherited:
                break
        return value


def _losses(study: Study, trials: Sequence[FrozenTrial]) -> Any:
    signs = [1.0 if direction == optuna.study.StudyDirection.MINIMIZE else -1.0 for direction in study.directions]
    return np.array([[sign * value for sign, value in zip(signs, t.values, strict=True)] for t in trials])


def _violation(trial: FrozenTrial) -> float:
    return sum(max(0.0, value) for value in trial.constraints.values())


SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "surrogate": SurrogateSampler,
    "random": UniformSampler,
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=False),
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=20),
    "nsga3": lambda seed: optuna.samplers.NSGAIIISampler(seed=seed, population_size=20),
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False),
    "evolution": lambda seed: RegularizedEvolutionSampler(seed, population_size=20, tournament_size=5),
    "grid": UniformSampler,  # never asked: the search hands it the points one by one
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


def make_samplers(name: str, seed: int, space: SearchSpace, lag: int = 1) -> Callable[[int], BaseSampler]:
    """Give what makes the sampler that asks for a trial, by the trial's number.

    What a sampler answers depends on the seed, the number and the trials that are at least `lag` older, and on nothing
    else, so that a search that was killed goes on as if it had not been. Those of Optuna are therefore made anew for
    each trial; the surrogate keeps to it by itself, and keeps what it has read.
    """
    if name == "surrogate":
        one = _make_surrogate(seed, space, lag)
        return lambda trial: one

    def make(trial: int) -> BaseSampler:
        own_seed = int(np.random.SeedSequence([seed, trial]).generate_state(1)[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return SAMPLERS[name](own_seed)

    return make


def distribution_of(choice: Choice) -> BaseDistribution:
    """Give the distribution that a choice is drawn from."""
    values = choice.values
    if not isinstance(values, Steps):
        return CategoricalDistribution(values)
    if values.whole:
        return IntDistribution(int(values.low), int(values[-1]), step=int(values.step))
    return FloatDistribution(values.low, values[-1], step=values.step)


class _OneOf(CategoricalDistribution):
    """The values of a choice. Optuna compares them at every suggestion; here without a look at each where it can."""

    def __eq__(self, other: object) -> bool:
        return self is other or super().__eq__(other)

    __hash__ = CategoricalDistribution.__hash__


def make_distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Give what each choice of a space is drawn from in a search, by its name."""
    found = {choice.name: distribution_of(choice) for choice in space.choices}
    return {n: _OneOf(one.choices) if isinstance(one, CategoricalDistribution) else one for n, one in found.items()}


def _make_surrogate(seed: int, space: SearchSpace, lag: int) -> SurrogateSampler:
    known = {choice.name: choice for choice in space.choices}

    def effective(choices: Mapping[str, Any]) -> dict[str, Scalar]:
        used: dict[str, Scalar] = {}

        def pick(choice: Choice) -> Scalar:
            found = known[choice.name].find(choices[choice.name])
            assert found is not None, "a row of the encoding holds values of the choices"
            used[choice.name] = found
            return found

        space.decode(pick)
        return used

    always = space.size() == math.prod(len(choice.values) for choice in space.choices)
    return SurrogateSampler(
        seed, search_space=make_distributions(space), effective=None if always else effective, lag=lag
    )


assert set(SAMPLERS) == set(SAMPLER_NAMES)
