"""The front of a run as a table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from nasbench.objectives import OBJECTIVES, Objective
from nasbench.units import format_percent, format_seconds

if TYPE_CHECKING:
    from nasbench.store.parquet import Run


def front_rows(run: Run) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Give the columns and rows of a run's front, as stored in `pareto.parquet`."""
    wanted = {objective.name for objective in run.objectives} | set(run.limits)
    columns: dict[str, Callable[[Any], str]] = {"trial": lambda m: str(m["trial"]), "architecture": _architecture}
    for name, objective in OBJECTIVES.items():
        column = objective.column
        if name in wanted or (name in ("params", "macs") and run.pareto[column].notna().any()):
            columns[_TITLES.get(name, name)] = partial(_figure, objective)
        if name == "latency" and name in wanted:
            columns["95 % interval"] = _interval
    if run.pareto["final_accuracy"].notna().any():
        columns["test accuracy"] = lambda m: format_percent(m["final_accuracy"])
    rows = [tuple(show(member) for show in columns.values()) for _, member in run.pareto.iterrows()]
    return tuple(columns), rows


_TITLES = {"macs": "MACs"}


def _architecture(member: Any) -> str:
    name = f"{member['space']}/{member['architecture'][:8]}"
    return f"{name} = {member['published']}" if isinstance(member["published"], str) else name


def _figure(objective: Objective, member: Any) -> str:
    value = member[objective.column]
    return objective.show(None if pd.isna(value) else float(value))


def _interval(member: Any) -> str:
    low, high, verdict = (member[name] for name in ("latency_low_s", "latency_high_s", "latency_verdict"))
    words = "-" if pd.isna(low) or pd.isna(high) else f"{format_seconds(low)} to {format_seconds(high)}"
    return words if pd.isna(verdict) or verdict == "ok" else f"{words}, {verdict}"
