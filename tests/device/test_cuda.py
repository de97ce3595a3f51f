"""The CUDA device where there is no CUDA: NVML is a fake, and a processor stands in for the GPU.

Nothing here shows that the device works on hardware; see tests/gpu for what does.
"""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from fake_gpu import ProcessorLayer
from fake_nvml import GPU_IS_LOST, NO_PERMISSION, FakeNvml, process

from nasbench.device import cuda
from nasbench.device.cuda import CudaDevice, torch_cuda_version
from nasbench.device.cuda_measuring import _peak, cuda_fault
from nasbench.device.load import load_device
from nasbench.errors import Crashed, DefinitionError, DeviceError, OutOfMemory
from nasbench.records import TimingPlan
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block
from nasbench.testing import DeviceContract

QUICK = TimingPlan(min_warmup_s=0.02, max_warmup_s=0.3, min_sampling_s=0.02, max_sampling_s=0.3)
TINY = Architecture(
    (1, 8, 8), 10, (make_block("conv", 1, 8, 1, {}, "test"), make_block("pool_linear", 8, 10, 1, {}, "test"))
)


def without_gpu(task="quiet", nvml=None, turns_task="made_up_turns", **answers):
    """Make a device whose measuring process is one of `cuda_stand_in`."""
    return CudaDevice(
        load_device("cuda"),
        task=f"cuda_stand_in:{task}",
        turns_task=f"cuda_stand_in:{turns_task}",
        nvml=nvml or FakeNvml(**answers),
    )


@pytest.fixture(autouse=True)
def torch_with_cuda(monkeypatch):
    """Take this torch for one that is built for CUDA, and let measuring processes find the stand-ins."""
    monkeypatch.setattr(cuda, "torch_cuda_version", lambda: "12.8")
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv(cuda.KEEP_CLOCKS, raising=False)


@pytest.mark.slow
class TestCudaDeviceOnAProcessor(DeviceContract):
    plan = replace(DeviceContract.plan, energy=True)

    def make_device(self):
        return without_gpu("measure", turns_task="take_turns")

    def test_energy_that_cannot_be_read_has_its_reason_in_the_row(self, measurement):
        assert measurement.energy_j is None
        assert measurement.energy_source == "a processor in the place of a GPU"


def test_a_quiet_measurement_is_ok_and_holds_what_was_seen_of_the_gpu():
    with without_gpu() as device:
        measurement = device.take(TINY, QUICK)

    assert (measurement.verdict, measurement.reasons) == ("ok", ())
    assert measurement.end_to_end_s == 0.0051
    assert measurement.peak_memory_bytes == 5 << 20
    assert measurement.host["driver"] == "570.86.10"
    assert measurement.noise["sm_clock_hz"] == [1.5e9] * 3
    assert measurement.settings.items() >= {"host_bound": False, "enqueue_s": 0.001, "pipelined": False}.items()
    assert measurement.settings["context_bytes"] == (920 - 500 - 20) << 20
    assert json.loads(json.dumps(measurement.noise)) == measurement.noise


def test_a_gpu_in_a_thermal_slowdown_is_throttled():
    with without_gpu(nvmlDeviceGetCurrentClocksEventReasons=0x40) as device:
        measurement = device.take(TINY, QUICK)

    assert measurement.verdict == "throttled"
    assert "100% of the samples were taken in a hardware slowdown (hw_thermal)" in measurement.reasons
    assert all(measurement.kept)  # nothing else is left to go by


def test_samples_under_a_slowdown_are_not_kept():
    looks = itertools.count()
    every_sixth = FakeNvml(nvmlDeviceGetCurrentClocksEventReasons=lambda handle: 0x08 if next(looks) % 6 == 0 else 0)
    with without_gpu(nvml=every_sixth) as device:
        measurement = device.take(TINY, QUICK)

    assert 0 < sum(measurement.kept) < 60
    assert measurement.noise["kept_share"] == sum(measurement.kept) / 60


def test_falling_clocks_are_throttled():
    clocks = (2000 * 0.99**n for n in itertools.count())
    with without_gpu(nvmlDeviceGetClockInfo=lambda handle, kind: next(clocks)) as device:
        measurement = device.take(TINY, QUICK)

    assert measurement.verdict == "throttled"
    assert any("the clock moved by -" in reason for reason in measurement.reasons)


