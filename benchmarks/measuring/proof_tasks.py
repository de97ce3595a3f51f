"""What the self-proofs run in a measuring process."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from nasbench.device.timing import sample, warm_up
from nasbench.host import read_counters
from nasbench.isolation import Link
from nasbench.records import TimingPlan


def _answer(run: Callable[[], object], between: Callable[[], object] = lambda: None) -> dict[str, Any]:
    """Time a call as a network is timed, in the form that `nasbench.device.verdict.judge` takes."""
    cpus = sorted(os.sched_getaffinity(0))
    plan = TimingPlan()
    warm = warm_up(run, plan)
    before = read_counters(cpus)
    began = time.perf_counter()
    series = sample(run, plan, warm.inner_loops, 1, between=between)
    window_s = time.perf_counter() - began
    after = asdict(read_counters(cpus))
    counted = {
        name: None if value is None or after[name] is None else after[name] - value
        for name, value in asdict(before).items()
    }
    return {
        "series": {**asdict(series), "median_s": series.median_s},
        "noise": {"window_s": window_s, "frequencies_hz": [], **counted},
        "settled": warm.settled,
        "inner_loops": warm.inner_loops,
    }


def null(request: Mapping[str, Any], link: Link) -> dict[str, Any]:
    """Time nothing: as a sample of its own, and as an inference within inner loops."""
    link.phase("work")
    alone = sample(lambda: None, TimingPlan(min_sampling_s=0.0, target_halfwidth=0.0), 1, 1)
    return {**_answer(lambda: None), "alone_s": alone.median_s}


def busy_wait(request: Mapping[str, Any], link: Link) -> dict[str, Any]:
    """Time a wait of known length that keeps the core."""
    link.phase("work")
    wait_ns = round(request["wait_s"] * 1e9)
    clock = time.perf_counter_ns

    def run() -> None:
        end = clock() + wait_ns
        while clock() < end:
            pass

    return _answer(run)


def neighbour(request: Mapping[str, Any], link: Link) -> dict[str, Any]:
    """Time a fixed amount of work; after `after_s`, a neighbour starts that wants the same cores."""
    link.phase("work")
    began: list[float] = []
    started: list[subprocess.Popen[bytes]] = []

    def watch() -> None:
        began.append(time.perf_counter())
        if request["after_s"] is not None and not started and time.perf_counter() - began[0] > request["after_s"]:
            started.append(subprocess.Popen([sys.executable, "-c", "while True: pass"]))

    answer = _answer(lambda: sum(range(100_000)), watch)
    return {**answer, "neighbour": bool(started)}


def compare_with_torch(request: Mapping[str, Any], link: Link) -> dict[str, Any]:
    """Time one network with this loop and with torch's own, in turns, in one process."""
    import torch
    from torch.utils.benchmark import Timer

    from nasbench.model.build import build
    from nasbench.model.deploy import deploy
    from nasbench.space.architecture import Architecture

    link.phase("work")
    torch.set_num_threads(1)
    architecture = Architecture.from_dict(request["architecture"])
    network = deploy(build(architecture, 0))
    images = torch.randn(1, *architecture.input_shape)
    ours, theirs = [], []
    with torch.inference_mode():
        run = lambda: network(images)  # noqa: E731
        timer = Timer("run()", globals={"run": run}, num_threads=1)
        warm = warm_up(run, TimingPlan())
        for _ in range(request["rounds"]):
            ours.append(sample(run, TimingPlan(), warm.inner_loops, 1).median_s)
            theirs.append(timer.blocked_autorange(min_run_time=0.5).median)
    return {"ours_s": ours, "theirs_s": theirs}


def bare_loop(request: Mapping[str, Any], link: Link) -> dict[str, Any]:
    """Time one network with this loop and with a loop that does nothing else, in turns, in one process."""
    from nasbench.device.loading import load
    from nasbench.runtime.base import load_runtime

    link.phase("work")
    plan = TimingPlan()
    runtime = load_runtime(request["runtime"])
    runtime.set_threads(1)
    ours, bare = [], []
    with runtime.context():
        loaded = load(runtime, request["side"], plan)
        warm = warm_up(loaded.run, plan)
        for _ in range(request["rounds"]):
            ours.append(sample(loaded.run, plan, warm.inner_loops, 1).median_s)
            bare.append(_bare_median_s(loaded.calls, 50))
    return {"ours_s": ours, "bare_s": bare}


def _bare_median_s(calls: Sequence[Callable[[], object]], count: int) -> float:
    seconds = []
    for index in range(count):
        call = calls[index % len(calls)]
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)
