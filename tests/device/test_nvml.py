"""What NVML tells and what it does not, on a fake of it; the clock lock, and the guard that undoes it."""

import os
import subprocess
import sys
import time

import pynvml
import pytest
from fake_nvml import GPU_IS_LOST, NO_DRIVER, NO_PERMISSION, NOT_SUPPORTED, FakeNvml, process, utilization

from nasbench.device.clock_lock import ClockLock
from nasbench.device.nvml import open_gpu
from nasbench.errors import DeviceError


def gpu_of(nvml=None, index=0, visible=None, **answers):
    return open_gpu(index, nvml or FakeNvml(**answers), visible)


@pytest.fixture(autouse=True)
def all_visible(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_a_machine_without_a_driver_is_told_what_to_do():
    with pytest.raises(DeviceError, match=r"NVML Shared Library Not Found.*nvidia-smi"):
        gpu_of(nvmlInit=NO_DRIVER)


def test_an_index_out_of_range_names_those_there_are():
    with pytest.raises(DeviceError, match="no GPU with index 2; there are: 0, 1"):
        gpu_of(index=2)


def test_nvml_is_closed_again_when_there_is_no_such_gpu():
    nvml = FakeNvml()
    with pytest.raises(DeviceError):
        gpu_of(nvml, index=2)

    assert nvml.called("nvmlShutdown") == [()]


@pytest.mark.parametrize(
    ("visible", "index", "uuid"),
    [("1", 0, "GPU-of-GPU 1"), ("1,0", 1, "GPU-of-GPU 0"), ("GPU-abc,0", 0, "GPU-of-GPU GPU-abc")],
)
def test_the_index_counts_among_the_visible_gpus(visible, index, uuid):
    assert gpu_of(index=index, visible=visible).uuid == uuid


def test_no_gpu_is_visible_when_the_variable_is_empty():
    with pytest.raises(DeviceError, match=r"CUDA_VISIBLE_DEVICES is ''.*there are: none"):
        gpu_of(visible="")


def test_a_reading_is_in_si_units_and_names_the_throttle_reasons():
    reading = gpu_of(nvmlDeviceGetCurrentClocksEventReasons=0x04 | 0x40).read(clock_ns=iter((10, 30)).__next__)

    assert reading.at_ns == 20
    assert (reading.sm_clock_hz, reading.memory_clock_hz) == (1.5e9, 2.6e9)
    assert (reading.power_w, reading.temperature_c) == (250.0, 55.0)
    assert reading.throttle == ("sw_power_cap", "hw_thermal")


def test_an_old_driver_gives_the_throttle_reasons_under_their_old_name():
    class OldNvml(FakeNvml):
        def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle):  # noqa: N802 - NVML's name
            return 0x08

    assert gpu_of(OldNvml(lacking=("nvmlDeviceGetCurrentClocksEventReasons",))).read().throttle == ("hw_slowdown",)


def test_what_a_gpu_does_not_support_is_none_and_not_zero():
    unsupported = dict.fromkeys(
        (
            "nvmlDeviceGetPowerUsage",
            "nvmlDeviceGetTemperature",
            "nvmlDeviceGetTotalEnergyConsumption",
            "nvmlDeviceGetComputeRunningProcesses",
            "nvmlDeviceGetEccMode",
            "nvmlDeviceGetMigMode",
        ),
        NOT_SUPPORTED,
    )
    gpu = gpu_of(**unsupported)

    assert (gpu.read().power_w, gpu.read().temperature_c, gpu.energy_mj(), gpu.compute_processes()) == (None,) * 4
    assert (gpu.record()["ecc"], gpu.record()["mig"]) == (None, None)


def test_a_pynvml_that_lacks_a_function_is_taken_for_a_gpu_that_does():
    assert gpu_of(lacking=("nvmlDeviceGetMigMode",)).record()["mig"] is None


def test_a_driver_that_is_older_than_pynvml_lists_no_processes():
    mismatch = pynvml.NVMLLibraryMismatchError("Unversioned function called and the pyNVML version does not match")

    assert gpu_of(nvmlDeviceGetComputeRunningProcesses=mismatch).compute_processes() is None


def test_the_record_says_what_a_latency_depends_on():
    record = gpu_of().record()

    assert record | {"gpu_id": None} == {
        "gpu": "NVIDIA Imaginary 100",
        "gpu_id": None,
        "compute_capability": "9.0",
        "driver": "570.86.10",
        "driver_cuda": "12.8",
        "power_limit_w": 400.0,
        "pcie_generation": 5,
        "pcie_width": 16,
        "persistence_mode": True,
        "ecc": True,
        "mig": False,
    }