def test_another_process_on_the_gpu_is_noisy():
    with without_gpu(nvmlDeviceGetComputeRunningProcesses=[process(1)]) as device:
        measurement = device.take(TINY, QUICK)

    assert measurement.verdict == "noisy"
    assert measurement.reasons[0].startswith("other processes use this GPU: 1")


@pytest.mark.parametrize(("bits", "kept"), [(0x00, True), (0x08, False)])
def test_turns_in_a_hardware_slowdown_are_not_kept(bits, kept):
    seen = []

    def steer(turns):
        seen.extend(turns)
        return None if seen else (0, 1)

    with without_gpu(nvmlDeviceGetCurrentClocksEventReasons=bits) as device:
        found = device.take_turns([TINY, TINY], QUICK, steer)

    assert [(turn.side, turn.kept) for turn in seen] == [(0, kept), (1, kept)]
    assert any("hardware slowdown" in reason for reason in found["reasons"]) != kept
    assert found["host"]["gpu"] == "NVIDIA Imaginary 100"


@pytest.mark.parametrize(("task", "verdict"), [("disturbed_host", "ok"), ("disturbed_host_that_decides", "noisy")])
def test_a_disturbed_host_counts_only_where_the_gpu_waits_for_it(task, verdict):
    with without_gpu(task) as device:
        assert device.take(TINY, QUICK).verdict == verdict


def take_one_round(device):
    orders = iter([(0, 1)])
    return device.take_turns([TINY, TINY], QUICK, lambda turns: next(orders, None))


@pytest.mark.parametrize(
    ("task", "reasons", "host_bound"),
    [
        ("disturbed_turns", [], [False, False]),
        ("disturbed_turns_that_wait", ["processes waited for a core in 33.3% of the time"], [False, True]),
    ],
)
def test_a_disturbed_host_counts_in_turns_only_where_one_network_waits_for_it(task, reasons, host_bound):
    with without_gpu(turns_task=task) as device:
        found = take_one_round(device)

    assert found["reasons"] == reasons
    assert found["noise"]["host_bound"] == host_bound


def test_clocks_that_fall_during_turns_are_a_reason():
    clocks = (2000 * 0.99**n for n in itertools.count())
    with without_gpu(nvmlDeviceGetClockInfo=lambda handle, kind: next(clocks)) as device:
        found = take_one_round(device)

    assert any("the clock moved by -" in reason for reason in found["reasons"])


def test_too_little_gpu_memory_is_out_of_memory():
    with without_gpu("out_of_memory") as device, pytest.raises(OutOfMemory, match=r"Tried to allocate 20\.00 GiB\.$"):
        device.take(TINY, QUICK)


def test_a_sticky_error_is_a_crash_and_its_process_is_gone():
    with without_gpu("sticky") as device:
        with pytest.raises(Crashed, match=r"^CUDA error: an illegal memory access was encountered$"):
            device.take(TINY, QUICK)

        running = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
        assert not [line for line in running if "nasbench.isolation_child" in line]


def test_a_crash_of_a_gpu_that_has_vanished_is_the_device_s():
    nvml = FakeNvml()
    with without_gpu("sticky", nvml) as device:
        answers = iter([nvml.answers["nvmlDeviceGetMemoryInfo"]])

        def once(handle):
            for answer in answers:
                return answer
            raise GPU_IS_LOST

        nvml.answers["nvmlDeviceGetMemoryInfo"] = once
        with pytest.raises(DeviceError, match="NVIDIA Imaginary 100 is gone"):
            device.take(TINY, QUICK)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB", OutOfMemory),
        ("CUDA error: out of memory", OutOfMemory),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", OutOfMemory),
        ("CUDA error: device-side assert triggered", Crashed),
        ("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", Crashed),
        ("CUDA error: no kernel image is available for execution on the device", DeviceError),
    ],
)
def test_what_cuda_says_decides_whose_fault_it_is(text, kind):
    assert type(cuda_fault(RuntimeError(text + "\nmore"))) is kind


