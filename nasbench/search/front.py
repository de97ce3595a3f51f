"""The front of a search while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nasbench import pareto
from nasbench.objectives import Objective
from nasbench.records import Evaluation


class LiveFront:
    """The non-dominated feasible trials so far. Adding one costs a comparison with the front, not with all trials."""

    def __init__(self, objectives: Sequence[Objective], limits: Mapping[str, float]) -> None:
        self._objectives = objectives
        self._limits = limits
        self._worst = np.full((1, len(objectives)), -np.inf)
        self._losses = np.empty((0, len(objectives)))
        self.members: list[Evaluation] = []
        self.hypervolume = 0.0

    def add(self, evaluation: Evaluation) -> float:
        """Take one more trial; one that is not feasible changes nothing.

        Returns:
            By what share the hypervolume grew, both taken in the box as it is now; 1 for the first.
        """
        if not pareto.is_feasible(evaluation, self._objectives, self._limits):
            return 0.0
        new = pareto.losses_of([evaluation], self._objectives)
        no_worse = self._losses[(self._losses <= new).all(axis=1)]
        if (no_worse != new).any() and (new <= self._worst).all():
            return 0.0
        losses = np.vstack([self._losses, new])
        kept = pareto.non_dominated(losses)
        self._worst, self._losses = np.maximum(self._worst, new), losses[kept]
        self.members = [member for member, keep in zip([*self.members, evaluation], kept, strict=True) if keep]
        reference = pareto.reference_losses(self._objectives, self._limits, self._worst)
        scaled, corner = pareto.normalize(losses, self._objectives, reference), np.ones(len(self._objectives))
        before = pareto.hypervolume(scaled[:-1], corner)
        self.hypervolume = pareto.hypervolume(scaled[kept], corner)
        return (self.hypervolume - before) / self.hypervolume if self.hypervolume > 0 else 0.0
