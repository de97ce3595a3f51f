"""Comparisons on a machine that is simulated: what they claim, when they end, what they do when it is disturbed."""

import json
import re
from collections import Counter
from dataclasses import asdict, replace

import pytest
from turning_device import TurningDevice, network

from nasbench.errors import BuildError, DefinitionError, DeviceError
from nasbench.measure.compare import BACK_OFFS_S, LEAST_PAIRS, compare
from nasbench.records import CONFIRM, TimingPlan

A, B = network(8), network(16)
QUIET = {"instance": 0.007, "noise": 0.01}


def make_device(ratio=1.0, latency_s=0.01, **effects):
    return TurningDevice({A.digest: ratio * latency_s, B.digest: latency_s}, **effects)


def run(device, plan=CONFIRM, **options):
    pauses = []
    found = compare(device, A, B, plan, pause=pauses.append, clock=device.clock, **options)
    return found, pauses


def verdicts(trials, ratio=1.0, **effects):
    return Counter(run(make_device(ratio, seed=seed, **effects), seed=seed)[0].verdict for seed in range(trials))


@pytest.mark.slow
@pytest.mark.parametrize("instance", [0.002, 0.007, 0.05])
def test_a_network_against_itself_is_said_to_differ_in_five_per_cent_at_most(instance):
    found = verdicts(400, instance=instance, noise=0.02, spikes=0.03, drift=0.05)

    assert found["faster"] + found["slower"] <= 20


def test_three_per_cent_more_are_found_on_a_quiet_machine():
    assert verdicts(60, ratio=1.03, **QUIET)["slower"] >= 48


def test_what_differs_by_less_than_the_margin_is_a_tie_on_a_quiet_machine():
    assert verdicts(20, ratio=1.002, instance=0.002, noise=0.01)["tie"] >= 18


def test_faster_means_that_the_first_takes_less_time():
    found, _ = run(make_device(0.5, **QUIET), names=("small", "large"))

    assert found.verdict == "faster"
    assert found.low < 0.5 < found.high
    assert found.first_s[0] / found.second_s[0] == pytest.approx(found.ratio, rel=0.01)
    assert re.fullmatch(
        r"small takes (0\.\d+) of large's time \((0\.\d+) to (0\.\d+), 95 %\): faster", found.sentence()
    )


def test_a_clear_difference_takes_four_processes_and_says_why_it_ended():
    found, _ = run(make_device(0.5, **QUIET))

    assert (found.processes, len(found.ratios), len(found.noise)) == (4, 4, 4)
    assert found.stop == "decided after 4 processes: the interval does not hold 1"


def test_which_network_is_built_first_alternates():
    device = make_device(0.5, **QUIET)
    run(device)

    assert device.orders == [[A.digest, B.digest], [B.digest, A.digest]] * 2


def test_within_a_process_each_network_goes_first_in_about_half_of_the_pairs():
    device = make_device(noise=0.05)
    first = []
    serve = device._take

    def note(side, latency_s, process):
        first.append(side)
        return serve(side, latency_s, process)

    device._take = note
    run(device)

    pairs = [(first[index], first[index + 1]) for index in range(0, len(first), 2)]
    assert set(pairs) == {(0, 1), (1, 0)}
    assert 0.4 < pairs.count((0, 1)) / len(pairs) < 0.6


def test_drift_that_both_share_does_not_reach_the_ratio():
    found, _ = run(make_device(1.05, instance=0.001, noise=0.003, drift=0.3))

    assert found.ratio == pytest.approx(1.05, abs=0.003)


def test_a_process_ends_when_its_interval_is_narrow_and_at_the_cap_of_the_level_otherwise():
    quick, slow, screened = make_device(noise=0.001), make_device(noise=0.3), make_device(noise=0.3)
    run(quick)
    run(slow)
    run(screened, plan=TimingPlan())

    assert quick.now_s / len(quick.orders) < 1
    assert 5 <= slow.now_s / len(slow.orders) < 6
    assert 2 <= screened.now_s / len(screened.orders) < 3


