"""The levels on a simulated machine: how many processes are taken, in which order, and what they are made into."""

import math
import statistics
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from simulated_device import CRASH, SimulatedDevice, network

from nasbench.errors import Crashed, DeviceError
from nasbench.measure.canary import CANARY
from nasbench.measure.levels import BACK_OFF_LIMIT_S, Job, confirm, screen
from nasbench.measure.statistics import log_interval
from nasbench.records import CONFIRM, TimingPlan

A, B, C = network(2), network(3), network(4)


def confirmed(device, *architectures, plan=CONFIRM, **options):
    jobs = [Job(f"network {one.classes}", device, one, plan) for one in architectures]
    return confirm(jobs, pause=device.pauses.append, **options)


# --- screen


def screened(*verdicts, kept=(1.0, 1.0)):
    """Screen a network whose processes have these verdicts and shares of kept samples."""

    class Device(SimulatedDevice):
        def take(self, architecture, plan):
            number = len(self.taken)
            taken = super().take(architecture, plan)
            marks = tuple(index < 100 * kept[number] for index in range(100))
            return replace(taken, latencies_s=(0.01 + 0.001 * number,) * 100, kept=marks)

    device = Device()
    device.verdict = lambda number: verdicts[number]
    return device, screen(device, A, TimingPlan(), device.pauses.append)


def test_a_quiet_screen_is_taken_once():
    device, measurement = screened("ok")

    assert measurement.verdict == "ok"
    assert (len(device.taken), device.pauses) == (1, [])


def test_a_noisy_screen_is_repeated_once_after_a_pause_and_the_better_try_is_kept():
    for kept, better in (((0.7, 0.5), 0), ((0.5, 0.7), 1)):
        device, measurement = screened("noisy", "noisy", kept=kept)

        assert (len(device.taken), device.pauses) == (2, [1.0])
        assert measurement.verdict == "noisy"
        assert measurement.latency_s == pytest.approx(0.01 + 0.001 * better)
        assert [one["kept_share"] for one in measurement.noise["tries"]] == list(kept)


def test_a_second_screen_that_is_quiet_is_kept():
    _, measurement = screened("noisy", "ok", kept=(1.0, 0.9))

    assert measurement.verdict == "ok"
    assert measurement.latency_s == pytest.approx(0.011)
    assert [one["verdict"] for one in measurement.noise["tries"]] == ["noisy", "ok"]


def test_a_screen_that_fails_is_not_repeated():
    device = SimulatedDevice()
    device.fails[A, 0] = CRASH

    with pytest.raises(Crashed):
        screen(device, A, TimingPlan(), device.pauses.append)
    assert (len(device.taken), device.pauses) == (1, [])


# --- confirm: how many processes, in which order


def test_processes_that_agree_are_enough_when_they_are_five():
    device = SimulatedDevice(scatter=0.002)
    (measurement,) = confirmed(device, A)

    assert (measurement.verdict, measurement.reasons, measurement.stop) == ("ok", (), "converged")
    assert len(measurement.process_medians_s) == 5
    assert measurement.latency_s == pytest.approx(0.01, rel=0.01)


def test_processes_that_scatter_are_joined_by_more_until_the_interval_is_narrow():
    device = SimulatedDevice(scatter=0.012, seed=3)
    (measurement,) = confirmed(device, A)

    assert 5 < len(measurement.process_medians_s) < 15
    assert measurement.verdict == "ok"
    assert (measurement.high_s - measurement.low_s) / 2 / measurement.latency_s <= CONFIRM.target_process_halfwidth


def test_a_network_that_never_settles_ends_at_the_most_and_the_reason_has_both_numbers():
    (measurement,) = confirmed(SimulatedDevice(scatter=0.05), A)

    assert (measurement.verdict, measurement.stop, len(measurement.process_medians_s)) == ("noisy", "cap", 15)
    (reason,) = measurement.reasons
    width = (measurement.high_s - measurement.low_s) / 2 / measurement.latency_s
    assert f"±{width:.1%}" in reason
    assert "±1.0% was asked for" in reason


def test_a_network_that_is_done_leaves_the_rounds_to_the_others():
    device = SimulatedDevice(scatter=0.0)
    wide = np.random.default_rng(0).lognormal(0, 0.05, 100)
    device.latency_s = lambda architecture, number: 0.01 * (wide[number] if architecture == B else 1.0)
    confirmed(device, A, B)

    assert Counter(device.order) == {2: 5, 3: 15, "c": 15}


def test_every_round_has_each_network_and_the_canary_once():
    device = SimulatedDevice()
    confirmed(device, A, B, C)

    rounds = [device.order[start : start + 4] for start in range(0, 20, 4)]
    assert [Counter(one) for one in rounds] == [Counter([2, 3, 4, "c"])] * 5
    assert len({tuple(one) for one in rounds}) > 1


def test_the_orders_follow_from_the_seed():
    def order(seed):
        device = SimulatedDevice()
        confirmed(device, A, B, C, seed=seed)
        return device.order

    assert order(1) == order(1) != order(2)


