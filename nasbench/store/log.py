"""The log of a run: `run.db`, where a trial is on the disk before anybody is told about it."""

from __future__ import annotations

import re
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from nasbench.errors import DamagedRunError, RunNameError, StoreError
from nasbench.records import Evaluation, Measurement, Score
from nasbench.store.columns import TABLES
from nasbench.store.database import (
    DATABASE,
    build,
    connect_reader,
    connect_writer,
    damaged,
    is_whole,
    os_faults,
    require,
    sqlite_faults,
    sync_folder,
)
from nasbench.store.lock import RunLock, acknowledged_rows
from nasbench.store.schema import (
    SCHEMA,
    check_version,
    checksum,
    decode_evaluation,
    decode_measurements,
    decode_score,
    dump_json,
    encode_evaluation,
    encode_measurements,
    encode_score,
    load_json,
)

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PAGE = 256  # rows fetched at a time, so that reading 10,000 trials with their samples needs little memory


class RunLog:
    """A run folder's log. Made by `create`, `open` or `read`; one process writes it, any number read it.

    Every row carries a checksum, and the number of rows is written with each of them, so a row that was altered or lost
    is found when the log is read. A closed log is one file, without side files.
    """

    def __init__(
        self,
        folder: Path,
        connection: sqlite3.Connection,
        lock: RunLock | None,
        copy: tempfile.TemporaryDirectory[str] | None = None,
    ) -> None:
        """Wrap an open database; use `create`, `open` or `read` instead."""
        self.folder = folder
        self._connection = connection
        self._lock = lock
        self._copy = copy
        try:
            with self._faults():
                self._load()
        except BaseException:
            connection.close()
            if copy is not None:
                copy.cleanup()
            raise

    @classmethod
    def create(cls, folder: Path, manifest: Mapping[str, Any]) -> RunLog:
        """Start a run in a new or empty folder, which is made.

        Args:
            folder: its name is the run's: 1 to 64 letters, digits, dots, dashes and underscores.
            manifest: what was asked of the run, as plain data; it never changes. `objectives` (names) and `limits`
                (name to value) decide the front.

        Raises:
            RunNameError: the folder holds a run or the parquet files of one, or a run cannot be named so.
            StoreError: the folder is a file or cannot be written.
            RunLockedError: another process has just started this run.
        """
        if not _NAME.fullmatch(folder.resolve().name):
            raise RunNameError(f"a run cannot be named {folder.name!r}; 1 to 64 of A-Z a-z 0-9 . _ - are allowed")
        text = dump_json(dict(manifest), "manifest")
        with os_faults(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / DATABASE).exists():
                raise RunNameError(f"{folder} already holds a run; choose another name")
            for name in TABLES:
                if (folder / f"{name}.parquet").exists():
                    raise RunNameError(
                        f"{folder} holds the results of a run without its log ({name}.parquet and no {DATABASE}), "
                        "which a new run would overwrite; choose another name"
                    )
            lock = RunLock(folder)
        try:
            if (folder / DATABASE).exists():
                raise RunNameError(f"{folder} already holds a run; choose another name")
            with sqlite_faults(folder):
                # Built under another name and renamed, so that a run.db without its tables never exists.
                build(folder / f"{DATABASE}.new", text)
                (folder / f"{DATABASE}.new").rename(folder / DATABASE)
                sync_folder(folder)
                return cls(folder, connect_writer(folder), lock)
        except BaseException:
            with os_faults(folder):
                (folder / f"{DATABASE}.new").unlink(missing_ok=True)
            lock.release(remove=True)
            raise

    @classmethod
    def open(cls, folder: Path) -> RunLog:
        """Open a run to append to it. The whole log is checked first, and a damaged one is not touched.

        Raises:
            RunNameError: there is no run.
            StoreError: it cannot be written, or another schema's nasbench wrote it.
            RunLockedError: another process writes it; the text names the process and its machine.
            DamagedRunError: it is damaged; the text says how to save what is readable.
        """
        require(folder)
        with os_faults(folder):
            lock = RunLock(folder)
        try:
            with cls.read(folder) as log:
                log.check()
                if log.is_older:
                    raise StoreError(
                        f"{folder} has the schema {log.schema}, which this nasbench reads and does not write, since it "
                        f"writes {SCHEMA}. Go on with a copy: nasbench repair {folder} --out {folder}-copy"
                    )
            with sqlite_faults(folder):
                _remove_leftovers(folder)
                log = cls(folder, connect_writer(folder), lock)
            lock.acknowledge(log.trial_count)
            return log
        except BaseException:
            lock.release(remove=acknowledged_rows(folder) == 0)
            raise

    @classmethod
    def read(cls, folder: Path) -> RunLog:
        """Open a run for reading alone, also while a writer is at work and in a folder that cannot be written.

        Raises:
            RunNameError: there is no run.
            StoreError: a newer nasbench wrote it.
            DamagedRunError: it is damaged so far that it cannot be opened.
        """
        require(folder)
        with sqlite_faults(folder):
            connection, copy = connect_reader(folder)
        return cls(folder, connection, None, copy)

    @property
    def name(self) -> str:
        """The run's name, which is its folder's."""
        return self.folder.resolve().name

    @property
    def manifest(self) -> dict[str, Any]:
        """What was asked of the run; a fresh copy."""
        return dict(load_json(self._manifest_text))

    @property
    def trial_count(self) -> int:
        """How many trials are stored; a reader sees those that were there when it last looked."""
        if self._lock is None:
            with self._faults():
                self._rows = self._read_progress()
        return self._rows

    @property
    def state(self) -> str:
        """How far the run is, in words; the parquet files carry it, so that one from before is known as such.

        A confirmation can be repeated, so their number alone does not tell two states apart; their checksums do.
        """
        words = f"{self.trial_count} trials, {len(self.final_scores())} finals"
        sums = self._confirmed_sums()
        return f"{words}, {len(sums)} confirmed ({checksum(*sums):08x})" if sums else words

    @property
    def is_older(self) -> bool:
        """Whether an older nasbench wrote it; such a run is read and left untouched."""
        return self.schema < SCHEMA

    def append(
        self,
        evaluation: Evaluation,
        sampler_state: Mapping[str, Any] | None = None,
        study_state: Mapping[str, Any] | None = None,
    ) -> None:
        """Write one trial and return when it is on the disk; whole, or after an error not at all.

        Args:
            evaluation: its trial number is new; numbers may leave gaps.
            sampler_state: what the sampler must be told again when this trial is replayed.
            study_state: merged by key into the stored state; keys that did not change cost nothing.

        Raises:
            StoreError: the disk is full, the trial is stored already, or something in it is no plain data. Nothing was
                written and the log is as it was.
        """
        lock = self._require_writer()
        body, samples = encode_evaluation(evaluation)
        trial = evaluation.trial
        sampler = dump_json(dict(sampler_state or {}), f"the sampler state of trial {trial}")
        changed = self._changes(study_state or {})
        rows = self._rows + 1
        with self._faults(f"trial {trial} was not stored"):
            execute = self._connection.execute
            execute("BEGIN IMMEDIATE")
            try:
                crc = checksum(trial, body, samples, sampler)
                execute("INSERT INTO evaluations VALUES (?, ?, ?, ?, ?)", (trial, body, samples, sampler, crc))
                for key, value in changed.items():
                    execute("INSERT OR REPLACE INTO study VALUES (?, ?, ?)", (key, value, checksum(key, value)))
                execute("UPDATE progress SET rows = ?, crc = ? WHERE id = 1", (rows, checksum(rows)))
                execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.rollback()
                raise
        self._rows = rows
        self._study.update(changed)
        lock.acknowledge(rows)

    def append_final(self, trial: int, score: Score) -> None:
        """Write the score of a stored trial on the test split; a second one takes the place of the first.

        Raises:
            StoreError: the disk is full or the log was opened for reading.
        """
        self._require_writer()
        body = encode_score(score)
        with self._faults(f"the final score of trial {trial} was not stored"):
            self._connection.execute(
                "INSERT OR REPLACE INTO finals VALUES (?, ?, ?)", (trial, body, checksum(trial, body))
            )

    def final_scores(self) -> dict[int, Score]:
        """Give what `append_final` wrote, by trial.

        Raises:
            DamagedRunError: a score was altered.
        """
        with self._faults():
            rows = self._connection.execute("SELECT trial, body, crc FROM finals ORDER BY trial").fetchall()
        for row in rows:
            if not is_whole(row):
                raise self._damage(f"the final score of trial {row[0]} was altered")
        return {trial: decode_score(body) for trial, body, _ in rows}

    def append_confirmed(self, trial: int, *measurements: Measurement) -> None:
        """Write what confirming a stored trial gave, one a device; a second time takes the place of the first.

        Raises:
            StoreError: the disk is full, the log was opened for reading, or something in it is no plain data.
        """
        self._require_writer()
        body, samples = encode_measurements(measurements, f"the confirmation of trial {trial}")
        with self._faults(f"the confirmation of trial {trial} was not stored"):
            self._connection.execute(
                "INSERT OR REPLACE INTO confirmed VALUES (?, ?, ?, ?)",
                (trial, body, samples, checksum(trial, body, samples)),
            )

    def forget_confirmed(self) -> None:
        """Remove all that `append_confirmed` wrote, since what is confirmed anew does not compare with it.

        Raises:
            StoreError: the disk is full or the log was opened for reading.
        """
        self._require_writer()
        with self._faults("the confirmations of before were not removed"):
            self._connection.execute("DELETE FROM confirmed")

    def confirmed(self) -> dict[int, tuple[Measurement, ...]]:
        """Give what `append_confirmed` wrote, by trial.

        Raises:
            DamagedRunError: a measurement was altered.
        """
        if self.is_older:
            return {}
        with self._faults():
            query = "SELECT trial, body, samples, crc FROM confirmed ORDER BY trial"
            rows = self._connection.execute(query).fetchall()
        for row in rows:
            if not is_whole(row):
                raise self._damage(f"the confirmation of trial {row[0]} was altered")
        return {trial: decode_measurements(body, samples) for trial, body, samples, _ in rows}

    def evaluations(self) -> Iterator[tuple[Evaluation, dict[str, Any]]]:
        """Give every trial with its sampler state, in the order of the trial numbers.

        Raises:
            DamagedRunError: a row was altered or is missing; the text names the trial where that is known.
        """
        expected, count, last = self.trial_count, 0, -(2**63)
        query = "SELECT trial, body, samples, sampler, crc FROM evaluations WHERE trial > ? ORDER BY trial LIMIT ?"
        while True:
            with self._faults():
                rows = self._connection.execute(query, (last, _PAGE)).fetchall()
            for row in rows:
                if not isinstance(row[0], int) or row[0] <= last or not is_whole(row):
                    raise self._damage(f"trial {row[0]} was altered")
                last, count = row[0], count + 1
                yield decode_evaluation(row[1], row[2]), load_json(row[3])
            if len(rows) < _PAGE:
                break
        if count < expected:
            raise self._damage(f"{count} trials are readable of {expected}")

    def study_state(self) -> dict[str, Any]:
        """Give what the calls of `append` left as the study's state."""
        return {key: load_json(value) for key, value in self._study.items()}

    def check(self) -> None:
        """Read everything and compare it with its checksums.

        Raises:
            DamagedRunError: something was altered or is missing.
        """
        with self._faults():
            problems = [row[0] for row in self._connection.execute("PRAGMA quick_check(1)")]
        if problems != ["ok"]:
            raise self._damage(" ".join(str(problems[0]).split()))
        for _ in self.evaluations():
            pass
        self.final_scores()
        self.confirmed()

    def close(self) -> None:
        """End cleanly: what was written moves into the one file, side files and the lock go. Can be called twice."""
        whole = True
        if self._lock is not None:
            try:
                self._connection.execute("PRAGMA busy_timeout = 100")
                self._connection.execute("PRAGMA journal_mode = DELETE")
            except sqlite3.Error:
                whole = False  # a reader is at work or the disk is full; everything stays readable as it is
        self._connection.close()
        if self._copy is not None:
            self._copy.cleanup()
        if self._lock is not None:
            self._lock.release(remove=whole)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _load(self) -> None:
        version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        if version < 1:
            raise self._damage(f"its schema is {version}, and schemas start at 1")
        check_version(version, str(self.folder / DATABASE))
        self.schema = version
        about = self._read_texts("about")
        if about.get("schema") != str(version) or "manifest" not in about:
            raise self._damage("its description is missing or contradicts itself")
        self._manifest_text = about["manifest"]
        self._study = self._read_texts("study")
        acknowledged = acknowledged_rows(self.folder)
        self._rows = self._read_progress()
        if self._rows < acknowledged:
            raise self._damage(f"{acknowledged} trials were stored and {self._rows} are left")

    def _read_texts(self, table: str) -> dict[str, str]:
        rows = self._connection.execute(f"SELECT key, value, crc FROM {table} ORDER BY rowid").fetchall()
        for row in rows:
            if not is_whole(row):
                raise self._damage(f"{row[0]!r} in the table {table} was altered")
        return {key: value for key, value, _ in rows}

    def _read_progress(self) -> int:
        row = self._connection.execute("SELECT rows, crc FROM progress WHERE id = 1").fetchone()
        if row is None or not is_whole(row):
            raise self._damage("the number of its trials was altered")
        return int(row[0])

    def _require_writer(self) -> RunLock:
        if self._lock is None:
            raise StoreError(f"{self.folder} was opened for reading; nothing can be appended")
        return self._lock

    def _confirmed_sums(self) -> list[int]:
        if self.is_older:
            return []
        with self._faults():
            return [row[0] for row in self._connection.execute("SELECT crc FROM confirmed ORDER BY trial")]

    def _changes(self, state: Mapping[str, Any]) -> dict[str, str]:
        texts = {key: dump_json(value, f"study_state.{key}") for key, value in state.items()}
        return {key: text for key, text in texts.items() if self._study.get(key) != text}

    def _damage(self, what: str) -> DamagedRunError:
        return damaged(self.folder, what)

    @contextmanager
    def _faults(self, consequence: str = "") -> Iterator[None]:
        with sqlite_faults(self.folder, consequence):
            yield


def _remove_leftovers(folder: Path) -> None:
    """Remove what a killed process had not yet renamed."""
    for path in [folder / f"{DATABASE}.new", *folder.glob(".*.parquet.*")]:
        path.unlink(missing_ok=True)
