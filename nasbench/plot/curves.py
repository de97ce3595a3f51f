"""How the hypervolume of searches grew, trial by trial and second by second, in one box for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasbench.objectives import Objective
from nasbench.pareto import Losses, hypervolume_curve, normalize, reference_losses
from nasbench.store.parquet import Run

if TYPE_CHECKING:
    import pandas as pd

SOUND_STATUSES = ("complete", "pruned", "infeasible", "duplicate")
"""What a trial's status is when nothing went wrong; any other says how it failed."""


@dataclass(frozen=True)
class Curve:
    """The hypervolume of a run after each of its trials, in the order that `places` has.

    `places` are numbers of trials, from 1, or seconds from the start of the first trial to the end of each. `low` and
    `high` are the hypervolume with every latency at the worse or the better end of its 95 % interval. `failed` marks
    the trials that failed. All are of shape (trials).
    """

    run: Run
    places: Losses
    shares: Losses
    low: Losses
    high: Losses
    failed: NDArray[np.bool_]

    @property
    def rises(self) -> NDArray[np.bool_]:
        """Mark the trials that were better than all before."""
        return np.diff(self.shares, prepend=0.0) > 0


def find_curves(runs: Sequence[Run], over_time: bool = False) -> list[Curve]:
    """Give the hypervolume of each run as its trials came, or with `over_time` as they ended.

    It is the share of a box that the front over all objectives dominates, by the figures of the search. The box is the
    same for all runs: from the best conceivable point to the worst of their references.

    Args:
        runs: with equal objectives, which is for the caller to check.
        over_time: trials that run at a time end in another order than they begin.
    """
    objectives = runs[0].objectives
    corners = [reference_losses(objectives, run.limits, losses_of(_feasible(run), objectives)) for run in runs]
    reference = np.max(corners, axis=0)
    return [_curve(run, objectives, reference, over_time) for run in runs]


def losses_of(frame: pd.DataFrame, objectives: Sequence[Objective], end: int | None = None) -> Losses:
    """Give the losses of stored trials, shape (trials, objectives).

    Args:
        frame: rows of `evaluations.parquet`.
        objectives: one a column.
        end: 0 for the lower ends of the intervals of latencies, 1 for the upper ones; where there is no interval, and
            by default, the latency itself.
    """
    losses = np.empty((len(frame), len(objectives)))
    for column, objective in enumerate(objectives):
        values = frame[objective.column].to_numpy(dtype=np.float64, na_value=np.nan)
        if end is not None and objective.figure == "latency":
            name = ("latency_low_s", "latency_high_s")[end]
            stored = f"{name}@{objective.device}" if objective.device else name
            ends = frame[stored].to_numpy(dtype=np.float64, na_value=np.nan)
            values = np.where(np.isnan(ends), values, ends)
        losses[:, column] = -values if objective.maximize else values
    return losses


def _feasible(run: Run) -> pd.DataFrame:
    return run.evaluations[run.evaluations["feasible"]]


def _curve(run: Run, objectives: Sequence[Objective], reference: Losses, over_time: bool) -> Curve:
    trials = run.evaluations
    places = trials["trial"].to_numpy(dtype=np.float64) + 1
    if over_time:
        seconds = (trials["started_at"] - trials["started_at"].min()).dt.total_seconds() + trials["duration_s"]
        places = seconds.to_numpy(dtype=np.float64)
        order = np.argsort(places, kind="stable")
        trials, places = trials.iloc[order], places[order]
    feasible = trials["feasible"].to_list()

    def climb(end: int | None) -> Losses:
        losses = losses_of(trials[trials["feasible"]], objectives, end)
        return hypervolume_curve(normalize(losses, objectives, reference), feasible)

    failed = ~trials["status"].isin(SOUND_STATUSES).to_numpy(dtype=bool)
    return Curve(run, places, climb(None), climb(1), climb(0), failed)
