"""How the hypervolume of searches grew, trial by trial and second by second, in one box for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasbench.objectives import Objective
from nasbench.pareto import Losses, hypervolume_curve, normalize, reference_losses
from nasbench.records import FAILURES
from nasbench.store.parquet import Run

if TYPE_CHECKING:
    import pandas as pd


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
    corner = worst_corner(runs)
    return [_curve(run, runs[0].objectives, corner, over_time) for run in runs]


def worst_corner(runs: Sequence[Run]) -> Losses:
    """Give the worst of the references of runs, by the objectives of the first, which the others share."""
    objectives = runs[0].objectives
    feasible = [run.evaluations[feasible_rows(run.evaluations)] for run in runs]
    corners = [
        reference_losses(objectives, run.limits, losses_of(rows, objectives))
        for run, rows in zip(runs, feasible, strict=True)
    ]
    return np.asarray(np.max(corners, axis=0), dtype=np.float64)


def climb(trials: pd.DataFrame, objectives: Sequence[Objective], corner: Losses, end: int | None = None) -> Losses:
    """Give the hypervolume after each trial, in the order of the rows; `end` is that of `losses_of`."""
    feasible = feasible_rows(trials)
    losses = losses_of(trials[feasible], objectives, end)
    return hypervolume_curve(normalize(losses, objectives, corner), feasible.to_list())


def feasible_rows(trials: pd.DataFrame) -> pd.Series[bool]:
    """Mark the trials that are known to be feasible."""
    return trials["feasible"].fillna(False).astype(bool)


def ended_s(trials: pd.DataFrame) -> Losses:
    """Give for each trial the seconds from the begin of the first to its own end; NaN where that is not stored."""
    if trials.empty:
        return np.empty(0)
    seconds = (trials["started_at"] - trials["started_at"].min()).dt.total_seconds() + trials["duration_s"]
    return np.asarray(seconds.to_numpy(dtype=np.float64, na_value=np.nan))


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


def _curve(run: Run, objectives: Sequence[Objective], corner: Losses, over_time: bool) -> Curve:
    trials = run.evaluations
    places = trials["trial"].to_numpy(dtype=np.float64) + 1
    if over_time:
        places = ended_s(trials)
        order = np.argsort(places, kind="stable")
        trials, places = trials.iloc[order], places[order]
    shares, low, high = (climb(trials, objectives, corner, end) for end in (None, 1, 0))
    failed = trials["status"].isin(FAILURES).to_numpy(dtype=bool)
    return Curve(run, places, shares, low, high, failed)
