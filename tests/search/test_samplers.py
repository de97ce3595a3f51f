"""The samplers that are ours and small: draws against their distribution, and the front that grows with a search."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from scipy import stats

from nasbench import pareto
from nasbench.objectives import find_objective
from nasbench.records import Cost, Evaluation, Score
from nasbench.search.front import LiveFront
from nasbench.search.samplers import UniformSampler, make_distributions
from nasbench.space.architecture import Architecture
from nasbench.space.choice import Choice, Steps
from nasbench.space.kinds import make_block

ARCHITECTURE = Architecture((3, 8, 8), 10, (make_block("pool_linear", 3, 10, 1, {}, "row"),))


@pytest.mark.parametrize(
    "distribution",
    [
        CategoricalDistribution(("conv", 3, None, True)),
        IntDistribution(8, 88, step=16),
        FloatDistribution(0.25, 1.5, step=0.25),
        FloatDistribution(0.25, 1.4, step=0.05),
    ],
)
def test_every_value_is_drawn_as_often_as_any_other_and_as_optuna_draws_it(distribution):
    ours, theirs = UniformSampler(1), optuna.samplers.RandomSampler(seed=1)
    ours_drawn, theirs_drawn = (
        [sampler.sample_independent(None, None, "choice", distribution) for _ in range(4000)]
        for sampler in (ours, theirs)
    )

    assert {_rounded(value) for value in ours_drawn} == {_rounded(value) for value in theirs_drawn}
    assert all(distribution._contains(distribution.to_internal_repr(value)) for value in ours_drawn)
    assert stats.chisquare(list(Counter(ours_drawn).values())).pvalue > 1e-3


def _rounded(value):
    return round(value, 9) if isinstance(value, float) else value


def test_values_that_python_takes_for_equal_are_told_apart():
    choices = [Choice("a", (0, 1)), Choice("b", (False, True)), Choice("c", (0.0, 1.0)), Choice("d", Steps(0, 1, 1))]
    distributions = make_distributions(SimpleNamespace(choices=choices))

    assert [type(one.choices[1]) for one in list(distributions.values())[:3]] == [int, bool, float]
    assert isinstance(distributions["d"], IntDistribution)
    assert distributions["a"] == make_distributions(SimpleNamespace(choices=choices))["a"]
    other = make_distributions(SimpleNamespace(choices=[Choice("a", (0, 2))]))["a"]
    assert distributions["a"] != other


@pytest.mark.parametrize("seed", range(3))
def test_a_front_that_grows_is_that_of_all_trials_so_far_equal_ones_included(seed):
    names = ("accuracy", "params", "macs")
    objectives = [find_objective(name) for name in names]
    draw = np.random.default_rng(seed)
    front, seen = LiveFront(objectives, {"macs": 8}), []
    for trial in range(60):
        accuracy, params, macs = draw.integers(1, 10, 3)
        cost = Cost(int(params), int(macs), 1, 1, 1, 1, 1, 1)
        score = Score(accuracy / 10, "top1", "free", "none", "none", 0.0)
        seen.append(Evaluation(trial, "complete", {}, ARCHITECTURE, cost=cost, score=score))
        front.add(seen[-1])

        feasible = [one for one in seen if one.cost.macs <= 8]
        losses = pareto.losses_of(feasible, objectives)
        beaten = [((losses <= own).all(axis=1) & (losses < own).any(axis=1)).any() for own in losses]
        expected = [one.trial for one, out in zip(feasible, beaten, strict=True) if not out]
        assert [member.trial for member in front.members] == expected
        assert front.hypervolume == pytest.approx(pareto.normalized_hypervolume(seen, objectives, {"macs": 8}))
