"""The parquet files of a run: written from the log, and rebuilt from it when they are damaged."""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench.errors import DamagedRunError, RunNameError, StoreError
from nasbench.objectives import Objective, find_objective
from nasbench.pareto import (
    confirmed_front,
    hypervolume_curve,
    is_feasible,
    losses_of,
    non_dominated,
    normalize,
    reference_losses,
)
from nasbench.records import Evaluation, Measurement
from nasbench.store.columns import TABLES, Column, Sampled, Trial, device_columns
from nasbench.store.database import DATABASE, os_faults, sync_folder
from nasbench.store.lock import is_locked
from nasbench.store.log import RunLog
from nasbench.store.published import read_published
from nasbench.store.schema import SCHEMA, check_version, dump_json, load_json
from nasbench.store.seal import broken_seal, seal

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_log = logging.getLogger("nasbench.store")


@dataclass(frozen=True)
class Run:
    """A stored run as data frames; what `plot` and the tables are made from.

    Whole numbers that can be absent are of pandas' `Int64`. `measurements` is read when it is first asked for, unless
    `tables` holds it: those of a run that is still being written.
    """

    folder: Path
    manifest: Mapping[str, Any]
    evaluations: pd.DataFrame
    pareto: pd.DataFrame
    tables: Mapping[str, pa.Table] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The run's name, which is its folder's."""
        return self.folder.resolve().name

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What the run optimized, in the order asked for."""
        return run_objectives(self.manifest)

    @property
    def limits(self) -> dict[str, float]:
        """The run's limits by objective name, in the objective's stored unit."""
        return run_limits(self.manifest)

    @property
    def is_confirmed(self) -> bool:
        """Whether the front was decided again by confirmed latencies, of one member at least."""
        return bool(self.pareto["confirmed_on_front"].notna().any())

    @cached_property
    def measurements(self) -> pd.DataFrame:
        """One row a measurement, with every raw sample."""
        return _to_pandas(self.table("measurements"))

    @property
    def is_bench(self) -> bool:
        """Whether it holds measurements alone, without objectives and a front."""
        return bool(self.manifest.get("kind") == "bench")

    def table(self, name: str) -> pa.Table:
        """Give one of the run's tables as it is stored, for those who need few of its columns or rows."""
        return self.tables[name] if name in self.tables else read_table(self.folder, name)


def label_runs(runs: Sequence[Run]) -> list[str]:
    """Give each run its name, or its folder where two of them have one name."""
    names = [run.name for run in runs]
    return [run.name if names.count(run.name) == 1 else str(run.folder) for run in runs]


@dataclass
class FlushSchedule:
    """Says when to write the parquet files.

    A flush costs time in proportion to the trials so far, and only readers of a running search gain by it. So it is due
    when trials are new for 10 s and the last flush took less than 2 % of the time since.
    """

    clock: Callable[[], float] = time.monotonic
    min_wait_s: float = 10.0
    max_busy: float = 0.02

    def __post_init__(self) -> None:
        """Start counting now."""
        self._ended = self.clock()
        self._took_s = 0.0

    def is_due(self) -> bool:
        """Say whether to flush now; asked after a trial."""
        since = self.clock() - self._ended
        return since >= self.min_wait_s and self._took_s < self.max_busy * since

    def run(self, flush: Callable[[], object]) -> None:
        """Flush now, and note how long that took."""
        began = self.clock()
        flush()
        self._ended = self.clock()
        self._took_s = self._ended - began


def run_objectives(manifest: Mapping[str, Any]) -> tuple[Objective, ...]:
    """Give the objectives that a manifest names; a run of measurements alone has none."""
    names = manifest.get("objectives") or ()
    return tuple(find_objective(name) for name in names)


