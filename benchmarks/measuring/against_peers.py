"""How far does a reported latency scatter, and how often is a network called faster than itself?

    python benchmarks/measuring/against_peers.py [--repetitions 20] [--conditions quiet,busy] [--out FILE.parquet]

Every repetition takes the same network twice, as A and as B, in every way, each in fresh processes, torch's ways in
shuffled order: so all of them meet the same machine. `busy` means that one process spins on a core of its choice.

A way's own rule for "B is faster than A": torch's significant figures differ; the intervals of two means do not touch;
benchmark_app prints none. The eye's rule is a difference above 2 % between the two figures.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from torch.utils.benchmark.utils.common import trim_sigfig

from nasbench.device.load import load_device, open_device
from nasbench.isolation import Worker
from nasbench.measure.compare import compare
from nasbench.measure.levels import Job, confirm, screen
from nasbench.model.build import build
from nasbench.model.deploy import deploy
from nasbench.model.export import to_onnx
from nasbench.records import CONFIRM, TimingPlan
from nasbench.space.load import find_architecture

TORCH_WAYS = ("torch blocked", "torch adaptive", "timm's way", "mean of 50")
APP = "benchmark_app"
SCREEN, OPENVINO_SCREEN, COMPARE = "nasbench screen", "nasbench screen, OpenVINO", "nasbench compare"
EYE = 0.02


def take_torch(architecture: dict[str, Any], rng: random.Random) -> dict[str, dict[str, Any]]:
    """Take the network once in each of torch's ways, in one fresh process."""
    order = rng.sample(TORCH_WAYS, len(TORCH_WAYS))
    with Worker("peer_tasks:torch_ways", threads=1) as worker:
        answer = worker.call({"architecture": architecture, "order": order}, limits_s={"start": 60, "work": 300})
    return answer["found"]


def take_app(graph: Path) -> dict[str, Any]:
    """Take the network once with OpenVINO's own program: one thread, one stream, fp32, two seconds."""
    program = Path(sys.executable).with_name("benchmark_app")
    options = [
        "-d",
        "CPU",
        "-api",
        "sync",
        "-hint",
        "none",
        "-nthreads",
        "1",
        "-nstreams",
        "1",
        "-infer_precision",
        "f32",
        "-t",
        "2",
    ]
    began = time.perf_counter()
    text = subprocess.run([program, "-m", graph, *options], capture_output=True, text=True, check=True).stdout
    found = re.search(r"Median:\s+([\d.]+) ms", text)
    assert found is not None, text
    return {"value_s": float(found[1]) / 1e3, "took_s": time.perf_counter() - began}


def take_screen(device: Any, architecture: Any) -> dict[str, Any]:
    """Take the network once as a search does."""
    began = time.perf_counter()
    found = screen(device, architecture, TimingPlan())
    return {
        "value_s": found.latency_s,
        "low_s": found.low_s,
        "high_s": found.high_s,
        "took_s": time.perf_counter() - began,
        "timed_s": found.noise["window_s"] + sum(found.warmups_s),
        "verdict": found.verdict,
    }


def own_claim(way: str, a: dict[str, Any], b: dict[str, Any]) -> bool | None:
    """Say whether a way's own statement of certainty calls the two different; None when it makes none."""
    if "digits" in a:
        digits = min(a["digits"], b["digits"])
        return bool(trim_sigfig(a["value_s"], digits) != trim_sigfig(b["value_s"], digits))
    if "low_s" in a and way not in (SCREEN, OPENVINO_SCREEN):
        return bool(a["low_s"] > b["high_s"] or b["low_s"] > a["high_s"])
    return None


@contextlib.contextmanager
def condition(name: str) -> Iterator[None]:
    """Keep one core busy, or none, until the context ends."""
    neighbours = [subprocess.Popen([sys.executable, "-c", "while True: pass"])] if name == "busy" else []
    try:
        yield
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.wait()


