"""The timing of a GPU, on one whose clock only moves when told to."""

import itertools
from dataclasses import replace

import pytest
from fake_gpu import SimulatedEvent, SimulatedGpu

from nasbench.device.cuda_measuring import DeviceTurnTaker
from nasbench.device.cuda_timing import sample_device, warm_up_device
from nasbench.errors import MeasurementError
from nasbench.records import TimingPlan

PLAN = TimingPlan()


def timed(gpu, plan=PLAN, inner_loops=1):
    return sample_device(gpu.run, gpu, plan, inner_loops, gpu.clocks)


def test_the_device_time_of_a_steady_network_is_recovered_and_the_least_time_ends_it():
    gpu = SimulatedGpu(5e-3, enqueue_s=0.2e-3)
    found = timed(gpu)

    assert found.series.median_s == pytest.approx(5e-3, rel=0.01)
    assert found.series.stop == "converged"
    assert len(found.series.seconds) == pytest.approx(PLAN.min_sampling_s / 5e-3, abs=25)


def test_the_host_sees_more_than_the_device_and_enqueues_meanwhile():
    found = timed(SimulatedGpu(5e-3, enqueue_s=1e-3))

    assert min(found.end_to_end_s) > 5e-3
    assert found.enqueue_s[0] == pytest.approx(1e-3, rel=0.01)


@pytest.mark.parametrize(("enqueue_s", "host_bound"), [(1e-3, False), (3.9e-3, False), (4.5e-3, True), (9e-3, True)])
def test_a_network_that_waits_for_the_host_is_said_to_be_host_bound(enqueue_s, host_bound):
    assert timed(SimulatedGpu(5e-3, enqueue_s)).host_bound == host_bound


def test_a_host_bound_device_time_is_that_of_the_host():
    assert timed(SimulatedGpu(1e-3, enqueue_s=4e-3)).series.median_s == pytest.approx(4e-3, rel=0.02)


def test_a_short_inference_is_timed_in_a_loop_beside_which_an_event_resolves_finely():
    gpu = SimulatedGpu(7.3e-6, enqueue_s=1e-6, kernels=1)
    warm = warm_up_device(gpu.run, gpu, PLAN, gpu.clocks)

    assert warm.inner_loops * 7.3e-6 >= 1e-3
    assert timed(gpu, inner_loops=warm.inner_loops).series.median_s == pytest.approx(7.3e-6, rel=0.005)


def test_an_end_to_end_time_is_of_a_single_inference_even_when_samples_are_loops():
    gpu = SimulatedGpu(20e-6, enqueue_s=5e-6, kernels=1)
    found = timed(gpu, inner_loops=60)

    assert 20e-6 < min(found.end_to_end_s) <= max(found.end_to_end_s) < 40e-6
    assert found.enqueue_s[0] == pytest.approx(5e-6, rel=0.05)


def test_the_warm_up_lasts_a_second_at_the_least():
    gpu = SimulatedGpu(5e-3, enqueue_s=0.2e-3)
    warm = warm_up_device(gpu.run, gpu, PLAN, gpu.clocks)

    assert gpu.host_s >= 1.0
    assert warm.settled
    assert warm.inner_loops == 1


def test_a_network_that_gets_faster_for_long_is_not_settled():
    gpu = SimulatedGpu((5e-3 * 0.998**n for n in itertools.count()), enqueue_s=1e-6)

    assert not warm_up_device(gpu.run, gpu, replace(PLAN, max_warmup_s=1.5), gpu.clocks).settled


def test_a_cold_cache_is_emptied_before_every_sample_and_outside_of_it():
    gpu = SimulatedGpu(40e-6, enqueue_s=2e-6, kernels=1, cold_s=15e-6)
    plan = replace(PLAN, cache="cold")
    warm = warm_up_device(gpu.run, gpu, plan, gpu.clocks)
    found = timed(gpu, plan, warm.inner_loops)

    assert warm.inner_loops == 1
    assert gpu.flushes == len(found.series.seconds)
    assert found.series.median_s == pytest.approx(55e-6 + 2e-6, rel=0.02)


def test_every_sample_has_its_place_in_time():
    found = timed(SimulatedGpu(5e-3))

    edges = list(itertools.chain.from_iterable(zip(found.began_ns, found.ended_ns, strict=True)))
    assert edges == sorted(edges)
    assert len(found.began_ns) == len(found.series.seconds)


def test_samples_end_at_the_cap():
    scattered = itertools.cycle([1e-3, 9e-3, 2e-3, 30e-3, 4e-3])
    found = timed(SimulatedGpu(scattered), replace(PLAN, max_samples=80))

    assert (found.series.stop, len(found.series.seconds)) == ("cap", 80)


@pytest.mark.parametrize("elapsed", [0.0, -1.0, float("nan")])
def test_a_device_clock_that_stands_still_is_refused(monkeypatch, elapsed):
    monkeypatch.setattr(SimulatedEvent, "elapsed_time", lambda start, end: elapsed)

    with pytest.raises(MeasurementError, match="clock did not move"):
        timed(SimulatedGpu(5e-3))


def test_a_turn_is_as_long_every_time_and_begins_with_an_inference_that_is_not_timed():
    gpu = SimulatedGpu(0.5e-3, enqueue_s=0.1e-3)
    taker = DeviceTurnTaker(gpu.run, gpu, inner_loops=1, clocks=gpu.clocks)
    before = gpu.inferences
    seconds, kept = taker.take()

    assert gpu.inferences - before == len(seconds) + 1
    assert sum(seconds) == pytest.approx(2e-3, rel=0.2)
    assert kept


@pytest.mark.parametrize(("enqueue_s", "kept"), [(0.1e-3, True), (2e-3, False)])
def test_a_host_that_lost_its_core_disturbs_only_a_network_that_waits_for_it(enqueue_s, kept):
    gpu = SimulatedGpu(0.5e-3, enqueue_s)
    clocks = replace(gpu.clocks, cpu=lambda: round(gpu.host_s * 0.5e9))

    assert DeviceTurnTaker(gpu.run, gpu, inner_loops=1, clocks=clocks).take()[1] == kept


def test_with_a_cold_cache_no_inference_fills_it_before_a_turn():
    gpu = SimulatedGpu(0.5e-3, enqueue_s=0.1e-3)
    taker = DeviceTurnTaker(gpu.run, gpu, inner_loops=1, cold=True, clocks=gpu.clocks)
    before = gpu.inferences
    seconds, _ = taker.take()

    assert gpu.inferences - before == len(seconds) == taker.inferences


def test_a_taker_counts_every_inference_of_an_inner_loop():
    gpu = SimulatedGpu(20e-6, enqueue_s=5e-6, kernels=1)
    taker = DeviceTurnTaker(gpu.run, gpu, inner_loops=60, clocks=gpu.clocks)
    before = gpu.inferences
    taker.take()

    assert gpu.inferences - before == taker.inferences


@pytest.mark.parametrize(("enqueue_s", "host_bound"), [(0.1e-3, False), (2e-3, True)])
def test_a_taker_says_after_its_turns_whether_the_host_decides(enqueue_s, host_bound):
    gpu = SimulatedGpu(0.5e-3, enqueue_s)
    taker = DeviceTurnTaker(gpu.run, gpu, inner_loops=1, clocks=gpu.clocks)
    taker.take()

    assert taker.host_bound == host_bound