def test_the_id_tells_two_gpus_apart_and_does_not_hold_the_uuid():
    first, second = (gpu_of(index=index) for index in (0, 1))

    assert first.record()["gpu_id"] != second.record()["gpu_id"]
    assert first.uuid not in str(first.record())


def test_a_gpu_that_is_lost_is_a_device_error():
    gpu = gpu_of(nvmlDeviceGetMemoryInfo=GPU_IS_LOST)

    with pytest.raises(DeviceError, match=r"NVIDIA Imaginary 100 is gone.*GPU is lost"):
        gpu.check()


def test_compute_processes_are_listed_by_id():
    assert gpu_of(nvmlDeviceGetComputeRunningProcesses=[process(7), process(9)]).compute_processes() == {7, 9}


def test_the_busiest_moment_of_every_process_counts():
    samples = [utilization(7, 10), utilization(7, 40), utilization(8, 0)]

    assert gpu_of(nvmlDeviceGetProcessUtilization=samples).busy_processes(0.0) == {7: 40}


class TestClockLock:
    def test_the_clock_is_held_at_what_the_board_states_and_reset_at_close(self):
        nvml = FakeNvml()
        with ClockLock(gpu_of(nvml)) as lock:
            assert lock.hertz == 1.41e9
            assert lock.state == "the SM clock is locked at 1410 MHz"
            assert nvml.called("nvmlDeviceResetGpuLockedClocks") == []

        assert nvml.called("nvmlDeviceSetGpuLockedClocks") == [("GPU 0", 1410, 1410)]
        assert nvml.called("nvmlDeviceResetGpuLockedClocks") == [("GPU 0",)]

    def test_it_is_reset_after_a_fault_too(self):
        nvml = FakeNvml()
        with pytest.raises(ZeroDivisionError), ClockLock(gpu_of(nvml)):
            _ = 1 / 0

        assert nvml.called("nvmlDeviceResetGpuLockedClocks") == [("GPU 0",)]

    def test_a_board_that_states_no_clock_is_held_below_three_quarters_of_its_top_one(self):
        lock = ClockLock(gpu_of(nvmlDeviceGetDefaultApplicationsClock=NOT_SUPPORTED))
        lock.close()

        assert "1500 MHz" in lock.state

    def test_a_board_that_states_its_top_clock_is_held_below_it_like_one_that_states_none(self):
        lock = ClockLock(gpu_of(nvmlDeviceGetDefaultApplicationsClock=2000))
        lock.close()

        assert "1500 MHz" in lock.state

    def test_permission_denied_is_said_and_nothing_is_reset(self):
        nvml = FakeNvml(nvmlDeviceSetGpuLockedClocks=NO_PERMISSION)
        with ClockLock(gpu_of(nvml)) as lock:
            assert lock.hertz is None
            assert lock.state == "clocks are not locked: Insufficient Permissions"

        assert nvml.called("nvmlDeviceResetGpuLockedClocks") == []

    def test_a_gpu_that_goes_away_meanwhile_does_not_hinder_the_close(self):
        nvml = FakeNvml(nvmlDeviceResetGpuLockedClocks=GPU_IS_LOST)
        lock = ClockLock(gpu_of(nvml))

        lock.close()
        lock.close()

    def test_a_guard_resets_the_clock_of_a_process_that_is_killed(self, tmp_path):
        told = tmp_path / "told"
        (tmp_path / "pynvml.py").write_text(f"""
import pathlib
NVML_CLOCK_GRAPHICS = 0
NVML_ERROR_GPU_IS_LOST = NVML_ERROR_RESET_REQUIRED = 15
class NVMLError(Exception): pass
def nvmlInit(): pass
def nvmlShutdown(): pass
def nvmlDeviceGetCount(): return 1
def nvmlDeviceGetHandleByIndex(index): return "first"
def nvmlDeviceGetHandleByUUID(uuid): return uuid
def nvmlDeviceGetUUID(handle): return "GPU-1"
def nvmlDeviceGetDefaultApplicationsClock(handle, kind): return 1410
def nvmlDeviceSetGpuLockedClocks(handle, least, most): pass
def nvmlDeviceResetGpuLockedClocks(handle):
    part = pathlib.Path({str(told)!r} + ".part")
    part.write_text(handle)
    part.replace({str(told)!r})
""")
        script = (
            "import os, signal; from nasbench.device.clock_lock import ClockLock;"
            "from nasbench.device.nvml import open_gpu;"
            "lock = ClockLock(open_gpu(0)); os.kill(os.getpid(), signal.SIGKILL)"
        )
        paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
        subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": paths}, check=False, timeout=60)

        deadline = time.monotonic() + 60
        while not told.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert told.read_text() == "GPU-1"
