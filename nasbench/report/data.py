"""From stored runs to the document of a page. Everything comes from the parquet files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench.importance import FEWEST_TRIALS, objective_importances
from nasbench.objectives import MEASURED, OBJECTIVES, Objective, find_objective, split_objective
from nasbench.pareto import UNUSABLE_VERDICTS, Losses
from nasbench.plot.curves import climb, ended_s, worst_corner
from nasbench.plot.rows import label_settings
from nasbench.records import FAILURES
from nasbench.report.describe import describe_run, environment_of, raced_rows, repeat_command, row_commands
from nasbench.report.document import (
    MANY,
    Coded,
    Document,
    Figure,
    Growth,
    Importance,
    Member,
    Network,
    Reason,
    Rows,
    RunPart,
    Values,
)
from nasbench.report.machine import read_canaries, read_machine, read_samples, without_digits
from nasbench.report.together import beside, check_together, is_search
from nasbench.store.parquet import Run, label_runs, run_devices

if TYPE_CHECKING:
    import pandas as pd

DescribeNetwork = Callable[[str | None, str | None, str], Network | None]
"""Gives the rows of a network, from its stored rows, its name or neither, and its digest; None where nobody knows."""

_SETTINGS = ("device", "runtime", "dtype", "threads", "batch")
"""What can tell two rows of a bench apart."""

_MOST_REASONS = 100
_LONGEST_ERROR = 400

_COUNTED = {
    "weight_bytes": ("Weights in fp32", "bytes"),
    "activations": ("Activations", "count"),
    "deployed_params": ("Parameters as deployed", "count"),
    "deployed_macs": ("MACs as deployed", "count"),
    "traffic": ("Elements moved", "count"),
}
"""Columns besides the objectives that an axis can show."""

_LABELS = {
    "accuracy": "Top-1 accuracy",
    "latency": "Latency",
    "params": "Parameters",
    "macs": "MACs",
    "memory": "Peak memory",
    "energy": "Energy",
}


def make_document(
    runs: Sequence[Run], describe_network: DescribeNetwork | None = None, with_importance: bool = True
) -> Document:
    """Put runs on one page.

    Args:
        runs: read by `store.parquet.read_run`; searches that may share axes, and benches that may stand beside them.
        describe_network: called once for each network of a front and each published one.
        with_importance: whether to say which choices matter, which takes seconds.

    Raises:
        DefinitionError: the runs may not stand on one page; it names the field that differs.
    """
    runs = [_whole(run) for run in runs]
    check_together(runs)
    labels = label_runs(runs)
    searches = [run for run in runs if is_search(run)]
    curves = dict(zip(map(id, searches), _grow(searches), strict=True))
    kept = {id(run): _rows_beside(run, searches) for run in runs}
    parts = [
        _part(run, label, kept[id(run)], curves.get(id(run)), len(searches) > 1, with_importance)
        for run, label in zip(runs, labels, strict=True)
    ]
    networks = _networks(runs, kept, describe_network) if describe_network else {}
    graphics = any(len(part.rows.trial) > MANY for part in parts)
    return Document(" and ".join(labels), _figures(parts), parts, networks, graphics=graphics)


def _whole(run: Run) -> Run:
    """Leave out members whose trials came to the files after the evaluations were read; a flush writes file by file."""
    known = run.pareto["trial"].isin(run.evaluations["trial"])
    return run if known.all() else replace(run, pareto=run.pareto[known].reset_index(drop=True))


def _rows_beside(run: Run, searches: Sequence[Run]) -> pd.DataFrame:
    """Give the rows of a run that the page shows: all of a search, and of a bench what may stand beside it."""
    if is_search(run) or not searches:
        return run.evaluations.reset_index(drop=True)
    return run.evaluations[beside(run, searches)].reset_index(drop=True)


def _part(
    run: Run, label: str, rows: pd.DataFrame, curves: _Curves | None, shared: bool, with_importance: bool
) -> RunPart:
    searched = is_search(run)
    members = _members(run, rows) if searched else []
    failures = _failures(rows)
    importance, note = _importance(run) if searched and with_importance else ([], "")
    left_out = len(run.evaluations) - len(rows)
    raced = rows["trial"].isin(()) if searched else raced_rows(run, rows)
    last = curves.by_trial[-1] if curves and curves.by_trial else None
    facts, sentence = describe_run(run, rows, members, last, shared)
    wanted = [int(rows["trial"].iloc[member.row]) for member in members] if searched else rows["trial"][~raced].tolist()
    return RunPart(
        name=label,
        kind="search" if searched else "bench",
        sentence=sentence,
        facts=facts,
        objectives=[objective.name for objective in run.objectives],
        limits=run.limits,
        confirmed=run.is_confirmed,
        rows=_columns(run, label, rows, raced.tolist(), curves),
        members=members,
        samples=read_samples(run, rows, wanted),
        machine=read_machine(run),
        canaries=read_canaries(run),
        failures=failures,
        importance=importance,
        importance_note=note,
        commands=row_commands(run),
        repeat=repeat_command(run),
        environment=environment_of(run),
        note=_note(left_out, int(raced.sum())),
    )


def _note(left_out: int, raced: int) -> str:
    """Say what of a bench is not shown, or not as a latency."""
    told = [f"{left_out:,} rows that were measured otherwise than the searches are left out"] if left_out else []
    if raced:
        told.append(f"{raced:,} rows are estimates of a race (bench --top), which stand in the table and on no front")
    return "; ".join(told)


@dataclass(frozen=True)
class _Curves:
    """The hypervolume of a search after each of its trials, and as they ended."""

    by_trial: Sequence[float]
    over_time: Growth


def _grow(runs: Sequence[Run]) -> list[_Curves]:
    """Give how the hypervolume of every run grew; all in one box, whose corner is the worst of theirs."""
    if not runs:
        return []
    # Of every run in this order: theirs may differ, and the columns of one box may not.
    objectives, corner = runs[0].objectives, worst_corner(runs)
    return [_grow_one(run.evaluations, objectives, corner) for run in runs]


def _grow_one(rows: pd.DataFrame, objectives: Sequence[Objective], corner: Losses) -> _Curves:
    seconds = ended_s(rows)
    order = np.argsort(seconds, kind="stable")[: int(np.isfinite(seconds).sum())]  # what is NaN comes last

    def grow(trials: pd.DataFrame) -> list[float]:
        return [float(f"{share:.7g}") for share in climb(trials, objectives, corner)]

    times_s = [round(value, 3) for value in seconds[order].tolist()]
    return _Curves(grow(rows), Growth(order.tolist(), times_s, grow(rows.iloc[order])))


def _columns(run: Run, label: str, rows: pd.DataFrame, raced: Sequence[bool], curves: _Curves | None) -> Rows:
    searched = is_search(run)
    return Rows(
        trial=[int(trial) for trial in rows["trial"]],
        series=Coded.of([label] * len(rows) if searched else _settings(rows, label, raced)),
        status=Coded.of(rows["status"]),
        error=_errors(rows),
        name=Coded.of(rows["published"]),
        architecture=[str(digest) for digest in rows["architecture"]],
        feasible=[int(flag and not race) for flag, race in zip(_usable(rows, searched), raced, strict=True)],
        choices=_choices(rows),
        figures=_values(run, rows),
        hypervolume=curves.by_trial if curves else [],
        over_time=curves.over_time if curves else Growth([], [], []),
    )


def _usable(rows: pd.DataFrame, searched: bool) -> list[bool]:
    if searched:
        return [bool(flag) for flag in rows["feasible"].fillna(False)]
    bad = rows["latency_verdict"].isin(UNUSABLE_VERDICTS)
    return [bool(flag) for flag in (rows["status"] == "complete") & rows["latency_s"].notna() & ~bad]


def _settings(rows: pd.DataFrame, label: str, raced: Sequence[bool]) -> list[str]:
    """Name the setting of each row of a bench: what tells it from the others, and whether a race estimated it."""
    if rows.empty:
        return []
    import pandas as pd

    known = rows[list(_SETTINGS)].astype(object)
    asked = [json.loads(text) if isinstance(text, str) else {} for text in rows["choices"]]
    for name in _SETTINGS:  # a row that failed has no measurement, but was asked for as the others were
        meant = pd.Series([one.get(name) for one in asked], index=rows.index, dtype=object)
        known[name] = known[name].where(known[name].notna(), meant)
    words = label_settings(known, _SETTINGS)
    told = [", ".join(filter(None, (one, "race" if race else ""))) for one, race in zip(words, raced, strict=True)]
    return [f"{label}: {setting}" if setting else label for setting in told]


def _errors(rows: pd.DataFrame) -> Coded:
    """Code the errors of the commonest kinds; what is rarer is in the parquet file."""
    texts = [clean(text) if isinstance(text, str) else None for text in rows["error"]]
    common = {text for text, _ in Counter(text for text in texts if text).most_common(2 * _MOST_REASONS)}
    rest = "told in the column error of evaluations.parquet"
    return Coded.of([text if text in common or text is None else rest for text in texts])


def clean(text: str) -> str:
    """Give one line of bounded length without control characters."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= _LONGEST_ERROR else f"{line[:_LONGEST_ERROR]} ..."


