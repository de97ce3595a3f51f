"""What time is read from, and what a reading costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from nasbench.device.timing import sample
from nasbench.doctor.finding import OK, PROBLEM, UNKNOWN, WARNING, Finding, read_text
from nasbench.records import TimingPlan
from nasbench.units import format_seconds

OVERHEAD_LIMIT_S = 2e-6
"""What timing a network that does nothing may take: the first self-proof of the protocol."""

_FAST_SOURCES = ("tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "riscv_clocksource", "timebase")
"""Those that Linux reads without entering the kernel."""

_FOLDER = "sys/devices/system/clocksource/clocksource0"


def check_clock(root: Path, overhead_s: Callable[[], float]) -> Iterator[Finding]:
    """Look at the clock that every sample rests on; `overhead_s` times a network that does nothing."""
    yield _source(root)
    yield _timer(overhead_s())


def null_overhead_s() -> float:
    """Time a network that does nothing with the loop that times all others; 20 ms."""
    plan = TimingPlan(min_samples=1000, min_sampling_s=0.02, max_samples=100_000, max_sampling_s=0.1)
    return sample(lambda: None, plan, inner_loops=1, threads=1).median_s


def _source(root: Path) -> Finding:
    current = read_text(root, f"{_FOLDER}/current_clocksource")
    if not current:
        return Finding("clock source", UNKNOWN, "not told")
    if current in _FAST_SOURCES:
        return Finding("clock source", OK, current)
    others = (read_text(root, f"{_FOLDER}/available_clocksource") or "").split()
    faster = next((name for name in _FAST_SOURCES if name in others), None)
    return Finding(
        "clock source",
        WARNING,
        f"{current}; there are {', '.join(others) or 'no others'}",
        "a reading enters the kernel and takes about a microsecond, which short inferences cannot hide",
        "take a faster one until the next start"
        if faster
        else "none of the faster ones is there; time longer inferences",
        f"echo {faster} | sudo tee /{_FOLDER}/current_clocksource" if faster else "",
    )


def _timer(overhead_s: float) -> Finding:
    resolution_s = time.get_clock_info("perf_counter").resolution
    found = f"timing nothing takes {format_seconds(overhead_s)}, resolution {format_seconds(resolution_s)}"
    if overhead_s < OVERHEAD_LIMIT_S:
        return Finding("timer", OK, found)
    return Finding(
        "timer",
        PROBLEM if overhead_s > 10 * OVERHEAD_LIMIT_S else WARNING,
        found,
        f"it should be below {format_seconds(OVERHEAD_LIMIT_S)}; all of it counts as latency",
        "see the clock source; a debugger or a profiler in this Python costs as much",
    )
