"""The energy of an inference, read from counters of the hardware, in a pass of its own.

    energy = measure_energy(run, find_rapl(cpus))

A counter is read at its own edges: inferences go on until it moves, and the window is from one such moment to another.
What no counter tells stays None with the reason; nothing is ever estimated from a board's rating.
"""

from __future__ import annotations

import re
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nasbench.host import ROOT

if TYPE_CHECKING:
    from nasbench.device.nvml import Gpu

WINDOW_S = 5.0
"""Least length of the window in which inferences run. NVML moves its counter every 20 to 100 ms, RAPL every 1 ms."""

IDLE_S = 2.0
"""Length of each of the two windows, before and after, in which nothing runs."""

EDGE_LIMIT_S = 1.0
"""How long a counter may stand still before it counts as frozen."""

PASS_LIMIT_S = WINDOW_S + 2 * IDLE_S + 6 * EDGE_LIMIT_S + 30.0
"""Limit of the phase: the three windows, an edge at both ends of each, and some slow inferences."""

_IDLE_STEP_S = 0.005


@dataclass(frozen=True, slots=True)
class Energy:
    """What a pass found. `energy_j` is that of one inference, idle power included; None has its reason in `source`."""

    energy_j: float | None
    idle_power_w: float | None
    source: str
    inferences: int = 0


@dataclass(frozen=True, slots=True)
class Clock:
    """Where time comes from, in seconds; tests bring their own."""

    now: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], object] = time.sleep


REAL_CLOCK = Clock()


class Meter(ABC):
    """Counters of energy that only rise, but for their wrap. `source` names them for people."""

    source: str

    @abstractmethod
    def read(self) -> tuple[int, ...]:
        """Read the counters, in their own unit.

        Raises:
            OSError: they can no longer be read.
        """

    @abstractmethod
    def joules(self, before: tuple[int, ...], after: tuple[int, ...]) -> float | None:
        """Give the energy between two readings, None when a counter ran backwards."""


@dataclass(frozen=True, slots=True)
class NoMeter:
    """Nothing to read energy from here, and why."""

    reason: str


class RaplMeter(Meter):
    """The processor packages that hold the measured cores, through Linux's powercap; cores, caches and memory paths.

    Source: Linux, Documentation/power/powercap/powercap.rst, sections "Power Zones" and "Monitoring attributes".
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = tuple(folders)
        self._ranges = tuple(int((folder / "max_energy_range_uj").read_text()) for folder in self._folders)
        self.source = "RAPL " + " + ".join(_name(folder) for folder in self._folders)

    def read(self) -> tuple[int, ...]:
        """Read microjoules."""
        return tuple(int((folder / "energy_uj").read_text()) for folder in self._folders)

    def joules(self, before: tuple[int, ...], after: tuple[int, ...]) -> float | None:
        """Give the energy; a counter that is lower than before has wrapped once, which takes it minutes."""
        pairs = zip(before, after, self._ranges, strict=True)
        return sum(end - start if end >= start else end - start + most for start, end, most in pairs) / 1e6


class NvmlMeter(Meter):
    """The energy counter of a GPU, its memory included."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self.source = "NVML energy counter"

    def read(self) -> tuple[int, ...]:
        """Read millijoules."""
        energy = self._gpu.energy_mj()
        if energy is None:
            raise OSError("NVML no longer gives the energy counter")
        return (energy,)

    def joules(self, before: tuple[int, ...], after: tuple[int, ...]) -> float | None:
        """Give the energy; 64 bits of millijoules do not wrap, so a lower counter means a driver that was reloaded."""
        return (after[0] - before[0]) / 1e3 if after[0] >= before[0] else None