def repeat(name: str, repetitions: int, graph: Path) -> Iterator[dict[str, Any]]:
    """Give one row for each way and repetition."""
    architecture = find_architecture("mobilenet_v2_1.0")[1].architecture
    rng = random.Random(0)
    with open_device(load_device("cpu")) as cpu, open_device(load_device("cpu-openvino")) as openvino:
        for repetition in range(repetitions):
            pairs: dict[str, list[dict[str, Any]]] = {}
            for _ in "AB":
                torch_found = take_torch(architecture.as_dict(), rng)
                found = {
                    **torch_found,
                    APP: take_app(graph),
                    SCREEN: take_screen(cpu, architecture),
                    OPENVINO_SCREEN: take_screen(openvino, architecture),
                }
                for way, one in found.items():
                    pairs.setdefault(way, []).append(one)
            for way, (a, b) in pairs.items():
                yield {
                    "condition": name,
                    "repetition": repetition,
                    "way": way,
                    "a_s": a["value_s"],
                    "b_s": b["value_s"],
                    "ratio": a["value_s"] / b["value_s"],
                    "took_s": a["took_s"],
                    "timed_s": a.get("timed_s", math.nan),
                    "verdict": a.get("verdict"),
                    "own_claim": own_claim(way, a, b),
                }
            began = time.perf_counter()
            compared = compare(cpu, architecture, architecture, TimingPlan(), seed=repetition)
            yield {
                "condition": name,
                "repetition": repetition,
                "way": COMPARE,
                "a_s": compared.first_s[0],
                "b_s": compared.second_s[0],
                "ratio": compared.ratio,
                "took_s": time.perf_counter() - began,
                "timed_s": math.nan,
                "verdict": compared.verdict,
                "own_claim": compared.verdict in ("faster", "slower"),
            }
            print(f"{name}: repetition {repetition + 1} of {repetitions}", file=sys.stderr, flush=True)


def summarize(rows: pd.DataFrame) -> pd.DataFrame:
    """Give a line for each way under each condition."""
    lines = []
    for (name, way), some in rows.groupby(["condition", "way"], sort=False):
        figures = [*some["a_s"], *some["b_s"]]
        claims = some["own_claim"].dropna()
        logs = [math.log(ratio) for ratio in some["ratio"]]
        lines.append(
            {
                "condition": name,
                "way": way,
                "n": len(some),
                "figure, max/min - 1": f"{max(figures) / min(figures) - 1:.1%}",
                "A/A ratio, range": f"{max(some['ratio']) - min(some['ratio']):.1%}",
                "A/A ratio, sd": f"{statistics.stdev(logs):.2%}",
                "called different, own rule": f"{sum(claims)} of {len(claims)}" if len(claims) else "-",
                "by eye (2 %)": f"{sum(abs(ratio - 1) > EYE for ratio in some['ratio'])} of {len(some)}",
                "seconds": f"{some['took_s'].median():.1f}",
            }
        )
    return pd.DataFrame(lines)


def show_targets(rows: pd.DataFrame) -> None:
    """Print what this program promises, beside what came."""
    for name, some in rows.groupby("condition", sort=False):
        by_way = dict(iter(some.groupby("way")))
        spread = {way: statistics.stdev([math.log(ratio) for ratio in group["ratio"]]) for way, group in by_way.items()}
        for way in TORCH_WAYS:
            print(f"{name}: spread of the paired ratio is {spread[COMPARE] / spread[way]:.3f} of that of {way}")
        screens = by_way[SCREEN]
        print(
            f"{name}: a screen takes {screens['timed_s'].median():.2f} s of warm-up and sampling (median), verdicts "
            f"{screens['verdict'].value_counts().to_dict()}"
        )


def time_a_confirmation() -> None:
    """Print how long the level `confirm` takes for one network."""
    architecture = find_architecture("mobilenet_v2_1.0")[1].architecture
    with open_device(load_device("cpu")) as cpu:
        began = time.perf_counter()
        (found,) = confirm([Job("mobilenet_v2_1.0", cpu, architecture, CONFIRM)])
    if isinstance(found, Exception):
        raise found
    print(
        f"confirm, one network: {time.perf_counter() - began:.0f} s, {len(found.process_medians_s)} processes, "
        f"{found.verdict}, interval {found.low_s:.6f} to {found.high_s:.6f} s"
    )


def main() -> None:
    """Run all conditions and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--conditions", default="quiet,busy")
    parser.add_argument("--out", type=Path, help="write the rows as parquet")
    arguments = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", file=sys.stderr)
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "network.onnx"
        architecture = find_architecture("mobilenet_v2_1.0")[1].architecture
        to_onnx(deploy(build(architecture, 0)), graph, architecture.input_shape)
        for name in arguments.conditions.split(","):
            with condition(name):
                found += repeat(name, arguments.repetitions, graph)
            rows = pd.DataFrame(found)
            if arguments.out:
                rows.to_parquet(arguments.out)
    with pd.option_context("display.width", 200, "display.max_columns", 20):
        print(summarize(rows).to_string(index=False))
    show_targets(rows)
    time_a_confirmation()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
