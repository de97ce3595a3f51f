"""The CUDA device on a real GPU: `make test-gpu`, on a machine with an NVIDIA GPU and a CUDA build of torch.

NOTHING HERE HAS RUN ON HARDWARE SO FAR. The CUDA backend was written on machines without a GPU; its logic is tested on
a fake NVML and a simulated GPU (tests/device/test_cuda*.py, test_nvml.py, test_energy.py), which shows that it does
what it says when the driver behaves as documented, and nothing about a driver.

What must be shown here before any of it may be called working:

1. The device contract, for each runtime (eager, channels_last, compile, cuda_graph).
2. Device time: a spin of a known number of GPU cycles is recovered within 1 %, and twice as many take twice as long.
3. Host-bound networks are flagged, and a CUDA graph of the same network is not.
4. A cold cache is not faster than a hot one; batch 2 is not faster than batch 1.
5. fp16 and bf16 agree with eager fp32 within the stated tolerances, and TF32 is off.
6. Out of memory is the candidate's, a sticky error a crash; the next measurement is as the one before both.
7. NVML: clocks, power, energy counter move under load; our own process is recognized, in a container too.
8. Energy: an inference takes more than idle power times its duration, and less than the power limit allows.
9. By hand, since it changes settings of the machine: clocks are locked and reset (NASBENCH_TEST_LOCK_CLOCKS=1), after
   `kill -9` of the search too; a power limit lowered with nvidia-smi shows as sw_power_cap.

The clocks are left alone unless NASBENCH_TEST_LOCK_CLOCKS is set: a borrowed GPU keeps its settings.
"""

import os
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from nasbench.device.cuda import KEEP_CLOCKS, CudaDevice
from nasbench.device.load import load_device
from nasbench.errors import Crashed, OutOfMemory
from nasbench.records import TimingPlan
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block
from nasbench.testing import DeviceContract

pytestmark = pytest.mark.gpu

QUICK = TimingPlan(min_sampling_s=0.2, max_sampling_s=2.0)


def network(width=64, depth=8, size=56):
    rows = [make_block("conv", 3, width, 2, {}, "gpu")]
    rows += [make_block("conv", width, width, 1, {}, "gpu") for _ in range(depth)]
    rows.append(make_block("pool_linear", width, 10, 1, {}, "gpu"))
    return Architecture((3, size, size), 10, tuple(rows))


@pytest.fixture(autouse=True)
def borrowed_clocks(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    if not os.environ.get("NASBENCH_TEST_LOCK_CLOCKS"):
        monkeypatch.setenv(KEEP_CLOCKS, "1")


@pytest.fixture
def device():
    with CudaDevice(load_device("cuda")) as device:
        yield device


def measure(architecture, plan=QUICK, name="cuda", **changes):
    with CudaDevice(replace(load_device(name), **changes)) as device:
        return device.take(architecture, plan)


class GpuContract(DeviceContract):
    plan = TimingPlan(batch=2, min_warmup_s=0.1, max_warmup_s=3.0, min_sampling_s=0.05, max_sampling_s=1.0)
    name = "cuda"

    def make_device(self):
        return CudaDevice(load_device(self.name))


class TestEager(GpuContract):
    pass


class TestGraph(GpuContract):
    name = "cuda-graph"


class TestChannelsLastFp16(GpuContract):
    name = "cuda-fp16"
    plan = replace(GpuContract.plan, dtype="fp16")


class TestCompile(GpuContract):
    name = "cuda-compile"


def spin(cycles, monkeypatch):
    monkeypatch.setenv("NASBENCH_TEST_CYCLES", str(cycles))
    with CudaDevice(load_device("cuda"), task="cuda_hardware_tasks:spin") as device:
        return device.take(network(), QUICK)


@pytest.mark.parametrize("cycles", [2_000_000, 20_000_000])
def test_a_spin_of_known_cycles_takes_cycles_over_clock(cycles, monkeypatch):
    """Sharp with locked clocks only; without them the clocks that NVML saw are the yardstick."""
    measurement = spin(cycles, monkeypatch)

    low_hz, _, high_hz = measurement.noise["sm_clock_hz"]
    assert 0.99 * cycles / high_hz <= measurement.latency_s <= 1.01 * cycles / low_hz


def test_twice_the_spin_takes_twice_the_time(monkeypatch):
    once, twice = (spin(cycles, monkeypatch).latency_s for cycles in (2_000_000, 4_000_000))

    assert twice / once == pytest.approx(2.0, rel=0.02)


def test_a_deep_and_narrow_network_waits_for_the_host_and_its_graph_does_not():
    narrow = network(width=8, depth=60, size=16)
    eager, graph = measure(narrow), measure(narrow, name="cuda-graph")

    assert eager.settings["host_bound"]
    assert not graph.settings["host_bound"]
    assert graph.latency_s < eager.latency_s


def test_a_cold_cache_is_not_faster_than_a_hot_one():
    assert measure(network(), replace(QUICK, cache="cold")).latency_s > 0.98 * measure(network()).latency_s


def test_a_batch_of_two_is_not_faster_than_one():
    wide = network(width=256, size=112)

    assert measure(wide, replace(QUICK, batch=2)).latency_s > 0.98 * measure(wide).latency_s


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
@pytest.mark.parametrize("name", ["cuda", "cuda-fp16", "cuda-graph", "cuda-compile"])
def test_half_precision_agrees_with_eager_fp32(name, dtype):
    measurement = measure(network(), replace(QUICK, dtype=dtype), name)

    assert measurement.output_error is not None
    assert not measurement.settings["tf32"]


def test_out_of_memory_is_the_candidate_s_and_leaves_the_device_well(device):
    before = device.take(network(), QUICK)
    with CudaDevice(load_device("cuda"), task="cuda_hardware_tasks:too_large") as small, pytest.raises(OutOfMemory):
        small.take(network(), QUICK)

    assert device.take(network(), QUICK).output_hash == before.output_hash


def test_a_sticky_error_is_a_crash_and_leaves_the_device_well(device):
    with (
        CudaDevice(load_device("cuda"), task="cuda_hardware_tasks:device_assert") as broken,
        pytest.raises(Crashed, match=r"^CUDA error: device-side assert"),
    ):
        broken.take(network(), QUICK)

    assert device.take(network(), QUICK).latency_s
    running = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
    assert not [line for line in running if "nasbench.isolation_child" in line]


def test_nvml_sees_the_load_and_nobody_but_us(device):
    measurement = device.take(network(width=256, size=112), QUICK)

    assert measurement.noise["gpu_readings"] >= 5
    assert measurement.noise["other_processes"] == 0
    assert measurement.noise["power_w"][2] > 0
    assert measurement.settings["context_bytes"] > 0
    assert measurement.end_to_end_s >= measurement.low_s


def test_the_energy_of_an_inference_lies_between_idle_and_the_power_limit(device):
    if device.energy_source is None:
        pytest.skip("this GPU has no energy counter")
    measurement = device.take(network(width=256, size=112), replace(QUICK, energy=True))

    assert measurement.energy_source == "NVML energy counter"
    assert measurement.idle_power_w < measurement.host["power_limit_w"]
    assert measurement.energy_j < 1.2 * measurement.host["power_limit_w"] * measurement.end_to_end_s
    assert measurement.energy_j > 0.5 * measurement.idle_power_w * measurement.latency_s
