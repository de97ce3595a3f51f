"""Save what is readable of a damaged run into a new one. The damaged run is never changed."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasbench.errors import DamagedRunError, StoreError
from nasbench.store.columns import TABLES
from nasbench.store.database import DATABASE, build, is_whole, os_faults, require
from nasbench.store.lock import acknowledged_rows, describe_holder, is_locked
from nasbench.store.log import RunLog
from nasbench.store.schema import check_version, decode_evaluation, decode_measurements, decode_score, load_json

_READ_ERRORS = (sqlite3.Error, UnicodeDecodeError, OverflowError)
_GAP = 2000  # trials tried one by one behind the last one that was found

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Recovered:
    """What `recover` saved. `lost` is None when nothing readable says how many trials there were."""

    folder: Path
    saved: int
    lost: int | None
    study_complete: bool


def recover(folder: Path, out: Path) -> Recovered:
    """Copy every trial whose checksum holds into the new run `out`, in the order of the trial numbers.

    Called by `nasbench repair`. A log whose first page is destroyed is read with that of an empty log in its place,
    since every log has its tables at the same pages.

    Raises:
        RunNameError: there is no run, or `out` is taken.
        StoreError: it is being written, a newer nasbench wrote it, or `out` cannot be made.
        DamagedRunError: not even what was asked of the run is readable.
    """
    require(folder)
    if is_locked(folder):
        raise StoreError(f"{folder} is being written by {describe_holder(folder)}; repair it when that has ended")
    found = _Found()
    for variant in _variants(folder):
        found.read(variant)
    text = found.about.get("manifest") or _manifest_in_parquet(folder)
    if text is None:
        raise DamagedRunError(f"{folder / DATABASE} is damaged beyond repair: what was asked of the run is unreadable")
    check_version(int(found.about.get("schema", "1")), str(folder / DATABASE))
    saved = 0
    with RunLog.create(out, load_json(text)) as log:
        last = max(found.trials, default=None)
        for trial, row in sorted(found.trials.items()):
            try:
                evaluation = decode_evaluation(row[1], row[2])
            except DamagedRunError:
                continue
            study = {key: load_json(value) for key, value in found.study.items()} if trial == last else None
            log.append(evaluation, load_json(row[3]), study)
            if trial in found.finals:
                log.append_final(trial, decode_score(found.finals[trial]))
            if trial in found.confirmed:
                _, body, samples, _ = found.confirmed[trial]
                log.append_confirmed(trial, *decode_measurements(body, samples))
            saved += 1
    total = max(found.rows, acknowledged_rows(folder))
    return Recovered(out, saved, max(0, total - saved) if total or not saved else None, found.study_complete)


class _Found:
    """What the variants of a damaged file gave so far; a row counts when its checksum holds."""

    def __init__(self) -> None:
        self.about: dict[str, str] = {}
        self.study: dict[str, str] = {}
        self.trials: dict[int, Row] = {}
        self.finals: dict[int, str] = {}
        self.confirmed: dict[int, Row] = {}
        self.rows = 0
        self.study_complete = False

    def read(self, path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for key, value, _ in _rows(connection, "SELECT key, value, crc FROM about"):
                self.about.setdefault(key, value)
            if not self.study_complete:
                before = len(self.study)
                for key, value, _ in _rows(connection, "SELECT key, value, crc FROM study"):
                    self.study.setdefault(key, value)
                self.study_complete = before == 0 and _count(connection, "study") == len(self.study)
            for rows, _ in _rows(connection, "SELECT rows, crc FROM progress"):
                self.rows = max(self.rows, rows)
            for trial, body, _ in _rows(connection, "SELECT trial, body, crc FROM finals"):
                self.finals.setdefault(trial, body)
            for row in _rows(connection, "SELECT trial, body, samples, crc FROM confirmed"):
                self.confirmed.setdefault(row[0], row)
            self._read_trials(connection)

    def _read_trials(self, connection: sqlite3.Connection) -> None:
        query = "SELECT trial, body, samples, sampler, crc FROM evaluations"
        for order in ("ASC", "DESC"):  # from both ends up to the damage, then one by one
            for row in _rows(connection, f"{query} ORDER BY trial {order}"):
                self.trials.setdefault(row[0], row)
        if _count(connection, "evaluations") == len(self.trials):
            return
        last = max([self.rows, *self.trials])
        trial = 0
        while trial <= last + _GAP:
            if trial not in self.trials:
                for row in _rows(connection, f"{query} WHERE trial = {trial}"):
                    self.trials[trial] = row
                    last = max(last, trial)
            trial += 1


def _rows(connection: sqlite3.Connection, query: str) -> Iterator[Row]:
    """Give the rows of a query that are whole, as far as it can be read."""
    try:
        cursor = connection.execute(query)
    except _READ_ERRORS:
        return
    while True:
        try:
            row = cursor.fetchone()
        except _READ_ERRORS:
            return
        if row is None:
            return
        if is_whole(row):
            yield row


def _count(connection: sqlite3.Connection, table: str) -> int:
    """Give the number of rows of a table; -1 when it cannot be read."""
    try:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    except _READ_ERRORS:
        return -1


def _variants(folder: Path) -> Iterator[Path]:
    """Give copies of the file as it is, without its side file, and with a new first page."""
    with tempfile.TemporaryDirectory(prefix="nasbench-") as scratch, os_faults(folder):
        fresh = Path(scratch) / "fresh.db"
        build(fresh, "{}")
        side = folder / f"{DATABASE}-wal"
        for new_page in (False, True):
            for with_side in (True, False) if side.exists() else (False,):
                with _copied(folder, Path(scratch), side if with_side else None) as copy:
                    if new_page:
                        _replace_first_page(copy, fresh)
                    yield copy


@contextmanager
def _copied(folder: Path, scratch: Path, side: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=scratch) as place:
        copy = Path(place) / DATABASE
        shutil.copyfile(folder / DATABASE, copy)
        if side is not None:
            shutil.copyfile(side, copy.with_name(f"{DATABASE}-wal"))
        yield copy


def _replace_first_page(path: Path, fresh: Path) -> None:
    """Put an empty log's first page into a file, with the file's own number of pages (bytes 28 to 31, big-endian)."""
    page = bytearray(fresh.read_bytes()[:4096])
    page[28:32] = (path.stat().st_size // 4096).to_bytes(4, "big")
    page[18:20] = b"\x02\x02"  # WAL mode, so that a side file next to it is read
    with path.open("r+b") as file:
        file.write(page)


def _manifest_in_parquet(folder: Path) -> str | None:
    from nasbench.store.parquet import stored_manifest

    for name in TABLES:
        try:
            return stored_manifest(folder / f"{name}.parquet")
        except StoreError:
            continue
    return None
