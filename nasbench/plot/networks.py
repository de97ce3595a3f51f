"""What searches found and what is published, as rows: one a network and setting, whether it is drawn or left out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench.errors import DefinitionError
from nasbench.pareto import UNUSABLE_VERDICTS, non_dominated
from nasbench.store.parquet import Run, label_runs

if TYPE_CHECKING:
    import pandas as pd

FOUND, PUBLISHED = "found", "published"
"""The kinds of a row: a trial of a search, and what a bench measured."""

SETTING = ("device", "runtime", "dtype", "batch", "threads", "cache")
PANEL = (*SETTING, "device_digest", "classes")
"""What is equal in all that a panel shows. A level is not: what is confirmed stands beside what is screened."""

REASONS = (
    "without a published top-1",
    "without an accuracy",
    "without a latency",
    "invalid",
    "infeasible",
    "pruned",
    "raced alone",
    "confirmed too",
    "failed",
)
"""Why a network is left out, in the order in which they are counted."""

_OF_TRIAL = (
    *("status", "error", "published", "family", "feasible", "architecture", "space", "choices", "classes", "accuracy"),
    *("accuracy_metric", "dataset", "split", "params", "macs", "deployed_params", "deployed_macs", "published_top1"),
    *("published_params", "published_macs", "published_form", "published_source"),
)
_OF_MEASUREMENT = {
    "trial": "trial",
    **{name: name for name in ("device", "device_digest", "runtime", "threads")},
    **{f"plan_{name}": name for name in ("batch", "dtype", "level", "cache")},
    **{name: name for name in ("latency_s", "latency_low_s", "latency_high_s", "verdict", "settings", "host")},
}


def read_networks(runs: Sequence[Run]) -> pd.DataFrame:
    """Give every network of searches and benches in every setting that it was measured in, in the order of the trials.

    A trial of a search has the accuracy that was found, and where confirming decided on it the confirmed latency. A
    network of a bench has the top-1 that is published. Duplicates, which repeat another trial, have no row.

    Returns:
        The stored columns of a trial and of its measurement, and besides: `run`, `kind` (found or published),
        `network`, its name; `top1`, what stands upwards; `left_out`, null for what is drawn, else one of `REASONS`;
        `panel`, the number of the panel that shows or counts it, null where there is none; and `on_front`, of what its
        panel draws.
    """
    import pandas as pd

    rows = pd.concat([_read(run, label) for run, label in zip(runs, label_runs(runs), strict=True)], ignore_index=True)
    rows["top1"] = rows["accuracy"].where(rows["kind"] == FOUND, rows["published_top1"])
    rows["left_out"] = _left_out(rows)
    keys = _keys(rows)
    _leave_screened(rows, keys)
    rows["panel"] = pd.array(_panels(rows, keys), dtype="Int64")
    rows["on_front"] = False
    for _, panel in rows[rows["left_out"].isna()].groupby("panel"):
        losses = np.column_stack([panel["latency_s"].to_numpy(float), -panel["top1"].to_numpy(float)])
        rows.loc[panel.index, "on_front"] = non_dominated(losses)
    return rows


def check_panel(panel: pd.DataFrame) -> None:
    """Refuse what makes no front.

    Raises:
        DefinitionError: there are latencies of two machines, or searches that found their accuracies on different data.
    """
    if len({json.loads(host).get("host") for host in panel["host"]}) > 1:
        raise DefinitionError(
            f"{panel['device'].iloc[0]} was another machine in another run, and latencies of two machines make no "
            "front; draw them apart"
        )
    found = panel[panel["kind"] == FOUND].drop_duplicates("run")
    for field in ("dataset", "split", "accuracy_metric"):
        if found[field].nunique(dropna=False) > 1:
            texts = (f"{run} has {value or 'none'}" for run, value in zip(found["run"], found[field], strict=True))
            raise DefinitionError(
                f"searches that differ in {field} make no front together: {'; '.join(texts)}. Draw them apart."
            )


def describe_undrawn(networks: pd.DataFrame) -> list[str]:
    """Say of each run that nothing of it is drawn, and why."""
    told = []
    for run in dict.fromkeys(networks["run"]):
        reasons = networks.loc[networks["run"] == run, "left_out"]
        if reasons.notna().all():
            counts = ", ".join(f"{(reasons == reason).sum()} {reason}" for reason in REASONS if reason in set(reasons))
            told.append(f"nothing of {run} is drawn: {counts}")
    return told


def _read(run: Run, label: str) -> pd.DataFrame:
    is_search = run.manifest.get("kind") != "bench"
    trials = run.evaluations[run.evaluations["status"] != "duplicate"][["trial", *_OF_TRIAL]]
    measured = run.measurements[list(_OF_MEASUREMENT)].rename(columns=_OF_MEASUREMENT)
    # An older run has these two in its settings alone.
    settings = measured.pop("settings").map(json.loads)
    measured["runtime"] = measured["runtime"].fillna(settings.map(lambda given: given.get("runtime")))
    measured["threads"] = measured["threads"].fillna(settings.map(lambda given: given.get("threads")).astype("Int64"))
    if is_search:
        measured = _placed(run, measured)
    rows = trials.merge(measured, on="trial", how="left")
    sampled = rows["space"] + "/" + rows["architecture"].str[:8]
    rows["network"] = rows["published"].fillna(sampled)
    rows.insert(0, "run", label)
    rows.insert(1, "kind", FOUND if is_search else PUBLISHED)
    if is_search:
        return rows
    for name in SETTING:  # of what could not be measured, what was asked for
        asked = rows["choices"].map(lambda given, name=name: json.loads(given).get(name))
        rows[name] = rows[name].where(rows[name].notna(), asked)
    raced = rows["level"] == "race"
    return rows[~raced | ~rows["network"].isin(rows.loc[~raced, "network"])]


def _placed(run: Run, measured: pd.DataFrame) -> pd.DataFrame:
    """Give what counts of a search's measurements, one a trial and device: the confirmed one where it decided."""
    decided = run.pareto.loc[run.pareto["confirmed_on_front"].notna(), "trial"]
    searched = ~measured.duplicated(["trial", "device"])
    confirmed = measured["trial"].isin(decided) & measured["latency_s"].notna()
    return measured[searched | confirmed].drop_duplicates(["trial", "device"], keep="last")


