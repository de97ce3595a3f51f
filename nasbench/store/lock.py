"""One writer a run: a lock that the kernel drops when its process dies, whatever it dies of."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
import zlib
from datetime import UTC, datetime
from pathlib import Path

from nasbench.errors import RunLockedError

_NAME = "run.lock"
_HOLDER_BYTES = 512  # the count lies at a fixed place behind the holder, so that it is written without reading


class RunLock:
    """Holds `run.lock` in a run folder. The file says who holds it, and how many rows were acknowledged.

    The count is written after each commit, without waiting for the disk. It is never above what was committed, so a log
    that holds fewer rows has lost some, even when its own pages still agree with each other. A clean end removes it.
    """

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises:
            RunLockedError: another process has it; the text names it.
            OSError: the file cannot be written.
        """
        self._path = folder / _NAME
        attempts = 0
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(descriptor)
                if not isinstance(error, BlockingIOError):
                    raise
                attempts += 1
                if attempts < 4:  # `is_locked` of a reader holds it for microseconds
                    time.sleep(0.01)
                    continue
                raise RunLockedError(
                    f"{folder} is being written by {describe_holder(folder)}; "
                    "wait for it, end it, or choose another run"
                ) from None
            if self._is_current(descriptor):
                break
            os.close(descriptor)  # the holder before removed the file between our open and our lock
        self._descriptor: int | None = descriptor
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "started_at": datetime.now(UTC).isoformat()}
        os.pwrite(descriptor, json.dumps(holder).encode().ljust(_HOLDER_BYTES)[:_HOLDER_BYTES], 0)

    def acknowledge(self, rows: int) -> None:
        """Note that `rows` rows are in the log."""
        assert self._descriptor is not None, "the lock was released"
        text = b"%d" % rows
        os.pwrite(self._descriptor, b"%020d %08x\n" % (rows, zlib.crc32(text)), _HOLDER_BYTES)

    def release(self, remove: bool) -> None:
        """Give the lock back; `remove` when the log is whole and needs no count any more."""
        if self._descriptor is not None:
            if remove:
                self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False


def acknowledged_rows(folder: Path) -> int:
    """Give how many rows the last writer acknowledged; 0 when it ended cleanly or that is not known."""
    try:
        count, crc = (folder / _NAME).read_bytes()[_HOLDER_BYTES:].split()
        return int(count) if zlib.crc32(b"%d" % int(count)) == int(crc, 16) else 0
    except (OSError, ValueError):
        return 0


def is_locked(folder: Path) -> bool:
    """Say whether a process writes this run now."""
    try:
        descriptor = os.open(folder / _NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def describe_holder(folder: Path) -> str:
    """Say who holds the lock: process, machine and since when."""
    try:
        holder = json.loads((folder / _NAME).read_bytes()[:_HOLDER_BYTES])
        return f"process {int(holder['pid'])} on {holder['host']} since {holder['started_at']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
