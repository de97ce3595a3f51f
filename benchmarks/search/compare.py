"""Compare our samplers with other projects' searchers on NAS-Bench-201, in one run: regret, fronts and time.

    python benchmarks/search/compare.py --data ../shared/data/nb201 --out results/reference/samplers

What was tuned for the surrogate was tuned on `c10_val_12`, `1080ti_1`, `samsung_a50` and `essential_ph_1`; none of
these is reported here. Peers that are not installed are left out and said: pip install pymoo syne-tune botorch.

A run hangs on its seed and the tables alone, so methods that did not change need not be run again: with `--methods`
those that are not named stay as an earlier comparison left them in `--out`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from peers import make_peers

from nasbench.objectives import find_objective
from nasbench.plot.studies import draw_study
from nasbench.search.contest import Benchmark, Step, Tell, follow, play, summarize
from nasbench.search.contest_tables import STANDINGS, STEPS
from nasbench.search.names import SAMPLER_NAMES
from nasbench.space.load import load_space
from nasbench.store.found import write_found
from nasbench.tabular.accuracy import open_table_accuracy
from nasbench.tabular.device import open_table_device

ACCURACY = "c10_val_200"
DEVICES = ("raspi4", "eyeriss", "pixel3", "silver_4114")
OURS = ("surrogate", "tpe", "nsga2", "evolution", "random")
SLOW = ("optuna GP", "BoTorch qLogNEHVI")
"""Peers whose proposals take so long that they get fewer seeds."""
SEVERAL = ("BoTorch qLogNEHVI",)
"""Peers that are for several objectives alone."""


@lru_cache
def benchmark_of(data: Path, device: str | None) -> Benchmark:
    space = load_space("nasbench201")
    accuracies = open_table_accuracy(f"table:{data / 'accuracy.csv.gz'}#{ACCURACY}", space).known()
    accuracy, latency = find_objective("accuracy"), find_objective("latency")
    if device is None:
        return Benchmark(space, (accuracy,), {digest: (value,) for digest, value in accuracies.items()})
    opened, _ = open_table_device(f"table:{data / 'latency_ms.csv.gz'}#{device}", space)
    latencies = opened.known()
    shared = accuracies.keys() & latencies.keys()
    return Benchmark(space, (accuracy, latency), {digest: (accuracies[digest], latencies[digest]) for digest in shared})


def play_peer(benchmark: Benchmark, name: str, seed: int, trials: int) -> Iterator[Step]:
    """Run another project's searcher as `play` runs ours; a network that failed gets the worst losses."""
    worst = np.array([benchmark.losses(values) for values in benchmark.values.values()]).max(axis=0)
    choices = benchmark.space.choices
    searcher = make_peers()[name]([len(choice.values) for choice in choices], len(benchmark.objectives), seed)

    def ask() -> tuple[str, Tell]:
        point = searcher.ask()
        chosen = {choice.name: choice.values[level] for choice, level in zip(choices, point, strict=True)}

        def tell(values: Sequence[float] | None) -> None:
            searcher.tell(point, worst if values is None else benchmark.losses(values))

        return benchmark.space.decode_choices(chosen).digest, tell

    return follow(benchmark, name, seed, trials, ask)


def read_kept(folder: Path, methods: Sequence[str]) -> list[Step]:
    """Give what an earlier comparison found of other methods than these."""
    if not (folder / "steps.parquet").exists():
        return []
    steps = pd.read_parquet(folder / "steps.parquet")
    return [Step(**row) for row in steps[~steps["sampler"].isin(methods)].to_dict("records")]


def run_one(job: tuple[Path, str | None, str, int, int]) -> tuple[str, list[Step]]:
    data, device, method, seed, trials = job
    runs = play if method in SAMPLER_NAMES else play_peer
    return device or "regret", list(runs(benchmark_of(data, device), method, seed, trials))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with accuracy.csv.gz and latency_ms.csv.gz")
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables and figures")
    parser.add_argument("--methods", default="", help="names to run, separated by commas; default: all")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--regret-trials", type=int, default=150, help="of the runs with one objective")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--regret-seeds", type=int, default=30)
    parser.add_argument("--slow-seeds", type=int, default=3, help=f"of {' and '.join(SLOW)}")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    asked = parser.parse_args()

    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"  # of the processes that are started below, each on its own core
    methods = asked.methods.split(",") if asked.methods else [*OURS, *make_peers()]
    jobs = []
    for method in methods:
        for device in DEVICES if method in SEVERAL else (None, *DEVICES):
            seeds = asked.regret_seeds if device is None else asked.seeds
            trials = asked.regret_trials if device is None else asked.trials
            if method in SLOW:
                seeds, trials = asked.slow_seeds, asked.trials
            jobs += [(asked.data.resolve(), device, method, seed, trials) for seed in range(seeds)]
    np.random.default_rng(0).shuffle(jobs)  # all methods meet the same noise of the machine
    found = {name: read_kept(asked.out / name, methods) for name in ("regret", *DEVICES)}
    with ProcessPoolExecutor(asked.workers, get_context("spawn")) as pool:
        for done, (name, steps) in enumerate(pool.map(run_one, jobs), start=1):
            found[name] += steps
            print(f"\r{done} of {len(jobs)} runs", end="", flush=True)
    print()
    methods = list(dict.fromkeys(step.sampler for steps in found.values() for step in steps))
    facts = {"trials": asked.trials, "methods": methods, "accuracy": ACCURACY}
    for name, steps in found.items():
        folder = asked.out / name
        folder.mkdir(parents=True, exist_ok=True)
        standings = summarize(steps, asked.trials)
        write_found(folder / "steps.parquet", STEPS, steps, "bench-search", facts, ("optuna", "moocore"))
        write_found(folder / "standings.parquet", STANDINGS, standings, "bench-search", facts, ("optuna", "moocore"))
        draw_study("samplers", folder, folder / "samplers.png")
        unit = "points of regret" if name == "regret" else "% of the hypervolume missing"
        print(f"\n{name}, after {asked.trials} evaluations, {unit}:")
        for one in standings:
            best = "" if name != "regret" else f"   best cell after {one.to_best or 'never'} (median)"
            interval = f"{100 * one.gap:.2f} ({100 * one.low:.2f} to {100 * one.high:.2f})"
            print(
                f"  {one.sampler:20} {interval:24} {one.seeds} seeds, {1e3 * one.proposing_s:.1f} ms a proposal{best}"
            )
    means = {
        method: [one.gap for name in DEVICES for one in summarize(found[name], asked.trials) if one.sampler == method]
        for method in methods
    }
    print("\nmean over the four devices, % of the hypervolume missing:")
    for method, gaps in sorted(means.items(), key=lambda entry: np.mean(entry[1])):
        print(f"  {method:20} {100 * np.mean(gaps):.2f}")


if __name__ == "__main__":
    main()
