"""The CPU device on real networks, and on measuring processes that go wrong."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nasbench.device.cpu import TASK, CpuDevice
from nasbench.device.load import load_device
from nasbench.errors import (
    BuildError,
    Crashed,
    DefinitionError,
    DeviceError,
    MeasurementError,
    NanOutputError,
    OutOfMemory,
)
from nasbench.records import TimingPlan
from nasbench.runtime import base
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block
from nasbench.testing import DeviceContract

QUICK = TimingPlan(min_warmup_s=0.02, max_warmup_s=0.3, min_sampling_s=0.02, max_sampling_s=0.3)
TINY = Architecture(
    (1, 8, 8), 10, (make_block("conv", 1, 8, 1, {}, "test"), make_block("pool_linear", 8, 10, 1, {}, "test"))
)


class TestCpuDevice(DeviceContract):
    def make_device(self):
        return CpuDevice(load_device("cpu"))


@pytest.mark.slow
class TestCpuDeviceOnExportedGraphs(DeviceContract):
    def make_device(self):
        return CpuDevice(load_device("cpu-onnx"))


@pytest.fixture
def make_device(monkeypatch):
    """Make a device whose measuring process runs another task."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))

    def make(task, name="cpu", **changes):
        return CpuDevice(replace(load_device(name), **changes), task=task)

    return make


@pytest.mark.parametrize(("task", "verdict"), [("quiet", "ok"), ("noisy", "noisy")])
def test_a_process_is_taken_once_whatever_the_verdict(make_device, task, verdict):
    measurement = make_device(f"recorded_answers:{task}").take(TINY, QUICK)

    assert measurement.verdict == verdict
    assert len(measurement.latencies_s) == 60


@pytest.mark.parametrize(
    ("task", "error"),
    [
        ("recorded_answers:zero_latency", MeasurementError),
        ("measuring_faults:crash", Crashed),
        ("measuring_faults:nan_weights", NanOutputError),
        ("measuring_faults:moody", MeasurementError),
    ],
)
def test_a_failure_has_its_own_error(make_device, task, error):
    with pytest.raises(error):
        make_device(task).take(TINY, QUICK)


def test_a_network_over_the_memory_limit_is_out_of_memory(make_device):
    with pytest.raises(OutOfMemory):
        make_device(TASK, memory_limit_bytes=64 << 20).take(TINY, QUICK)


def test_an_int8_network_that_computes_something_else_is_measured_and_said_to(make_device):
    with make_device("recorded_answers:far_away", "cpu-onnx-int8") as device:
        settings = device.take(TINY, replace(QUICK, dtype="int8")).settings

    assert settings["output_agrees"] is False
    assert settings["output_reason"] == "0.5 away from torch eager fp32; 0.25 is agreement"
    assert "16 images" in settings["quantization"]["calibration"]


def test_the_process_that_measures_a_graph_imports_its_runtime_and_nothing_heavier(make_device):
    with make_device("telling_measurements:imported", "cpu-onnx") as device:
        measurement = device.take(TINY, QUICK)

    assert measurement.settings["environment"]["imported"] == ["onnxruntime"]
    assert measurement.output_error < 1e-5
    assert measurement.settings["output_agrees"] is True
    assert measurement.settings["output_compared_to"] == "torch eager fp32"


def test_the_driver_measures_a_graph_without_torch():
    program = (
        "import sys; from nasbench.device.load import load_device, open_device\n"
        "from nasbench.device.loading import TINY; from nasbench.records import TimingPlan\n"
        "with open_device(load_device('cpu-onnx')) as device:\n"
        "    device.fingerprint(); device.request([TINY], TimingPlan())\n"
        "    print(sorted({'torch', 'onnxruntime', 'onnx'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert answer.stdout == "[]\n"


def test_the_caches_are_emptied_before_every_sample_when_the_plan_says_cold(make_device):
    with make_device(TASK) as device:
        measurement = device.take(TINY, replace(QUICK, cache="cold", min_samples=10))

    assert measurement.settings["inner_loops"] == 1


@pytest.mark.parametrize(
    ("name", "dtype", "text"), [("cpu", "int3", "'int3'.*fp32, fp16, bf16"), ("cpu-onnx", "bf16", "'bf16'.*fp32, int8")]
)
def test_a_dtype_that_the_runtime_lacks_is_named_before_anything_starts(name, dtype, text):
    with pytest.raises(DefinitionError, match=text):
        CpuDevice(load_device(name)).take(TINY, replace(QUICK, dtype=dtype))


def test_the_fingerprint_holds_the_machine_and_what_the_runtime_rests_on():
    fingerprint = CpuDevice(load_device("cpu-openvino")).fingerprint()

    assert fingerprint["cpu_model"]
    assert {"nasbench", "openvino", "torch", "onnx", "onnxscript"} == set(fingerprint["software"])


def test_a_runtime_that_is_not_installed_says_what_to_install(monkeypatch):
    lacking = replace(base.RUNTIMES["openvino"], packages=("no-such-package",))
    monkeypatch.setitem(base.RUNTIMES, "openvino", lacking)
    device = CpuDevice(load_device("cpu-openvino"))

    for ask in (device.fingerprint, lambda: device.take(TINY, QUICK)):
        with pytest.raises(BuildError, match=r"pip install nasbench\[openvino\]"):
            ask()


def test_its_cores_are_ours_and_as_many_as_its_threads():
    device = CpuDevice(load_device("cpu"))

    assert len(device.cpus) >= 1
    with pytest.raises(DeviceError):
        CpuDevice(replace(load_device("cpu"), threads=5000)).open()
