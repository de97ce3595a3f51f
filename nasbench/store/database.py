"""The SQLite file of a run: its tables, how it is opened, and what its faults are called."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nasbench.errors import DamagedRunError, RunNameError, StoreError
from nasbench.store.schema import SCHEMA, checksum

DATABASE = "run.db"
APPLICATION_ID = 0x6E617362  # "nasb": tells `file` and us that a database is a run

_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
_CUT = (sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_FORMAT)

# The order of these statements fixes the page on which each table starts, and `repair` relies on it.
TABLES = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE progress (id INTEGER PRIMARY KEY, rows INTEGER NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE study (key TEXT PRIMARY KEY, value TEXT NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE evaluations (
    trial INTEGER PRIMARY KEY, body TEXT NOT NULL, samples BLOB NOT NULL, sampler TEXT NOT NULL, crc INTEGER NOT NULL
);
CREATE TABLE finals (trial INTEGER PRIMARY KEY, body TEXT NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE confirmed (trial INTEGER PRIMARY KEY, body TEXT NOT NULL, samples BLOB NOT NULL, crc INTEGER NOT NULL);
"""


def is_whole(row: tuple[Any, ...]) -> bool:
    """Say whether a row, whose last column is its checksum, is what was written."""
    return all(isinstance(part, int | str | bytes) for part in row) and checksum(*row[:-1]) == row[-1]


def damaged(folder: Path, what: str) -> DamagedRunError:
    """Build the error for a log that was altered or cut: what is wrong, and the command that saves the rest."""
    return DamagedRunError(
        f"{folder / DATABASE} is damaged: {what}. Nothing was changed; "
        f"save what is readable with: nasbench repair {folder} --out {folder}-repaired"
    )


def require(folder: Path) -> None:
    """Raise RunNameError when the folder holds no run."""
    if not (folder / DATABASE).is_file():
        raise RunNameError(f"{folder} holds no run: there is no {DATABASE} in it")


def build(path: Path, manifest_text: str) -> None:
    """Write an empty log; in rollback mode, so that it is one file and can be renamed."""
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("BEGIN")
        for statement in TABLES.strip().split(";\n"):
            connection.execute(statement.rstrip(";"))
        connection.execute(f"PRAGMA user_version = {SCHEMA}")
        for key, value in (("schema", str(SCHEMA)), ("manifest", manifest_text)):
            connection.execute("INSERT INTO about VALUES (?, ?, ?)", (key, value, checksum(key, value)))
        connection.execute("INSERT INTO progress VALUES (1, 0, ?)", (checksum(0),))
        connection.execute("COMMIT")
    finally:
        connection.close()


def connect_writer(folder: Path) -> sqlite3.Connection:
    """Open for appending; a commit returns when its bytes are on the disk."""
    connection = sqlite3.connect(f"{_uri(folder)}?mode=rw", uri=True, isolation_level=None, timeout=10.0)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # Moved into the database every 256 pages (1 MiB), so that neither the side file nor a crash's replay grows.
        connection.execute("PRAGMA wal_autocheckpoint = 256")
        connection.execute("PRAGMA journal_size_limit = 1048576")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(folder: Path) -> tuple[sqlite3.Connection, tempfile.TemporaryDirectory[str] | None]:
    """Open for reading; the second value is a copy to delete at the end.

    SQLite needs a side file to read a log in WAL mode. Where it cannot make one, a copy is read.
    """
    connection = sqlite3.connect(f"{_uri(folder)}?mode=ro", uri=True, isolation_level=None, timeout=10.0)
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("SELECT count(*) FROM sqlite_master")
        return connection, None
    except sqlite3.OperationalError as error:
        connection.close()
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
    except BaseException:
        connection.close()
        raise
    copy = tempfile.TemporaryDirectory(prefix="nasbench-")
    try:
        for name in (DATABASE, f"{DATABASE}-wal"):
            if (folder / name).exists():
                shutil.copyfile(folder / name, Path(copy.name) / name)
        return sqlite3.connect(Path(copy.name) / DATABASE, isolation_level=None), copy
    except BaseException:
        copy.cleanup()
        raise


def _uri(folder: Path) -> str:
    return (folder / DATABASE).resolve().as_uri()


def sync_folder(folder: Path) -> None:
    """Force a renamed file's new name to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def os_faults(folder: Path) -> Iterator[None]:
    """Turn what the file system refuses into one line."""
    try:
        yield
    except (FileExistsError, NotADirectoryError) as error:
        raise StoreError(f"{folder} cannot be a run folder: {error.filename or folder} is a file") from error
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error.strerror or error}") from error


@contextmanager
def sqlite_faults(folder: Path, consequence: str = "") -> Iterator[None]:
    """Turn what SQLite and the file system refuse into one line that says what to do."""
    try:
        with os_faults(folder):
            yield
    except sqlite3.IntegrityError as error:
        raise StoreError(f"{folder}: {consequence or error}; there is a trial of this number already") from error
    except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
        end = f"; {consequence}" if consequence else ""
        if code & 0xFF in _DAMAGED or code in _CUT:
            raise damaged(folder, f"{error}{end}") from error
        if code & 0xFF in _FULL:
            raise StoreError(
                f"{folder} cannot be written: {error}{end}. The disk may be full: free some space"
            ) from error
        raise StoreError(f"{folder / DATABASE}: {error}{end}") from error
