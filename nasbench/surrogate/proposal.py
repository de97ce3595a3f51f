"""From what was observed to what to try next: fit, gather candidates, pick those that add most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasbench import pareto
from nasbench.surrogate.encoding import ABSENT, Encoding, Likeness, Rows
from nasbench.surrogate.gain import Volume, draw_losses, expected_improvement, log_probability_within
from nasbench.surrogate.model import ERROR, LOG, PLAIN, Model, Prediction, Scale, Values, fit

_MOST_ROWS = 500
"""Observations that a model is fitted to; of more, the best and the youngest."""

_PARENTS = 20
_NEIGHBOURS = 600
_FURTHER = 200
_RANDOM = 300
_CLIMBS = 2
_CLIMBERS = 10
_SHORTLIST = 150
_DRAWS = 32
_TINY = 1e-300
_NEAR, _FAR, _OFTEN = 0.1, 1.0, 0.2
"""How far a box reaches beyond the worst of the feasible, mostly and for so many proposals: what lies beyond adds
nothing, so that the ends of a front are found by the second only, and its middle sooner by the first."""

Complete = Callable[[Rows], Rows]
"""Marks, in rows where every parameter has a code, those that do not exist beside the others as absent."""


@dataclass(frozen=True, slots=True)
class Observations:
    """What is known of a study, in losses: smaller is better.

    `losses` is (rows, objectives), NaN where one was not found out, `noise` their known standard deviations, 0 where
    unknown. `excess` is (rows, constraints): what is at most 0 keeps it, NaN was not found out. `out` are rows that a
    constraint ended or that failed before their losses were known, with `out_excess`; `broken` says which of those
    failed. `pending` are under way. `tried` are the keys of all of these.
    """

    losses: Rows
    rows: Rows
    noise: Rows
    excess: Rows
    out: Rows
    out_excess: Rows
    broken: NDArray[np.bool_]
    pending: Rows
    tried: frozenset[bytes]

    @property
    def feasible(self) -> NDArray[np.bool_]:
        """Mark the rows that keep every constraint and whose losses are all known."""
        return np.asarray(~(self.excess > 0).any(axis=1) & np.isfinite(self.losses).all(axis=1))


def propose(
    encoding: Encoding,
    seen: Observations,
    shares: tuple[bool, ...],
    count: int,
    rng: np.random.Generator,
    complete: Complete,
) -> Rows:
    """Give up to so many different rows that were not tried, the most promising first.

    Args:
        encoding: of the rows.
        seen: one row or more, with losses or without.
        shares: by objective, whether it is a share that is maximized, so that its error can be modelled.
        count: how many; fewer come where no more are left.
        rng: decides what is drawn.
        complete: marks what is absent.
    """
    return _Proposer(encoding, seen, shares, rng, complete).pick(count)


Fitted = tuple[Rows, Model]
"""A model and the rows that it was fitted to."""


class _Proposer:
    def __init__(
        self,
        encoding: Encoding,
        seen: Observations,
        shares: tuple[bool, ...],
        rng: np.random.Generator,
        complete: Complete,
    ) -> None:
        self._encoding, self._seen, self._rng, self._complete = encoding, seen, rng, complete
        self._feasible = seen.feasible
        self._ranks = _ranks(seen, self._feasible)
        kept = _keep(self._ranks)
        self._limits = self._fit_limits(kept)
        self._broken = self._fit_broken(kept)
        # Where nothing keeps the constraints there is nothing to improve yet, and they alone decide.
        self._models = self._fit_objectives(kept, shares) if self._feasible.any() else []
        self._volume = self._box() if self._models and len(shares) > 1 else None
        self._best = self._models[0][1].scale.forward(self._best_loss())[0] if len(self._models) == 1 else 0.0
        self._tried = set(seen.tried)
        self._draw_seed = int(rng.integers(2**31))

    def _best_loss(self) -> Values:
        return np.asarray(self._seen.losses[self._feasible].min(axis=0))

    # ---- models

    def _fit_objectives(self, kept: NDArray[np.intp], shares: tuple[bool, ...]) -> list[Fitted]:
        seen, rows = self._seen, self._seen.rows[kept]
        likeness = self._encoding.likeness(rows, rows)
        found = []
        for index, share in enumerate(shares):
            losses, noise = seen.losses[kept, index], seen.noise[kept, index]
            known = np.flatnonzero(np.isfinite(losses))
            losses = _without_tail(losses) if len(shares) == 1 else losses
            whole = len(known) == len(kept)
            model = fit(likeness if whole else likeness.among(known), losses[known], _scales(share), noise[known])
            found.append((rows if whole else rows[known], model))
        return found

    def _fit_limits(self, kept: NDArray[np.intp]) -> list[Fitted]:
        """Fit each constraint to the rows that say by how much it was kept or broken."""
        rows = np.concatenate([self._seen.rows[kept], self._seen.out[-_MOST_ROWS:]])
        excess = np.concatenate([self._seen.excess[kept], self._seen.out_excess[-_MOST_ROWS:]])
        found = []
        for values in excess.T:
            known = np.flatnonzero(np.isfinite(values))
            if len(known) > 1 and (values[known] > 0).any():
                likeness = self._encoding.likeness(rows[known], rows[known])
                found.append((rows[known], fit(likeness, values[known], (PLAIN, ERROR))))
        return found

    def _fit_broken(self, kept: NDArray[np.intp]) -> Fitted | None:
        seen = self._seen
        if not seen.broken.any():
            return None
        rows = np.concatenate([seen.rows[kept], seen.out[-_MOST_ROWS:]])
        failed = np.concatenate([np.zeros(len(kept)), seen.broken[-_MOST_ROWS:].astype(np.float64)])
        return rows, fit(self._encoding.likeness(rows, rows), failed, (PLAIN,))

    def _box(self) -> Volume:
        """Span the box between the best and the worst of what keeps the constraints."""
        losses = self._seen.losses[self._feasible]
        ideal, worst = losses.min(axis=0), losses.max(axis=0)
        span = np.where(worst > ideal, worst - ideal, np.maximum(np.abs(ideal), _TINY))
        return Volume(losses, ideal, worst + (_FAR if self._rng.random() < _OFTEN else _NEAR) * span, self._rng)

    # ---- candidates

    def pick(self, count: int) -> Rows:
        """Give the rows that add most, one after the other, each as if those before it were what they are thought."""
        pool, scores = self._climb(self._first_pool())
        if not len(pool):
            return pool
        if count == 1 and not len(self._seen.pending):
            return pool[[int(scores.argmax())]]
        best = np.argsort(-scores, kind="stable")[: max(_SHORTLIST, 3 * count)]
        return self._pick_in_turn(pool[best], count)

    def _first_pool(self) -> Rows:
        drawn = self._encoding.draw(self._rng, _RANDOM)
        if not len(self._seen.rows):
            return self._new(np.concatenate([drawn, self._mutate(self._seen.out[-_PARENTS:], _NEIGHBOURS)]))
        parents = self._seen.rows[np.argsort(self._ranks, kind="stable")[:_PARENTS]]
        near = self._mutate(parents, _NEIGHBOURS)
        far = self._mutate(self._mutate(parents, _FURTHER), _FURTHER)
        return self._new(np.concatenate([near, far, self._cross(parents, _FURTHER), drawn]))

    def _climb(self, pool: Rows) -> tuple[Rows, Values]:
        """Score candidates, and add the neighbours of the most promising ones."""
        scores = self._scores(pool) if len(pool) else np.empty(0)
        known = set(self._encoding.keys(pool))
        for _ in range(_CLIMBS if len(pool) else 0):
            best = np.argsort(-scores, kind="stable")[:_CLIMBERS]
            near = self._new(self._mutate(pool[best], _NEIGHBOURS))
            fresh = [index for index, key in enumerate(self._encoding.keys(near)) if key not in known]
            if not fresh:
                break
            known.update(self._encoding.keys(near))
            pool = np.concatenate([pool, near[fresh]])
            scores = np.concatenate([scores, self._scores(near[fresh])])
        return pool, scores

    def _mutate(self, parents: Rows, most: int) -> Rows:
        """Change one code of each parent to each other one; of too many, so many are drawn."""
        made = [parents[:0]]
        for column, levels in enumerate(self._encoding.levels):
            for code in levels:
                changed = parents[np.abs(parents[:, column] - code) > 1e-9].copy()
                changed[:, column] = code
                made.append(changed)
        rows = np.concatenate(made)
        return rows if len(rows) <= most else rows[self._rng.choice(len(rows), size=most, replace=False)]

    def _cross(self, parents: Rows, count: int) -> Rows:
        one = parents[self._rng.integers(len(parents), size=count)]
        other = parents[self._rng.integers(len(parents), size=count)]
        return np.asarray(np.where(self._rng.random(one.shape) < 0.5, one, other))

    def _new(self, rows: Rows) -> Rows:
        """Fill what is absent, mark what has to be, and leave out what was tried and what is there twice."""
        drawn = self._encoding.draw(self._rng, len(rows))
        full = self._complete(np.where(rows == ABSENT, drawn, rows))
        fresh: dict[bytes, int] = {}
        for index, key in enumerate(self._encoding.keys(full)):
            if key not in self._tried:
                fresh.setdefault(key, index)
        return full[list(fresh.values())]

    # ---- scores

    def _predict(self, pool: Rows) -> list[Prediction]:
        compared: dict[int, Likeness] = {}  # by the rows of a model, which most models share
        for rows, _ in self._models:
            if id(rows) not in compared:
                compared[id(rows)] = self._encoding.likeness(rows, pool)
        return [model.predict(compared[id(rows)]) for rows, model in self._models]

    def _scores(self, pool: Rows) -> Values:
        return self._log_gains(self._predict(pool)) + self._log_allowed(pool)

    def _log_gains(self, predictions: list[Prediction]) -> Values | float:
        """Give the logarithm of what each row is expected to add; 0 where there is nothing to improve yet."""
        if self._volume is not None:
            gains = self._volume.gain(draw_losses(predictions, _DRAWS, self._draw_seed)).mean(axis=1)
        elif predictions:
            gains = expected_improvement(predictions[0], self._best)
        else:
            return 0.0
        return np.asarray(np.log(gains + _TINY))

    def _log_allowed(self, pool: Rows) -> Values:
        """Give the logarithm of how probable it is that a row keeps every constraint and does not fail."""
        allowed = np.zeros(len(pool))
        for rows, model in self._limits:
            allowed += log_probability_within(model.predict(self._encoding.likeness(rows, pool)), 0.0)
        if self._broken is not None:
            rows, model = self._broken
            failing = model.predict(self._encoding.likeness(rows, pool)).mean
            allowed += np.log(np.clip(1.0 - failing, 1e-3, 1.0))
        return allowed

    def _pick_in_turn(self, pool: Rows, count: int) -> Rows:
        pending = self._seen.pending
        both = np.concatenate([pending, pool])
        among = self._encoding.likeness(both, both)
        predictions, allowed = self._predict(both), self._log_allowed(both)
        for row in range(len(pending)):
            self._believe(predictions, row, among.take([row]))
        scores = self._log_gains(predictions) + allowed
        scores[: len(pending)] = -np.inf
        picked: list[int] = []
        for _ in range(min(count, len(pool))):
            row = self._find_best(scores, predictions, allowed)
            picked.append(row)
            scores[row] = -np.inf
            self._believe(predictions, row, among.take([row]))
        return both[picked]

    def _find_best(self, scores: Values, predictions: list[Prediction], allowed: Values) -> int:
        """Find the row of the largest score, looking again only at those that were ahead: what others add only shrinks.

        `scores` are brought up to date in place. Source: Minoux, Accelerated greedy algorithms, 1978,
        doi:10.1007/BFb0006528.
        """
        looked_at: set[int] = set()
        while (row := int(scores.argmax())) not in looked_at:
            looked_at.add(row)
            gain = self._log_gains([prediction.take(np.array([row])) for prediction in predictions])
            scores[row] = float(np.sum(gain)) + allowed[row]
        return row

    def _believe(self, predictions: list[Prediction], row: int, likeness: Likeness) -> None:
        """Go on as if a row's losses were what they are thought to be."""
        for prediction in predictions:
            prediction.believe(row, likeness)
        if self._volume is not None:
            self._volume.add(np.array([p.model.scale.back(p.mean[[row]])[0] for p in predictions]))
        elif predictions:
            self._best = min(self._best, float(predictions[0].mean[row]))


