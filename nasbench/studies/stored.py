"""The networks of stored benches as points of a correlation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench.errors import CandidateError, DefinitionError
from nasbench.model.cost import count
from nasbench.pareto import UNUSABLE_VERDICTS
from nasbench.space.load import find_architecture
from nasbench.store.parquet import Run, read_run
from nasbench.studies.correlation import Point
from nasbench.studies.tables import Place

if TYPE_CHECKING:
    import pandas as pd

_SETTING = ("device", "runtime", "dtype", "threads", "batch", "cache", "device_digest", "machine")
"""What must be equal for latencies to rank together."""


def read_points(folders: Sequence[Path]) -> tuple[Place, list[Point], list[str]]:
    """Give where benches measured, the published networks with a latency, and notes on what was left out.

    A network is counted now, as its definition is; one whose definition is another than the one measured is left out.
    Of a network that was measured several times the last row counts. Raced rows are not looked at.

    Raises:
        RunNameError: a folder holds no run.
        DefinitionError: a run is no bench, no row has a latency, or rows differ in device, machine, runtime, number
            format, threads, batch or state of the cache.
    """
    points: dict[str, Point] = {}
    settings: dict[tuple[Any, ...], None] = {}
    unusable = changed = 0
    for folder in folders:
        run = read_run(folder)
        if run.manifest.get("kind") != "bench":
            raise DefinitionError(f"{folder} is no bench; --from takes folders that `nasbench bench` wrote")
        for _, row in _rows(run).iterrows():
            settings.setdefault(tuple(row[name] for name in _SETTING))
            point = None if row["latency_verdict"] in UNUSABLE_VERDICTS else _as_point(row)
            unusable += row["latency_verdict"] in UNUSABLE_VERDICTS
            changed += point is None and row["latency_verdict"] not in UNUSABLE_VERDICTS
            if point is not None:
                points[point.network] = point
    if not settings:
        raise DefinitionError(f"{', '.join(map(str, folders))}: no row has a latency")
    if len(settings) > 1:
        differing = [name for at, name in enumerate(_SETTING) if len({setting[at] for setting in settings}) > 1]
        raise DefinitionError(
            f"rows that differ in {' and '.join(differing)} do not rank together; take benches of one setting"
        )
    notes = [f"{unusable} rows with an unusable latency are left out"] if unusable else []
    if changed:
        notes.append(f"{changed} rows are left out: no published network, or its definition has changed since")
    device, runtime, dtype, threads, _, _, digest, _ = next(iter(settings))
    return Place(device, digest, runtime, dtype, int(threads)), list(points.values()), notes


def _rows(run: Run) -> pd.DataFrame:
    """Give the rows that have a latency and were not raced; an older run has some settings among the choices alone."""
    rows = run.evaluations[run.evaluations["latency_s"].notna()].copy()
    asked = rows["choices"].map(json.loads)
    for name in ("runtime", "threads", "cache", "level"):
        told = asked.map(lambda given, name=name: given.get(name))
        rows[name] = told if name not in rows else rows[name].astype(object).where(rows[name].notna(), told)
    hosts = run.measurements.drop_duplicates("trial").set_index("trial")["host"]
    rows["machine"] = rows["trial"].map(hosts.map(lambda host: json.loads(host).get("host")))
    return rows[rows["level"] != "race"]


def _as_point(row: Any) -> Point | None:
    try:
        _, named = find_architecture(str(row["published"]))
        if named.architecture.digest != row["architecture"]:
            return None
        cost = count(named.architecture)
    except (DefinitionError, CandidateError):
        return None
    low_s, high_s = (None if value is None else float(value) for value in (row["latency_low_s"], row["latency_high_s"]))
    return Point(
        network=named.name,
        family=named.architecture.space,
        architecture=named.architecture.digest,
        cost=cost,
        latency_s=float(row["latency_s"]),
        low_s=low_s,
        high_s=high_s,
        verdict=str(row["latency_verdict"]),
    )