def find_rapl(cpus: Iterable[int], root: Path = ROOT) -> Meter | NoMeter:
    """Find the counters of the packages that hold these cores."""
    packages = {_package(cpu, root) for cpu in cpus}
    zones = sorted((root / "sys/class/powercap").glob("intel-rapl:*"))  # AMD's too bear this name
    folders = [
        zone for zone in zones if (found := re.match(r"package-(\d+)", _name(zone))) and int(found[1]) in packages
    ]
    if not folders:
        return NoMeter("no energy counter: this kernel shows no RAPL package (virtual machines and most ARM have none)")
    try:
        meter = RaplMeter(folders)
        meter.read()
    except PermissionError:
        files = " ".join(str(folder / "energy_uj") for folder in folders)
        return NoMeter(f"the RAPL counters may be read by root only; until the next boot: sudo chmod a+r {files}")
    except (OSError, ValueError) as error:
        return NoMeter(f"the RAPL counters cannot be read: {error}")
    return meter


def find_nvml(gpu: Gpu) -> Meter | NoMeter:
    """Find the energy counter of a GPU."""
    if gpu.record()["mig"]:
        return NoMeter("the GPU is divided (MIG), and its energy counter is of the whole")
    if gpu.energy_mj() is None:
        return NoMeter(f"{gpu.name} has no energy counter that NVML reads; Volta and newer have one")
    return NvmlMeter(gpu)


def measure_energy(
    run: Callable[[], object],
    meter: Meter | NoMeter,
    *,
    inferences_per_run: int = 1,
    window_s: float = WINDOW_S,
    idle_s: float = IDLE_S,
    clock: Clock = REAL_CLOCK,
) -> Energy:
    """Take the energy of an inference, in three windows: nothing, inferences, nothing.

    `run` returns when its inferences are done, not when they are enqueued. Idle power is not taken off the energy: a
    device must be on to infer. It is given beside it for those who want the difference.
    """
    if isinstance(meter, NoMeter):
        return Energy(None, None, meter.reason)
    try:
        idle = [_window(lambda: clock.sleep(_IDLE_STEP_S), meter, idle_s, clock)]
        busy = _window(run, meter, window_s, clock)
        idle.append(_window(lambda: clock.sleep(_IDLE_STEP_S), meter, idle_s, clock))
    except OSError as error:
        return Energy(None, None, f"{meter.source} failed: {error}")
    powers = [window.joules / window.seconds for window in idle if window.joules]
    idle_power_w = statistics.fmean(powers) if len(powers) == len(idle) else None
    if busy.joules is None:
        return Energy(None, idle_power_w, f"{meter.source} ran backwards")
    if busy.joules == 0:
        return Energy(None, idle_power_w, f"{meter.source} stood still for {busy.seconds:.1f} s")
    count = busy.calls * inferences_per_run
    return Energy(busy.joules / count, idle_power_w, meter.source, count)


@dataclass(frozen=True, slots=True)
class _Window:
    joules: float | None
    seconds: float
    calls: int


def _window(act: Callable[[], object], meter: Meter, least_s: float, clock: Clock) -> _Window:
    """Act for a while, and read the energy from one movement of the counter to another."""
    before, began, _ = _edge(act, meter, clock)
    calls = 0
    while clock.now() - began < least_s:
        act()
        calls += 1
    after, ended, more = _edge(act, meter, clock)
    return _Window(meter.joules(before, after), ended - began, calls + more)


def _edge(act: Callable[[], object], meter: Meter, clock: Clock) -> tuple[tuple[int, ...], float, int]:
    """Act until the counter moves; give the new reading, when it came, and how often we acted."""
    first = now = meter.read()
    deadline = clock.now() + EDGE_LIMIT_S
    calls = 0
    while now == first and clock.now() < deadline:
        act()
        calls += 1
        now = meter.read()
    return now, clock.now(), calls


def _package(cpu: int, root: Path) -> int:
    try:
        return int((root / f"sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id").read_text())
    except (OSError, ValueError):
        return 0


def _name(zone: Path) -> str:
    try:
        return (zone / "name").read_text().strip()
    except OSError:
        return ""
