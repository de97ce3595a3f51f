"""What runs in a measuring process that times the layers of a network. Called through `nasbench.isolation`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from nasbench.device.loading import load
from nasbench.device.timing import warm_up
from nasbench.isolation import Link
from nasbench.records import TimingPlan
from nasbench.runtime.base import load_runtime

_LEAST_PASSES = 15
_LEAST_S = 1.0


def take_layers(request: Mapping[str, Any], link: Link) -> dict[str, Any]:
    """Run a network plainly and profiled, in turns; give the layers, and the median of the plain passes in seconds.

    `request` is as `nasbench.device.cpu.CpuDevice.request` makes it, with one side; the phases are build, first_call,
    warmup and timed.

    Raises:
        CandidateError: the network failed; its subclass says how.
    """
    plan = TimingPlan(**request["plan"])
    runtime = load_runtime(request["runtime"])
    runtime.set_threads(request["threads"])
    with runtime.context():
        link.phase("build")
        load(runtime, request["tiny"], plan)
        loaded = load(runtime, request["sides"][0], plan, link.phase)
        call = loaded.calls[0]
        profile = runtime.profile(call)
        link.phase("warmup")
        warm_up(call, plan)
        link.phase("timed")
        seconds: list[float] = []
        while len(seconds) < _LEAST_PASSES or (sum(seconds) < _LEAST_S and len(seconds) < plan.max_samples):
            began = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - began)
            profile.run()
            if sum(seconds) > plan.max_sampling_s:
                break
        layers = [asdict(layer) for layer in profile.end()]
        return {"layers": layers, "latency_s": statistics.median(seconds), "passes": len(seconds)}