def test_the_cap_of_the_plan_bounds_a_process_too():
    device = make_device(noise=0.3)
    run(device, plan=replace(CONFIRM, max_sampling_s=1.0))

    assert device.now_s / len(device.orders) < 1.6


def test_a_slow_network_gets_enough_pairs_for_an_interval_beyond_the_cap():
    found, _ = run(make_device(0.5, latency_s=1.0, noise=0.05))

    assert found.verdict == "faster"
    assert found.pairs / found.processes >= LEAST_PAIRS


def test_disturbed_pairs_do_not_count():
    device = make_device(0.5, **QUIET)
    turns = iter(range(10**9))
    device.kept = lambda process: next(turns) % 20 != 0
    found, pauses = run(device)

    assert pauses == []
    assert all(one["kept_pairs"] < one["pairs"] for one in found.noise)


def test_a_disturbed_process_is_discarded_and_repeated_after_a_pause():
    device = make_device(0.5, **QUIET)
    device.reasons = lambda process: ("the hypervisor took 9.0% of the time",) if process == 1 else ()
    found, pauses = run(device)

    assert pauses == [BACK_OFFS_S[0]]
    assert (found.processes, found.discarded) == (4, 1)
    assert found.reasons == ("process 2 was discarded: the hypervisor took 9.0% of the time",)
    assert device.orders[1] == device.orders[2]


def test_when_the_machine_stays_disturbed_it_backs_off_three_times_and_then_says_that_all_count():
    device = make_device(0.5, **QUIET)
    device.reasons = lambda process: ("somebody was there",)
    found, pauses = run(device)

    assert pauses == list(BACK_OFFS_S)
    assert (found.verdict, found.processes, found.discarded) == ("faster", 4, 3)
    assert [" counts all the same: " in reason for reason in found.reasons] == [False] * 3 + [True] * 4


def test_a_machine_that_never_leaves_its_cores_to_a_pair_decides_nothing():
    device = make_device(0.5, **QUIET)
    device.kept = lambda process: False
    found, pauses = run(device)

    assert (found.verdict, found.ratio, found.low, found.first_s) == ("undecided", None, None, None)
    assert found.processes == 0
    assert len(pauses) < 10
    assert "not fit" in found.sentence()


def test_a_comparison_is_json_and_repeats_with_its_seed():
    found, again = (run(make_device(1.05, seed=3, **QUIET), seed=3)[0] for _ in range(2))

    assert json.loads(json.dumps(asdict(found)))["verdict"] == found.verdict
    assert found == again


def test_a_network_that_fails_is_named():
    device = make_device()
    device.fails[B.digest] = BuildError("row 2 of 3 takes 7 channels")

    with pytest.raises(BuildError, match=r"^large: row 2 of 3"):
        run(device, names=("small", "large"))


def test_a_device_that_is_gone_ends_it():
    device = make_device()
    device.fails[A.digest] = DeviceError("the GPU fell off the bus")

    with pytest.raises(DeviceError):
        run(device)


@pytest.mark.parametrize("options", [{"margin": 0.0}, {"margin": 1.0}, {"max_processes": 3}, {"max_processes": 31}])
def test_a_margin_or_a_number_of_processes_out_of_range_is_refused_before_anything_runs(options):
    device = make_device()

    with pytest.raises(DefinitionError):
        run(device, **options)
    assert device.orders == []


def test_a_ratio_that_somebody_claims_can_be_asked_about():
    faster, _ = run(make_device(0.5, **QUIET), against=0.7)
    slower, _ = run(make_device(0.9, **QUIET), against=0.7)
    tie, _ = run(make_device(0.7, instance=0.002, noise=0.01), against=0.7)

    assert [found.verdict for found in (faster, slower, tie)] == ["faster", "slower", "tie"]
    assert faster.low < 0.5 < faster.high and slower.low < 0.9 < slower.high
    assert slower.stop == "decided after 4 processes: the interval does not hold 0.7"
    assert slower.sentence().endswith(": slower (asked: 0.7)")


def test_no_ratio_is_asked_about_that_cannot_be():
    with pytest.raises(DefinitionError, match="the ratio of a comparison is 0; it is above 0"):
        run(make_device(), against=0.0)
