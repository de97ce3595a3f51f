"""A device whose latencies come from a table: nothing is measured, and every row says so."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench.device.base import Device, Steer
from nasbench.errors import DefinitionError, MeasurementError
from nasbench.records import DeviceSpec, Measurement, TimingPlan
from nasbench.space.architecture import Architecture
from nasbench.space.space import SearchSpace
from nasbench.tabular.reference import Reference, check_name, parse_reference
from nasbench.tabular.table import Table, interval_columns, read_seconds, read_table, seconds_per_unit

BACKEND = "table"
"""The backend, the runtime and the verdict of what was read from a table."""


class TableDevice(Device):
    """Answers with the entries of one column. A network without an entry to be believed is a failure."""

    def __init__(self, spec: DeviceSpec, reference: Reference, table: Table, seconds: NDArray[np.float64]) -> None:
        # What its latencies depend on, so that those of another file or unit are another device's.
        entries = f"{reference.column}@{table.sha256[:16]},{reference.unit},{reference.least}"
        self.spec = replace(spec, resource=entries)
        self._reference = reference
        self._table = table
        self._seconds = seconds
        ends = interval_columns(table, reference.column)
        unit_s = seconds_per_unit(table, reference)
        self._interval = tuple(unit_s * table.column(name) for name in ends) if ends else None

    @property
    def measures(self) -> bool:
        """Say no: it looks latencies up."""
        return False

    def take(self, architecture: Architecture, plan: TimingPlan) -> Measurement:
        """Look the network up.

        Raises:
            MeasurementError: the table has no such network, no entry for it, or one that counts as a fault.
        """
        where = f"{Path(self._table.path).name}, column {self._reference.column}"
        if architecture.digest not in self._table.rows:
            raise MeasurementError(f"{where}: the table has no network {architecture.digest}")
        latency_s = self._table.value(self._seconds, architecture.digest)
        if latency_s is None:
            raise MeasurementError(f"{where}: no entry that can be a latency for the network {architecture.digest}")
        low_s, high_s = self._find_interval(architecture.digest)
        return Measurement(
            architecture=architecture.digest,
            device=self.spec.name,
            device_digest=self.spec.digest,
            plan=plan,
            latencies_s=(latency_s,),
            kept=(True,),
            warmups_s=(),
            first_call_s=None,
            build_s=None,
            low_s=low_s,
            high_s=high_s,
            verdict=BACKEND,
            reasons=(f"read from {where}; nothing was measured",),
            stop=BACKEND,
            peak_memory_bytes=None,
            output_hash=None,
            settings={"runtime": BACKEND, "table_sha256": self._table.sha256},
            started_at=datetime.now(UTC).isoformat(),
        )

    def known(self) -> dict[str, float]:
        """Give every latency there is, in seconds, by the network's digest."""
        return self._table.known(self._seconds)

    def _find_interval(self, digest: str) -> tuple[float | None, float | None]:
        if self._interval is None:
            return None, None
        low, high = (self._table.value(column, digest) for column in self._interval)
        return (None, None) if low is None or high is None or not math.isfinite(low + high) else (low, high)

    def take_turns(self, architectures: Sequence[Architecture], plan: TimingPlan, steer: Steer) -> Mapping[str, Any]:
        """Refuse: a table has no turns."""
        raise DefinitionError(f"{self.spec.name} is a table, on which nothing can be timed in turns")

    def fingerprint(self) -> Mapping[str, Any]:
        """Give the file's digest: entries compare only while it is the same."""
        return {"table_sha256": self._table.sha256, "column": self._reference.column}


def table_spec(text: str) -> DeviceSpec:
    """Describe the device that a reference is; the file is not looked at.

    Raises:
        DefinitionError: the reference has another form, or no name that a device can have.
    """
    reference = parse_reference(text)
    check_name(reference)
    return DeviceSpec(
        name=reference.name,
        backend=BACKEND,
        runtime=BACKEND,
        threads=1,
        memory_limit_bytes=0,
        dtype="unknown",
    )


def open_table_device(text: str, space: SearchSpace) -> tuple[TableDevice, str | None]:
    """Make the device of a reference for the networks of a space, and a note on entries that count as faults.

    Raises:
        DefinitionError: the reference is wrong, or the table cannot be read.
    """
    reference = parse_reference(text)
    table = read_table(reference.path, space)
    seconds, note = read_seconds(table, reference)
    return TableDevice(table_spec(text), reference, table, seconds), note