def _without_tail(losses: Values) -> Values:
    """Clip losses that are much worse than the median: where one is sought, how bad the bad ones are tells little."""
    median, best = np.nanmedian(losses), np.nanmin(losses)
    return np.asarray(np.minimum(losses, median + (median - best)))


def _scales(share: bool) -> tuple[Scale, ...]:
    return (PLAIN, ERROR) if share else (PLAIN, LOG)


def _ranks(seen: Observations, feasible: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Rank rows: by non-domination what keeps the constraints, after that the others by how far they are beyond."""
    beyond = np.nan_to_num(np.maximum(seen.excess, 0.0)).sum(axis=1)
    ranks = len(feasible) + np.argsort(np.argsort(beyond, kind="stable"), kind="stable").astype(np.float64)
    if feasible.any():
        ranks[feasible] = pareto.rank(seen.losses[feasible])
    return np.asarray(ranks)


def _keep(ranks: NDArray[np.float64]) -> NDArray[np.intp]:
    """Choose the rows that models are fitted to."""
    count = len(ranks)
    if count <= _MOST_ROWS:
        return np.arange(count)
    best = np.argsort(ranks, kind="stable")[: _MOST_ROWS // 2]
    others = np.setdiff1d(np.arange(count), best)
    return np.sort(np.concatenate([best, others[-(_MOST_ROWS - len(best)) :]]))
