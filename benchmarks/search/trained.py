"""Compare samplers by searches that really train and measure: `mnist_tiny` on this machine, equal trials.

    python benchmarks/search/trained.py --runs /tmp/trained --out results/reference/samplers/trained

Each run is a search of its own, seed by seed with the samplers in turns, so that all meet the same noise of the
machine; one that is there already is taken as it is or gone on with, and what another run measured is not measured
again. Nobody knows the true front, so what is missing is counted against the best of all runs together.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from nasbench.objectives import find_objective
from nasbench.plot.studies import draw_study
from nasbench.search.contest import Benchmark, Step, Tell, follow, summarize
from nasbench.search.contest_tables import STANDINGS, STEPS
from nasbench.space.load import load_space
from nasbench.store.found import write_found

OBJECTIVES = ("accuracy", "latency")


def search(run: Path, sampler: str, seed: int, trials: int, epochs: int) -> None:
    if (run / "evaluations.parquet").exists() and len(read(run)) >= trials:
        return
    options = ["--no-warm-start", "--no-early-stop", "--no-confirm", "--device", "cpu", "--threads", "1"]
    options += ["--sampler", sampler, "--seed", str(seed), "--epochs", str(epochs), "--run", str(run)]
    asked = ["--resume", str(run)] if (run / "run.db").exists() else ["mnist_tiny", *options]
    subprocess.run([sys.executable, "-m", "nasbench", "search", *asked, "--trials", str(trials)], check=True)


def read(run: Path) -> pd.DataFrame:
    """Give the evaluated trials of a run, in order."""
    trials = pd.read_parquet(run / "evaluations.parquet", columns=["architecture", "status", "accuracy", "latency_s"])
    return trials[trials["status"] != "duplicate"]


def pool(runs: Sequence[pd.DataFrame]) -> Benchmark:
    """Give all networks that were trained and measured in any run."""
    together = pd.concat(runs)
    known = together[together["status"] == "complete"].drop_duplicates("architecture").set_index("architecture")
    values = {str(one): (float(row["accuracy"]), float(row["latency_s"])) for one, row in known.iterrows()}
    return Benchmark(load_space("mnist_tiny"), tuple(map(find_objective, OBJECTIVES)), values)


def follow_run(benchmark: Benchmark, trials: pd.DataFrame, sampler: str, seed: int) -> list[Step]:
    order = iter(trials["architecture"])

    def ask() -> tuple[str, Tell]:
        return next(order), lambda values: None

    steps = follow(benchmark, sampler, seed, trials["architecture"].nunique(), ask)
    return [dataclasses.replace(step, proposing_s=math.nan) for step in steps]  # what a search does not store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="folder of the searches")
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables and the figure")
    parser.add_argument("--samplers", default="surrogate,nsga2,tpe,random")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=2)
    asked = parser.parse_args()

    samplers = asked.samplers.split(",")
    runs: dict[tuple[str, int], pd.DataFrame] = {}
    for seed in range(asked.seeds):
        for sampler in samplers:
            run = asked.runs / f"{sampler}-{seed}"
            search(run, sampler, seed, asked.trials, asked.epochs)
            runs[sampler, seed] = read(run)
    benchmark = pool(list(runs.values()))
    steps = [step for (sampler, seed), run in runs.items() for step in follow_run(benchmark, run, sampler, seed)]
    standings = summarize(steps, asked.trials)
    asked.out.mkdir(parents=True, exist_ok=True)
    facts = {"trials": asked.trials, "methods": samplers, "epochs": asked.epochs, "space": "mnist_tiny"}
    write_found(asked.out / "steps.parquet", STEPS, steps, "bench-search", facts, ("optuna", "moocore"))
    write_found(asked.out / "standings.parquet", STANDINGS, standings, "bench-search", facts, ("optuna", "moocore"))
    draw_study("samplers", asked.out, asked.out / "samplers.png")
    print(
        f"{len(benchmark.values)} networks, {len(benchmark.front)} on the front of all; % of its hypervolume missing:"
    )
    for one in standings:
        print(
            f"  {one.sampler:12} {100 * one.gap:.2f} ({100 * one.low:.2f} to {100 * one.high:.2f}), {one.seeds} seeds"
        )


if __name__ == "__main__":
    main()
