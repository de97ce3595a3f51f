"""The measurements of runs as rows to draw: with the names of their networks, and labels of what tells them apart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nasbench.errors import DefinitionError
from nasbench.store.parquet import Run, label_runs

if TYPE_CHECKING:
    import pandas as pd

SETTINGS = ("run", "device", "runtime", "dtype", "threads", "level", "cache")
"""What can differ between two rows of one network and batch."""


def read_rows(runs: Sequence[Run]) -> pd.DataFrame:
    """Give every measurement of the runs that has a latency, in the order of the trials.

    The columns are those of `measurements.parquet`, `run` as `label_runs` has it, with `batch`, `dtype`, `level` and
    `cache` of the plan, `network`, the name of the network, its `classes`, and `family` and `published_top1`, where it
    is a published one.

    Raises:
        DefinitionError: there is none.
    """
    import pandas as pd

    frames = []
    for run, label in zip(runs, label_runs(runs), strict=True):
        trials = run.evaluations.set_index("trial")
        frame = run.measurements[run.measurements["latency_s"].notna()].copy()
        sampled = trials["space"] + "/" + trials["architecture"].str[:8]
        # An older run did not store what came of each process.
        frame["process_medians_s"] = [[] if medians is None else medians for medians in frame["process_medians_s"]]
        frame["run"] = label
        frame["network"] = frame["trial"].map(trials["published"].fillna(sampled))
        for name in ("family", "published_top1", "classes"):
            frame[name] = frame["trial"].map(trials[name])
        frames.append(_complete(frame[frame["plan_level"] != "race"].copy()))
    rows = pd.concat(frames, ignore_index=True)
    if rows.empty:
        names = ", ".join(run.name for run in runs)
        raise DefinitionError(f"{names}: no measurement has a latency, so there is nothing to draw")
    return rows.rename(columns={f"plan_{name}": name for name in ("batch", "dtype", "level", "cache")})


def _complete(rows: pd.DataFrame) -> pd.DataFrame:
    """Give rows of an older run the columns that it stored in its settings alone, or had no choice of."""
    settings = rows["settings"].map(json.loads)
    for name in ("runtime", "threads"):
        stored = settings.map(lambda given, name=name: given.get(name)).astype(rows[name].dtype)
        rows[name] = rows[name].where(rows[name].notna(), stored)
    rows["plan_cache"] = rows["plan_cache"].where(rows["plan_cache"].notna(), "hot")
    return rows


def label_settings(rows: pd.DataFrame, names: Sequence[str] = SETTINGS) -> list[str]:
    """Say for each row what tells it from the others in these columns, such as `cpu-onnx, threads 2`."""
    varying = [name for name in names if rows[name].nunique(dropna=False) > 1]
    if "device" in varying and rows.groupby("device")["runtime"].nunique().max() == 1:
        varying = [name for name in varying if name != "runtime"]  # the device's name tells it already
    return [", ".join(_words(name, row[name]) for name in varying) for _, row in rows.iterrows()]


def _words(name: str, value: object) -> str:
    return f"{name} {value}" if name in ("threads", "batch", "cache") else str(value)
