"""What runs in the measuring process: one network, from its rows to raw samples. Called through `nasbench.isolation`.

A fresh process for every measurement, because two processes that time the same network differ more than two loops in
one. The verdict is not made here: the device judges what this returns.
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nasbench
from nasbench.device.cold import cache_emptier
from nasbench.device.energy import Energy, find_rapl, measure_energy
from nasbench.device.loading import check_agreement, checked_hash, load
from nasbench.device.timing import sample, warm_up
from nasbench.device.watching import watched
from nasbench.errors import MeasurementError
from nasbench.host import host_record, library_environment
from nasbench.isolation import Link
from nasbench.records import TimingPlan
from nasbench.runtime.base import Runtime, load_runtime

if TYPE_CHECKING:
    from nasbench.runtime.base import Images

_MEMORY_CALLS = 3


def measure(request: Mapping[str, Any], link: Link) -> dict[str, Any]:
    """Load, warm up and time one network; then, apart, take its memory and energy and compare its output.

    `request` is as `nasbench.device.cpu.CpuDevice.request` makes it, with one side; the phases are build, first_call,
    warmup, timed, memory, energy and agreement.

    Raises:
        CandidateError: the network failed; its subclass says how.
    """
    plan = TimingPlan(**request["plan"])
    runtime = load_runtime(request["runtime"])
    runtime.set_threads(request["threads"])
    host = {**host_record(), "software": {"nasbench": nasbench.__version__, **runtime.versions()}}
    with runtime.context():
        link.phase("build")
        load(runtime, request["tiny"], plan)  # pages the libraries in
        answer, output = _measure_alone(runtime, request, plan, link)
        link.phase("agreement")
        output_error = check_agreement(runtime, request["sides"][0], plan, output)
    return {
        "host": host,
        **answer,
        "output_error": output_error,
        "environment": library_environment(),
        "affinity": sorted(os.sched_getaffinity(0)),
    }


def _measure_alone(
    runtime: Runtime, request: Mapping[str, Any], plan: TimingPlan, link: Link
) -> tuple[dict[str, Any], Images]:
    """Take all that is measured, and the output; the network is gone when this returns, its memory free for another."""
    empty_bytes = _trimmed_resident_bytes()
    loaded = load(runtime, request["sides"][0], plan, link.phase)
    before_each = cache_emptier() if plan.cache == "cold" else None
    link.phase("warmup")
    warm = warm_up(loaded.run, plan, before_each=before_each)
    link.phase("timed")
    series, noise = watched(
        request["cpus"],
        lambda watch: sample(
            loaded.run, plan, warm.inner_loops, request["threads"], between=watch, before_each=before_each
        ),
    )
    before_each = None  # its buffer is not the network's memory
    link.phase("memory")
    again = runtime.to_array(loaded.calls[0]())
    if checked_hash(again, again.shape) != loaded.output_hash:
        raise MeasurementError("the same input gave another output after the timed loop than before it")
    peak_bytes, method = _peak_bytes(loaded.run)
    link.phase("energy")
    energy = _take_energy(loaded.run, plan, warm.inner_loops, request["cpus"])
    answer = {
        "build_s": loaded.build_s,
        "first_call_s": loaded.first_call_s,
        "output_hash": loaded.output_hash,
        "warmups_s": warm.seconds,
        "settled": warm.settled,
        "inner_loops": warm.inner_loops,
        "series": asdict(series),
        "noise": noise,
        "peak_memory_bytes": max(0, peak_bytes - empty_bytes),
        "memory_method": method,
        "energy": asdict(energy) if energy else None,
    }
    return answer, loaded.output


def _take_energy(run: Callable[[], Any], plan: TimingPlan, inner_loops: int, cpus: Iterable[int]) -> Energy | None:
    """Take the energy in a pass of its own, where the plan asks for it; runs as long as a sample, like those timed."""
    if not plan.energy:
        return None

    def run_sample() -> None:
        for _ in range(inner_loops):
            run()

    return measure_energy(run_sample, find_rapl(cpus), inferences_per_run=inner_loops)


def _trimmed_resident_bytes() -> int:
    """Give this process's resident memory after the allocator has returned what nobody uses."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _peak_bytes(run: Callable[[], Any]) -> tuple[int, str]:
    """Give the largest resident memory while a few inferences run, and how it was taken."""
    _trimmed_resident_bytes()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark, see proc(5)
        method = "high-water mark of a pass of its own"
    except OSError:
        method = "high-water mark of the whole process"
    for _ in range(_MEMORY_CALLS):
        run()
    status = Path("/proc/self/status").read_text()
    if match := re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE):
        return int(match[1]) * 1024, method
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "high-water mark of the whole process"
