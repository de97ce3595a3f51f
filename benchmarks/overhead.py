"""What the harness itself costs, beside Optuna on its own storages, in one run.

    python benchmarks/overhead.py [--trials 1000] [--many 10000]

A trial with a free objective: ask, decode, tell, and a row that survives a power cut. Methods take turns in rounds of
`--round` trials, so that a change of the machine's speed hits all of them. Ours writes its parquet files too, here at
the end of each round; Optuna has none, so it is told with them and without. Then decoding and cost counting in
architectures a second. The ratios are what to quote.
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import optuna

from nasbench.accuracy.base import Accuracy, GoOn
from nasbench.definitions import parse_definition
from nasbench.model import cost
from nasbench.records import Score, TimingPlan
from nasbench.search.plan import Budget, SearchPlan
from nasbench.search.run import Progress, Search
from nasbench.space.architecture import Architecture, Scalar
from nasbench.space.choice import Choice
from nasbench.space.load import load_space, read_space
from nasbench.store.log import RunLog

optuna.logging.set_verbosity(optuna.logging.WARNING)
WIDTHS = list(range(8, 88, 8))
KERNELS = list(range(1, 21, 2))
SPACE = read_space(
    parse_definition(
        f"""
schema: 1
name: six_choices
input: {{channels: 3, size: 32}}
classes: 10
stem: {{block: conv, out: {WIDTHS}, kernel: {KERNELS}}}
stages:
  - {{block: conv, out: {WIDTHS}, kernel: {KERNELS}, stride: 2}}
  - {{block: conv, out: {WIDTHS}, kernel: {KERNELS}, stride: 2}}
head: {{block: pool_linear}}
""",
        "six_choices.yaml",
    )
)
"""A million points, so that 10,000 trials hardly meet one again, of few enough rows that all counts are remembered."""


WITH_FILES = "... and its parquet files"


class FreeAccuracy(Accuracy):
    """An estimate that costs nothing."""

    name = "free"

    @property
    def description(self) -> dict[str, str]:
        """Give the method; there is nothing else."""
        return {"method": "free"}

    def estimate(self, architecture: Architecture, go_on: GoOn) -> Score:
        """Give a number that depends on the network alone."""
        return Score(int(architecture.digest, 16) % 1000 / 1000, "none", self.name, "none", "none", 0.0)


class Ours:
    """`nasbench search` with random sampling: six choices, decode, count, sample, store durably, tell."""

    def __init__(self, folder: Path) -> None:
        plan = SearchPlan(("accuracy", "params"), {}, "random", 0, TimingPlan(), warm_start=False)
        self.log = RunLog.create(folder / "ours", {"objectives": list(plan.objectives), "limits": {}})
        self.search = Search(SPACE, plan, self.log, FreeAccuracy())
        self.files_s = 0.0

    def run(self, trials: int) -> None:
        """Go on for so many trials, and note how much of the time went into the parquet files at the end."""
        stored = 0.0

        def note(progress: Progress) -> None:
            nonlocal stored
            stored = time.perf_counter()

        self.search.run(Budget(self.search.evaluated + trials, None), note)
        self.files_s = time.perf_counter() - stored


class Peer:
    """Optuna alone: the same six choices, the same decoding, its own storage."""

    def __init__(self, storage: optuna.storages.BaseStorage) -> None:
        sampler = optuna.samplers.RandomSampler(seed=0)
        self.study = optuna.create_study(storage=storage, sampler=sampler, directions=["maximize", "minimize"])

    def run(self, trials: int) -> None:
        """Go on for so many trials."""
        for _ in range(trials):
            trial = self.study.ask()

            def pick(choice: Choice, trial: optuna.Trial = trial) -> Scalar:
                return trial.suggest_categorical(choice.name, list(choice.values))

            architecture = SPACE.decode(pick)
            self.study.tell(trial, [int(architecture.digest, 16) % 1000 / 1000, cost.count(architecture).params])


def timed(action: Callable[[], object]) -> float:
    """Give the seconds that an action takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def compare(trials: int, each: int, folder: Path) -> None:
    """Print the cost of a trial for each method, and the ratio to Optuna's journal, over rounds that take turns."""
    journal = optuna.storages.journal.JournalFileBackend(str(folder / "journal.log"))
    ours = Ours(folder)
    methods = {
        "nasbench search": ours,
        "optuna, journal": Peer(optuna.storages.JournalStorage(journal)),
        "optuna, sqlite": Peer(optuna.storages.RDBStorage(f"sqlite:///{folder / 'optuna.db'}")),
        "optuna, in memory": Peer(optuna.storages.InMemoryStorage()),
    }
    seconds: dict[str, list[float]] = {name: [] for name in (*methods, WITH_FILES)}
    for _ in range(trials // each):
        for name, method in methods.items():
            seconds[name].append(timed(lambda method=method: method.run(each)) / each)
        seconds[WITH_FILES].append(seconds["nasbench search"][-1])
        seconds["nasbench search"][-1] -= ours.files_s / each
    print(f"a trial with a free objective, {trials} trials each, in turns of {each}")
    for name, values in seconds.items():
        ratios = [own / other for own, other in zip(values, seconds["optuna, journal"], strict=True)]
        low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
        print(
            f"  {name:25s} {1e3 * statistics.median(values):8.3f} ms   "
            f"{median:6.2f} of the journal's (quartiles {low:.2f} to {high:.2f})"
        )


def growth(many: int, folder: Path) -> None:
    """Print how a trial's cost changes with the number of trials before it, in one search without a break."""
    (folder / "growth").mkdir()
    ours, stamps = Ours(folder / "growth"), [time.perf_counter()]
    ours.search.run(Budget(many, None), lambda progress: stamps.append(time.perf_counter()))
    ended = time.perf_counter()
    each = [1e3 * (after - before) for before, after in itertools.pairwise(stamps)]
    tenths = [statistics.median(each[i * many // 10 : (i + 1) * many // 10]) for i in range(10)]
    print(f"one search of {many} trials, median of a trial by tenths: {', '.join(f'{t:.2f}' for t in tenths)} ms,")
    print(
        f"  ratio of the last to the first {tenths[-1] / tenths[0]:.2f}; mean over all {statistics.mean(each):.2f} ms"
    )
    print(f"  and {1e3 * (ended - stamps[-1]) / many:.2f} ms a trial to write the parquet files at the end")


def decoding() -> None:
    """Print architectures decoded and networks counted a second, Once-for-All space."""
    space, rng = load_space("mobilenet_v3"), random.Random(0)
    space.sample(rng)
    rates = [2000 / timed(lambda: [space.sample(rng) for _ in range(2000)]) for _ in range(5)]
    print(f"decoding, {space.name}: {statistics.median(rates):,.0f} architectures a second")
    sampled = [space.sample(rng)[1] for _ in range(400)]
    cold = 100 / timed(lambda: [cost.count(architecture) for architecture in sampled[:100]])
    warm = 300 / timed(lambda: [cost.count(architecture) for architecture in sampled[100:]])
    print(f"counting, {space.name}: {cold:,.0f} networks a second for the first 100, {warm:,.0f} for the next 300")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--round", type=int, default=250)
    parser.add_argument("--many", type=int, default=10_000)
    options = parser.parse_args()
    decoding()
    rng = random.Random(0)
    for _ in range(20_000):
        cost.count(SPACE.sample(rng)[1])  # every row of the space is counted once, for all methods alike
    with tempfile.TemporaryDirectory() as folder:
        compare(options.trials, options.round, Path(folder))
        growth(options.many, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
