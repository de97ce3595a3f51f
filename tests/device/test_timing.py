"""The timing loop and its stop rule, on a clock that only moves when told to."""

import gc
import itertools
import random
import statistics

import pytest

from nasbench.device.timing import (
    Block,
    Clocks,
    conclude_mask,
    keep_mask,
    median_interval,
    sample,
    warm_up,
    without_collector,
)
from nasbench.errors import MeasurementError
from nasbench.records import TimingPlan

PLAN = TimingPlan()


class Machine:
    """A network whose inferences take what `durations_s` says, on a core it has for `cpu_share` of the time."""

    def __init__(self, durations_s, cpu_share=lambda wall_s: 1.0):
        self._durations = iter(durations_s)
        self._cpu_share = cpu_share
        self.wall_ns = self.cpu_ns = 0
        self.calls = 0
        self.clocks = Clocks(wall=lambda: self.wall_ns, cpu=lambda: self.cpu_ns)

    def run(self):
        elapsed = round(next(self._durations) * 1e9)
        self.cpu_ns += round(elapsed * self._cpu_share(self.wall_ns / 1e9))
        self.wall_ns += elapsed
        self.calls += 1


def constant(seconds):
    return itertools.repeat(seconds)


def scattered(middle_s, spread, seed=0):
    random_source = random.Random(seed)
    while True:
        yield middle_s * (1 + spread * random_source.random())


def series_of(durations, plan=PLAN, inner_loops=1, threads=1, **machine):
    machine = Machine(durations, **machine)
    return sample(machine.run, plan, inner_loops, threads, machine.clocks)


def test_a_steady_network_is_recovered_exactly_and_stops_at_the_least_time():
    series = series_of(constant(5e-3))

    assert series.stop == "converged"
    assert series.median_s == series.low_s == series.high_s == 5e-3
    assert all(series.kept)
    assert 0.5 <= series.elapsed_s < 0.7


def test_a_slow_steady_network_stops_at_the_least_count():
    series = series_of(constant(0.05))

    assert (series.stop, len(series.seconds)) == ("converged", 50)


def test_looks_grow_by_a_quarter():
    # A steady 4 ms network needs 125 samples for 0.5 s; the looks are at 50, 63, 79, 99, 124, 155.
    assert len(series_of(constant(4e-3)).seconds) == 155


def test_scatter_costs_samples():
    calm, wild = (len(series_of(scattered(0.01, spread)).seconds) for spread in (0.05, 0.5))

    assert wild > 2 * calm


def test_the_time_cap_ends_a_slow_network_between_looks():
    series = series_of(constant(0.3))

    assert series.stop == "cap"
    assert len(series.seconds) == 17


def test_the_sample_cap_ends_a_fast_one():
    series = series_of(scattered(1e-3, 20.0), plan=TimingPlan(max_sampling_s=1e9, target_halfwidth=1e-6))

    assert len(series.seconds) <= 1000
    assert series.stop in ("cap", "plateau")


def test_an_interval_that_no_longer_narrows_ends_at_a_plateau():
    rising = (0.01 * 1.004**index for index in itertools.count())
    series = series_of(rising, plan=TimingPlan(max_sampling_s=1e9))

    assert series.stop == "plateau"
    assert series.halfwidth > PLAN.target_halfwidth


def test_blocks_without_the_core_are_masked_and_the_median_is_that_of_the_rest():
    disturbed = [0.02 if 100 <= index < 130 else 0.01 for index in range(10_000)]
    machine = Machine(disturbed)
    begin, end = sum(disturbed[:100]), sum(disturbed[:130])
    machine._cpu_share = lambda wall_s: 0.5 if begin - 1e-6 <= wall_s < end - 1e-6 else 1.0
    series = sample(machine.run, TimingPlan(min_samples=200), 1, 1, machine.clocks)

    # One call before the loop finds the block's length.
    masked = [value for value, keep in zip(series.seconds, series.kept, strict=True) if not keep]
    assert masked == [0.02] * 30
    assert series.median_s == 0.01
    assert 0.8 < series.kept_share < 1


