"""Pareto fronts and hypervolumes. Losses are smaller-is-better arrays of shape (points, objectives)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench.objectives import MEASURED, Objective, find_objective, measured_on
from nasbench.records import Evaluation, Measurement

Losses = NDArray[np.float64]

UNUSABLE_VERDICTS = ("invalid", "failed")
"""Verdicts whose measured figures are no figures; such a row is never feasible when one of them counts."""

SOUND_VERDICTS = ("ok", "noisy")
"""Verdicts whose interval holds what the network takes, so that a claim may rest on it: what made a measurement noisy
is in its interval, and what throttled it or made it drift is not."""

_BEYOND = 1.1
"""How far a box reaches beyond the worst value seen, so that the extreme points of a front count too."""


def non_dominated(losses: ArrayLike) -> NDArray[np.bool_]:
    """Mark the points that no other point equals or beats in all objectives and beats in one; equal points stay.

    Raises:
        ValueError: the array is not (points, objectives) or holds NaN or infinity.
    """
    import moocore

    points = _points(losses)
    if len(points) < 2:
        return np.ones(len(points), dtype=bool)
    return np.asarray(moocore.is_nondominated(points, keep_weakly=True), dtype=bool)


def rank(losses: ArrayLike) -> NDArray[np.int64]:
    """Number the layers of non-dominated points: 0 is the front, 1 the front without layer 0, and so on.

    Non-dominated sorting, Deb et al. 2002, doi:10.1109/4235.996017, section III-A. Raises as `non_dominated`.
    """
    import moocore

    points = _points(losses)
    if len(points) < 2:
        return np.zeros(len(points), dtype=np.int64)
    return np.asarray(moocore.pareto_rank(points), dtype=np.int64)


def hypervolume(losses: ArrayLike, reference: ArrayLike) -> float:
    """Give the volume between the points and the reference that at least one point dominates.

    Points at or beyond the reference in some objective add nothing. The unit is the product of the objectives' units.
    Raises as `non_dominated`.
    """
    import moocore

    points = _points(losses)
    corner = np.asarray(reference, dtype=np.float64)
    if len(points) == 0:
        return 0.0
    if points.shape[1] == 1:  # a front of one objective is its best point; moocore starts at two
        return max(0.0, float(corner[0] - points.min()))
    return float(moocore.hypervolume(points, ref=corner))  # which leaves out what is beyond the reference


class FrontTracker:
    """The front and hypervolume of a growing set of points.

    Only the front is kept, so a further point costs a comparison with the front, whatever the number of points before.
    """

    def __init__(self, reference: ArrayLike) -> None:
        self._reference = np.asarray(reference, dtype=np.float64)
        self._front: Losses = np.empty((0, len(self._reference)))
        self.hypervolume = 0.0

    @property
    def front(self) -> Losses:
        """The distinct non-dominated points inside the reference, in the order they came."""
        return self._front

    def add(self, point: ArrayLike) -> float:
        """Take one more point and give the hypervolume of all so far, which never falls."""
        new = _points(np.atleast_2d(np.asarray(point, dtype=np.float64)))[0]
        if (new < self._reference).all() and not (self._front <= new).all(axis=1).any():
            beaten = (new <= self._front).all(axis=1)
            self._front = np.vstack([self._front[~beaten], new])
            self.hypervolume = max(self.hypervolume, hypervolume(self._front, self._reference))
        return self.hypervolume


def is_feasible(evaluation: Evaluation, objectives: Sequence[Objective], limits: Mapping[str, float]) -> bool:
    """Say whether a trial may stand in a front: complete, every objective known and every limit kept.

    A limit on an objective to maximize is a floor. A duplicate repeats another trial and is not feasible itself.
    """
    if evaluation.status != "complete":
        return False
    wanted = [*objectives, *map(find_objective, limits)]
    for objective in wanted:
        measurement = measurement_for(evaluation, objective)
        if measurement is not None and measurement.verdict in UNUSABLE_VERDICTS:
            return False
    if any(objective.read(evaluation) is None for objective in wanted):
        return False
    return all(
        objective.loss(value) <= objective.loss(limit)
        for objective, limit in ((find_objective(name), limit) for name, limit in limits.items())
        if (value := objective.read(evaluation)) is not None
    )


def measurement_for(evaluation: Evaluation, objective: Objective) -> Measurement | None:
    """Give the measurement that an objective is read from; None for one that no device answers."""
    if objective.figure not in MEASURED or not evaluation.measurements:
        return None
    return evaluation.measurements[0] if objective.device is None else measured_on(evaluation, objective.device)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a member of a front stands after it was measured again.

    `on_front` is None when it could not be confirmed: it failed, or its verdict is not sound. `dominated_by` is the
    trial that beats it outside the intervals, `reason` says why it fell off, and `tied_with` holds the trials of the
    confirmed front that it cannot be told from.
    """

    on_front: bool | None
    dominated_by: int | None = None
    tied_with: tuple[int, ...] = ()
    reason: str | None = None