def run_devices(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the names of the devices of a search that measures on several; nothing for one alone."""
    names = tuple(device["name"] for device in manifest.get("devices") or ())
    return names if manifest.get("kind") != "bench" and len(names) > 1 else ()


def run_limits(manifest: Mapping[str, Any]) -> dict[str, float]:
    """Give the limits that a manifest sets, by objective name."""
    return {name: float(limit) for name, limit in (manifest.get("limits") or {}).items()}


def run_trains(manifest: Mapping[str, Any]) -> bool:
    """Say whether a run takes accuracies by training, as it says of itself."""
    return (manifest.get("accuracy") or {}).get("method") == "train"


def run_digests(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Give the digests of a search's devices by their names."""
    if "devices" not in manifest:  # an earlier run, which had one at most
        return {manifest["device"]: manifest["device_digest"]} if manifest.get("device") else {}
    return {device["name"]: device["digest"] for device in manifest["devices"]}


def flush(run: RunLog | Path) -> None:
    """Write the three files from the log; each appears whole or not at all.

    Called at every flush of a search, at its end, and to rebuild what was damaged. Equal logs give equal bytes.

    Raises:
        StoreError: the folder cannot be written.
        DamagedRunError: the log is damaged.
    """
    if isinstance(run, Path):
        with RunLog.read(run) as log:
            return flush(log)
    for name, table in build_tables(run).items():
        write_table(run.folder / f"{name}.parquet", table)
    return None


def build_tables(log: RunLog) -> dict[str, pa.Table]:
    """Give the three tables of a log by name. Raises DamagedRunError when the log is damaged."""
    manifest, state = log.manifest, log.state  # the state first, so that a file never claims to be newer than it is
    objectives, limits = run_objectives(manifest), run_limits(manifest)
    evaluations = [evaluation for evaluation, _ in log.evaluations()]
    finals, confirmed, stated = log.final_scores(), log.confirmed(), read_published(manifest)
    trials = judge(log.name, evaluations, objectives, limits)
    standings = confirmed_front([t.evaluation for t in trials if t.on_front], confirmed, objectives, limits)
    trials = [
        replace(
            trial,
            final=finals.get(number),
            confirmed=confirmed.get(number, ()),
            standing=standings.get(number),
            stated=stated.get(trial.evaluation.published or ""),
        )
        for trial, number in ((trial, trial.evaluation.trial) for trial in trials)
    ]
    sampled = [
        Sampled(log.name, trial.evaluation.trial, index, measurement)
        for trial in trials
        if trial.evaluation.status != "duplicate"
        for index, measurement in enumerate(_measurements(trial))
    ]
    front = [trial for trial in trials if trial.on_front]
    costs = [objective for objective in objectives if not objective.maximize]
    if costs:
        front.sort(key=lambda trial: costs[0].read(trial.evaluation) or 0.0)
    rows: dict[str, Sequence[Any]] = {"evaluations": trials, "measurements": sampled, "pareto": front}
    metadata = {
        "nasbench.schema": str(SCHEMA),
        "nasbench.manifest": dump_json(manifest, "manifest"),
        "nasbench.state": state,
    }
    fronts = _device_fronts(trials, objectives, run_devices(manifest))
    return {
        name: make_table(
            (*columns, *_device_columns(name, run_devices(manifest), fronts)),
            rows[name],
            {**metadata, "nasbench.table": name},
        )
        for name, columns in TABLES.items()
    }


def _device_fronts(
    trials: Sequence[Trial], objectives: Sequence[Objective], devices: Sequence[str]
) -> dict[int, frozenset[str]]:
    """Give for each trial the devices on whose own front it is, without what the other devices say."""
    found: dict[int, set[str]] = {}
    feasible = [trial.evaluation for trial in trials if trial.feasible]
    for device in devices:
        own = [objective for objective in objectives if objective.device in (None, device)]
        if not any(objective.device == device for objective in own):
            continue  # a limit alone makes no front
        for evaluation, member in zip(feasible, non_dominated(losses_of(feasible, own)), strict=True):
            if member:
                found.setdefault(evaluation.trial, set()).add(device)
    return {trial: frozenset(names) for trial, names in found.items()}


def _device_columns(table: str, devices: Sequence[str], fronts: Mapping[int, frozenset[str]]) -> tuple[Column, ...]:
    if table == "measurements":
        return ()
    return tuple(column for device in devices for column in device_columns(device, fronts, confirmed=table == "pareto"))


def _measurements(trial: Trial) -> tuple[Measurement, ...]:
    return trial.evaluation.measurements + trial.confirmed


def judge(
    run: str, evaluations: Sequence[Evaluation], objectives: Sequence[Objective], limits: Mapping[str, float]
) -> list[Trial]:
    """Say of each trial whether it is feasible, whether it is on the front, and the hypervolume after it.

    Without objectives there is no front, and the other two are None.
    """
    if not objectives:
        return [Trial(run, evaluation, None, False, None) for evaluation in evaluations]
    feasible = [is_feasible(evaluation, objectives, limits) for evaluation in evaluations]
    losses = losses_of((e for e, flag in zip(evaluations, feasible, strict=True) if flag), objectives)
    curve = hypervolume_curve(normalize(losses, objectives, reference_losses(objectives, limits, losses)), feasible)
    marks = iter(non_dominated(losses))
    return [
        Trial(run, evaluation, flag, flag and bool(next(marks)), float(share))
        for evaluation, flag, share in zip(evaluations, feasible, curve, strict=True)
    ]


def read_table(folder: Path, name: str) -> pa.Table:
    """Read one file of a run, every byte checked; a missing or damaged one is rebuilt from the log, and that is logged.

    A file that an older nasbench wrote lacks columns, which are null then. It stays as it is.

    Args:
        folder: the run.
        name: evaluations, measurements or pareto.

    Raises:
        RunNameError: there is neither file nor log.
        StoreError: a newer nasbench wrote them.
        DamagedRunError: the file is damaged and the log is missing or damaged too.
    """
    path = folder / f"{name}.parquet"
    try:
        return _read(path)
    except (DamagedRunError, FileNotFoundError) as error:
        if not (folder / DATABASE).is_file():
            if isinstance(error, DamagedRunError):
                raise DamagedRunError(f"{error}; there is no {DATABASE} to rebuild it from") from error
            raise RunNameError(f"{folder} holds no run: there is neither {path.name} nor {DATABASE} in it") from error
        if isinstance(error, DamagedRunError):
            _log.warning("%s; rebuilt it from %s", error, DATABASE)
        return _rebuild(folder)[name]


def read_run(folder: Path) -> Run:
    """Read a run. Files that are older than the log, because a search was killed, are rebuilt first.

    While a search is writing the run, what is read is the last flush. Raises as `read_table`.
    """
    tables = _refresh(folder) or {name: read_table(folder, name) for name in ("evaluations", "pareto")}
    manifest = _manifest(tables["evaluations"])
    return Run(folder, manifest, _to_pandas(tables["evaluations"]), _to_pandas(tables["pareto"]))


def read_growing(folder: Path) -> Run:
    """Read a run from its log as it is at this moment, also while a search writes it; nothing is written.

    Raises:
        RunNameError: there is no log.
        DamagedRunError: the log is damaged.
    """
    with RunLog.read(folder) as log:
        tables = build_tables(log)
    return _run_of(folder, tables)


def read_flushed(folder: Path) -> Run:
    """Read the files that were flushed last, without a look at the log; nothing is written.

    Raises:
        FileNotFoundError: there is none yet.
        StoreError: a file cannot be read; DamagedRunError where it was altered.
    """
    return _run_of(folder, {name: _read(folder / f"{name}.parquet") for name in TABLES})


def _run_of(folder: Path, tables: Mapping[str, pa.Table]) -> Run:
    evaluations, pareto = (_to_pandas(tables[name]) for name in ("evaluations", "pareto"))
    return Run(folder, _manifest(tables["evaluations"]), evaluations, pareto, tables)


def stored_manifest(path: Path) -> str:
    """Give the manifest that a parquet file carries, as text; the last resort of `repair`. Raises StoreError."""
    try:
        return dump_json(_manifest(_read(path)), "manifest")
    except FileNotFoundError as error:
        raise StoreError(f"there is no {path}") from error


def _refresh(folder: Path) -> dict[str, pa.Table] | None:
    if not (folder / DATABASE).is_file() or is_locked(folder):
        return None
    try:
        with RunLog.read(folder) as log:
            state = log.state
        if all(_is_current(folder / f"{name}.parquet", state) for name in TABLES):
            return None
        return _rebuild(folder)
    except DamagedRunError as error:
        if (folder / "evaluations.parquet").is_file():
            _log.warning("%s", error)
        return None


def _is_current(path: Path, state: str) -> bool:
    """Say whether a file was written at this state of the log; a damaged one passes, since `read_table` names it."""
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(path).metadata or {}
        version = int(metadata[b"nasbench.schema"])
    except FileNotFoundError:
        return False
    except (OSError, KeyError, ValueError):
        return True
    check_version(version, str(path))
    return bool(metadata.get(b"nasbench.state") == state.encode())


def _rebuild(folder: Path) -> dict[str, pa.Table]:
    """Build the tables anew and write them, where that is possible and the run is not an older program's."""
    with RunLog.read(folder) as log:
        tables, is_older = build_tables(log), log.is_older
    if is_older:
        return tables
    try:
        for name, table in tables.items():
            write_table(folder / f"{name}.parquet", table)
    except StoreError as error:
        _log.warning("%s; what is shown comes from %s", error, DATABASE)
    return tables


def make_table(columns: Sequence[Column], rows: Iterable[Any], metadata: Mapping[str, str]) -> pa.Table:
    """Build a table whose columns carry their units and meanings; every column reads its value from each row."""
    import pyarrow as pa

    rows = list(rows)
    fields = [
        pa.field(column.name, arrow_type(column.type), metadata={"unit": column.unit, "description": column.about})
        for column in columns
    ]
    arrays = [
        pa.array([_clean(column.read(row)) for row in rows], type=field.type)
        for column, field in zip(columns, fields, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=dict(metadata)))


def _clean(value: Any) -> Any:
    """Replace what is no Unicode in a text, such as bytes of a crashed process's output."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def arrow_type(text: str) -> pa.DataType:
    """Give the pyarrow type that a column's `type` names."""
    import pyarrow as pa

    if text.startswith("list<"):
        return pa.list_(arrow_type(text.removeprefix("list<").removesuffix(">")))
    if text.startswith("timestamp"):
        return pa.timestamp("us", "UTC")
    return pa.bool_() if text == "bool" else pa.type_for_alias(text)


def write_table(path: Path, table: pa.Table) -> None:
    """Replace a file in one step: written beside it, forced to the disk, renamed, the folder forced to the disk."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with os_faults(path.parent):
        try:
            with temporary.open("wb") as file:
                file.write(seal(buffer.getvalue()))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


def _read(path: Path) -> pa.Table:
    return _with_missing_columns(read_sealed(path), TABLES[path.stem])


def read_sealed(path: Path) -> pa.Table:
    """Read a file as `write_table` wrote it, every byte checked.

    Raises:
        FileNotFoundError: there is none.
        StoreError: it cannot be read, or a newer nasbench wrote it.
        DamagedRunError: it is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error
    fault = broken_seal(data)
    if fault:
        raise DamagedRunError(f"{path} is damaged: {fault}")
    try:
        table = pq.read_table(pa.BufferReader(data), page_checksum_verification=True)
        version = int((table.schema.metadata or {})[b"nasbench.schema"])
    except (OSError, KeyError, ValueError) as error:
        raise DamagedRunError(f"{path} is damaged: {error}") from error
    check_version(version, str(path))
    return table


def _with_missing_columns(table: pa.Table, columns: Sequence[Column]) -> pa.Table:
    """Give an older program's table the columns that it does not have, as nulls, and the order of now.

    A column alone does not raise the schema, so a file of the present one can lack some too.
    """
    import pyarrow as pa

    absent = [column for column in columns if column.name not in table.column_names]
    for column in absent:
        table = table.append_column(column.name, pa.nulls(table.num_rows, arrow_type(column.type)))
    known = [column.name for column in columns]
    return table.select([*known, *(name for name in table.column_names if "@" in name)])


def _manifest(table: pa.Table) -> dict[str, Any]:
    return dict(load_json(table.schema.metadata[b"nasbench.manifest"].decode()))


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    frame: pd.DataFrame = table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return frame
