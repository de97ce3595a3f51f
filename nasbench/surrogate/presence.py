"""Which parameters exist beside which others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench.surrogate.encoding import ABSENT, Encoding, Rows

Effective = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Gives, of choices for every parameter, those that exist beside the others."""


class ByEffect:
    """Marks absent parameters where it is known which are. What was found out once is kept."""

    def __init__(self, encoding: Encoding, effective: Effective) -> None:
        self._encoding = encoding
        self._effective = effective
        self._known: dict[bytes, Rows] = {}

    def __call__(self, rows: Rows) -> Rows:
        """Give the rows with what does not exist marked as absent."""
        marked = rows.copy()
        for index, key in enumerate(self._encoding.keys(rows)):
            if key not in self._known:
                self._known[key] = self._encoding.encode([self._effective(self._encoding.decode(rows[index]))])[0]
            marked[index] = self._known[key]
        return marked


def by_example(encoding: Encoding, rows: Rows) -> Callable[[Rows], Rows]:
    """Make what marks absent parameters as they were in the rows seen, which are of trials that came to their end.

    For each that was missing somewhere, the first other parameter is taken whose values tell without exception
    whether it is there, one that is itself absent included; where none does, it is taken to be there.
    """
    missing = np.flatnonzero((rows == ABSENT).any(axis=0))
    # Those that exist more often first: what decides over a parameter is there at least as often as it is.
    order = sorted(missing, key=lambda column: int((rows[:, column] == ABSENT).sum()))
    rules = [(column, *found) for column in order if (found := _teller(encoding, rows, int(column))) is not None]

    def complete(drawn: Rows) -> Rows:
        marked = drawn.copy()
        for column, teller, there in rules:
            marked[~np.isin(np.round(marked[:, teller], 9), there), column] = ABSENT
        return marked

    return complete


def _teller(encoding: Encoding, rows: Rows, column: int) -> tuple[int, NDArray[np.float64]] | None:
    codes = np.round(rows, 9)
    present = codes[:, column] != ABSENT
    if not present.any():
        return None
    for other in range(len(encoding)):
        if other == column:
            continue
        with_it, without = np.unique(codes[present, other]), np.unique(codes[~present, other])
        if not np.isin(with_it, without).any() and ABSENT not in with_it:
            unseen = np.setdiff1d(np.round(encoding.levels[other], 9), without)
            return other, np.union1d(with_it, unseen)
    return None