def _choices(rows: pd.DataFrame) -> dict[str, Coded]:
    """Give what was chosen, one column a choice; texts as they are, other values as JSON."""
    chosen = [json.loads(text) if isinstance(text, str) else {} for text in rows["choices"]]
    names = dict.fromkeys(name for one in chosen for name in one)
    return {name: Coded.of(_word(one[name]) if name in one else None for one in chosen) for name in names}


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _values(run: Run, rows: pd.DataFrame) -> dict[str, Values]:
    """Give every figure that some row has; latencies as confirmed, where confirming decided on them."""
    devices = run_devices(run.manifest)
    found: dict[str, Values] = {}
    for name in OBJECTIVES:
        places = [f"{name}@{device}" for device in devices] if name in MEASURED and devices else [name]
        for key in places:
            found[key] = _latency(run, rows, key) if name == "latency" else Values(_numbers(rows, _column(key)))
    if not is_search(run):
        found["accuracy"] = Values(_numbers(rows, "published_top1"))
    for column in _COUNTED:
        found[column] = Values(_numbers(rows, column))
    return {key: values for key, values in found.items() if any(value is not None for value in values.value)}


def _column(key: str) -> str:
    return find_objective(key).column


def _numbers(rows: pd.DataFrame, column: str) -> list[float | None]:
    if column not in rows:
        return [None] * len(rows)
    values = rows[column].to_numpy(dtype=np.float64, na_value=np.nan)
    return [None if value != value else _short(value) for value in values.tolist()]


