"""The models of a study: one for each objective and each limit, and one of what fails."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nasbench.surrogate.encoding import Encoding, Likeness, Rows
from nasbench.surrogate.gain import log_probability_within
from nasbench.surrogate.model import ERROR, LOG, PLAIN, Model, Prediction, Scale, Values, fit
from nasbench.surrogate.observations import Observations

_MOST_ROWS = 400
"""Observations that a model is fitted to; of more, the best and the youngest."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model and the rows that it was fitted to."""

    rows: Rows
    model: Model


@dataclass(frozen=True, slots=True)
class Models:
    """What is thought of a study's objectives, in their order, of its limits, and of what fails."""

    objectives: list[Fitted] = field(default_factory=list)
    limits: dict[int, Fitted] = field(default_factory=dict)
    """By the column of the limit; one that nothing broke has none."""
    broken: Fitted | None = None
    hints: list[Fitted] = field(default_factory=list)
    """Of what is counted without evaluating: how it hangs on the choices. Objectives may grow with its logarithm."""

    def predict(self, encoding: Encoding, pool: Rows) -> list[Prediction]:
        """Predict the objectives of rows."""
        compared: dict[int, Likeness] = {}  # by the rows of a model, which most models share

        def likeness(fitted: Fitted) -> Likeness:
            if id(fitted.rows) not in compared:
                compared[id(fitted.rows)] = encoding.likeness(fitted.rows, pool)
            return compared[id(fitted.rows)]

        counts = [fitted.model.scale.back(fitted.model.predict(likeness(fitted)).mean) for fitted in self.hints]
        hints = np.log1p(np.maximum(np.array(counts).T, 0.0))
        return [fitted.model.predict(likeness(fitted), hints) for fitted in self.objectives]

    def log_allowed(self, encoding: Encoding, pool: Rows) -> Values:
        """Give the logarithm of how probable it is that a row keeps every limit and does not fail."""
        allowed = np.zeros(len(pool))
        for fitted in self.limits.values():
            allowed += log_probability_within(fitted.model.predict(encoding.likeness(fitted.rows, pool)), 0.0)
        if self.broken is not None:
            failing = self.broken.model.predict(encoding.likeness(self.broken.rows, pool)).mean
            allowed += np.log(np.clip(1.0 - failing, 1e-3, 1.0))
        return allowed


def fit_models(encoding: Encoding, seen: Observations, shares: tuple[bool, ...], like: Models | None = None) -> Models:
    """Fit everything that can be.

    Args:
        encoding: of the rows.
        seen: one row or more, with losses or without.
        shares: by objective, whether it is a share that is maximized, so that its error can be modelled.
        like: earlier models, whose kernels, scales and noises are taken over, which saves most of the time.
    """
    kept = _keep(seen.ranks)
    # Where nothing keeps the limits there is nothing to improve yet, and they alone decide.
    limits, broken = _fit_limits(encoding, seen, kept, like), _fit_broken(encoding, seen, kept, like)
    if not seen.feasible.any():
        return Models([], limits, broken)
    rows = seen.rows[kept]
    likeness = encoding.likeness(rows, rows)
    counts = seen.counts[kept][:, (seen.counts[kept] >= 0).all(axis=0)]
    hinted = [
        Fitted(rows, fit(likeness, values, (PLAIN, LOG), like=_model(like.hints, index) if like else None))
        for index, values in enumerate(counts.T)
    ]
    return Models(_fit_objectives(rows, likeness, seen, kept, shares, np.log1p(counts), like), limits, broken, hinted)


def _fit_objectives(
    rows: Rows,
    likeness: Likeness,
    seen: Observations,
    kept: NDArray[np.intp],
    shares: tuple[bool, ...],
    hints: Rows,
    like: Models | None,
) -> list[Fitted]:
    found = []
    for index, share in enumerate(shares):
        losses, noise = seen.losses[kept, index], seen.noise[kept, index]
        known = np.flatnonzero(np.isfinite(losses))
        losses = _without_tail(losses) if len(shares) == 1 else losses
        whole = len(known) == len(kept)
        among = likeness if whole else likeness.among(known)
        before = _model(like.objectives, index) if like else None
        model = fit(among, losses[known], _scales(share), noise[known], before, hints[known])
        found.append(Fitted(rows if whole else rows[known], model))
    return found


def _model(fitted: list[Fitted], index: int) -> Model | None:
    return fitted[index].model if index < len(fitted) else None


def _fit_limits(
    encoding: Encoding, seen: Observations, kept: NDArray[np.intp], like: Models | None
) -> dict[int, Fitted]:
    """Fit each limit to the rows that say by how much it was kept or broken."""
    rows = np.concatenate([seen.rows[kept], seen.out[-_MOST_ROWS:]])
    excess = np.concatenate([seen.excess[kept], seen.out_excess[-_MOST_ROWS:]])
    found = {}
    for index, values in enumerate(excess.T):
        known = np.flatnonzero(np.isfinite(values))
        if len(known) > 1 and (values[known] > 0).any():
            before = like.limits.get(index) if like is not None else None
            likeness = encoding.likeness(rows[known], rows[known])
            model = fit(likeness, values[known], (PLAIN, ERROR), like=before.model if before is not None else None)
            found[index] = Fitted(rows[known], model)
    return found


def _fit_broken(encoding: Encoding, seen: Observations, kept: NDArray[np.intp], like: Models | None) -> Fitted | None:
    if not seen.broken.any():
        return None
    rows = np.concatenate([seen.rows[kept], seen.out[-_MOST_ROWS:]])
    failed = np.concatenate([np.zeros(len(kept)), seen.broken[-_MOST_ROWS:].astype(np.float64)])
    before = like.broken if like is not None else None
    model = fit(encoding.likeness(rows, rows), failed, (PLAIN,), like=before.model if before is not None else None)
    return Fitted(rows, model)


def _without_tail(losses: Values) -> Values:
    """Clip losses that are much worse than the median: where one is sought, how bad the bad ones are tells little."""
    median, best = np.nanmedian(losses), np.nanmin(losses)
    return np.asarray(np.minimum(losses, median + (median - best)))


def _scales(share: bool) -> tuple[Scale, ...]:
    return (PLAIN, ERROR) if share else (PLAIN, LOG)


def _keep(ranks: Values) -> NDArray[np.intp]:
    """Choose the rows that models are fitted to."""
    count = len(ranks)
    if count <= _MOST_ROWS:
        return np.arange(count)
    best = np.argsort(ranks, kind="stable")[: _MOST_ROWS // 2]
    others = np.setdiff1d(np.arange(count), best)
    return np.sort(np.concatenate([best, others[-(_MOST_ROWS - len(best)) :]]))
