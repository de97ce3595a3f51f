"""The live test of doctor, and all checks together, on devices whose processes are drawn."""

import itertools
import math
import os

import pytest
from machines import machine, watched

from nasbench.device.cuda import KEEP_CLOCKS
from nasbench.doctor.examine import Senses, examine
from nasbench.doctor.stability import Stability, check_stability, probe
from nasbench.errors import DeviceError
from nasbench.measure.canary import CANARY
from nasbench.measure.statistics import halfwidth, log_interval
from tests.measure.simulated_device import CRASH, SimulatedDevice


def by_name(findings):
    return {finding.name: finding for finding in findings}


def test_the_canary_is_taken_in_five_processes_and_their_time_is_noted():
    device = SimulatedDevice(scatter=0.0)
    stability = probe(device, clock=itertools.count(0, 20).__next__)

    assert [architecture for architecture, _ in device.taken] == [CANARY] * 5
    assert stability.medians_s == pytest.approx((0.01,) * 5)
    assert (stability.verdicts, stability.process_s) == (("ok",) * 5, 4.0)


def test_processes_that_agree_are_fit_and_say_what_a_confirmation_reaches_and_costs():
    findings = by_name(check_stability(Stability((0.0100, 0.0101, 0.0100, 0.0101, 0.0100), ("ok",) * 5, (), 4.0)))

    assert {finding.state for finding in findings.values()} == {"ok"}
    assert "10 ms to 10.1 ms in 5 processes, 1.0% apart" in findings["live spread"].found
    assert "a confirmation takes about 0:20 to 1:00 minutes" in findings["live time"].found


def test_what_five_processes_would_reach_is_what_these_five_have_reached():
    medians_s = (0.0100, 0.0104, 0.0099, 0.0101, 0.0107)
    stability = Stability(medians_s, ("ok",) * 5, (), 4.0)

    assert stability.expected_halfwidth(5) == pytest.approx(halfwidth(log_interval(medians_s)))
    assert stability.expected_halfwidth(15) < 0.5 * stability.expected_halfwidth(5)


@pytest.mark.parametrize(("scatter", "state"), [(0.001, "ok"), (0.04, "warning"), (0.2, "problem")])
def test_the_wider_the_processes_lie_apart_the_worse(scatter, state):
    medians_s = tuple(0.01 * math.exp(scatter * z) for z in (-1.2, -0.5, 0.0, 0.5, 1.2))

    assert by_name(check_stability(Stability(medians_s, ("ok",) * 5, (), 4.0)))["live spread"].state == state


def test_the_most_frequent_reason_is_given_whatever_its_numbers():
    reasons = (
        "the hypervisor took 3.1% of the time",
        "processes waited in 2.0% of it",
        "processes waited in 7.5% of it",
    )
    stability = Stability((0.01,) * 4, ("ok", "noisy", "noisy", "throttled"), reasons, 4.0)
    found = by_name(check_stability(stability))["live verdicts"]

    assert found.state == "warning"
    assert found.found == "1 of 4 processes ok, 2 noisy, 1 throttled; most often: processes waited in 2.0% of it (2x)"


def test_processes_that_fail_are_counted_and_when_all_do_that_is_a_problem():
    device = SimulatedDevice()
    device.fails = {(CANARY, number): CRASH for number in range(5)}
    findings = by_name(check_stability(probe(device)))

    assert findings["live verdicts"].state == "problem"
    assert "5 failed" in findings["live verdicts"].found and "SIGSEGV" in findings["live verdicts"].found
    assert "live spread" not in findings


def senses(root, *devices, **others):
    """Look at a machine that is files, and open the devices of a test by their names."""
    named = {device.spec.name: device for device in devices}
    return Senses(
        root=root,
        available=lambda: (0, 1, 2, 3),
        watch=lambda place: watched(),
        overhead_s=lambda: 1e-7,
        open_device=lambda spec: named[spec.name],
        **others,
    )


def test_a_machine_and_a_device_without_fault_are_fit(tmp_path):
    device = SimulatedDevice()
    report = examine([device.spec], senses=senses(machine(tmp_path), device))

    assert (report.fitness.word, report.fitness.warnings) == ("yes", 0)
    assert list(report.stability) == ["simulated"]
    assert {finding.device for finding in report.findings} == {"", "simulated"}


@pytest.mark.parametrize("before", [None, "mine"])
def test_the_clocks_of_a_gpu_are_left_alone_while_a_device_is_open_and_no_longer(tmp_path, monkeypatch, before):
    class Looking(SimulatedDevice):
        def open(self):
            seen.append(os.environ.get(KEEP_CLOCKS))

    seen = []
    monkeypatch.delenv(KEEP_CLOCKS, raising=False)
    if before is not None:
        monkeypatch.setenv(KEEP_CLOCKS, before)
    device = Looking()

    examine([device.spec], senses=senses(machine(tmp_path), device))

    assert (seen, os.environ.get(KEEP_CLOCKS)) == ([before or "1"], before)


def test_a_quick_look_measures_nothing(tmp_path):
    device = SimulatedDevice()
    report = examine([device.spec], quick=True, senses=senses(machine(tmp_path), device))

    assert (device.taken, report.stability) == ([], {})


def test_a_device_that_cannot_be_opened_is_a_problem_and_the_next_one_is_looked_at(tmp_path):
    class Gone(SimulatedDevice):
        def open(self):
            raise DeviceError("device 'gone' needs 99 cores")

    devices = (Gone(name="gone"), SimulatedDevice())
    report = examine([device.spec for device in devices], senses=senses(machine(tmp_path), *devices))

    assert report.fitness.word == "no"
    assert [f.found for f in report.findings if f.device == "gone" and f.state == "problem"] == [
        "device 'gone' needs 99 cores"
    ]
    assert list(report.stability) == ["simulated"]


def test_a_gpu_without_a_driver_is_a_problem_and_is_not_measured_on(tmp_path):
    def no_driver(spec):
        raise DeviceError("no NVIDIA GPU can be used")

    device = SimulatedDevice(backend="cuda")
    here = Senses(
        machine(tmp_path),
        lambda: (0, 1),
        lambda place: watched(),
        lambda: 1e-7,
        no_driver,
        lambda: "12.8",
        lambda s: device,
    )
    report = examine([device.spec], senses=here)

    assert report.fitness.word == "no" and not device.taken
    assert by_name(report.findings)["GPU"].found == "no NVIDIA GPU can be used"