def _short(value: float) -> float | int:
    """Give a whole number as such, and others with 9 digits, which is more than any of them means."""
    return int(value) if value.is_integer() else float(f"{value:.9g}")


def _latency(run: Run, rows: pd.DataFrame, key: str) -> Values:
    at = key.removeprefix("latency")
    columns = [f"latency_{part}{at}" for part in ("s", "low_s", "high_s")]
    value, low, high = (_numbers(rows, column) for column in columns)
    verdict = list(rows[f"latency_verdict{at}"]) if f"latency_verdict{at}" in rows else [None] * len(rows)
    members = run.pareto[run.pareto["confirmed_on_front"].notna()] if len(run.pareto) else run.pareto
    places = {trial: row for row, trial in enumerate(rows["trial"])}
    for _, member in members.iterrows():
        row, confirmed = places[member["trial"]], member[f"confirmed_latency_s{at}"]
        if confirmed == confirmed:
            value[row] = float(confirmed)
            low[row], high[row] = (_number(member[f"confirmed_{end}_s{at}"]) for end in ("low", "high"))
            verdict[row] = member[f"confirmed_verdict{at}"]
    return Values(value, low, high, Coded.of(verdict))


def _members(run: Run, rows: pd.DataFrame) -> list[Member]:
    """Give the stored front in its order, with what confirming it found."""
    places = {trial: row for row, trial in enumerate(rows["trial"])}
    latencies = [objective for objective in run.objectives if objective.figure == "latency"]
    members = []
    for _, member in run.pareto.iterrows():
        row = places[member["trial"]]
        searched = {one.name: _number(rows[one.column].iloc[row]) for one in latencies}
        members.append(Member(row, _standing(member), isinstance(member["fell_off"], str), searched))
    return members


