"""What is known of a study when its next trials are chosen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nasbench import pareto
from nasbench.surrogate.encoding import Rows


@dataclass(frozen=True)
class Observations:
    """What is known of a study, in losses: smaller is better.

    `losses` is (rows, objectives), NaN where one was not found out, `noise` their known standard deviations, 0 where
    unknown. `excess` is (rows, constraints): what is at most 0 keeps it, NaN was not found out. `out` are rows that a
    constraint ended or that failed before their losses were known, with `out_excess`; `broken` says which of those
    failed. `pending` are under way. `preliminary` marks rows of which a loss is only foreseen. `counts` is (rows,
    hints), NaN where unknown. `tried` are the keys of all of these.
    """

    losses: Rows
    rows: Rows
    noise: Rows
    excess: Rows
    out: Rows
    out_excess: Rows
    broken: NDArray[np.bool_]
    pending: Rows
    preliminary: NDArray[np.bool_]
    counts: Rows
    tried: frozenset[bytes]

    @cached_property
    def feasible(self) -> NDArray[np.bool_]:
        """Mark the rows that keep every constraint and whose losses are all known and final."""
        known = np.isfinite(self.losses).all(axis=1) & ~self.preliminary
        return np.asarray(known & ~(self.excess > 0).any(axis=1))

    @cached_property
    def ranks(self) -> NDArray[np.float64]:
        """Rank rows: by non-domination what keeps the constraints, after it the others by how far they are beyond."""
        beyond = np.nan_to_num(np.maximum(self.excess, 0.0)).sum(axis=1)
        order = np.argsort(np.argsort(beyond, kind="stable"), kind="stable")
        ranks = len(self.rows) + order.astype(np.float64)
        if self.feasible.any():
            ranks[self.feasible] = pareto.rank(self.losses[self.feasible])
        return np.asarray(ranks)
