"""How long a proposal takes after so many trials: ours beside Optuna's TPE, two objectives, six choices of ten values.

    python benchmarks/search/proposing.py [--trials 1000,10000]

The trials before are drawn at random and added at once. One proposal comes before the clock starts, in which a sampler
reads them. The mean is over the next 256 (ours plans up to as many together, so a single one says little), in turns, on
one thread.
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np

CHOICES = {f"c{index}": tuple(range(10)) for index in range(6)}
ASKED = 256


def losses(params: dict[str, int]) -> list[float]:
    values = np.array(list(params.values()), dtype=float)
    return [float(values.sum() + values[0] * values[1]), float(((9 - values) ** 2).sum() + values[2] * values[3])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", default="100,1000,10000")
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    import optuna

    from nasbench.surrogate.sampler import SurrogateSampler

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = {name: optuna.distributions.CategoricalDistribution(values) for name, values in CHOICES.items()}
    rng = np.random.default_rng(0)
    for before in map(int, parser.parse_args().trials.split(",")):
        studies = {}
        for name, sampler in (
            ("surrogate", SurrogateSampler(seed=0, search_space=space)),
            ("optuna TPE", optuna.samplers.TPESampler(seed=0)),
        ):
            studies[name] = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
        for _ in range(before):
            params = {name: int(rng.integers(10)) for name in CHOICES}
            for study in studies.values():
                study.add_trial(optuna.trial.create_trial(params=params, distributions=space, values=losses(params)))
        took = dict.fromkeys(studies, 0.0)
        for study in studies.values():
            study.tell(trial := study.ask(space), losses(trial.params))
        for _ in range(ASKED):
            for name, study in studies.items():
                began = time.perf_counter()
                trial = study.ask(space)
                took[name] += time.perf_counter() - began
                study.tell(trial, losses(trial.params))
        words = ", ".join(f"{name} {1e3 * seconds / ASKED:.1f} ms" for name, seconds in took.items())
        print(f"after {before:,} trials: {words}; ratio {took['surrogate'] / took['optuna TPE']:.2f}", flush=True)


if __name__ == "__main__":
    main()