def _number(value: Any) -> float | None:
    return None if value != value or value is None else float(value)


def _standing(member: Any) -> str:
    if isinstance(member["fell_off"], str):
        return f"fell off: {clean(member['fell_off'])}"
    verdicts = [member[name] for name in member.index if name.startswith("confirmed_verdict")]
    if not any(isinstance(verdict, str) for verdict in verdicts):
        return "not confirmed"
    decided = member["confirmed_on_front"]
    if decided is None or decided != decided:
        return "could not be confirmed"
    tied = [str(trial) for trial in (member["tied_with"] if member["tied_with"] is not None else ())]
    return f"stays; as fast as {', '.join(tied)}" if tied else "stays"


def _failures(rows: pd.DataFrame) -> list[Reason]:
    """Give the reasons of failures, the commonest first; errors that differ in their numbers alone are one reason."""
    failed = rows[rows["status"].isin(FAILURES)]
    groups: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for trial, status, error in zip(failed["trial"], failed["status"], failed["error"], strict=True):
        text = clean(error) if isinstance(error, str) else ""
        groups.setdefault((status, without_digits(text)), []).append((int(trial), text))
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[1][0][0]))
    return [
        Reason(status, found[0][1], len(found), [trial for trial, _ in found[:8]])
        for (status, _), found in ordered[:_MOST_REASONS]
    ]


def _importance(run: Run) -> tuple[list[Importance], str]:
    found = []
    for objective in run.objectives:
        rows = objective_importances(run.evaluations, objective)
        if rows:
            found.append(
                Importance(
                    objective.name,
                    "functional ANOVA of regression trees, 95 % intervals over trees",
                    [row.choice for row in rows],
                    [_digits(row.share) for row in rows],
                    [_digits(row.low) for row in rows],
                    [_digits(row.high) for row in rows],
                )
            )
    none = f"nothing can be said: fewer than {FEWEST_TRIALS} different trials, or no difference between them"
    return found, "" if found else none


def _digits(share: float) -> float:
    return float(f"{share:.4g}")


def _figures(parts: Sequence[RunPart]) -> list[Figure]:
    """Give what the axes can show: the objectives first, then what else some row has."""
    present = {key: None for part in parts for key in part.objectives}
    present |= {key: None for part in parts for key in part.rows.figures}
    shown = [key for key in present if any(key in part.rows.figures for part in parts)]
    benches = all(part.kind == "bench" for part in parts)
    return [_figure(key, benches) for key in shown]


def _figure(key: str, of_benches: bool) -> Figure:
    if key in _COUNTED:
        return Figure(key, *_COUNTED[key], maximize=False, intervals=False)
    name, device = split_objective(key)
    objective, label = find_objective(key), _LABELS.get(name, name)
    if name == "accuracy" and of_benches:
        label = "Published top-1"
    return Figure(
        key, f"{label} on {device}" if device else label, objective.unit, objective.maximize, name == "latency"
    )


def _networks(runs: Sequence[Run], kept: Mapping[int, pd.DataFrame], describe: DescribeNetwork) -> dict[str, Network]:
    found: dict[str, Network | None] = {}
    for run in runs:
        rows = kept[id(run)]
        stored = dict(zip(run.pareto["architecture"], run.pareto["architecture_rows"], strict=True))
        named = zip(rows["architecture"], rows["published"], strict=True)
        for digest, name in (*((digest, None) for digest in stored), *named):
            if digest not in found and (digest in stored or isinstance(name, str)):
                found[digest] = describe(stored.get(digest), name if isinstance(name, str) else None, digest)
    return {digest: network for digest, network in found.items() if network is not None}