def test_each_backend_has_a_canary_on_its_first_device_with_a_batch_of_one():
    first, second = SimulatedDevice(), SimulatedDevice(name="other")
    gpu = SimulatedDevice(backend="cuda")
    plan = replace(CONFIRM, batch=8, dtype="bf16", energy=True)
    confirm([Job("x", device, A, plan) for device in (first, second, gpu)])

    assert (first.order.count("c"), second.order.count("c"), gpu.order.count("c")) == (5, 0, 5)
    canaries = {plan for architecture, plan in first.taken if architecture == CANARY}
    assert canaries == {replace(CONFIRM, batch=1, dtype="bf16")}


def test_energy_is_taken_in_the_first_process_alone():
    device = SimulatedDevice()
    (measurement,) = confirmed(device, A, plan=replace(CONFIRM, energy=True))

    assert [plan.energy for architecture, plan in device.taken if architecture == A] == [True] + [False] * 4
    assert measurement.energy_j == 0.5
    assert measurement.plan.energy


def test_a_plan_of_one_process_is_one_process():
    (measurement,) = confirmed(SimulatedDevice(), A, plan=TimingPlan())

    assert (measurement.verdict, len(measurement.process_medians_s)) == ("ok", 1)
    assert measurement.low_s < measurement.latency_s < measurement.high_s


def test_nothing_to_confirm_is_nothing():
    assert confirm([]) == []


# --- confirm: what the processes are made into


def test_a_confirmed_measurement_holds_every_sample_of_every_process():
    device = SimulatedDevice(scatter=0.004)
    (measurement,) = confirmed(device, A)

    medians_s = measurement.process_medians_s
    assert measurement.process_samples == (3,) * 5
    assert len(measurement.latencies_s) == len(measurement.kept) == 15
    assert medians_s == measurement.latencies_s[1::3]
    assert measurement.latency_s == pytest.approx(statistics.geometric_mean(medians_s))
    assert measurement.low_s < measurement.latency_s < measurement.high_s
    assert measurement.peak_memory_bytes in range(1000, 1010)
    assert measurement.plan == CONFIRM


def test_every_process_and_the_canary_are_told_of():
    device = SimulatedDevice()
    device.verdict = lambda number: "noisy" if number == 1 else "ok"
    (measurement,) = confirmed(device, A)

    told = measurement.noise["processes"]
    assert len(measurement.noise["canary_s"]) == len(told)
    assert measurement.noise["canary_ratio"] == pytest.approx(1, abs=0.02)
    assert measurement.noise["canary_on"] == f"device {device.spec.digest} in fp32"
    assert [one["counted"] for one in told] == [one["verdict"] == "ok" for one in told]


def test_different_outputs_for_the_same_input_are_invalid():
    device = SimulatedDevice()
    device.output_hash = lambda number: "first" if number < 5 else "later"
    (measurement,) = confirmed(device, A)

    assert measurement.verdict == "invalid"
    assert "5 processes gave 2 different outputs" in measurement.reasons[0]


# --- confirm: disturbances


def test_a_neighbour_that_comes_and_goes_leaves_the_figure_right():
    device = SimulatedDevice(scatter=0.003)
    busy = range(4, 10)
    device.latency_s = lambda architecture, number: 0.013 if number in busy else 0.01
    device.verdict = lambda number: "noisy" if number in busy else "ok"
    for measurement in confirmed(device, A, B):
        assert measurement.verdict == "ok"
        assert measurement.latency_s == pytest.approx(0.01, rel=0.01)
        assert len(measurement.process_medians_s) == 5 < len(measurement.noise["processes"])


def test_disturbed_processes_are_followed_by_ever_longer_pauses_until_one_is_quiet():
    device = SimulatedDevice()
    device.verdict = lambda number: "noisy" if number in (1, 3, 4, 5, 6) else "ok"
    confirmed(device, A)

    assert device.pauses == [1.0, 1.0, 2.0, 4.0, 4.0]


def test_a_neighbour_that_stays_costs_a_minute_of_pauses_and_the_figure_rests_on_all():
    device = SimulatedDevice()
    device.verdict = lambda number: "noisy"
    (measurement,) = confirmed(device, A)

    assert sum(device.pauses) == BACK_OFF_LIMIT_S
    assert (measurement.verdict, len(measurement.process_medians_s)) == ("noisy", 15)
    assert "0 of 15 processes were undisturbed, and 5 are needed" in measurement.reasons[0]
    assert "rests on all. Of the others: somebody was noisy" in measurement.reasons[0]


def test_three_undisturbed_processes_are_a_figure_but_no_claim():
    networks = iter(range(100))

    class Device(SimulatedDevice):
        def take(self, architecture, plan):
            taken = super().take(architecture, plan)
            if architecture != CANARY and next(networks) >= 3:
                return replace(taken, verdict="noisy", reasons=("a neighbour",), latencies_s=(0.02,) * 3)
            return taken

    (measurement,) = confirmed(Device(scatter=0.0), A)

    assert measurement.latency_s == pytest.approx(0.01)
    assert measurement.verdict == "noisy"
    assert "3 of 15 processes were undisturbed" in measurement.reasons[0]
    assert "rests on those" in measurement.reasons[0]