def _left_out(rows: pd.DataFrame) -> pd.Series[Any]:
    """Say for each row why it is not drawn; null for one that is."""
    import pandas as pd

    found, status, verdict = rows["kind"] == FOUND, rows["status"], rows["verdict"]
    ended = status.isin(("pruned", "infeasible"))
    marked = {
        "failed": ~ended & (status != "complete"),
        "pruned": status == "pruned",
        "infeasible": status == "infeasible",
        "raced alone": rows["level"] == "race",
        "without a latency": rows["latency_s"].isna(),
        "invalid": verdict.isin(UNUSABLE_VERDICTS),
        "without an accuracy": found & rows["top1"].isna(),
        "without a published top-1": ~found & rows["top1"].isna(),
    }
    reasons = pd.Series(None, index=rows.index, dtype=object)
    for reason, those in marked.items():
        reasons[reasons.isna() & those] = reason
    # An objective that is missing makes a trial infeasible too, so this is said where nothing else is wrong.
    reasons[reasons.isna() & found & rows["feasible"].eq(False)] = "infeasible"
    return reasons


def _keys(rows: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Give what each row's panel is told by; `-` is not stored, or not measured."""
    known = rows[list(PANEL)].astype(object)
    return list(known.where(known.notna(), "-").itertuples(index=False, name=None))


def _leave_screened(rows: pd.DataFrame, keys: Sequence[tuple[Any, ...]]) -> None:
    """Leave out what a bench screened and another confirmed in the same setting: it would stand there twice."""
    import pandas as pd

    places = pd.Series(list(zip(keys, rows["network"], strict=True)), index=rows.index)
    drawn, confirmed = rows["left_out"].isna() & (rows["kind"] == PUBLISHED), rows["level"] == "confirm"
    rows.loc[drawn & ~confirmed & places.isin(set(places[drawn & confirmed])), "left_out"] = "confirmed too"


def _panels(rows: pd.DataFrame, keys: Sequence[tuple[Any, ...]]) -> list[int | None]:
    """Number the panels; what is left out is of the one of its setting, or of its run, that is most alike."""
    drawn = rows["left_out"].isna()
    panels = {key: n for n, key in enumerate(dict.fromkeys(key for key, yes in zip(keys, drawn, strict=True) if yes))}
    of_run: dict[str, list[tuple[Any, ...]]] = {}
    for run, key, yes in zip(rows["run"], keys, drawn, strict=True):
        if yes:
            of_run.setdefault(run, []).append(key)

    def home(run: str, key: tuple[Any, ...]) -> int | None:
        if key in panels:
            return panels[key]
        unknown = key[0] == "-"
        near: Iterable[tuple[Any, ...]] = of_run.get(run, ()) if unknown else panels
        alike = [other for other in near if unknown or other[: len(SETTING)] == key[: len(SETTING)]]
        best = max(alike, key=lambda other: (other[-1] == key[-1], other[-2] == key[-2]), default=None)
        return None if best is None else panels[best]

    return [home(run, key) for run, key in zip(rows["run"], keys, strict=True)]
