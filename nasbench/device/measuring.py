"""What runs in the measuring process: one network, from its rows to raw samples. Called through `nasbench.isolation`.

A fresh process for every measurement, because two processes that time the same network differ more than two loops in
one. The verdict is not made here: the device judges what this returns.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import nasbench
from nasbench.device.timing import Series, sample, warm_up
from nasbench.errors import DefinitionError, MeasurementError, NanOutputError, ShapeError
from nasbench.host import frequency_reader, host_record, read_counters
from nasbench.isolation import Link
from nasbench.model.build import build
from nasbench.model.deploy import deploy
from nasbench.records import TimingPlan
from nasbench.runtime.base import RUNTIMES, Runtime
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block

_INPUTS = 4
_MEMORY_CALLS = 3
_FREQUENCY_PERIOD_S = 0.05


def measure(request: Mapping[str, Any], link: Link) -> dict[str, Any]:
    """Build, check, warm up and time one network; then, apart, take its memory.

    `request` holds `architecture`, `plan`, `runtime`, `threads` and `cpus`; the phases are build, first_call, warmup,
    timed and memory.

    Raises:
        CandidateError: the network failed; its subclass says how.
    """
    plan = TimingPlan(**request["plan"])
    architecture = Architecture.from_dict(request["architecture"])
    runtime: Runtime = RUNTIMES.find(request["runtime"])()
    if plan.dtype not in runtime.dtypes:
        raise DefinitionError(
            f"runtime {request['runtime']!r} has no dtype {plan.dtype!r}; allowed: {', '.join(runtime.dtypes)}"
        )
    runtime.set_threads(request["threads"])
    host = {**host_record(), "software": {"nasbench": nasbench.__version__, **runtime.versions()}}
    with runtime.context():
        _page_in_libraries(runtime, plan)
        link.phase("build")
        empty_bytes = _trimmed_resident_bytes()
        began = time.perf_counter()
        network = deploy(build(architecture, plan.seed))
        calls = runtime.prepare(network, seeded_images(architecture, plan), plan.dtype)
        build_s = time.perf_counter() - began

        link.phase("first_call")
        began = time.perf_counter()
        output = calls[0]()
        first_call_s = time.perf_counter() - began
        output_hash = checked_hash(runtime.to_tensor(output), (plan.batch, architecture.classes))
        run = _cycle(calls)

        link.phase("warmup")
        warm = warm_up(run, plan)
        link.phase("timed")
        series, noise = _watched_sample(run, plan, warm.inner_loops, request)
        link.phase("memory")
        if checked_hash(runtime.to_tensor(calls[0]()), (plan.batch, architecture.classes)) != output_hash:
            raise MeasurementError("the same input gave another output after the timed loop than before it")
        peak_bytes, method = _peak_bytes(run)
    return {
        "host": host,
        "build_s": build_s,
        "first_call_s": first_call_s,
        "output_hash": output_hash,
        "warmups_s": warm.seconds,
        "settled": warm.settled,
        "inner_loops": warm.inner_loops,
        "series": asdict(series),
        "noise": noise,
        "peak_memory_bytes": max(0, peak_bytes - empty_bytes),
        "memory_method": method,
        "environment": {
            name: value for name, value in os.environ.items() if re.match(r"(OMP|MKL|KMP|GOMP|ONEDNN|DNNL)_", name)
        },
        "affinity": sorted(os.sched_getaffinity(0)),
    }


def seeded_images(architecture: Architecture, plan: TimingPlan) -> list[Tensor]:
    """Draw the inputs, (batch, channels, height, width) of normal values, from the plan's seed."""
    generator = torch.Generator().manual_seed(plan.seed)
    shape = (plan.batch, *architecture.input_shape)
    return [torch.randn(shape, generator=generator) for _ in range(_INPUTS)]


def checked_hash(output: Tensor, shape: tuple[int, ...]) -> str:
    """Check an output and give 16 hexadecimal digits of it.

    Raises:
        ShapeError: it has another shape.
        NanOutputError: a value is NaN or infinite.
    """
    if tuple(output.shape) != shape:
        raise ShapeError(f"the network puts out {tuple(output.shape)}; (batch, classes) is {shape}")
    if not bool(torch.isfinite(output).all()):
        broken = int((~torch.isfinite(output)).sum())
        raise NanOutputError(f"{broken} of {output.numel()} output values are NaN or infinite")
    return hashlib.sha256(output.contiguous().numpy().tobytes()).hexdigest()[:16]


def _cycle(calls: list[Callable[[], Any]]) -> Callable[[], Any]:
    following = cycle(calls).__next__
    return lambda: following()()


def _watched_sample(
    run: Callable[[], Any], plan: TimingPlan, inner_loops: int, request: Mapping[str, Any]
) -> tuple[Series, dict[str, Any]]:
    """Sample, and say what the machine did meanwhile."""
    cpus = request["cpus"]
    read_frequency = frequency_reader(cpus)
    frequencies: list[float] = []
    last_read = 0.0

    def watch() -> None:
        nonlocal last_read
        if time.perf_counter() - last_read >= _FREQUENCY_PERIOD_S and (value := read_frequency()) is not None:
            frequencies.append(value)
            last_read = time.perf_counter()

    before = read_counters(cpus)
    began = time.perf_counter()
    series = sample(run, plan, inner_loops, request["threads"], between=watch)
    window_s = time.perf_counter() - began
    after = asdict(read_counters(cpus))
    counted = {
        name: None if value is None or after[name] is None else after[name] - value
        for name, value in asdict(before).items()
    }
    return series, {"window_s": window_s, "frequencies_hz": frequencies, **counted}


def _page_in_libraries(runtime: Runtime, plan: TimingPlan) -> None:
    """Build and run a tiny network, so that what the libraries load then counts neither as memory nor as build time."""
    rows = (make_block("conv", 3, 8, 1, {}, "tiny"), make_block("pool_linear", 8, 2, 1, {}, "tiny"))
    tiny = Architecture((3, 8, 8), 2, rows)
    calls = runtime.prepare(deploy(build(tiny)), seeded_images(tiny, plan), plan.dtype)
    runtime.to_tensor(calls[0]())


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