def test_clocks_that_were_held_back_are_called_throttled():
    device = SimulatedDevice()
    device.verdict = lambda number: "throttled"
    (measurement,) = confirmed(device, A)

    assert measurement.verdict == "throttled"


def test_a_machine_that_becomes_slower_is_called_drifting_by_its_canary():
    device = SimulatedDevice(scatter=0.002)
    device.latency_s = lambda architecture, number: 0.01 * 1.06 ** (number / 9)
    (measurement,) = confirmed(device, A)

    assert measurement.verdict == "drift"
    assert any("the canary network moved by +" in reason for reason in measurement.reasons)
    assert measurement.noise["canary_ratio"] > 1.03


def test_a_canary_that_fails_is_left_out_and_it_is_said():
    device = SimulatedDevice()
    device.fails[CANARY, 2] = CRASH
    (measurement,) = confirmed(device, A)

    assert [value is None for value in measurement.noise["canary_s"]] == [False, False, True, True, True]
    assert "SIGSEGV" in measurement.noise["canary_error"]
    assert device.order.count("c") == 3


def test_the_canary_can_be_built_and_is_small():
    from nasbench.model.cost import count

    assert count(CANARY).macs == pytest.approx(14e6, rel=0.05)


# --- confirm: failures


def test_a_network_that_fails_is_its_error_and_the_others_go_on():
    device = SimulatedDevice()
    device.fails[B, 0] = CRASH
    first, second, third = confirmed(device, A, B, C)

    assert (first.verdict, third.verdict) == ("ok", "ok")
    assert second is CRASH
    assert device.order.count(3) == 1


def test_a_network_that_fails_later_says_after_how_many():
    device = SimulatedDevice()
    device.fails[A, 3] = CRASH
    (error,) = confirmed(device, A)

    assert isinstance(error, Crashed)
    assert str(error).startswith(str(CRASH))
    assert "its process 4, after 3" in str(error)


def test_what_there_is_is_handed_over_even_when_the_device_is_lost():
    device = SimulatedDevice()
    device.fails[A, 0] = CRASH
    device.fails[C, 5] = DeviceError("the board does not answer")
    wide = np.random.default_rng(0).lognormal(0, 0.05, 100)
    device.latency_s = lambda architecture, number: 0.01 * (wide[number] if architecture == C else 1.0)
    came = []

    with pytest.raises(DeviceError):
        confirmed(device, A, B, C, done=lambda index, outcome: came.append((index, type(outcome).__name__)))
    assert came == [(0, "Crashed"), (1, "Measurement"), (2, "Measurement")]


def test_progress_counts_every_process_and_knows_how_many_are_left():
    device = SimulatedDevice()
    seen = []
    confirmed(device, A, B, watch=seen.append)

    assert [one.processes for one in seen] == list(range(15))
    assert {one.expected for one in seen} == {15}
    assert [one.round for one in seen] == [index // 3 + 1 for index in range(15)]
    assert Counter(one.current for one in seen) == {"network 2": 5, "network 3": 5, "canary": 5}
    assert seen[0].latency_s is None
    assert all(one.latency_s == pytest.approx(0.01, rel=0.02) for one in seen[1:])


# --- confirm: what is claimed, by simulation


def outcomes(trials, **machine):
    for seed in range(trials):
        device = SimulatedDevice(seed=seed, **machine)
        yield confirmed(device, A)[0]


@pytest.mark.parametrize("scatter", [0.005, 0.012, pytest.param(0.02, marks=pytest.mark.slow)])
def test_the_interval_of_a_confirmation_covers_in_95_percent(scatter):
    trials = 250
    hits = sum(one.low_s <= 0.01 <= one.high_s for one in outcomes(trials, scatter=scatter))

    assert hits / trials >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / trials)


def test_a_machine_whose_processes_scatter_is_rarely_called_drifting():
    verdicts = Counter(one.verdict for one in outcomes(150, scatter=0.02))

    assert verdicts["drift"] <= 0.08 * 150


def test_a_machine_that_becomes_6_percent_slower_in_the_middle_is_found_out():
    found = 0
    for seed in range(100):
        device = SimulatedDevice(scatter=0.01, seed=seed)
        device.latency_s = lambda architecture, number: 0.01 if number < 6 else 0.0106
        found += confirmed(device, A)[0].verdict == "drift"

    assert found >= 80


def test_an_interval_over_processes_is_asked_for_with_more_confidence_than_it_claims():
    (measurement,) = confirmed(SimulatedDevice(scatter=0.004), A)
    _, low, high = log_interval(measurement.process_medians_s, 0.95)

    assert measurement.low_s < low < high < measurement.high_s


def test_whoever_interrupts_keeps_what_was_measured():
    device = SimulatedDevice()
    kept = {}

    def interrupt_in_round_three(progress):
        if progress.round == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        confirmed(device, A, B, watch=interrupt_in_round_three, done=kept.__setitem__)

    assert sorted(kept) == [0, 1]
    assert all(len(one.process_medians_s) == 2 and one.stop == "interrupted" for one in kept.values())
    assert all(one.verdict == "noisy" for one in kept.values())
