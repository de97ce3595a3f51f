"""The intervals, against other people's arithmetic and by simulation: what is called 95 % holds the truth in 95 %."""

import math

import numpy as np
import pytest
from scipy import stats

from nasbench.device.timing import median_interval
from nasbench.measure.statistics import PER_LOOK, drift, halfwidth, log_interval, ratio_interval

# Student, The probable error of a mean, Biometrika 6, 1908: hours of sleep gained with two drugs, as in R's `sleep`.
DRUG_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
DRUG_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def exponentials(values):
    return [math.exp(value) for value in values]


def binomial_error(trials, share=0.95):
    """Three standard deviations of a share that was counted in so many trials."""
    return 3 * math.sqrt(share * (1 - share) / trials)


def test_the_interval_over_processes_is_that_of_students_own_data():
    # R 4: t.test(extra ~ group, data = sleep, paired = TRUE) gives -2.4598858 to -0.7001142 around -1.58.
    differences = [one - two for one, two in zip(DRUG_1, DRUG_2, strict=True)]

    assert [math.log(end) for end in log_interval(exponentials(differences))] == pytest.approx(
        [-1.58, -2.4598858, -0.7001142], abs=1e-7
    )


def test_the_interval_of_a_ratio_is_welchs_of_students_own_data():
    # R 4: t.test(extra ~ group, data = sleep) gives -3.3654832 to 0.2054832, Welch's.
    ends = ratio_interval(exponentials(DRUG_1), exponentials(DRUG_2))

    assert [math.log(end) for end in ends] == pytest.approx([-1.58, -3.3654832, 0.2054832], abs=1e-7)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.999])
def test_intervals_are_scipys_at_any_confidence(confidence):
    generator = np.random.default_rng(0)
    a, b = generator.lognormal(-5, 0.02, 7), generator.lognormal(-5, 0.05, 4)
    one = stats.ttest_1samp(np.log(a), 0).confidence_interval(confidence)
    two = stats.ttest_ind(np.log(a), np.log(b), equal_var=False).confidence_interval(confidence)

    assert log_interval(a, confidence) == pytest.approx((stats.gmean(a), math.exp(one.low), math.exp(one.high)))
    ratio = stats.gmean(a) / stats.gmean(b)
    assert ratio_interval(a, b, confidence) == pytest.approx((ratio, math.exp(two.low), math.exp(two.high)))


def test_with_many_processes_the_interval_is_the_bootstraps():
    medians_s = np.random.default_rng(1).lognormal(-4, 0.05, 200)
    boot = stats.bootstrap((medians_s,), stats.gmean, rng=np.random.default_rng(2)).confidence_interval

    _, low, high = log_interval(medians_s)
    assert high - low == pytest.approx(boot.high - boot.low, rel=0.05)


def test_fewer_than_two_processes_bound_nothing():
    assert log_interval([0.01]) is None
    assert ratio_interval([0.02], [0.01, 0.011]) == pytest.approx((0.02 / math.sqrt(0.00011), 0, math.inf))
    with pytest.raises(ValueError, match="0 and 1 came"):
        ratio_interval([], [0.01])


def test_processes_that_agree_to_the_last_digit_leave_no_doubt():
    assert log_interval([0.01] * 5) == pytest.approx((0.01,) * 3)
    assert ratio_interval([0.02] * 5, [0.01] * 5) == pytest.approx((2.0,) * 3)


def test_a_halfwidth_is_a_share_of_the_estimate():
    assert halfwidth((0.01, 0.0099, 0.0101)) == pytest.approx(0.01)


@pytest.mark.parametrize("count", [3, 5, 15])
def test_the_interval_over_a_fixed_number_of_processes_covers_in_95_percent(count):
    trials = 2000
    draws = np.random.default_rng(count).lognormal(0, 0.02, (trials, count))
    hits = sum(low <= 1 <= high for _, low, high in map(log_interval, draws))

    assert hits / trials == pytest.approx(0.95, abs=binomial_error(trials))


def test_the_interval_of_a_ratio_covers_in_95_percent_when_the_sides_scatter_differently():
    trials = 2000
    generator = np.random.default_rng(3)
    hits = 0
    for _ in range(trials):
        _, low, high = ratio_interval(generator.lognormal(0, 0.01, 5), generator.lognormal(0, 0.03, 8))
        hits += low <= 1 <= high

    assert hits / trials == pytest.approx(0.95, abs=binomial_error(trials))


def coverage_when_stopping(confidence, scatter, trials, seed=4):
    """Look after 5 to 15 processes, stop at ±1 %, and count how often the last interval holds the truth."""
    hits = 0
    for draws in np.random.default_rng(seed).lognormal(0, scatter, (trials, 15)):
        for count in range(5, 16):
            interval = log_interval(draws[:count], confidence)
            if halfwidth(interval) <= 0.01:
                break
        hits += interval[1] <= 1 <= interval[2]
    return hits / trials


@pytest.mark.parametrize("scatter", [0.005, 0.016, 0.03])
def test_stopping_when_the_interval_is_narrow_keeps_the_95_percent(scatter):
    assert coverage_when_stopping(PER_LOOK, scatter, trials=700) >= 0.95 - binomial_error(700)


def test_looking_with_95_percent_each_time_would_not():
    assert coverage_when_stopping(0.95, 0.016, trials=1500) < 0.95 - binomial_error(1500) / 2


