"""Data sets that were shipped to a node: unpacked there once, shared by its supervisors, gone with the last of them.

Every use of a folder is a lock that the kernel takes back when a process ends in whatever way, so what a killed
supervisor left is seen to be unused by the next one, which removes it.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import platform
import shutil
import stat
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nasbench.errors import DeviceError

_TICK_S = 0.2
_GATE = ".gate"
"""Whoever holds this lock may make and remove folders and their locks."""

_PART, _DROPPED = ".part", ".dropped"


class Placed:
    """The data sets that one supervisor uses on this node."""

    def __init__(self) -> None:
        self._held: dict[str, int] = {}

    def find(self, digest: str, fetch: Callable[[], bytes], wait: Callable[[], object] = lambda: None) -> Path:
        """Give the folder that holds what an archive of this SHA-256 holds; it stays until `close`.

        `fetch` gives the archive and is called only if it is not unpacked here; `wait` is called while another
        supervisor unpacks, and may raise.

        Raises:
            DeviceError: what was fetched has another digest, the folder for such data is somebody else's, or this
                Python is too old.
            tarfile.TarError: the archive is damaged, or reaches out of its folder.
        """
        root = _root()
        folder = root / digest
        if digest in self._held:
            return folder
        with _gate(root, wait):
            _sweep(root)
            if not folder.exists():
                _unpack(fetch(), digest, folder)
            self._held[digest] = _lock(folder, fcntl.LOCK_SH)
        return folder

    def close(self) -> None:
        """Use none of them any more, and remove those that nobody else uses; may come twice."""
        if not self._held:
            return
        root = _root()
        with _gate(root):
            for digest in [*self._held]:
                os.close(self._held.pop(digest))
            _sweep(root)


def sweep() -> None:
    """Remove what no living process uses any more; leaves it to the next one while somebody is at work there."""
    with suppress(DeviceError, OSError):
        if _path().exists():
            root = _root()
            with _gate(root, _give_up):
                _sweep(root)


def _give_up() -> None:
    raise DeviceError("somebody else is at work there")


def _root() -> Path:
    """Give the folder for all of them, which is ours alone: others may write beside it."""
    root = _path()
    with suppress(FileExistsError):
        root.mkdir(mode=0o700)
    about = root.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o077:
        raise DeviceError(f"{root} is no folder that this user alone may read; remove it there")
    return root


def _path() -> Path:
    return Path(tempfile.gettempdir()) / f"nasbench-data-{os.getuid()}"


@contextmanager
def _gate(root: Path, wait: Callable[[], object] = lambda: None) -> Iterator[None]:
    gate = os.open(root / _GATE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not _locked(gate, fcntl.LOCK_EX):
            wait()
            time.sleep(_TICK_S)
        yield
    finally:
        os.close(gate)


def _unpack(data: bytes, digest: str, folder: Path) -> None:
    if (found := hashlib.sha256(data).hexdigest()) != digest:
        raise DeviceError(f"the data that arrived is not what was shipped: its SHA-256 is {found} and not {digest}")
    if not hasattr(tarfile, "data_filter"):
        raise DeviceError(
            f"Python {platform.python_version()} on this node cannot unpack a data set safely; 3.11.4 or newer can"
        )
    part = folder.with_suffix(_PART)
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            archive.extractall(part, filter="data")
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _sweep(root: Path) -> None:
    """Remove what no living process uses; only behind the gate."""
    folders = [path for path in root.iterdir() if path.is_dir()]
    for folder in folders:
        if folder.suffix in (_PART, _DROPPED):  # whoever was at it behind the gate was killed
            shutil.rmtree(folder, ignore_errors=True)
    for folder in folders:
        if not folder.suffix:
            _drop(folder)


def _drop(folder: Path) -> None:
    """Remove a data set that nobody uses."""
    lock = _lock(folder)
    try:
        if _locked(lock, fcntl.LOCK_EX):
            dropped = folder.rename(folder.with_suffix(_DROPPED))  # what is removed by half must not count as whole
            shutil.rmtree(dropped, ignore_errors=True)
            _lock_path(folder).unlink()
    finally:
        os.close(lock)


def _lock(folder: Path, kind: int | None = None) -> int:
    lock = os.open(_lock_path(folder), os.O_RDWR | os.O_CREAT, 0o600)
    if kind is not None:
        fcntl.flock(lock, kind)
    return lock


def _lock_path(folder: Path) -> Path:
    return folder.with_suffix(".lock")


def _locked(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
