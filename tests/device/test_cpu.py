"""The CPU device on real networks, and on measuring processes that go wrong."""

from dataclasses import replace
from pathlib import Path

import pytest

from nasbench.device.cpu import TASK, CpuDevice
from nasbench.device.load import load_device
from nasbench.errors import Crashed, DefinitionError, DeviceError, MeasurementError, NanOutputError, OutOfMemory
from nasbench.records import TimingPlan
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block
from nasbench.testing import DeviceContract

QUICK = TimingPlan(min_warmup_s=0.02, max_warmup_s=0.3, min_sampling_s=0.02, max_sampling_s=0.3)
TINY = Architecture(
    (1, 8, 8), 10, (make_block("conv", 1, 8, 1, {}, "test"), make_block("pool_linear", 8, 10, 1, {}, "test"))
)


class TestCpuDevice(DeviceContract):
    def make_device(self):
        return CpuDevice(load_device("cpu"), back_offs_s=())


@pytest.fixture
def faulty(monkeypatch):
    """Make a device whose measuring process runs another task; `pauses` are its back-offs."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))

    def make(task, **changes):
        pauses = []
        spec = replace(load_device("cpu"), **changes)
        device = CpuDevice(spec, pause=pauses.append, task=task)
        device.pauses = pauses
        return device

    return make


def test_a_quiet_measurement_is_taken_once(faulty):
    device = faulty("recorded_answers:quiet")

    assert device.measure(TINY, QUICK).verdict == "ok"
    assert device.pauses == []


def test_a_noisy_one_is_repeated_once_at_the_level_screen_and_the_better_try_is_kept(faulty):
    device = faulty("recorded_answers:noisier_each_time")
    measurement = device.measure(TINY, QUICK)

    assert device.pauses == [1.0]
    assert measurement.verdict == "noisy"
    assert len(measurement.noise["tries"]) == 2
    assert measurement.noise["kept_share"] == max(one["kept_share"] for one in measurement.noise["tries"])


def test_a_noisy_one_backs_off_three_times_when_a_result_is_to_be_confirmed(faulty):
    device = faulty("recorded_answers:noisier_each_time")
    device.measure(TINY, replace(QUICK, level="confirm"))

    assert device.pauses == [1.0, 2.0, 4.0]


def test_a_try_that_is_quiet_ends_the_repeats(faulty, tmp_path, monkeypatch):
    monkeypatch.setenv("QUIET_FROM_SECOND_TRY", str(tmp_path / "tried"))
    device = faulty("recorded_answers:quiet_from_the_second_time")
    measurement = device.measure(TINY, replace(QUICK, level="confirm"))

    assert device.pauses == [1.0]
    assert measurement.verdict == "ok"
    assert [one["verdict"] for one in measurement.noise["tries"]] == ["noisy", "ok"]


@pytest.mark.parametrize(
    ("task", "error"),
    [
        ("recorded_answers:zero_latency", MeasurementError),
        ("measuring_faults:crash", Crashed),
        ("measuring_faults:nan_weights", NanOutputError),
        ("measuring_faults:moody", MeasurementError),
    ],
)
def test_a_failure_is_executed_once_and_has_its_own_error(faulty, task, error):
    device = faulty(task)

    with pytest.raises(error):
        device.measure(TINY, QUICK)
    assert device.pauses == []


def test_a_network_over_the_memory_limit_is_out_of_memory(faulty):
    with pytest.raises(OutOfMemory):
        faulty(TASK, memory_limit_bytes=64 << 20).measure(TINY, QUICK)


def test_a_dtype_that_the_runtime_lacks_is_named():
    with pytest.raises(DefinitionError, match=r"'int3'.*fp32, bf16"):
        CpuDevice(load_device("cpu")).measure(TINY, replace(QUICK, dtype="int3"))


def test_its_cores_are_ours_and_as_many_as_its_threads():
    device = CpuDevice(load_device("cpu"))

    assert len(device.cpus) >= 1
    with pytest.raises(DeviceError):
        CpuDevice(replace(load_device("cpu"), threads=5000)).open()
