"""Which model ranks networks best from few observations: ours, forests or Bayesian ridge, on NAS-Bench-201's tables.

    python benchmarks/search/models.py --data ../shared/data/nb201

Every model is fitted to networks drawn at random, on the logarithm of the error or of the latency (ours decides
itself), and ranks 2,000 others: Spearman's correlation with the table, mean over seeds. The tables are those that the
surrogate was tuned on. It is why there is no forest among its models.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.linear_model import BayesianRidge

from nasbench.search.samplers import distribution_of
from nasbench.space.load import load_space
from nasbench.surrogate.encoding import Encoding
from nasbench.surrogate.model import ERROR, LOG, PLAIN, fit
from nasbench.tabular.accuracy import open_table_accuracy
from nasbench.tabular.device import open_table_device

ACCURACY = "c10_val_12"
DEVICES = ("1080ti_1", "samsung_a50", "essential_ph_1")
DRAWN = 6000
RANKED = 2000
SEED = 0

Values = NDArray[np.float64]
PEERS: dict[str, Callable[[int], object]] = {
    "random forest": lambda seed: RandomForestRegressor(100, random_state=seed),
    "extra trees": lambda seed: ExtraTreesRegressor(100, random_state=seed),
    "Bayesian ridge": lambda seed: BayesianRidge(),
}


def rank_all(encoding: Encoding, rows: Values, losses: Values, share: bool, count: int, seed: int) -> dict[str, float]:
    """Fit every model to `count` rows and give how well each ranks others."""
    order = np.random.default_rng(seed).permutation(len(rows))
    known, others = order[:count], order[count : count + RANKED]
    scales = (PLAIN, ERROR) if share else (PLAIN, LOG)
    ours = fit(encoding.likeness(rows[known], rows[known]), losses[known], scales)
    told = {"surrogate": ours.predict(encoding.likeness(rows[known], rows[others])).mean}
    levels = [np.unique(column) for column in rows.T]
    one_hot = np.concatenate([column[:, None] == level for column, level in zip(rows.T, levels, strict=True)], axis=1)
    values = np.log1p(losses) if share else np.log(losses)
    for name, make in PEERS.items():
        told[name] = make(seed).fit(one_hot[known], values[known]).predict(one_hot[others])  # type: ignore[attr-defined]
    return {name: float(spearmanr(values, losses[others]).statistic) for name, values in told.items()}


def compare(data: Path, counts: Sequence[int], seeds: int) -> None:
    """Print a line for each table and number of observations."""
    space = load_space("nasbench201")
    rng = random.Random(SEED)
    points = {architecture.digest: choices for choices, architecture in (space.sample(rng) for _ in range(DRAWN))}
    tables = {"accuracy": open_table_accuracy(f"table:{data / 'accuracy.csv.gz'}#{ACCURACY}", space).known()}
    for device in DEVICES:
        tables[device] = open_table_device(f"table:{data / 'latency_ms.csv.gz'}#{device}", space)[0].known()
    encoding = Encoding({choice.name: distribution_of(choice) for choice in space.choices})
    for name, table in tables.items():
        known = [digest for digest in points if digest in table]
        rows = encoding.encode(points[digest] for digest in known)
        share = name == "accuracy"
        losses = np.array([-table[digest] if share else table[digest] for digest in known])
        for count in counts:
            found = [rank_all(encoding, rows, losses, share, count, seed) for seed in range(seeds)]
            means = {model: float(np.mean([one[model] for one in found])) for model in found[0]}
            print(
                f"{name:15} {count:4}  {', '.join(f'{model} {mean:.3f}' for model, mean in means.items())}", flush=True
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with accuracy.csv.gz and latency_ms.csv.gz")
    parser.add_argument("--counts", default="40,100,300", help="observations to fit to")
    parser.add_argument("--seeds", type=int, default=6)
    asked = parser.parse_args()
    compare(asked.data, [int(count) for count in asked.counts.split(",")], asked.seeds)


if __name__ == "__main__":
    main()