def test_when_nothing_ran_undisturbed_all_samples_stay_and_it_says_so():
    series = series_of(constant(0.01), cpu_share=lambda wall_s: 0.6)

    assert series.gate_failed
    assert all(series.kept)
    assert series.kept_share == 0
    assert series.median_s == 0.01


def test_a_mask_that_leaves_too_few_is_dropped_and_one_that_leaves_enough_is_not():
    seconds, plan = [1.0, 2.0] * 20, TimingPlan(min_samples=10)
    few = conclude_mask(seconds, [index < 9 for index in range(40)], plan)
    enough = conclude_mask(seconds, [index % 4 == 0 for index in range(40)], plan)

    assert (few.gate_failed, few.kept_share, sum(few.kept)) == (True, 9 / 40, 40)
    assert (enough.gate_failed, sum(enough.kept), enough.low_s, enough.high_s) == (False, 10, 1.0, 1.0)


def test_several_threads_are_judged_against_their_own_best_blocks():
    usual, starved = Block(10, 10_000_000, 33_000_000), Block(10, 12_000_000, 26_000_000)

    assert keep_mask([usual] * 9 + [starved], threads=4) == [True] * 90 + [False] * 10


def test_a_clock_that_stands_still_or_runs_backwards_is_an_invalid_measurement():
    with pytest.raises(MeasurementError):
        series_of(constant(0.0))
    with pytest.raises(MeasurementError):
        series_of(itertools.chain([0.01] * 20, constant(-0.01)))


def test_what_is_watched_runs_outside_the_samples():
    machine = Machine(constant(0.01))

    def watch():
        machine.wall_ns += 1_000_000_000

    series = sample(machine.run, PLAN, 1, 1, machine.clocks, between=watch)

    assert set(series.seconds) == {0.01}


def test_what_comes_before_each_sample_is_outside_of_it_and_each_inference_is_a_sample():
    machine = Machine(constant(10e-6))
    emptied = []

    def empty():
        emptied.append(machine.calls)
        machine.wall_ns += 5_000_000
        machine.cpu_ns += 5_000_000

    warm = warm_up(machine.run, PLAN, machine.clocks, before_each=empty)
    series = sample(machine.run, PLAN, warm.inner_loops, 1, machine.clocks, before_each=empty)

    assert warm.inner_loops == 1
    assert set(warm.seconds) == set(series.seconds) == {10e-6}
    assert all(series.kept)
    assert emptied == list(range(machine.calls))


def test_a_sample_of_a_short_network_is_a_mean_over_inner_loops():
    machine = Machine(constant(10e-6))
    warm = warm_up(machine.run, PLAN, machine.clocks)

    assert 100 <= warm.inner_loops <= 110
    series = sample(machine.run, PLAN, warm.inner_loops, 1, machine.clocks)
    assert series.median_s == pytest.approx(10e-6)
    assert machine.calls > 500 * 100


def test_warm_up_lasts_its_least_count_and_time():
    machine = Machine(constant(0.01))
    warm = warm_up(machine.run, PLAN, machine.clocks)

    assert warm.settled
    assert sum(warm.seconds) >= 0.5
    assert warm.inner_loops == 1


def test_warm_up_goes_on_until_two_windows_agree():
    falling = itertools.chain((0.02 - 0.0001 * index for index in range(100)), constant(0.01))
    machine = Machine(falling)
    warm = warm_up(machine.run, PLAN, machine.clocks)

    assert warm.settled
    assert statistics.median(warm.seconds[-20:]) == pytest.approx(0.01, rel=0.02)


def test_a_steady_network_of_a_third_of_a_second_is_warm_before_the_cap():
    warm = warm_up((machine := Machine(constant(0.35))).run, PLAN, machine.clocks)

    assert warm.settled
    assert machine.wall_ns / 1e9 < PLAN.max_warmup_s


