"""What a GPU did while a measuring process ran, seen from the driver process, and what follows for the samples.

    with GpuWatch(gpu, lambda: worker.pid) as watch:
        answer = worker.call(request, limits_s=limits)
    view = look_back(spans_ns, watch)

When the worker is closed, `await_release` waits until the GPU is free of it.
"""

from __future__ import annotations

import bisect
import contextlib
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from nasbench.device.nvml import SLOWDOWNS, Gpu, Reading
from nasbench.errors import DeviceError

PERIOD_S = 0.02
"""NVML renews most of its figures no faster, and a query keeps a core for some 0.1 ms."""

PROCESSES_PERIOD_S = 0.2

SLOWDOWN_LIMIT = 0.05
"""Share of the samples that may lie in a hardware slowdown before the rest of them too is in doubt."""


class GpuWatch:
    """Reads the GPU in a thread of its own, for as long as it is open.

    `child` gives the id of the measuring process, None while there is none. `readings` are in the order of time.
    `strangers` are the other processes that held a CUDA context on this GPU meanwhile, None where NVML does not tell.
    `lost` is the error, should the GPU go away; `failure` is any other that ended the watch early.
    """

    def __init__(self, gpu: Gpu, child: Callable[[], int | None]) -> None:
        self._gpu = gpu
        self._child = child
        self.child: int | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nasbench-gpu-watch", daemon=True)
        self._next_look_s = 0.0
        self._began_unix_s = time.time()
        self.before = gpu.compute_processes()
        self.used_before_bytes = gpu.used_bytes()
        self.readings: list[Reading] = []
        self.strangers: set[int] | None = None if self.before is None else set(self.before)
        self.lost: DeviceError | None = None
        self.failure: Exception | None = None

    def look(self) -> None:
        """Read once."""
        self.readings.append(self._gpu.read())
        self.child = self._child() or self.child
        if self.strangers is not None and time.monotonic() >= self._next_look_s:
            self._next_look_s = time.monotonic() + PROCESSES_PERIOD_S
            self.strangers |= strangers_among(self._gpu.compute_processes() or frozenset(), self.child, self.before)

    def busy_strangers(self) -> dict[int, int]:
        """Give the share of the SMs, in percent, that each other process used at most, where NVML tells."""
        busy = self._gpu.busy_processes(self._began_unix_s)
        return {pid: busy[pid] for pid in strangers_among(frozenset(busy), self.child, self.before)}

    def _run(self) -> None:
        while not self._end.wait(PERIOD_S):
            try:
                self.look()
            except DeviceError as error:
                self.lost = error
                return
            except Exception as error:  # noqa: BLE001 - it would end with the thread, and nobody would hear of it
                self.failure = error
                return

    def __enter__(self) -> GpuWatch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()


def strangers_among(found: frozenset[int], child: int | None, before: frozenset[int] | None) -> set[int]:
    """Give those of the processes on a GPU that are not our measuring process.

    In a container NVML may give ids of the host, under which we do not know our own child. So when it is not among
    them, and one that was not there before is nobody whom this container knows, that one is taken for it.
    """
    strangers = set(found)
    if child is None:
        return strangers
    if child in strangers:
        return strangers - {child}
    unknown = sorted(pid for pid in strangers - (before or frozenset()) if not Path(f"/proc/{pid}").exists())
    return strangers - set(unknown[:1])


@dataclass(frozen=True, slots=True)
class View:
    """What the watch saw in the timed window. `kept` is false for samples under a hardware slowdown.

    `throttled` and `noisy` are sentences for a verdict, `sm_clocks_hz` the clocks in the order of time.
    """

    kept: tuple[bool, ...]
    throttled: tuple[str, ...]
    noisy: tuple[str, ...]
    sm_clocks_hz: tuple[float, ...]
    noise: Mapping[str, Any]


