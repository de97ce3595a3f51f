"""What the gates make of a measuring process's answer."""

import math
import re

import pytest

from nasbench.device.verdict import judge
from nasbench.errors import MeasurementError
from nasbench.records import TimingPlan

PLAN = TimingPlan()


def answer(noise=None, series=None, settled=True):
    quiet = {
        "window_s": 1.0,
        "pressure_us": 2000,
        "waiting_s": 0.001,
        "steal_s": 0.0,
        "throttled_us": 0,
        "thermal_events": 0,
        "frequencies_hz": [3e9] * 20,
    }
    calm = {
        "seconds": [0.01] * 100,
        "kept": [True] * 100,
        "low_s": 0.00995,
        "high_s": 0.01005,
        "kept_share": 1.0,
        "gate_failed": False,
    }
    return {"noise": {**quiet, **(noise or {})}, "series": {**calm, **(series or {})}, "settled": settled}


def test_a_quiet_machine_is_ok():
    assert (judge(answer(), PLAN).word, judge(answer(), PLAN).reasons) == ("ok", ())


def test_what_a_machine_does_not_count_is_no_reason():
    absent = {"pressure_us": None, "waiting_s": None, "steal_s": None, "throttled_us": None, "thermal_events": None}

    assert judge(answer(noise={**absent, "frequencies_hz": []}), PLAN).word == "ok"


def test_a_counter_that_went_backwards_is_not_known():
    wrapped = {"pressure_us": -(2**32), "waiting_s": -1.0, "steal_s": -0.01, "throttled_us": -5, "thermal_events": -1}

    assert judge(answer(noise=wrapped), PLAN).word == "ok"


def test_a_counter_that_stands_still_is_no_reason():
    frozen = {"pressure_us": 0, "waiting_s": 0.0, "steal_s": 0.0, "frequencies_hz": [2.1e9] * 40}

    assert judge(answer(noise=frozen), PLAN).word == "ok"


def test_a_clock_that_reads_0_while_its_core_sleeps_is_judged_by_the_other_readings():
    assert judge(answer(noise={"frequencies_hz": [0.0] * 10 + [3e9] * 20}), PLAN).word == "ok"
    assert judge(answer(noise={"frequencies_hz": [0.0] * 10}), PLAN).word == "ok"


def test_a_held_back_clock_is_the_word_when_there_was_a_neighbour_too():
    verdict = judge(answer(noise={"throttled_us": 40_000, "pressure_us": 30_000}), PLAN)

    assert verdict.word == "throttled"
    assert len(verdict.reasons) == 2


def test_the_threads_of_a_network_wait_together():
    assert judge(answer(noise={"waiting_s": 0.03}), PLAN, threads=1).word == "noisy"
    assert judge(answer(noise={"waiting_s": 0.03}), PLAN, threads=4).word == "ok"


@pytest.mark.parametrize(
    ("change", "word", "reason"),
    [
        ({"noise": {"pressure_us": 30_000}}, "noisy", "processes waited for a core in 3.0%"),
        ({"noise": {"waiting_s": 0.05}}, "noisy", "this process waited for a core in 5.0%"),
        ({"noise": {"steal_s": 0.02}}, "noisy", "the hypervisor took 2.0%"),
        ({"noise": {"throttled_us": 40_000}}, "throttled", "quota held it back for 40 ms"),
        ({"noise": {"thermal_events": 3}}, "throttled", "3 thermal"),
        ({"noise": {"frequencies_hz": [3e9] * 10 + [2.7e9] * 10}}, "throttled", r"clock moved by -10.0%"),
        ({"series": {"kept_share": 0.6}}, "noisy", "only 60% of the samples"),
        ({"series": {"low_s": 0.009, "high_s": 0.011}}, "noisy", r"±10.0% wide; ±2.0% was asked for"),
        ({"series": {"low_s": None, "high_s": None}}, "noisy", "too few for an interval"),
        ({"series": {"seconds": [0.01] * 50 + [0.0105] * 50}}, "noisy", r"moved by \+5.0%"),
        ({"settled": False}, "noisy", "warm-up"),
    ],
)
def test_every_gate_gives_its_own_reason(change, word, reason):
    verdict = judge(answer(**change), PLAN)

    assert verdict.word == word
    assert len(verdict.reasons) == 1
    assert re.search(reason, verdict.reasons[0])


@pytest.mark.parametrize("bad", [0.0, -0.001, math.nan, math.inf])
def test_a_latency_that_cannot_be_is_an_invalid_measurement(bad):
    with pytest.raises(MeasurementError, match="positive and finite"):
        judge(answer(series={"seconds": [0.01] * 99 + [bad]}), PLAN)
