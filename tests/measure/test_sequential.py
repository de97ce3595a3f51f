"""The statistics of stopping, against simulations that are written apart from them."""

import math

import numpy as np
import pytest
from scipy import stats

from nasbench.errors import DefinitionError
from nasbench.measure.sequential import FIRST_LOOK, NOMINAL_LEVELS, critical_value, decide

MARGIN = 0.01


def conclude(values, last=15, margin=MARGIN):
    """Look after every value until there is a verdict."""
    for count in range(1, last + 1):
        decision = decide(values[:count], last, margin)
        if decision.verdict:
            return decision, count
    raise AssertionError("no verdict at the last look")


def verdicts(draw, trials, last=15, seed=0):
    source = np.random.default_rng(seed)
    return [conclude(draw(source, last).tolist(), last) for _ in range(trials)]


def share_different(found):
    return sum(decision.verdict in ("faster", "slower") for decision, _ in found) / len(found)


@pytest.mark.parametrize("last", [4, 8, 15, 30])
def test_over_all_looks_equal_networks_differ_in_four_per_cent_of_normal_series(last):
    values = np.random.default_rng(2).standard_normal((100_000, last))
    counts = np.arange(FIRST_LOOK, last + 1)
    means = np.stack([values[:, :count].mean(1) for count in counts])
    errors = np.stack([values[:, :count].std(1, ddof=1) / math.sqrt(count) for count in counts])
    bounds = np.array([critical_value(int(count), last) for count in counts])[:, None]

    assert (np.abs(means) > bounds * errors).any(0).mean() == pytest.approx(0.04, abs=0.002)


def test_the_same_bound_at_every_look_is_the_t_of_a_level_below_five_per_cent():
    assert critical_value(9, 15) == pytest.approx(stats.t.isf(NOMINAL_LEVELS[15] / 2, 8))
    assert sorted(NOMINAL_LEVELS.values(), reverse=True) == list(NOMINAL_LEVELS.values())


def test_a_plain_test_after_every_process_would_be_wrong_three_times_as_often():
    values = np.random.default_rng(3).standard_normal((20_000, 15))
    wrong = np.zeros(len(values), bool)
    for count in range(FIRST_LOOK, 16):
        wrong |= stats.ttest_1samp(values[:, :count], 0, axis=1).pvalue < 0.05

    assert wrong.mean() > 0.12


@pytest.mark.parametrize(
    "draw",
    [
        pytest.param(lambda source, count: source.normal(0, 0.02, count), id="normal"),
        pytest.param(lambda source, count: 0.01 * source.standard_t(3, count), id="heavy tails"),
        pytest.param(
            lambda source, count: source.exponential(0.02, count) - source.exponential(0.02, count), id="lopsided sides"
        ),
        pytest.param(
            lambda source, count: source.normal(0, np.where(source.random(count) < 0.2, 0.1, 0.01)), id="mixture"
        ),
        pytest.param(
            lambda source, count: source.normal(0, 0.01, count) + 0.01 * (-1.0) ** np.arange(count), id="building order"
        ),
    ],
)
def test_equal_networks_are_said_to_differ_in_five_per_cent_at_most(draw):
    assert share_different(verdicts(draw, 1500)) <= 0.05


def test_the_interval_at_the_end_holds_the_truth_in_95_per_cent_however_it_ended():
    truth = 0.015
    found = verdicts(lambda source, count: source.normal(truth, 0.02, count), 1500)

    covered = [decision.low <= math.exp(truth) <= decision.high for decision, _ in found]
    assert np.mean(covered) >= 0.95


def test_three_per_cent_are_found_on_a_quiet_machine_after_five_processes_or_so():
    found = verdicts(lambda source, count: source.normal(math.log(1.03), 0.01, count), 500)

    assert share_different(found) >= 0.99
    assert np.mean([count for _, count in found]) < 6


def test_hopeless_comparisons_are_given_up_before_the_last_process():
    found = verdicts(lambda source, count: source.normal(0, 0.05, count), 500)

    assert np.mean([count for _, count in found]) < 9
    assert np.mean([decision.verdict == "undecided" for decision, _ in found]) > 0.9


def test_giving_up_costs_little_of_what_would_have_been_found():
    source = np.random.default_rng(5)
    series = [source.normal(0.02, 0.02, 15) for _ in range(1000)]
    in_the_end = np.mean(
        [
            any(
                abs(values[:count].mean()) > critical_value(count, 15) * values[:count].std(ddof=1) / math.sqrt(count)
                for count in range(FIRST_LOOK, 16)
            )
            for values in series
        ]
    )
    found = share_different([conclude(values.tolist()) for values in series])

    assert in_the_end - found < 0.06


def test_faster_means_that_the_first_takes_less_time():
    assert conclude([math.log(0.9), math.log(0.91), math.log(0.9), math.log(0.905)])[0].verdict == "faster"
    assert conclude([math.log(1.1), math.log(1.11), math.log(1.1), math.log(1.105)])[0].verdict == "slower"


def test_a_difference_that_surely_lies_within_the_margin_is_a_tie():
    decision, count = conclude([0.002, 0.0021, 0.0019, 0.002])

    assert (decision.verdict, count) == ("tie", 4)
    assert decision.low > 1


def test_values_without_any_scatter_are_decided_at_the_first_look():
    assert conclude([0.0] * 15)[0].verdict == "tie"
    assert conclude([0.5] * 15) == (decide([0.5] * 4, 15, MARGIN), 4)


def test_nothing_is_claimed_before_the_first_look():
    decision = decide([0.5] * 3, 15, MARGIN)

    assert (decision.verdict, decision.low, decision.high) == (None, None, None)
    assert decision.ratio == pytest.approx(math.exp(0.5))


@pytest.mark.parametrize("last", [0, 3, 31])
def test_a_largest_number_of_processes_without_a_level_is_refused(last):
    with pytest.raises(DefinitionError, match="4 to 30"):
        decide([0.0] * 4, last, MARGIN)