def look_back(spans_ns: Sequence[tuple[int, int]], watch: GpuWatch) -> View:
    """Lay the samples, each from its beginning to its end, beside the readings of the watch.

    Raises:
        DeviceError: the GPU is gone.
    """
    window = (spans_ns[0][0], spans_ns[-1][1])
    inside = [reading for reading in watch.readings if window[0] <= reading.at_ns <= window[1]]
    kept = undisturbed(spans_ns, watch.readings)
    slow_share = 1 - sum(kept) / len(kept)
    reasons = {name: _share(inside, name) for name in sorted({name for one in inside for name in one.throttle})}
    throttled = []
    if slow_share > SLOWDOWN_LIMIT:
        names = ", ".join(name for name in reasons if name in SLOWDOWNS) or "between two readings"
        throttled.append(f"{slow_share:.0%} of the samples were taken in a hardware slowdown ({names})")
    noisy = []
    busy = watch.busy_strangers()
    if watch.strangers:
        noisy.append(f"other processes use this GPU: {_listed(watch.strangers)}")
    elif busy:
        noisy.append(f"other processes used up to {max(busy.values())} % of this GPU: {_listed(busy)}")
    if watch.failure is not None:
        noisy.append(f"the watch of the GPU ended early: {type(watch.failure).__name__}: {watch.failure}")
    if not inside:
        noisy.append("NVML gave no reading while the samples were taken")
    noise = {
        "gpu_readings": len(inside),
        "sm_clock_hz": _range(one.sm_clock_hz for one in inside),
        "memory_clock_hz": _range(one.memory_clock_hz for one in inside),
        "power_w": _range(one.power_w for one in inside),
        "temperature_c": _range(one.temperature_c for one in inside),
        "throttle_shares": reasons,
        "slowdown_share": slow_share,
        "other_processes": None if watch.strangers is None else len(watch.strangers | busy.keys()),
    }
    clocks = tuple(one.sm_clock_hz for one in inside if one.sm_clock_hz)
    return View(tuple(kept), tuple(throttled), tuple(noisy), clocks, noise)


def undisturbed(spans_ns: Sequence[tuple[int, int]], readings: Sequence[Reading]) -> list[bool]:
    """Say for every sample whether it lies clear of all hardware slowdowns.

    A slowdown that one reading saw may have begun right after the reading before and ended right before the next.
    """
    slow: list[tuple[float, float]] = []
    for index, reading in enumerate(readings):
        if SLOWDOWNS.intersection(reading.throttle):
            begins = readings[index - 1].at_ns if index else float("-inf")
            ends = readings[index + 1].at_ns if index + 1 < len(readings) else float("inf")
            slow.append((begins, ends))
    ends_ns = [end for _, end in slow]
    kept = []
    for began, ended in spans_ns:
        first = bisect.bisect_right(ends_ns, began)  # the first slowdown that ends after this sample began
        kept.append(first == len(slow) or slow[first][0] >= ended)
    return kept


def await_release(
    gpu: Gpu, watch: GpuWatch, limit_s: float = 10.0, pause: Callable[[float], object] = time.sleep
) -> None:
    """Wait until the driver has taken back what the measuring process held on the GPU.

    Raises:
        DeviceError: it has not after `limit_s`, or the GPU is gone.
    """
    step_s = 0.05
    for _ in range(max(1, round(limit_s / step_s))):
        found = gpu.compute_processes() or frozenset()
        ours = found - strangers_among(found, watch.child, watch.before) - (watch.strangers or set())
        if not ours:
            return
        pause(step_s)
    if watch.child in ours:  # else it may well be a stranger of another container who came just now
        raise DeviceError(
            f"{gpu.name} still holds memory of process {watch.child}, which measured and has ended; see `nvidia-smi`"
        )


def _share(readings: Sequence[Reading], name: str) -> float:
    return sum(name in reading.throttle for reading in readings) / len(readings)


def _range(values: Any) -> list[float] | None:
    """Give the least, the median and the largest value."""
    known = sorted(value for value in values if value is not None)
    return [known[0], statistics.median(known), known[-1]] if known else None


def _listed(pids: Any) -> str:
    """Name a few processes, with their commands where they can be seen."""
    return ", ".join(_named(pid) for pid in sorted(pids)[:3]) + (", ..." if len(pids) > 3 else "")


def _named(pid: int) -> str:
    with contextlib.suppress(OSError):
        return f"{pid} ({Path(f'/proc/{pid}/comm').read_text().strip()})"
    return str(pid)
