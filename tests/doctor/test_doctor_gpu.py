"""What doctor says of a GPU, on GPUs that are records."""

import os
import sys
from types import SimpleNamespace

import pytest

from nasbench.device.cuda import torch_cuda_version
from nasbench.doctor import cuda
from nasbench.doctor.cuda import GpuState, check_gpu, check_torch, read_gpu
from nasbench.doctor.finding import judge
from nasbench.records import DeviceSpec

WELL = {
    "index": 1,
    "name": "NVIDIA H200",
    "driver": "570.10",
    "persistence": True,
    "ecc": True,
    "others": (),
    "temperature_c": 35.0,
    "throttle": ("idle",),
    "clock_hz": 1.5e9,
    "energy_counter": True,
    "is_root": True,
}


def findings_of(**changes):
    return {finding.name: finding for finding in check_gpu(GpuState(**(WELL | changes)))}


def test_a_gpu_that_is_well_and_ours_alone_is_fit():
    findings = findings_of()

    assert judge(list(findings.values())).word == "yes"
    assert findings["GPU"].found == "1: NVIDIA H200, driver 570.10, ECC on"


@pytest.mark.parametrize(
    ("changes", "name", "state", "words", "command"),
    [
        ({"persistence": False}, "persistence mode", "warning", "off", "sudo nvidia-smi -i 1 -pm 1"),
        ({"is_root": False}, "GPU clocks", "warning", "only root", "sudo nvidia-smi -i 1 -lgc 1500"),
        ({"clock_hz": None}, "GPU clocks", "unknown", "not locked", ""),
        ({"others": ("python", "Xorg")}, "GPU processes", "warning", "python, Xorg", "nvidia-smi -i 1 pmon -c 1"),
        ({"others": tuple("abcde")}, "GPU processes", "warning", "a, b, c and 2 more", "nvidia-smi -i 1 pmon -c 1"),
        ({"others": None}, "GPU processes", "unknown", "not told", ""),
        ({"temperature_c": 82.0}, "GPU heat", "warning", "82 °C", ""),
        ({"throttle": ("sw_power_cap",)}, "GPU throttling", "ok", "sw_power_cap", ""),
        (
            {"throttle": ("sw_power_cap", "hw_thermal")},
            "GPU throttling",
            "problem",
            "hw_thermal",
            "nvidia-smi -i 1 -q -d PERFORMANCE,POWER,TEMPERATURE",
        ),
        ({"energy_counter": False}, "GPU energy", "unknown", "not counted", ""),
    ],
)
def test_what_is_wrong_with_a_gpu_comes_with_the_command(changes, name, state, words, command):
    found = findings_of(**changes)[name]

    assert (found.state, found.command) == (state, command)
    assert words in found.found


def test_a_torch_without_cuda_is_a_problem():
    assert check_torch(None).state == "problem"
    assert check_torch("12.8").state == "ok"


@pytest.mark.parametrize(
    ("line", "version"), [("cuda: Optional[str] = '12.8'", "12.8"), ("cuda: str | None = None", None)]
)
def test_the_cuda_version_of_torch_is_read_without_importing_it(tmp_path, monkeypatch, line, version):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text("raise AssertionError('imported')")
    (tmp_path / "torch/version.py").write_text(f"__version__ = '2.13.0'\n{line}\nhip = None\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torch", raising=False)

    assert torch_cuda_version() == version


def test_the_installed_torch_says_what_its_version_file_says():
    import torch

    assert torch_cuda_version() == torch.version.cuda


class _OpenGpu:
    """What `nasbench.device.nvml.open_gpu` gives, as far as doctor asks."""

    name = "NVIDIA H200"

    def __init__(self):
        self.closed = False

    def record(self):
        return {"driver": "570.10", "persistence_mode": False, "ecc": None}

    def read(self):
        return SimpleNamespace(temperature_c=40.0, throttle=("idle",))

    def compute_processes(self):
        return frozenset({os.getpid(), os.getppid(), 4_000_000})

    def sustained_clock_hz(self):
        return 1.2e9

    def energy_mj(self):
        return None

    def close(self):
        self.closed = True


def test_the_driver_is_asked_and_let_go_again_and_we_are_not_among_the_others(monkeypatch):
    gpu, asked = _OpenGpu(), []
    monkeypatch.setattr(cuda, "open_gpu", lambda index: asked.append(index) or gpu)
    state = read_gpu(DeviceSpec("cuda", "cuda", "eager", 1, 1 << 30, index=2))

    assert asked == [2] and gpu.closed
    assert (state.driver, state.persistence, state.ecc, state.energy_counter) == ("570.10", False, None, False)
    assert len(state.others) == 2 and "one that is not seen from here" in state.others
