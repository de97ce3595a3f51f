"""The front of a run as a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from nasbench.objectives import OBJECTIVES, Objective, find_objective, split_objective
from nasbench.store.parquet import run_devices
from nasbench.units import format_percent, format_seconds

if TYPE_CHECKING:
    from nasbench.store.parquet import Run


def front_rows(run: Run) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Give the columns and rows of a run's front, as stored in `pareto.parquet`.

    Where the front was confirmed, the latency is the confirmed one and the search's stands beside it. A latency that
    another run measured is marked.
    """
    wanted = {objective.name for objective in run.objectives} | set(run.limits)
    confirmed = run.is_confirmed
    columns: dict[str, Callable[[Any], str]] = {"trial": lambda m: str(m["trial"]), "architecture": _architecture}
    for figure, plain in OBJECTIVES.items():
        named = sorted({name for name in wanted if split_objective(name)[0] == figure} - {figure})
        for objective in [*([plain] if figure in wanted else []), *map(find_objective, named)]:
            columns |= _latency_columns(objective, confirmed) if figure == "latency" else _column(objective)
        if figure in ("params", "macs") and figure not in wanted and run.pareto[plain.column].notna().any():
            columns |= _column(plain)
    several = run_devices(run.manifest)
    if several and any(f"on_front@{device}" in run.pareto for device in several):
        columns["on the front of"] = partial(_own_fronts, several)
    if run.pareto["final_accuracy"].notna().any():
        columns["test accuracy"] = lambda m: format_percent(m["final_accuracy"])
    if confirmed:
        columns["front"] = _standing
    rows = [tuple(show(member) for show in columns.values()) for _, member in run.pareto.iterrows()]
    return tuple(columns), rows


def _column(objective: Objective) -> dict[str, Callable[[Any], str]]:
    return {_TITLES.get(objective.name, objective.name): partial(_figure, objective)}


def _latency_columns(objective: Objective, confirmed: bool) -> dict[str, Callable[[Any], str]]:
    """Give the columns of a latency; those of several devices are fewer, so that they stand beside each other."""
    if objective.device is None:
        searched: dict[str, Callable[[Any], str]] = {
            "latency": partial(_figure, objective),
            "95 % interval": _interval,
        }
        return _CONFIRMED if confirmed else searched
    at = f"@{objective.device}"

    def figure(member: Any) -> str:
        """Say which figure stands: a limit alone is not confirmed, and what failed keeps the search's."""
        return "confirmed" if confirmed and not pd.isna(member[f"confirmed_latency_s{at}"]) else "latency"

    def value(member: Any) -> str:
        stands = figure(member)
        seconds = member[f"confirmed_latency_s{at}" if stands == "confirmed" else f"latency_s{at}"]
        return "-" if pd.isna(seconds) else format_seconds(seconds)

    def interval(member: Any) -> str:
        stands = figure(member)
        low, high, verdict = (member[f"{stands}_{part}{at}"] for part in ("low_s", "high_s", "verdict"))
        words = "-" if pd.isna(low) or pd.isna(high) else f"{format_seconds(low)} to {format_seconds(high)}"
        return words if pd.isna(verdict) or verdict == "ok" else f"{words}, {verdict}"

    return {objective.name: value, f"95 % interval{at}": interval}


def _own_fronts(devices: Sequence[str], member: Any) -> str:
    """Say on which device's own front a member is; every member is on the joint one."""
    own = [device for device in devices if member.get(f"on_front@{device}")]
    return ", ".join(own) or "all together"


def device_correlations(run: Run) -> list[tuple[str, str, float, int]]:
    """Give how alike two devices rank what both measured: names, Spearman's rank correlation, and how many networks."""
    from scipy.stats import spearmanr

    devices = run_devices(run.manifest)
    found = []
    for index, one in enumerate(devices):
        for other in devices[index + 1 :]:
            columns = [f"latency_s@{one}", f"latency_s@{other}"]
            both = run.evaluations[run.evaluations["status"] != "duplicate"][columns].dropna()
            if len(both) > 2:
                rho = float(spearmanr(both[columns[0]], both[columns[1]]).statistic)
                if math.isfinite(rho):  # it is not where a device takes equally long for all
                    found.append((one, other, rho, len(both)))
    return found


def front_data(run: Run) -> list[dict[str, Any]]:
    """Give the members of a run's front, without what fell off, as plain data.

    The latency, its interval and its verdict are the confirmed ones where those could decide, else the search's.
    """
    return [_as_data(member) for _, member in run.pareto[run.pareto["fell_off"].isna()].iterrows()]