def test_torch_s_own_classes_are_known():
    assert type(cuda_fault(torch.cuda.OutOfMemoryError("no room"))) is OutOfMemory
    assert type(cuda_fault(torch.AcceleratorError("unspecified"))) is Crashed


@pytest.mark.parametrize(
    "text",
    [
        "mat1 and mat2 shapes cannot be multiplied",
        "CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasGemmEx(handle, opa, opb, m, n, k)`",
        "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if you passed in a non-contiguous input.",
    ],
)
def test_an_error_after_which_cuda_goes_on_is_left_alone(text):
    assert cuda_fault(RuntimeError(text)) is None


@pytest.mark.parametrize(("runtime", "peak_bytes"), [("eager", 3 << 20), ("cuda_graph", 20 << 20)])
def test_the_memory_of_a_graph_is_that_of_its_pool_since_replays_allocate_nothing(runtime, peak_bytes):
    assert _peak(ProcessorLayer().memory(), runtime)["peak_memory_bytes"] == peak_bytes


def test_a_torch_without_cuda_is_told_in_one_line(monkeypatch):
    monkeypatch.setattr(cuda, "torch_cuda_version", lambda: None)

    with pytest.raises(DeviceError, match=r"^device 'cuda' needs a CUDA build of torch; this one is [0-9].*pip"):
        without_gpu().open()


def test_the_cuda_of_the_installed_torch_is_read_without_importing_it():
    assert torch_cuda_version() == torch.version.cuda


def test_an_index_without_a_gpu_is_refused_when_the_device_is_opened():
    device = CudaDevice(replace(load_device("cuda"), index=5), nvml=FakeNvml())

    with pytest.raises(DeviceError, match="no GPU with index 5; there are: 0, 1"):
        device.open()


def test_a_device_that_is_not_open_says_so():
    with pytest.raises(DeviceError, match="'cuda' is not open"):
        without_gpu().take(TINY, QUICK)


def test_a_dtype_that_the_runtime_lacks_is_named():
    with without_gpu() as device, pytest.raises(DefinitionError, match=r"'int8'.*fp32, fp16, bf16"):
        device.take(TINY, replace(QUICK, dtype="int8"))


def test_clocks_are_locked_while_the_device_is_open_and_part_of_its_fingerprint():
    nvml = FakeNvml()
    with without_gpu(nvml=nvml) as device:
        fingerprint = device.fingerprint()

    assert fingerprint["locked_clock_hz"] == 1.41e9
    assert fingerprint["software"]["cuda"] == "12.8"
    assert nvml.called("nvmlDeviceResetGpuLockedClocks") == [("GPU 0",)]
    assert nvml.called("nvmlShutdown") == [()]


def test_clocks_that_may_not_be_locked_are_a_setting_and_no_verdict():
    with without_gpu(nvmlDeviceSetGpuLockedClocks=NO_PERMISSION) as device:
        measurement = device.take(TINY, QUICK)

    assert measurement.verdict == "ok"
    assert measurement.settings["clocks"] == "clocks are not locked: Insufficient Permissions"


def test_clocks_are_left_alone_when_the_user_says_so(monkeypatch):
    monkeypatch.setenv(cuda.KEEP_CLOCKS, "1")
    nvml = FakeNvml()
    with without_gpu(nvml=nvml):
        pass

    assert nvml.called("nvmlDeviceSetGpuLockedClocks") == nvml.called("nvmlDeviceResetGpuLockedClocks") == []


def test_clocks_are_reset_after_a_candidate_crashed():
    nvml = FakeNvml()
    with pytest.raises(Crashed), without_gpu("sticky", nvml) as device:
        device.take(TINY, QUICK)

    assert nvml.called("nvmlDeviceResetGpuLockedClocks") == [("GPU 0",)]


def test_the_energy_counter_is_named_where_there_is_one():
    with without_gpu() as device:
        assert device.energy_source == "NVML energy counter"


@pytest.mark.parametrize("name", ["cuda", "cuda-fp16", "cuda-graph", "cuda-compile"])
def test_every_definition_of_a_gpu_is_of_this_backend(name):
    assert load_device(name).backend == "cuda"
