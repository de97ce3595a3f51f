"""How other people take a latency, each as its documentation says; run in a child process, which is not pinned."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

from nasbench.isolation import Link


def torch_ways(request: Mapping[str, Any], link: Link) -> dict[str, Any]:
    """Take one network in every way that starts from a torch module, in the order asked for.

    Each answers with its figure, the interval or the figures that it claims as certain, and how long it took.
    """
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

    def run() -> object:
        return network(images)

    def timer() -> Timer:
        return Timer("run()", globals={"run": run}, num_threads=1)

    def torch_figures(found: Any) -> dict[str, Any]:
        return {"value_s": found.median, "digits": found.significant_figures}

    ways: dict[str, Callable[[], dict[str, Any]]] = {
        "torch blocked": lambda: torch_figures(timer().blocked_autorange()),
        "torch adaptive": lambda: torch_figures(timer().adaptive_autorange()),
        "timm's way": lambda: _mean(run, warm_ups=10, count=40),
        "mean of 50": lambda: _mean(run, warm_ups=0, count=50),
    }
    found = {}
    with torch.inference_mode():
        for way in request["order"]:
            began = time.perf_counter()
            found[way] = ways[way]()
            found[way]["took_s"] = time.perf_counter() - began
    return {"found": found}


def _mean(run: Callable[[], object], warm_ups: int, count: int) -> dict[str, Any]:
    """Give the mean of single inferences, and the interval that a normal approximation makes of their scatter."""
    for _ in range(warm_ups):
        run()
    seconds = []
    for _ in range(count):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    mean = statistics.fmean(seconds)
    half = 1.96 * statistics.stdev(seconds) / count**0.5
    return {"value_s": mean, "low_s": mean - half, "high_s": mean + half}
