"""Which runs may stand on one page: their figures must mean the same, and what differs is named."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from nasbench.errors import DefinitionError
from nasbench.objectives import MEASURED
from nasbench.plot.front import check_comparable
from nasbench.store.parquet import Run

if TYPE_CHECKING:
    import pandas as pd

_SHARED = ("device", "device_digest", "batch", "dtype", "classes")
"""What a row of a bench has to share with a search to stand beside its trials."""

RACE = "race"
"""The level of a plan whose figures order networks and are no latencies to report."""


def is_search(run: Run) -> bool:
    """Say whether a run optimized something; a bench and a study did not."""
    return bool(run.objectives)


def check_together(runs: Sequence[Run]) -> None:
    """Refuse runs whose figures do not mean the same.

    Raises:
        DefinitionError: there is no run, one is given twice, or they differ in what a figure depends on; the text
            names the field.
    """
    if not runs:
        raise DefinitionError("there is no run to report; name at least one, such as results/first")
    folders = [run.folder.resolve() for run in runs]
    for index, folder in enumerate(folders):
        if folder in folders[:index]:
            raise DefinitionError(f"{runs[index].folder} is given twice; name each run once")
    searches = [run for run in runs if is_search(run)]
    if searches:
        check_comparable(searches)
    _check_hosts([run for run in runs if _is_timed(run)])
    if searches:
        for run in runs:
            if not is_search(run):
                _check_beside(run, searches)


def beside(run: Run, searches: Sequence[Run]) -> pd.Series[bool]:
    """Mark the rows of a bench that share device, batch, number format and classes with a trial of the searches.

    What a row that failed does not say, it shares.
    """
    import pandas as pd

    rows = run.evaluations
    alike = pd.Series(True, index=rows.index)
    for field in _SHARED:
        if known := _known(searches, field):
            alike &= rows[field].isna() | rows[field].isin(known).fillna(False).astype(bool)
    return alike


def _check_beside(run: Run, searches: Sequence[Run]) -> None:
    for field in _SHARED:
        found, known = _known([run], field), _known(searches, field)
        if found and known and not found & known:
            raise DefinitionError(
                f"runs that differ in {field} cannot share axes: {run.name} has {_listed(found)}; "
                f"{', '.join(one.name for one in searches)} has {_listed(known)}. Report them apart."
            )
    if len(run.evaluations) and not beside(run, searches).any():
        raise DefinitionError(
            f"no row of {run.name} was measured as {', '.join(one.name for one in searches)} was, in all of "
            f"{', '.join(_SHARED)} together. Report them apart."
        )


def _known(runs: Iterable[Run], field: str) -> set[Any]:
    values: set[Any] = set()
    for run in runs:
        columns = [run.evaluations[field]]
        if field in ("device", "device_digest") and run.manifest.get("devices"):
            key = "name" if field == "device" else "digest"
            values |= {device[key] for device in run.manifest["devices"] if isinstance(device, dict) and key in device}
        values |= {value for column in columns for value in column.dropna()}
    return values


def _is_timed(run: Run) -> bool:
    return not is_search(run) or any(objective.figure in MEASURED for objective in run.objectives)


def _check_hosts(runs: Sequence[Run]) -> None:
    """Refuse latencies of two machines; what was looked up in a table was measured on none."""
    seen: dict[str, tuple[Run, set[str]]] = {}
    for run in runs:
        for device, hosts in _hosts(run).items():
            other, known = seen.setdefault(device, (run, hosts))
            if known != hosts:
                raise DefinitionError(
                    f"runs that differ in host cannot share axes: {device} of {other.name} is of {_listed(known)}; "
                    f"that of {run.name} is of {_listed(hosts)}. Report them apart."
                )


def _hosts(run: Run) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    table = run.table("measurements").select(["device", "host", "verdict"])
    rows = set(zip(*(column.to_pylist() for column in table.columns), strict=True)) if table.num_rows else set()
    for device, host, verdict in rows:
        if verdict != "table" and (name := json.loads(host or "{}").get("host")):
            found.setdefault(device, set()).add(str(name))
    return found


def _listed(values: Iterable[Any]) -> str:
    shown = sorted(map(str, values))
    return ", ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "")
