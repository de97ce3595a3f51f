"""What a candidate is expected to add to what was found: improvement of the best value, or of the hypervolume.

Sources: Jones et al., Efficient Global Optimization of Expensive Black-Box Functions, 1998, doi:10.1023/A:1008306431147
(expected improvement); Emmerich et al., 2006, doi:10.1109/TEVC.2005.859463 (that of the hypervolume). Differs: the
expectation over the hypervolume is the mean of fixed, evenly spread quantiles of the models.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr, ndtri
from scipy.stats import qmc

from nasbench import pareto
from nasbench.surrogate.encoding import Rows
from nasbench.surrogate.model import Prediction, Values

_LARGEST_FRONT = 200
"""Members of a front that volumes are counted with; of a larger one, so many are drawn."""

_POINTS = 2048
"""Points that stand for the volume of three objectives and more, where the front leaves so many."""

_DRAWS = 8
_BEYOND = 0.2


def expected_improvement(prediction: Prediction, best: float) -> Values:
    """Give by how much each row is expected to be below the best loss, on the model's scale."""
    deviation = prediction.deviation
    lead = best - prediction.mean
    score = lead / deviation
    density = np.exp(-0.5 * score**2) / np.sqrt(2 * np.pi)
    return np.asarray(np.maximum(lead * ndtr(score) + deviation * density, 0.0))


def log_probability_within(prediction: Prediction, limit: float) -> Values:
    """Give the logarithm of how probable it is that each row's loss is at or below a limit."""
    bound = prediction.model.scale.forward(np.array([limit]))[0]
    return np.asarray(log_ndtr((bound - prediction.mean) / prediction.deviation))


def draw_normal(objectives: int, draws: int, seed: int) -> Rows:
    """Draw evenly spread quantiles of the standard normal distribution; shape (draws, objectives)."""
    uniform = qmc.Sobol(objectives, seed=seed).random(draws)
    return np.asarray(ndtri(np.clip(uniform, 1e-6, 1 - 1e-6)))


def draw_losses(predictions: list[Prediction], normal: Rows) -> Rows:
    """Give the losses that the models have at quantiles, the same for each row; shape (rows, draws, objectives)."""
    drawn = [
        p.model.scale.back(p.mean[:, None] + p.deviation[:, None] * normal[None, :, index])
        for index, p in enumerate(predictions)
    ]
    return np.stack(drawn, axis=2)


class Volume:
    """The hypervolume that a front dominates, and what further points would add to it."""

    def __init__(self, losses: Rows, ideal: Values, reference: Values, rng: np.random.Generator) -> None:
        """Begin with some points.

        Args:
            losses: of what was found, shape (points, objectives).
            ideal: the best loss of each objective that is thought possible; with the reference it spans the box.
            reference: the worst that counts.
            rng: draws what stands for a front or a volume that is too large to be taken whole.
        """
        self._ideal = ideal
        self._span = np.maximum(reference - ideal, 1e-6 * np.abs(ideal) + 1e-300)
        self._front = self._scale(losses)
        self._trim(rng)
        self._points: Rows | None = None
        self._steps = _Steps(self._front)
        if losses.shape[1] > 2:
            self._points = self._draw_points(losses.shape[1], int(rng.integers(2**31)))

    def _draw_points(self, objectives: int, seed: int) -> Rows:
        """Draw points that the front does not dominate, a fifth of the box beyond its ideal included."""
        sequence, found = qmc.Sobol(objectives, seed=seed), np.empty((0, objectives))
        for _ in range(_DRAWS):
            spread = sequence.random(_POINTS) * (1 + _BEYOND) - _BEYOND
            found = np.concatenate([found, spread[~_dominated(spread, self._front)]])
            if len(found) >= _POINTS:
                break
        return found[:_POINTS]

    def gain(self, losses: Rows) -> Values:
        """Give what each point adds, up to a factor that is the same for all; with two objectives the share of the box.

        The shape is that of the losses without the last axis.
        """
        points = self._scale(losses)
        flat = points.reshape(-1, points.shape[-1])
        added = self._gain_by_points(flat) if self._points is not None else self._steps.gain(flat)
        return added.reshape(points.shape[:-1])

    def add(self, losses: Values) -> None:
        """Take a point into the front."""
        point = self._scale(losses)[None, :]
        self._front = np.concatenate([self._front, point])
        self._front = self._front[pareto.non_dominated(self._front)]
        if self._points is None:
            self._steps = _Steps(self._front)
        else:
            self._points = self._points[~_dominated(self._points, point)]

    def _scale(self, losses: Rows | Values) -> Rows:
        return np.asarray((losses - self._ideal) / self._span)

    def _trim(self, rng: np.random.Generator) -> None:
        inside = self._front[(self._front < 1).all(axis=1)]
        self._front = inside[pareto.non_dominated(inside)] if len(inside) else inside
        if len(self._front) > _LARGEST_FRONT:
            self._front = self._front[rng.choice(len(self._front), size=_LARGEST_FRONT, replace=False)]

    def _gain_by_points(self, points: Rows) -> Values:
        assert self._points is not None, "called where they stand for the volume"
        if not len(self._points):
            return np.zeros(len(points))
        covered = np.empty(len(points))
        for start in range(0, len(points), 4096):
            some: NDArray[np.bool_] = np.ones((len(points[start : start + 4096]), len(self._points)), dtype=bool)
            for axis in range(points.shape[1]):
                some &= points[start : start + 4096, axis][:, None] <= self._points[:, axis][None, :]
            covered[start : start + 4096] = some.sum(axis=1)
        return covered / _POINTS


class _Steps:
    """A front of two objectives in the box up to (1, 1) as a stair, and the area below it as a running sum."""

    def __init__(self, front: Rows) -> None:
        front = front[np.argsort(front[:, 0], kind="stable")]
        self._ends = np.minimum(np.append(front[:, 0], 1.0), 1.0)
        self._heights = np.minimum(np.concatenate([[1.0], np.minimum.accumulate(front[:, 1])]), 1.0)
        self._areas = np.concatenate([[0.0], np.cumsum(np.diff(self._ends) * self._heights[1:])])

    def gain(self, points: Rows) -> Values:
        """Give the area between each point and the stair; shape (points)."""
        x, y = np.minimum(points, 1.0).T
        above = np.searchsorted(-self._heights, -y)  # so many steps are higher than the point
        last = np.maximum(above - 1, 0)
        step = np.minimum(np.searchsorted(self._ends, x), len(self._ends) - 1)
        up_to_point = self._areas[step] - (self._ends[step] - x) * self._heights[step]
        area = self._areas[last] - up_to_point - y * (self._ends[last] - x)
        return np.asarray(np.where((above > 0) & (x < self._ends[last]), np.maximum(area, 0.0), 0.0))


def _dominated(points: Rows, front: Rows) -> NDArray[np.bool_]:
    covered = np.zeros(len(points), dtype=bool)
    for member in front:
        covered |= (member <= points).all(axis=1)
    return covered
