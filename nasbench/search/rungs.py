"""End hopeless candidates early: successive halving over epochs, by dominance.

Source: Li et al., A System for Massively Parallel Hyperparameter Tuning, 2018, arXiv:1810.05934, algorithm 2 (the
asynchronous rungs); Schmucker et al., Multi-objective Asynchronous Successive Halving, 2021, arXiv:2106.12639 (ranks in
place of values). Differs: a candidate is only ended, never paused and taken up again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from nasbench import pareto

KEEP = 0.5
"""The share of candidates that passes a rung."""

LEAST = 8
"""Candidates that a rung must have seen before it ends one."""


class Rungs:
    """What candidates looked like after so many epochs."""

    def __init__(self) -> None:
        self._seen: defaultdict[int, list[Sequence[float]]] = defaultdict(list)

    def add(self, epoch: int, losses: Sequence[float]) -> None:
        """Note a candidate's losses after an epoch, the finished objectives among them."""
        self._seen[epoch].append(losses)

    def copy(self) -> Rungs:
        """Give the same, as it is now: a candidate is judged by what was known when it was proposed."""
        other = Rungs()
        for epoch, seen in self._seen.items():
            other._seen[epoch] = list(seen)
        return other

    def promising(self, epoch: int, losses: Sequence[float]) -> bool:
        """Say whether a candidate is in the better half of those seen after this epoch, by non-domination rank."""
        seen = self._seen[epoch]
        if len(seen) < LEAST:
            return True
        *ranks, own = pareto.rank(np.array([*seen, losses]))
        return bool(own == 0 or np.mean(np.array(ranks) < own) < KEEP)
