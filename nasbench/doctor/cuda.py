"""The GPU of a device: is it ours alone, at which clocks, and what holds it back right now."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from nasbench.device.nvml import SLOWDOWNS, open_gpu
from nasbench.doctor.finding import OK, PROBLEM, UNKNOWN, WARNING, Finding
from nasbench.records import DeviceSpec

HEAT_LIMIT_C = 75.0
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class GpuState:
    """What a driver tells of a GPU at one moment; None is what it does not tell.

    `others` are the names of the processes that compute on it, `throttle` why its clock is not higher, in the words of
    `nasbench.device.nvml`. `is_root` is whether we could lock its clocks; trying it would change the machine.
    """

    index: int
    name: str
    driver: str | None
    persistence: bool | None
    ecc: bool | None
    others: tuple[str, ...] | None
    temperature_c: float | None
    throttle: tuple[str, ...]
    clock_hz: float | None
    energy_counter: bool
    is_root: bool


def read_gpu(spec: DeviceSpec) -> GpuState:
    """Ask the driver for the GPU of a device.

    Raises:
        DeviceError: there is no driver, or no GPU of this number.
    """
    gpu = open_gpu(spec.index)
    try:
        record, reading, processes = gpu.record(), gpu.read(), gpu.compute_processes()
        return GpuState(
            spec.index,
            gpu.name,
            record["driver"],
            record["persistence_mode"],
            record["ecc"],
            None if processes is None else tuple(sorted(_process_name(pid) for pid in processes - {os.getpid()})),
            reading.temperature_c,
            reading.throttle,
            gpu.sustained_clock_hz(),
            gpu.energy_mj() is not None,
            os.geteuid() == 0,
        )
    finally:
        gpu.close()


def _process_name(pid: int) -> str:
    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return "one that is not seen from here"


def check_torch(cuda: str | None) -> Finding:
    """Look whether torch can use a GPU at all; `cuda` is the version that it was built for."""
    if cuda is not None:
        return Finding("torch", OK, f"built for CUDA {cuda}")
    return Finding(
        "torch",
        PROBLEM,
        "absent, or built without CUDA",
        "nothing can be measured on this device",
        "install a build for CUDA; https://pytorch.org/get-started/locally has the one for each driver",
        "pip install --force-reinstall torch",
    )


def check_gpu(gpu: GpuState) -> Iterator[Finding]:
    """Look at what a driver tells of a GPU."""
    ecc = {True: ", ECC on", False: ", ECC off", None: ""}[gpu.ecc]
    yield Finding("GPU", OK, f"{gpu.index}: {gpu.name}, driver {gpu.driver or 'not told'}{ecc}")
    yield _persistence(gpu)
    yield _clocks(gpu)
    yield _others(gpu)
    yield _heat(gpu)
    yield _throttling(gpu)
    if gpu.energy_counter:
        yield Finding("GPU energy", OK, "counted by the GPU")
    else:
        yield Finding("GPU energy", UNKNOWN, "not counted by this GPU, so the energy of an inference cannot be taken")


def _persistence(gpu: GpuState) -> Finding:
    if gpu.persistence is None:
        return Finding("persistence mode", UNKNOWN, "not told")
    if gpu.persistence:
        return Finding("persistence mode", OK, "on")
    return Finding(
        "persistence mode",
        WARNING,
        "off",
        "between two measuring processes the driver lets go of the GPU, and forgets settings such as locked clocks",
        "switch it on until the next start",
        f"sudo nvidia-smi -i {gpu.index} -pm 1",
    )


def _clocks(gpu: GpuState) -> Finding:
    if gpu.clock_hz is None:
        return Finding("GPU clocks", UNKNOWN, "the board states no clock that it can keep up, so they are not locked")
    megahertz = round(gpu.clock_hz / 1e6)
    if gpu.is_root:
        return Finding("GPU clocks", OK, f"locked at {megahertz} MHz while measuring, unless a container forbids it")
    return Finding(
        "GPU clocks",
        WARNING,
        "only root may lock them",
        "the clock rises and falls with load and temperature, and latencies with it",
        f"lock them for the time of the measurements; sudo nvidia-smi -i {gpu.index} -rgc undoes it",
        f"sudo nvidia-smi -i {gpu.index} -lgc {megahertz}",
    )


def _others(gpu: GpuState) -> Finding:
    if gpu.others is None:
        return Finding("GPU processes", UNKNOWN, "not told")
    if not gpu.others:
        return Finding("GPU processes", OK, "none but ours")
    more = f" and {len(gpu.others) - _SHOWN} more" if len(gpu.others) > _SHOWN else ""
    return Finding(
        "GPU processes",
        WARNING,
        f"{', '.join(gpu.others[:_SHOWN])}{more}",
        "kernels of two processes take turns, and memory bandwidth and clock are shared",
        "end them, or measure on another GPU; to see them",
        f"nvidia-smi -i {gpu.index} pmon -c 1",
    )


def _heat(gpu: GpuState) -> Finding:
    if gpu.temperature_c is None:
        return Finding("GPU heat", UNKNOWN, "not told")
    if gpu.temperature_c < HEAT_LIMIT_C:
        return Finding("GPU heat", OK, f"{gpu.temperature_c:.0f} °C")
    return Finding(
        "GPU heat",
        WARNING,
        f"{gpu.temperature_c:.0f} °C before anything is measured",
        "measuring heats for minutes, and a board that gets too hot lowers its clock",
        "let it cool, and see to the air around it",
    )


def _throttling(gpu: GpuState) -> Finding:
    reasons = [reason for reason in gpu.throttle if reason in SLOWDOWNS]
    if reasons:
        return Finding(
            "GPU throttling",
            PROBLEM,
            ", ".join(reasons),
            "the clock is held back before anything is measured",
            "see what holds it",
            f"nvidia-smi -i {gpu.index} -q -d PERFORMANCE,POWER,TEMPERATURE",
        )
    return Finding("GPU throttling", OK, f"none; clock reasons now: {', '.join(gpu.throttle) or 'none'}")