def _as_data(member: Any) -> dict[str, Any]:
    confirmed = _is_decided(member)
    figure = "confirmed" if confirmed else "latency"
    data = {
        "trial": member["trial"],
        "architecture": member["architecture"],
        "accuracy": member["accuracy"],
        "params": member["params"],
        "macs": member["macs"],
        "latency_s": member["confirmed_latency_s" if confirmed else "latency_s"],
        **{name: member[f"{figure}_{name}"] for name in ("low_s", "high_s", "verdict")},
        "reused_from": None if confirmed else member["reused_from"],
    }
    suffixed = {name: member[name] for name in member.index if "@" in name}
    plain = {name: None if pd.isna(value) else value for name, value in {**data, **suffixed}.items()}
    return plain | {"confirmed": confirmed}


def _is_decided(member: Any) -> bool:
    """Say whether a confirmation decided on this member."""
    return not pd.isna(member["confirmed_on_front"])


def describe_fallen(run: Run) -> dict[int, str]:
    """Say of every member that fell off when the front was confirmed why it did, by trial."""
    fallen = run.pareto[run.pareto["fell_off"].notna()].sort_values("trial")
    return {
        int(trial): f"trial {trial} fell off: {why}"
        for trial, why in zip(fallen["trial"], fallen["fell_off"], strict=True)
    }


def count_verdicts(run: Run) -> str:
    """Say how many rows of each verdict the front's latencies rest on, such as `9 rows: 7 ok, 2 noisy; 3 reused`.

    A row is reused when its latency is that of a measurement of another time.
    """
    parts = []
    for at in [f"@{device}" for device in run_devices(run.manifest)] or [""]:
        confirmed = run.pareto[f"confirmed_verdict{at}"]
        if not run.is_confirmed:
            confirmed = confirmed.mask(confirmed.notna())
        parts.append(confirmed.fillna(run.pareto[f"latency_verdict{at}"]))
    verdicts = pd.concat(parts).dropna()
    if verdicts.empty:
        return ""
    counts = sorted(verdicts.value_counts().items(), key=lambda entry: (entry[0] != "ok", entry[0]))
    words = ", ".join(f"{count} {verdict}" for verdict, count in counts)
    standing = run.pareto["confirmed_verdict"].notna() & run.is_confirmed
    reused = int((run.pareto["reused_from"].notna() & ~standing).sum())
    more = f"; {reused} reused (--fresh measures again)" if reused else ""
    return f"{len(verdicts)} row{'' if len(verdicts) == 1 else 's'}: {words}{more}"


_TITLES = {"macs": "MACs"}


def _architecture(member: Any) -> str:
    name = f"{member['space']}/{member['architecture'][:8]}"
    return f"{name} = {member['published']}" if isinstance(member["published"], str) else name


def _figure(objective: Objective, member: Any) -> str:
    value = member[objective.column]
    return objective.show(None if pd.isna(value) else float(value))


def _interval(member: Any, figure: str = "latency") -> str:
    low, high, verdict = (member[f"{figure}_{part}"] for part in ("low_s", "high_s", "verdict"))
    words = "-" if pd.isna(low) or pd.isna(high) else f"{format_seconds(low)} to {format_seconds(high)}"
    words = words if pd.isna(verdict) or verdict == "ok" else f"{words}, {verdict}"
    return f"{words}, reused" if figure == "latency" and isinstance(member["reused_from"], str) else words


def _searched(member: Any) -> str:
    words = _figure(OBJECTIVES["latency"], member)
    return f"{words}, reused" if isinstance(member["reused_from"], str) else words


def _standing(member: Any) -> str:
    verdicts = [member[name] for name in member.index if name.startswith("confirmed_verdict")]
    if not any(isinstance(verdict, str) for verdict in verdicts):
        return "not confirmed"
    if isinstance(member["fell_off"], str):
        return "fell off"
    if not _is_decided(member):
        return "could not be confirmed"
    tied = [str(trial) for trial in member["tied_with"]]
    return f"stays, as fast as {', '.join(tied)}" if tied else "stays"


_CONFIRMED: dict[str, Callable[[Any], str]] = {
    "confirmed latency": lambda m: format_seconds(m["confirmed_latency_s"]),
    "95 % interval": partial(_interval, figure="confirmed"),
    "processes": lambda m: "-" if pd.isna(m["confirmed_processes"]) else str(m["confirmed_processes"]),
    "in the search": _searched,
}
