"""From what was observed to what to try next: fit, gather candidates, pick those that add most."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nasbench.surrogate.encoding import ABSENT, Encoding, Likeness, Rows
from nasbench.surrogate.fitted import Models
from nasbench.surrogate.gain import Volume, draw_losses, draw_normal, expected_improvement
from nasbench.surrogate.model import Prediction, Values
from nasbench.surrogate.observations import Observations

_PARENTS = 20
_NEIGHBOURS = 600
_FURTHER = 200
_RANDOM = 300
_CLIMBS = 2
_CLIMBERS = 10
_SHORTLIST = 150
_DRAWS = 32
_LOOKED_AT = 16
_TINY = 1e-300
_NEAR, _FAR, _OFTEN = 0.1, 1.0, 0.2
"""How far a box reaches beyond the worst of the feasible, mostly and for so many proposals: what lies beyond adds
nothing, so that the ends of a front are found by the second only, and its middle sooner by the first."""

Complete = Callable[[Rows], Rows]
"""Marks, in rows where every parameter has a code, those that do not exist beside the others as absent."""


def propose(
    encoding: Encoding,
    seen: Observations,
    models: Models,
    count: int,
    rng: np.random.Generator,
    complete: Complete,
) -> Rows:
    """Give up to so many different rows that were not tried, the most promising first.

    Args:
        encoding: of the rows.
        seen: one row or more, with losses or without.
        models: fitted to them.
        count: how many; fewer come where no more are left.
        rng: decides what is drawn.
        complete: marks what is absent.
    """
    return _Proposer(encoding, seen, models, rng, complete).pick(count)


class _Proposer:
    def __init__(
        self,
        encoding: Encoding,
        seen: Observations,
        models: Models,
        rng: np.random.Generator,
        complete: Complete,
    ) -> None:
        self._encoding, self._seen, self._models = encoding, seen, models
        self._rng, self._complete = rng, complete
        objectives = models.objectives
        self._volume = self._box() if len(objectives) > 1 else None
        self._best = objectives[0].model.scale.forward(self._best_loss())[0] if len(objectives) == 1 else 0.0
        self._tried = set(seen.tried)
        self._normal = draw_normal(max(len(objectives), 1), _DRAWS, int(rng.integers(2**31)))

    def _best_loss(self) -> Values:
        return np.asarray(self._seen.losses[self._seen.feasible].min(axis=0))

    def _box(self) -> Volume:
        """Span the box between the best and the worst of what keeps the constraints."""
        losses = self._seen.losses[self._seen.feasible]
        ideal, worst = losses.min(axis=0), losses.max(axis=0)
        span = np.where(worst > ideal, worst - ideal, np.maximum(np.abs(ideal), _TINY))
        return Volume(losses, ideal, worst + (_FAR if self._rng.random() < _OFTEN else _NEAR) * span, self._rng)

    # ---- candidates

    def pick(self, count: int) -> Rows:
        """Give the rows that add most, one after the other, each as if those before it were what they are thought."""
        pool, scores = self._climb(self._first_pool(), _CLIMBS if count == 1 else 1)
        if not len(pool):
            return pool
        if count == 1 and not len(self._seen.pending):
            return pool[[int(scores.argmax())]]
        best = np.argsort(-scores, kind="stable")[: max(_SHORTLIST, 2 * count)]
        return self._pick_in_turn(pool[best], count)

    def _first_pool(self) -> Rows:
        drawn = self._encoding.draw(self._rng, _RANDOM)
        if not len(self._seen.rows):
            return self._new(np.concatenate([drawn, self._mutate(self._seen.out[-_PARENTS:], _NEIGHBOURS)]))
        parents = self._seen.rows[np.argsort(self._seen.ranks, kind="stable")[:_PARENTS]]
        near = self._mutate(parents, _NEIGHBOURS)
        far = self._mutate(self._mutate(parents, _FURTHER), _FURTHER)
        return self._new(np.concatenate([near, far, self._cross(parents, _FURTHER), drawn]))

    def _climb(self, pool: Rows, times: int) -> tuple[Rows, Values]:
        """Score candidates, and add the neighbours of the most promising ones."""
        scores = self._scores(pool) if len(pool) else np.empty(0)
        known = set(self._encoding.keys(pool))
        for _ in range(times if len(pool) else 0):
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

    def _scores(self, pool: Rows) -> Values:
        models = self._models
        return self._log_gains(models.predict(self._encoding, pool)) + models.log_allowed(self._encoding, pool)

    def _log_gains(self, predictions: list[Prediction]) -> Values | float:
        """Give the logarithm of what each row is expected to add; 0 where there is nothing to improve yet."""
        if self._volume is not None:
            gains = self._volume.gain(draw_losses(predictions, self._normal)).mean(axis=1)
        elif predictions:
            gains = expected_improvement(predictions[0], self._best)
        else:
            return 0.0
        return np.asarray(np.log(gains + _TINY))

    def _pick_in_turn(self, pool: Rows, count: int) -> Rows:
        pending = self._seen.pending
        both = np.concatenate([pending, pool])
        among = self._encoding.likeness(both, both)
        predictions, allowed = (
            self._models.predict(self._encoding, both),
            self._models.log_allowed(self._encoding, both),
        )
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
        stale = np.ones(len(scores), dtype=bool)
        while stale[row := int(scores.argmax())]:
            ahead = np.argsort(-np.where(stale, scores, -np.inf), kind="stable")[:_LOOKED_AT]
            gains = self._log_gains([prediction.take(ahead) for prediction in predictions])
            scores[ahead] = np.where(np.isfinite(scores[ahead]), gains + allowed[ahead], -np.inf)
            stale[ahead] = False
        return row

    def _believe(self, predictions: list[Prediction], row: int, likeness: Likeness) -> None:
        """Go on as if a row's losses were what they are thought to be."""
        for prediction in predictions:
            prediction.believe(row, likeness)
        if self._volume is not None:
            self._volume.add(np.array([p.model.scale.back(p.mean[[row]])[0] for p in predictions]))
        elif predictions:
            self._best = min(self._best, float(predictions[0].mean[row]))