def beats(others: ArrayLike, low: ArrayLike, high: ArrayLike) -> NDArray[np.bool_]:
    """Say for each pair whether the first beats the second: nowhere worse, and its intervals wholly below the other's.

    This is a strict partial order, so that what is beaten is beaten by one that is not. With several devices it has to
    be faster outside the intervals on each of them: where two tie on one device, neither beats the other.

    Args:
        others: losses that are plain values, shape (points, objectives); there may be no objective among them.
        low: lower ends of the 95 % intervals of the losses that have them, shape (points,) or (points, devices).
        high: their upper ends.

    Returns:
        Shape (points, points); true at [i, j] where i beats j.
    """
    plain, lower, upper = (np.asarray(values, dtype=np.float64) for values in (others, low, high))
    nowhere_worse = (plain[:, None, :] <= plain[None, :, :]).all(axis=2)
    if lower.ndim == 1:
        lower, upper = lower[:, None], upper[:, None]
    faster = (upper[:, None, :] < lower[None, :, :]).all(axis=2)
    return np.asarray(nowhere_worse & faster, dtype=bool)


def confirmed_front(
    members: Sequence[Evaluation],
    confirmed: Mapping[int, Sequence[Measurement]],
    objectives: Sequence[Objective],
    limits: Mapping[str, float],
) -> dict[int, Standing]:
    """Decide a front again by latencies that were confirmed.

    A member falls off when the whole interval of its latency is beyond the limit, and when another one is at least as
    good in every other objective and its interval lies wholly below; with several devices, on each of them. Members
    whose intervals overlap, on every device, are ties, and both stay. The other objectives count as the search found
    them.

    Args:
        members: of the front, by the figures of the search.
        confirmed: by trial, a measurement for each device.
        objectives: what the run optimizes; a latency without a device is that of the first one.
        limits: the run's `--max` by objective name.

    Returns:
        One entry a member that `confirmed` has, by trial.
    """
    latencies = [objective for objective in objectives if objective.figure == "latency"]
    found = {trial: [_on(measurements, one) for one in latencies] for trial, measurements in confirmed.items()}
    sound = {
        t: [m for m in on_each if m] for t, on_each in found.items() if all(m and is_confirmed(m) for m in on_each)
    }
    known = [member for member in members if member.trial in sound]
    standings = {m.trial: Standing(None) for m in members if m.trial in confirmed}
    if not latencies or not known:
        return standings
    shape = len(known), len(latencies)
    low = np.array([[m.low_s for m in sound[one.trial]] for one in known], dtype=np.float64).reshape(shape)
    high = np.array([[m.high_s for m in sound[one.trial]] for one in known], dtype=np.float64).reshape(shape)
    others = [objective for objective in objectives if objective.figure != "latency"]
    beating = beats(losses_of(known, others), low, high)
    most = np.array([limits.get(objective.name, np.inf) for objective in latencies])
    too_slow: NDArray[np.bool_] = np.greater(low, most)
    stays: NDArray[np.bool_] = np.logical_not(beating.any(axis=0) | too_slow.any(axis=1))
    overlap = _overlapping(low, high)
    for index, member in enumerate(known):
        tied = tuple(known[j].trial for j in np.flatnonzero(overlap[index] & stays) if j != index)
        by, reason = None, None
        if too_slow[index].any():
            which = int(np.flatnonzero(too_slow[index])[0])
            show = latencies[which].show
            span = f"{show(low[index, which])} to {show(high[index, which])}"
            reason = f"its {latencies[which].name} is {span}; the limit is {show(most[which])}"
        elif not stays[index]:
            first = min(np.flatnonzero(beating[:, index] & stays), key=lambda j: (*high[j], known[j].trial))
            by = known[first].trial
            reason = f"{_compare(known[first], member, others)} faster by "
            reason += " and ".join(_describe_lead(high[first], low[first], high[index], low[index], latencies))
        standings[member.trial] = Standing(bool(stays[index]), by, tied, reason)
    return standings


def _on(measurements: Sequence[Measurement], latency: Objective) -> Measurement | None:
    if latency.device is None:
        return measurements[0] if measurements else None
    return next((one for one in measurements if one.device == latency.device), None)


def _overlapping(low: Losses, high: Losses) -> NDArray[np.bool_]:
    """Say for each pair whether the intervals overlap on every device; shape (points, points)."""
    touching = (low[:, None] <= high[None, :]) & (low[None, :] <= high[:, None])
    return np.asarray(touching.all(axis=2), dtype=bool)


