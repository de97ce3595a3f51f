"""Write a table from a run, so that others can replay its measurements without its device."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench.errors import DefinitionError, StoreError
from nasbench.store.columns import EVALUATIONS, PARETO, Column
from nasbench.store.parquet import Run, make_table, write_table
from nasbench.store.schema import SCHEMA, dump_json

if TYPE_CHECKING:
    import pandas as pd

_FIGURES = (
    "accuracy",
    "latency_s",
    "latency_low_s",
    "latency_high_s",
    "energy_j",
    "peak_memory_bytes",
    "params",
    "macs",
)
_CONFIRMED = {
    "latency_s": "confirmed_latency_s",
    "latency_low_s": "confirmed_low_s",
    "latency_high_s": "confirmed_high_s",
}
"""What stands in the place of a latency, where the run confirmed it."""


@dataclass(frozen=True, slots=True)
class Made:
    """A table as it was written: its rows, and the columns that hold figures."""

    networks: int
    figures: tuple[str, ...]


def make_from_run(run: Run, out: Path) -> Made:
    """Write the networks of a run that were evaluated to the end, one row each, to a CSV or parquet file.

    A row has the network's digest (`architecture`), its choices, and the figures that the run has, in the units of the
    run's own files; latencies are the confirmed ones where there are such.

    Raises:
        DefinitionError: the file is neither CSV nor parquet, or the run has no network to write.
        StoreError: the file cannot be written.
    """
    if not out.name.endswith((".csv", ".csv.gz", ".parquet")):
        raise DefinitionError(f"{out}: a table is written as .csv, .csv.gz or .parquet")
    whole = run.evaluations[run.evaluations["status"] == "complete"]
    if whole.empty:
        raise DefinitionError(f"{run.folder} has no network that was evaluated to the end")
    if run.is_bench and whole["architecture"].duplicated().any():
        raise DefinitionError(
            f"{run.folder} has networks in several settings (devices, runtimes, batches), and a table has one row a "
            "network; bench one setting a run"
        )
    whole = whole.drop_duplicates("architecture")
    frame = _confirmed(whole, run.pareto).reset_index(drop=True)
    choices = [{} if run.is_bench else json.loads(text) for text in frame["choices"]]
    columns = [
        Column("architecture", "string", "-", "digest of the network", lambda row: row["architecture"]),
        *_choice_columns(choices),
        *_figure_columns(frame),
    ]
    rows = [dict(figures) | {"choices": chosen} for (_, figures), chosen in zip(frame.iterrows(), choices, strict=True)]
    origin = {"kind": "table", "of_run": run.name, "of": {key: run.manifest.get(key) for key in ("space", "devices")}}
    table = make_table(
        columns, rows, {"nasbench.schema": str(SCHEMA), "nasbench.manifest": dump_json(origin, "origin")}
    )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix == ".parquet":
            write_table(out, table)
        else:
            table.to_pandas().to_csv(out, index=False)
    except OSError as error:
        raise StoreError(f"{out} cannot be written: {error}") from error
    return Made(len(rows), tuple(column.name for column in columns if column.unit != "-"))


def _confirmed(frame: pd.DataFrame, pareto: pd.DataFrame) -> pd.DataFrame:
    """Put the confirmed latencies in the place of the search's."""
    found = frame.set_index("trial")
    members = pareto.set_index("trial")
    for name in list(found.columns):
        figure, at, device = name.partition("@")
        confirmed = f"{_CONFIRMED.get(figure, '')}{at}{device}"
        if figure in _CONFIRMED and confirmed in members:
            known = members[confirmed].dropna()
            found.loc[known.index.intersection(found.index), name] = known
    return found.reset_index()


def _choice_columns(choices: Sequence[Mapping[str, Any]]) -> list[Column]:
    names = dict.fromkeys(name for chosen in choices for name in chosen)
    return [
        Column(name, kind, "-", "a choice of the space", _choice(name, kind))
        for name in names
        for kind in [_type_of([chosen.get(name) for chosen in choices])]
    ]


def _choice(name: str, kind: str) -> Callable[[Mapping[str, Any]], Any]:
    def find(row: Mapping[str, Any]) -> Any:
        value = row["choices"].get(name)
        return str(value) if kind == "string" and value is not None else value

    return find


def _type_of(values: Sequence[Any]) -> str:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "bool"
    if kinds == {int}:
        return "int64"
    return "double" if kinds <= {int, float} else "string"


def _figure_columns(frame: pd.DataFrame) -> list[Column]:
    described = {column.name: column for column in (*EVALUATIONS, *PARETO)}
    wanted = [name for name in frame.columns if name.partition("@")[0] in _FIGURES and frame[name].notna().any()]
    found = []
    for name in wanted:
        column = described[name.partition("@")[0]]
        found.append(Column(name, column.type, column.unit, column.about, _figure(name)))
    return found


def _figure(name: str) -> Any:
    import pandas as pd

    return lambda row: None if pd.isna(row[name]) else row[name]
