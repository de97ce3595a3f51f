"""Accuracies from a table: nothing is trained, and every row says so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench.accuracy.base import Accuracy, GoOn
from nasbench.errors import CandidateError
from nasbench.records import Score
from nasbench.space.architecture import Architecture
from nasbench.space.space import SearchSpace
from nasbench.tabular.reference import Reference, parse_reference
from nasbench.tabular.table import Table, read_shares, read_table


class TableAccuracy(Accuracy):
    """Answers with the entries of one column. A network without an entry is a failure."""

    name = "table"

    def __init__(self, reference: Reference, table: Table, shares: NDArray[np.float64]) -> None:
        self._reference = reference
        self._table = table
        self._shares = shares

    @property
    def description(self) -> Mapping[str, Any]:
        """Give the file's digest and the column."""
        return {"method": self.name, "column": self._reference.column, "table_sha256": self._table.sha256}

    def known(self) -> dict[str, float]:
        """Give every accuracy there is, by the network's digest."""
        return self._table.known(self._shares)

    def estimate(self, architecture: Architecture, go_on: GoOn) -> Score:
        """Look the network up; `go_on` is never asked.

        Raises:
            CandidateError: the table has no such network, or no entry for it.
        """
        share = self._table.value(self._shares, architecture.digest)
        where = f"{Path(self._table.path).name}#{self._reference.column}"
        if share is None:
            raise CandidateError(f"{where}: no accuracy of the network {architecture.digest}")
        return Score(value=share, metric="top-1", method=self.name, dataset=where, split="", seconds=0.0)


def open_table_accuracy(text: str, space: SearchSpace) -> TableAccuracy:
    """Make the estimator of a reference for the networks of a space.

    Raises:
        DefinitionError: the reference is wrong, or the table cannot be read.
    """
    reference = parse_reference(text)
    table = read_table(reference.path, space)
    return TableAccuracy(reference, table, read_shares(table, reference))
