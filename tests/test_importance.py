import itertools
import json

import numpy as np
import pytest

from nasbench.importance import find_importances, objective_importances
from nasbench.objectives import OBJECTIVES

WIDTHS, KERNELS, KINDS = (8, 16, 32, 64), (3, 5, 7), ("conv", "mbconv", "repvit")
GRID = [
    {"width": width, "kernel": kernel, "kind": kind}
    for width, kernel, kind in itertools.product(WIDTHS, KERNELS, KINDS)
]


def shares(rows):
    return {row.choice: row.share for row in rows}


def test_shares_of_a_sum_are_those_of_its_parts():
    of_kind = {"conv": 0.0, "mbconv": 5.0, "repvit": 1.0}
    values = [0.1 * one["width"] + one["kernel"] + of_kind[one["kind"]] for one in GRID]

    # Variances of independent parts add up; a whole grid has each value of each choice equally often.
    parts = {
        "width": np.var([0.1 * width for width in WIDTHS]),
        "kernel": np.var(KERNELS),
        "kind": np.var(list(of_kind.values())),
    }
    expected = {name: part / sum(parts.values()) for name, part in parts.items()}
    rows = find_importances(GRID * 8, values * 8)
    assert shares(rows) == pytest.approx(expected, abs=0.01)
    assert [row.choice for row in rows] == sorted(expected, key=expected.__getitem__, reverse=True)


def test_what_choices_do_only_together_is_nobodys_share():
    values = [float((one["width"] > 16) ^ (one["kind"] == "conv")) for one in GRID]

    # With a = P(width > 16) = 1/2 the mean over widths is 1/2 for every kind; over kinds it is 1/3 or 2/3.
    expected = {"kind": 0.0, "kernel": 0.0, "width": (1 / 6) ** 2 / (1 / 4)}
    assert shares(find_importances(GRID * 8, values * 8)) == pytest.approx(expected, abs=0.01)


def test_a_choice_that_exists_only_beside_another_is_counted_where_it_exists():
    draw = np.random.default_rng(1)
    trials, values = [], []
    for depth, kernel in draw.integers(2, size=(600, 2)):
        trials.append({"depth": int(depth)} | ({"kernel": int(kernel)} if depth else {}))
        values.append(4.0 * depth + 2.0 * depth * kernel)

    # Over the whole square 0, 0, 4, 6: variance 6.75; the mean by depth is 0 or 5, by kernel 2 or 3.
    rows = shares(find_importances(trials, values))
    assert rows["depth"] == pytest.approx(6.25 / 6.75, abs=0.03)
    assert rows["kernel"] == pytest.approx(0.25 / 6.75, abs=0.02)


def test_being_absent_tells_nothing_of_a_choice():
    trials = [{"depth": depth} | ({"kernel": kernel} if depth else {}) for depth in (0, 1) for kernel in (3, 5)] * 40

    assert shares(find_importances(trials, [float(trial["depth"]) for trial in trials])) == {
        "depth": 1.0,
        "kernel": 0.0,
    }


def test_main_effects_are_those_of_optuna():
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    draw = np.random.default_rng(3)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    trials = [
        {name: int(value) for name, value in zip("abcd", draw.integers(4, size=4), strict=True)} for _ in range(300)
    ]
    values = [one["a"] ** 2 + 2.0 * one["b"] + one["a"] * one["c"] + draw.normal(0, 0.5) for one in trials]
    distribution = {name: optuna.distributions.IntDistribution(0, 3) for name in "abcd"}
    study.add_trials(
        [
            optuna.trial.create_trial(params=one, distributions=distribution, value=value)
            for one, value in zip(trials, values, strict=True)
        ]
    )
    theirs = optuna.importance.FanovaImportanceEvaluator(n_trees=128, seed=0).evaluate(study)

    assert shares(find_importances(trials, values)) == pytest.approx(theirs, abs=0.04)


def test_the_interval_holds_the_share_and_narrows_with_trials():
    draw = np.random.default_rng(0)
    trials = [GRID[index] for index in draw.integers(len(GRID), size=400)]
    values = [0.1 * one["width"] + one["kernel"] + draw.normal() for one in trials]

    few, many = ({row.choice: row for row in find_importances(trials[:n], values[:n])} for n in (30, 400))
    for rows in (few, many):
        assert all(0 <= row.low <= row.share <= row.high <= 1 for row in rows.values())
    assert many["width"].high - many["width"].low < few["width"].high - few["width"].low
    assert many["kind"].high < 0.1 < many["width"].low


def test_the_unit_and_the_direction_change_nothing():
    values = [0.1 * one["width"] + one["kernel"] for one in GRID]

    assert shares(find_importances(GRID, [-1e-6 * value for value in values])) == pytest.approx(
        shares(find_importances(GRID, values)), abs=0.01
    )


@pytest.mark.parametrize(
    ("trials", "values"),
    [
        ([], []),
        (GRID[:9], range(9)),
        (GRID, [0.5] * len(GRID)),
        ([{"width": 8}] * 20, range(20)),
        ([{}] * 20, range(20)),
    ],
    ids=["nothing", "few", "constant", "one value", "no choice"],
)
def test_nothing_is_said_where_nothing_can_be(trials, values):
    assert find_importances(trials, list(values)) == []


def test_true_is_not_1():
    trials = [{"gate": value} for value in (True, False, 1)] * 20

    assert shares(find_importances(trials, [2.0, 1.0, 3.0] * 20)) == {"gate": pytest.approx(1.0)}


@pytest.mark.parametrize(("values", "text"), [([1.0], "one a trial"), ([np.nan] * 36, "NaN")])
def test_values_that_are_none_are_refused(values, text):
    with pytest.raises(ValueError, match=text):
        find_importances(GRID, values)


def test_trials_that_say_nothing_of_an_objective_are_left_out():
    import pandas as pd

    rows = [
        {"choices": json.dumps({"width": 8 * (1 + trial % 2)}), "accuracy": 0.5 + 0.1 * (trial % 2)}
        for trial in range(20)
    ]
    trials = pd.DataFrame(rows).assign(status="complete", latency_s=1.0, latency_verdict="ok")
    strange = pd.DataFrame(
        {
            "choices": ['{"width": 8}', '{"width": 8}', "{}", '{"width": 8}'],
            "accuracy": [0.9, 0.9, 0.9, None],
            "status": ["pruned", "duplicate", "complete", "crashed"],
        }
    )

    for frame in (trials, pd.concat([trials, strange], ignore_index=True)):
        rows = objective_importances(frame, OBJECTIVES["accuracy"])
        assert shares(rows) == {"width": pytest.approx(1.0)}
