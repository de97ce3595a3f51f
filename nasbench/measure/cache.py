"""What was measured before, on this machine and in any run, so that nothing is measured twice.

A measurement is found again only when everything that it depends on is equal: the network, the device's definition, the
machine and the versions of the software, this program's own source, the timing plan, and the protocol. It is a cache
and nothing rests on it: a file that is damaged is set aside, and where none can be written there is none.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
import warnings
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from nasbench.device.base import Device
from nasbench.errors import StoreError
from nasbench.host import code_digest
from nasbench.records import PROTOCOL, Measurement, TimingPlan
from nasbench.space.architecture import Architecture
from nasbench.store.schema import SCHEMA, checksum, decode_measurement, encode_measurement

FILE = "measurements.db"

MOST_ROWS = 2000
MOST_BYTES = 256 << 20
"""Above either, the oldest go. A screen takes about 10 kB, a confirmation of 5 processes 50 to 500 kB."""

_APPLICATION_ID = 0x6E617363  # "nasc"
_PATIENCE_S = 5.0
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_FORMAT)

# `id` grows with every row that is kept, so it says which is oldest.
_TABLE = """
CREATE TABLE IF NOT EXISTS measurements (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE NOT NULL, origin TEXT NOT NULL,
    body TEXT NOT NULL, samples BLOB NOT NULL, bytes INTEGER NOT NULL, crc INTEGER NOT NULL
)
"""
_SURPLUS = """
DELETE FROM measurements WHERE id IN (
    SELECT id FROM (
        SELECT id, count(*) OVER newer AS place, sum(bytes) OVER newer AS total
        FROM measurements WINDOW newer AS (ORDER BY id DESC)
    ) WHERE place > ? OR (total > ? AND place > 1)
)
"""

Answer = TypeVar("Answer")


def default_path() -> Path:
    """Give where the cache is: in `$NASBENCH_CACHE`, else `nasbench` in `$XDG_CACHE_HOME`, else in `~/.cache`."""
    if folder := os.environ.get("NASBENCH_CACHE"):
        return Path(folder) / FILE
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "nasbench" / FILE


class MeasurementCache:
    """An SQLite file of measurements, which several processes and threads may use at once. A context manager.

    It raises nothing on account of its file. What is wrong is given to `say`, one line, once: a damaged file is renamed
    and a new one begun, and a file that cannot be opened or written ends caching.
    """

    def __init__(self, path: Path | None = None, say: Callable[[str], object] = warnings.warn) -> None:
        self.path = default_path() if path is None else path
        self._say = say
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        self._open()

    def find(self, device: Device, architecture: Architecture, plan: TimingPlan) -> Measurement | None:
        """Give what was measured before, with `reused_from` saying where and when, or None."""
        key = _key(device, architecture, plan)

        def read(connection: sqlite3.Connection) -> Measurement | None:
            query = "SELECT origin, body, samples, crc FROM measurements WHERE key = ?"
            row = connection.execute(query, (key,)).fetchone()
            if row is None:
                return None
            origin, body, samples, crc = row
            try:
                if checksum(key, origin, body, samples) != crc:
                    raise StoreError("altered")
                measurement = decode_measurement(body, samples)
            except StoreError:
                connection.execute("DELETE FROM measurements WHERE key = ?", (key,))
                return None
            return replace(measurement, reused_from=f"{origin} at {measurement.started_at}")

        return self._use(read)

    def keep(self, device: Device, architecture: Architecture, measurement: Measurement, origin: str) -> None:
        """Keep a measurement for the next time; `origin` names the run that took it.

        Nothing is kept of a verdict other than ok, of what came from the cache itself, and of a network that a user's
        function makes: its source may stay the same while what it imports changes.
        """
        made_by_code = any(block.kind == "factory" for block in architecture.blocks)
        whole = measurement.verdict == "ok" and measurement.stop != "interrupted"
        if not whole or measurement.reused_from is not None or made_by_code:
            return
        key = _key(device, architecture, measurement.plan)
        body, samples = encode_measurement(measurement, "a measurement for the cache")

        def write(connection: sqlite3.Connection) -> None:
            crc = checksum(key, origin, body, samples)
            row = (key, origin, body, samples, len(body) + len(samples), crc)
            columns = "key, origin, body, samples, bytes, crc"
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"INSERT OR REPLACE INTO measurements ({columns}) VALUES (?, ?, ?, ?, ?, ?)", row)
            connection.execute(_SURPLUS, (MOST_ROWS, MOST_BYTES))
            connection.execute("COMMIT")

        self._use(write)

    def close(self) -> None:
        """Close the file; nothing is found or kept afterwards."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def __enter__(self) -> MeasurementCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> None:
        for attempt in range(2):
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._connection = _connect(self.path)
                return
            except (OSError, sqlite3.Error) as error:
                if attempt or not _is_damage(error) or not self._set_aside(error):
                    self._give_up(error)
                    return

    def _use(self, action: Callable[[sqlite3.Connection], Answer]) -> Answer | None:
        with self._lock:
            return self._use_alone(action)

    def _use_alone(self, action: Callable[[sqlite3.Connection], Answer]) -> Answer | None:
        if self._connection is None:
            return None
        try:
            return action(self._connection)
        except sqlite3.Error as error:
            self.close()  # which also rolls back
            if not _is_damage(error):
                self._give_up(error)
            elif self._set_aside(error):
                self._open()
            return None

    def _set_aside(self, error: Exception) -> bool:
        """Rename a damaged file; gives whether that went."""
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        aside = self.path.with_name(f"{self.path.name}.damaged-{moment}-{os.getpid()}")
        try:
            self.path.rename(aside)
            # It belongs to the damaged file and would be played back into a new one.
            self.path.with_name(f"{self.path.name}-journal").unlink(missing_ok=True)
        except FileNotFoundError:
            return True  # another process was quicker
        except OSError as refused:
            self._give_up(refused)
            return False
        self._say(f"the cache of measurements was damaged ({error}); it is now {aside}, and a new one begins")
        return True

    def _give_up(self, error: Exception) -> None:
        self._say(f"measurements are not cached: {self.path} cannot be used ({error})")


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=_PATIENCE_S, check_same_thread=False)
    try:
        (found,) = connection.execute("PRAGMA application_id").fetchone()
        if found not in (0, _APPLICATION_ID):
            raise sqlite3.DatabaseError(f"it is another program's, with the application id {found:#x}")
        # Not in WAL mode, where of two processes that begin a file together SQLite refuses one at once, without a wait.
        connection.execute("PRAGMA synchronous = NORMAL")  # what a power cut loses can be measured again
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(_TABLE)
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _is_damage(error: Exception) -> bool:
    """Say whether a file is at fault that will be no better the next time, and not the disk or another process."""
    if not isinstance(error, sqlite3.Error):
        return False
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_NOTADB)
    return code & 0xFF in _DAMAGED


def _key(device: Device, architecture: Architecture, plan: TimingPlan) -> str:
    parts = {
        "architecture": architecture.digest,
        "device": device.spec.digest,
        "fingerprint": dict(device.fingerprint()),
        "code": code_digest(),
        "plan": asdict(plan),
        "protocol": PROTOCOL,
        "schema": SCHEMA,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
