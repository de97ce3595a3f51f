"""What the harness itself costs, beside Optuna on its own storages, in one run.

    python benchmarks/overhead.py [--trials 1000] [--many 10000]

A trial with a free objective: ask, decode, tell, and a row that survives a power cut. Methods take turns in rounds of
`--round` trials, so that a change of the machine's speed hits all of them. Then decoding and cost counting in
architectures a second. Figures are for this machine; the ratios are what to quote.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import optuna

from nasbench.accuracy.base import Accuracy, GoOn
from nasbench.model import cost
from nasbench.records import Score, TimingPlan
from nasbench.search.run import Budget, Search, SearchPlan
from nasbench.space.architecture import Architecture
from nasbench.space.choice import Choice
from nasbench.space.load import load_space
from nasbench.store.log import RunLog

optuna.logging.set_verbosity(optuna.logging.WARNING)
SPACE = load_space("nasbench201")


class FreeAccuracy(Accuracy):
    """An estimate that costs nothing."""

    name = "free"

    @property
    def description(self) -> dict[str, str]:
        return {"method": "free"}

    def estimate(self, architecture: Architecture, go_on: GoOn) -> Score:
        return Score(int(architecture.digest, 16) % 1000 / 1000, "none", self.name, "none", "none", 0.0)


class Ours:
    """`nasbench search` with random sampling: six choices, decode, count, sample, store durably, tell."""

    def __init__(self, folder: Path) -> None:
        plan = SearchPlan(("accuracy", "params"), {}, "random", 0, TimingPlan(), warm_start=False)
        self.log = RunLog.create(folder / "ours", {"objectives": list(plan.objectives), "limits": {}})
        self.search = Search(SPACE, plan, self.log, FreeAccuracy(), None)
        self.proposals = 0

    def run(self, trials: int) -> None:
        self.search.run(Budget(self.search.evaluated + trials, None))


class Peer:
    """Optuna alone: the same six choices, the same decoding, its own storage."""

    def __init__(self, storage: optuna.storages.BaseStorage) -> None:
        sampler = optuna.samplers.RandomSampler(seed=0)
        self.study = optuna.create_study(storage=storage, sampler=sampler, directions=["maximize", "minimize"])

    def run(self, trials: int) -> None:
        for _ in range(trials):
            trial = self.study.ask()

            def pick(choice: Choice, trial: optuna.Trial = trial) -> str:
                return str(trial.suggest_categorical(choice.name, list(choice.values)))

            architecture = SPACE.decode(pick)
            self.study.tell(trial, [int(architecture.digest, 16) % 1000 / 1000, cost.count(architecture).params])


def timed(action: Callable[[], object]) -> float:
    """Give the seconds that an action takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def compare(trials: int, each: int, folder: Path) -> None:
    """Print the cost of a trial for each method, and the ratio to Optuna's journal, over rounds that take turns."""
    for _ in range(500):
        cost.count(SPACE.sample(random.Random(_))[1])  # the cache of block costs is warm for all alike
    journal = optuna.storages.journal.JournalFileBackend(str(folder / "journal.log"))
    methods = {
        "nasbench search": Ours(folder),
        "optuna, journal": Peer(optuna.storages.JournalStorage(journal)),
        "optuna, sqlite": Peer(optuna.storages.RDBStorage(f"sqlite:///{folder / 'optuna.db'}")),
        "optuna, in memory": Peer(optuna.storages.InMemoryStorage()),
    }
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(trials // each):
        for name, method in methods.items():
            seconds[name].append(timed(lambda method=method: method.run(each)) / each)
    print(f"a trial with a free objective, {trials} trials each, in turns of {each}")
    for name, values in seconds.items():
        ratios = [own / other for own, other in zip(values, seconds["optuna, journal"], strict=True)]
        low, median, high = statistics.quantiles(ratios, n=4)
        print(
            f"  {name:20s} {1e3 * statistics.median(values):8.3f} ms   "
            f"{median:6.2f} of the journal's (quartiles {low:.2f} to {high:.2f})"
        )


def growth(many: int, folder: Path) -> None:
    """Print how a trial's cost changes with the number of trials before it."""
    (folder / "growth").mkdir()
    ours, tenth = Ours(folder / "growth"), many // 10
    seconds = [timed(lambda: ours.run(tenth)) / tenth for _ in range(10)]
    first, last = seconds[0], seconds[-1]
    print(
        f"trials 1 to {tenth} and {many - tenth} to {many}: {1e3 * first:.3f} ms and {1e3 * last:.3f} ms a trial, ratio"
    )
    print(f"  {last / first:.2f}; by tenths: {', '.join(f'{1e3 * value:.2f}' for value in seconds)} ms")


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
    parser.add_argument("--round", type=int, default=50)
    parser.add_argument("--many", type=int, default=10_000)
    options = parser.parse_args()
    decoding()
    with tempfile.TemporaryDirectory() as folder:
        compare(options.trials, options.round, Path(folder))
        growth(options.many, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