# Samples of one process, and the true median: independent and symmetric, skewed, each like the one before it, with
# single spikes, and with bursts such as a neighbour makes. The last two have the median that their mixture has.
def normal(generator, count):
    return generator.normal(10, 1, count)


def skewed(generator, count):
    return generator.exponential(1, count)


def like_the_last(generator, count):
    values = np.empty(count)
    values[0] = generator.normal(0, 1 / math.sqrt(1 - 0.25))
    for index, step in enumerate(generator.normal(0, 1, count - 1), start=1):
        values[index] = 0.5 * values[index - 1] + step
    return 10 + values


def spiky(generator, count):
    return generator.normal(10, 0.1, count) + np.where(generator.random(count) < 0.1, 30, 0)


def bursts(generator, count):
    begins = generator.random(count) < 0.01
    busy = np.convolve(begins, np.ones(10))[:count] > 0
    return generator.normal(10, 0.1, count) + np.where(busy, 3, 0)


SPIKY_MEDIAN = 10 + 0.1 * stats.norm.ppf(0.5 / 0.9)
BURSTS_MEDIAN = 10 + 0.1 * stats.norm.ppf(0.5 / 0.99**10)


def median_coverage(draw, truth, count, trials=500):
    generator = np.random.default_rng(5)
    hits = 0
    for _ in range(trials):
        low, high = median_interval(draw(generator, count).tolist())
        hits += low <= truth <= high
    return hits / trials


@pytest.mark.parametrize("count", [50, 200, 1000])
@pytest.mark.parametrize(("draw", "truth"), [(normal, 10.0), (skewed, math.log(2)), (spiky, SPIKY_MEDIAN)])
def test_the_interval_of_a_process_median_covers_in_95_percent(draw, truth, count):
    assert median_coverage(draw, truth, count) >= 0.95 - binomial_error(500)


@pytest.mark.parametrize(
    ("draw", "truth", "count", "share"),
    [
        # Blocks of 5 to 10 samples are alike themselves, and 3,000 trials of 50 or 200 samples give 93 %.
        (like_the_last, 10.0, 50, 0.93),
        (like_the_last, 10.0, 200, 0.93),
        (like_the_last, 10.0, 1000, 0.95),
        (bursts, BURSTS_MEDIAN, 50, 0.93),
        (bursts, BURSTS_MEDIAN, 200, 0.95),
        (bursts, BURSTS_MEDIAN, 1000, 0.95),
    ],
)
def test_it_covers_nearly_as_often_when_samples_follow_each_other(draw, truth, count, share):
    assert median_coverage(draw, truth, count) >= share - binomial_error(500, share)


def test_a_move_is_from_the_first_third_to_the_last_and_one_wild_round_does_not_turn_it():
    rising = [1.0, 1.01, 1.02, 1.03, 1.04, 1.05, 1.06, 1.07, 1.08]

    assert drift(rising) == (pytest.approx(1.07 / 1.01 - 1), True)
    assert drift(rising[::-1]) == (pytest.approx(1.01 / 1.07 - 1), True)
    assert drift([*rising[:-1], 5.0])[0] == pytest.approx(1.07 / 1.01 - 1)


def test_too_few_rounds_show_no_drift():
    assert drift([]) == (0.0, False)
    assert drift([0.01]) == (0.0, False)
    assert drift([0.01, 0.02])[1] is False
    assert drift([0.01] * 5) == (0.0, False)


def alarms(make, trials):
    """Share of the trials in which a canary of these medians is said to have moved by more than 3 %."""
    found = 0
    for seed in range(trials):
        move, beyond_scatter = drift(make(np.random.default_rng(seed)))
        found += abs(move) > 0.03 and beyond_scatter
    return found / trials


@pytest.mark.parametrize("rounds", [5, 6, 8, 15])
@pytest.mark.parametrize("scatter", [0.005, 0.02, 0.04])
def test_processes_that_only_scatter_are_rarely_called_drifting(rounds, scatter):
    assert alarms(lambda generator: generator.lognormal(0, scatter, rounds), 300) <= 0.05 + binomial_error(300, 0.05)


def test_disturbed_rounds_are_rarely_called_drifting():
    def disturbed(generator):
        return generator.lognormal(0, 0.01, 10) * np.where(generator.random(10) < 0.15, 1.2, 1.0)

    assert alarms(disturbed, 300) <= 0.05


@pytest.mark.parametrize("rounds", [6, 8])
def test_a_sudden_step_of_6_percent_is_found_in_few_rounds_of_a_quiet_machine(rounds):
    moved = 1.06 ** (np.arange(rounds) >= rounds // 2)

    assert alarms(lambda generator: moved * generator.lognormal(0, 0.005, rounds), 200) >= 0.8


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(lambda rounds: np.linspace(0, 1, rounds), id="slowly"),
        pytest.param(lambda rounds: np.arange(rounds) >= rounds // 2, id="at once"),
        pytest.param(lambda rounds: np.arange(rounds) >= rounds // 3, id="early"),
    ],
)
@pytest.mark.parametrize("rounds", [10, 15])
def test_a_machine_that_becomes_6_percent_slower_is_found_out(shape, rounds):
    moved = 1.06 ** shape(rounds)

    assert alarms(lambda generator: moved * generator.lognormal(0, 0.01, rounds), 200) >= 0.8