def test_a_steady_network_of_one_and_a_half_seconds_is_warm_when_its_halves_agree_at_the_cap():
    warm = warm_up((machine := Machine(itertools.chain([4.0], constant(1.5)))).run, PLAN, machine.clocks)

    assert warm.settled
    assert warm.seconds == (4.0, *[1.5] * 4)


def test_a_network_of_one_and_a_half_seconds_that_still_falls_is_not_settled():
    warm = warm_up((machine := Machine(1.5 - 0.03 * index for index in itertools.count())).run, PLAN, machine.clocks)

    assert not warm.settled


def test_a_network_of_half_a_second_is_settled_at_the_cap():
    warm = warm_up((machine := Machine(constant(0.5))).run, PLAN, machine.clocks)

    assert warm.settled


def test_a_network_of_four_seconds_is_called_until_the_cap_and_too_seldom_to_be_settled():
    warm = warm_up((machine := Machine(constant(4.0))).run, PLAN, machine.clocks)

    assert warm.seconds == (4.0,) * 3
    assert not warm.settled


def test_one_inference_longer_than_the_cap_is_followed_by_a_second():
    warm = warm_up((machine := Machine(constant(30.0))).run, PLAN, machine.clocks)

    assert warm.seconds == (30.0,) * 2


def test_warm_up_ends_at_its_cap_and_says_that_nothing_settled():
    rising = (0.01 * 1.01**index for index in itertools.count())
    machine = Machine(rising)
    warm = warm_up(machine.run, PLAN, machine.clocks)

    assert not warm.settled
    assert sum(warm.seconds) >= PLAN.max_warmup_s


def test_fewer_than_six_samples_have_no_interval():
    assert median_interval([1.0] * 5) is None
    assert median_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) == (1.0, 6.0)


def test_the_order_statistics_are_those_of_the_tables():
    # David and Nagaraja, Order Statistics, 2003, section 7.1: n = 50 takes the 18th and the 33rd.
    alternating = [value for pair in zip(range(1, 26), range(50, 25, -1), strict=True) for value in pair]

    low, high = median_interval(sorted(alternating, key=lambda value: value * 7 % 50))

    assert low <= 18
    assert high >= 33


def coverage(make_series, truth, trials):
    hits = 0
    for seed in range(trials):
        low, high = median_interval(make_series(random.Random(seed)))
        hits += low <= truth <= high
    return hits / trials


@pytest.mark.parametrize("count", [20, 50, 200])
def test_the_interval_covers_the_median_of_skewed_independent_samples(count):
    covered = coverage(lambda source: [source.expovariate(1.0) for _ in range(count)], 0.6931, trials=400)

    assert covered >= 0.93


def test_the_interval_covers_the_median_of_samples_that_follow_each_other():
    def autocorrelated(source):
        value, values = source.gauss(0, 1), []
        for _ in range(500):
            value = 0.7 * value + source.gauss(0, 1)
            values.append(value)
        return values

    assert coverage(autocorrelated, 0.0, trials=200) >= 0.88


def test_no_end_of_an_interval_of_times_is_negative():
    """Two blocks of samples that lie far apart: Student's t of two values reaches far below the smaller one."""
    seconds = [1e-3] * 5 + [1.0] * 5

    mask = conclude_mask(seconds, [True] * 10, TimingPlan())

    assert mask.low_s == 0.0
    assert mask.high_s > 1.0


def test_the_collector_rests_while_samples_are_taken_and_what_was_frozen_stays_so():
    try:
        gc.unfreeze()
        with without_collector():
            assert not gc.isenabled() and gc.get_freeze_count()
        assert gc.isenabled() and not gc.get_freeze_count()
    finally:
        gc.freeze()  # as the whole session has it
    with without_collector():
        pass
    assert gc.isenabled() and gc.get_freeze_count()