def _describe_lead(
    high: Losses, low: Losses, other_high: Losses, other_low: Losses, latencies: Sequence[Objective]
) -> Iterator[str]:
    """Say for each device by how much the first is faster."""
    for which, latency in enumerate(latencies):
        least, most = 1 - high[which] / other_low[which], 1 - low[which] / other_high[which]
        where = f" on {latency.device}" if latency.device else ""
        yield f"{100 * least:.1f} to {100 * most:.1f} %{where}"


def is_confirmed(measurement: Measurement) -> bool:
    """Say whether a measurement has a latency with an interval that a front can be decided by."""
    ends = (measurement.low_s, measurement.high_s)
    return measurement.verdict in SOUND_VERDICTS and None not in ends


def _compare(winner: Evaluation, other: Evaluation, objectives: Sequence[Objective]) -> str:
    """Say how a trial compares in what is not latency, up to the word before `faster`."""
    words = []
    for objective in objectives:
        better = _loss(winner, objective) < _loss(other, objective)
        direction = "higher" if objective.maximize else "lower"
        words.append(f"{direction if better else 'the same'} {objective.name}")
    return f"trial {winner.trial} has {', '.join(words)} and is" if words else f"trial {winner.trial} is"


def losses_of(evaluations: Iterable[Evaluation], objectives: Sequence[Objective]) -> Losses:
    """Give the losses of feasible evaluations, shape (evaluations, objectives)."""
    rows = [[_loss(evaluation, objective) for objective in objectives] for evaluation in evaluations]
    return np.asarray(rows, dtype=np.float64).reshape(len(rows), len(objectives))


def reference_losses(objectives: Sequence[Objective], limits: Mapping[str, float], losses: ArrayLike) -> Losses:
    """Give the worst corner of a run's box: accuracy 0, and each cost's limit or else 1.1 of its largest value.

    Args:
        objectives: one a column of `losses`.
        limits: the run's `--max` by objective name.
        losses: those of the feasible evaluations.
    """
    points = _points(losses)
    corner = np.zeros(len(objectives))
    for column, objective in enumerate(objectives):
        if not objective.maximize:
            largest = points[:, column].max() if len(points) else 0.0
            corner[column] = limits.get(objective.name, _BEYOND * largest)
    return corner


def normalize(losses: ArrayLike, objectives: Sequence[Objective], reference: ArrayLike) -> Losses:
    """Scale losses so that the best conceivable point (accuracy 1, costs 0) is at 0 and the reference at 1.

    An objective whose reference is itself the best conceivable value tells points apart no more; it becomes 0.
    """
    ideal = np.asarray([-1.0 if objective.maximize else 0.0 for objective in objectives])
    span = np.asarray(reference, dtype=np.float64) - ideal
    return np.where(span > 0, (_points(losses) - ideal) / np.where(span > 0, span, 1.0), 0.0)


def normalized_hypervolume(
    evaluations: Iterable[Evaluation], objectives: Sequence[Objective], limits: Mapping[str, float]
) -> float:
    """Give the share, 0 to 1, of a run's box that its front dominates; without a unit.

    The box lies between the best conceivable point (accuracy 1, every cost 0) and the reference (accuracy 0, each
    cost its limit or, without one, 1.1 of the largest value among the feasible evaluations). Two runs compare only
    under the same reference: give both the same limits.

    Source: Zitzler and Thiele 1998, doi:10.1007/BFb0056872 (the measure); the box is this project's.
    """
    feasible = [e for e in evaluations if is_feasible(e, objectives, limits)]
    losses = losses_of(feasible, objectives)
    scaled = normalize(losses, objectives, reference_losses(objectives, limits, losses))
    return hypervolume(scaled, np.ones(len(objectives)))


def hypervolume_curve(scaled: ArrayLike, feasible: Sequence[bool] | NDArray[Any]) -> Losses:
    """Give the hypervolume after each trial.

    Args:
        scaled: what `normalize` gives, one row a feasible trial, in trial order.
        feasible: one flag a trial; the other trials repeat the value before them.
    """
    points = _points(scaled)
    tracker = FrontTracker(np.ones(points.shape[1]))
    rows = iter(points)
    return np.asarray([tracker.add(next(rows)) if flag else tracker.hypervolume for flag in feasible], dtype=np.float64)


def _loss(evaluation: Evaluation, objective: Objective) -> float:
    value = objective.read(evaluation)
    assert value is not None, "only feasible evaluations have losses"
    return objective.loss(value)


def _points(losses: ArrayLike) -> Losses:
    points = np.asarray(losses, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] == 0:
        raise ValueError(f"losses have the shape {points.shape}; (points, objectives) is needed")
    if not np.isfinite(points).all():
        raise ValueError("losses hold NaN or infinity; a failed candidate has no losses")
    return points
