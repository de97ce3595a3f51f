"""A worker for estimates, which any node may take that has the cores: it moves on when its node is lost."""

from __future__ import annotations

import hashlib
import logging
import tarfile
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from nasbench.cluster.connection import Cluster
from nasbench.cluster.messages import check_code
from nasbench.cluster.post import Placement, Post, ray_errors
from nasbench.cluster.supervisor import FOLDER, version_of
from nasbench.cluster.worker import FILES, RemoteWorker
from nasbench.errors import Crashed, DatasetError, DefinitionError, DeviceError, DeviceLost
from nasbench.isolation import MakeWorker, OnReport
from nasbench.units import format_bytes

MOST_TRIES = 3
"""Supervisors or nodes that may be lost under one estimate before it counts as their cause."""

MOST_DATA_BYTES = 4 << 30
"""The largest data set that is shipped; a larger one has to lie on the nodes under the same path."""

_DECIDING = ("torch", "numpy", "pillow")
"""What decides an accuracy, besides our own source: the training, and how images are decoded."""

_log = logging.getLogger(__name__)


class DataShelf:
    """Data sets of this machine, packed once and put into the cluster once; a node fetches one when it needs it."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Any, dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def put(self, path: str) -> tuple[Any, dict[str, Any]]:
        """Give a reference to the packed file or folder, and what stands for its path in a request.

        Raises:
            DatasetError: it is not there, cannot be packed, or is too large to be shipped.
            DeviceError: the cluster has no room for it.
        """
        with self._lock:
            return self._put(path)

    def _put(self, path: str) -> tuple[Any, dict[str, Any]]:
        import ray

        if path not in self._kept:
            size = _size_bytes(Path(path))
            if size > MOST_DATA_BYTES:
                raise DatasetError(
                    f"{path} has {format_bytes(size)}, and at most {format_bytes(MOST_DATA_BYTES)} are shipped to the "
                    "nodes of a cluster"
                )
            data = _packed(Path(path))
            digest = hashlib.sha256(data).hexdigest()
            with ray_errors("the cluster"):
                self._kept[path] = ray.put(data), {FOLDER: 0, "name": Path(path).name, "digest": digest}
        return self._kept[path]


class NodeWorker(RemoteWorker):
    """Runs estimates on a node of the cluster, which is chosen when the first one comes.

    It knows the machines that are measured on, and stands still on one of them whenever it came there.
    """

    def __init__(
        self,
        cluster: Cluster,
        placement: Placement,
        shelf: DataShelf,
        task: str,
        *,
        threads: int,
        memory_limit_bytes: int | None,
    ) -> None:
        post = Post(cluster, placement)
        super().__init__(post, task, threads=threads, memory_limit_bytes=memory_limit_bytes, once=False)
        self._shelf = shelf
        self._is_closed = False
        self._measured: set[str] = set()
        self._stands_still = False  # as the supervisor was told
        self._settling = threading.Lock()

    def call(
        self, request: Mapping[str, Any], *, limits_s: Mapping[str, float], on_report: OnReport | None = None
    ) -> dict[str, Any]:
        """Run the task; one whose node or supervisor is lost runs again elsewhere. Raises as `Worker.call`.

        Raises:
            Crashed: it was lost three times.
            DeviceLost: the cluster is gone.
            DeviceError: another nasbench runs on the node, or the cluster has no room for the data.
        """
        shipped = self._with_data(request)
        for attempt in range(1, MOST_TRIES + 1):
            try:
                self._check_wanted()
                if not self._post.is_open:
                    self._open()
                    self._check_wanted()
                return super().call(shipped, limits_s=limits_s, on_report=on_report)
            except DeviceError as error:
                if self._is_closed:
                    raise _told_to_end() from error
                if not isinstance(error, DeviceLost):
                    raise
                self._post.close()
                self._post.cluster.check_head()
                _log.warning("an estimate was lost (attempt %d): %s", attempt, error)
                lost = error
        raise Crashed(f"it was lost {MOST_TRIES} times; the last time: {lost}") from lost

    def close(self) -> None:
        """End the supervisor, and with it the child."""
        self._is_closed = True
        self._post.give_up()
        self._post.close()

    def abort(self) -> None:
        """End it for good, from any thread."""
        self._is_closed = True
        super().abort()

    def pause_on(self, place: str) -> None:
        """Stop the child while it is on that machine, until `resume_on`; called from any thread."""
        with self._settling:
            self._measured.add(place)
            self._settle()

    def resume_on(self, place: str) -> None:
        """Let the child go on there."""
        with self._settling:
            self._measured.discard(place)
            self._settle()

    def _settle(self) -> None:
        """Have the child stopped or let go on, if it is not as the place where it is asks for."""
        wanted = self._post.place in self._measured
        if wanted != self._stands_still:
            self._stands_still = wanted
            self._post.control("pause" if wanted else "resume")

    def _open(self) -> None:
        """Start a supervisor on some node; one that will not do is ended. Raises as `Post.open` and `_look`."""
        with self._settling:
            self._stands_still = False
        try:
            self._post.open()
            with self._settling:
                self._settle()
            self._look()
        except BaseException:
            self._post.close()
            raise

    def _check_wanted(self) -> None:
        if self._is_closed:
            self._post.close()  # it may have come up after it was told to end
            raise _told_to_end()

    def _look(self) -> None:
        """See that the node runs our source, and say once where what decides an accuracy is of another version."""
        about, node = self._post.describe(1, None, _DECIDING), self._post.node
        where = f"node {node.host}" if node else self._post.placement.name
        check_code(about, where)
        for package in _DECIDING:
            there, here = about["versions"][package], version_of(package)
            # After a + stands how it was built, such as 2.13.0+cpu, which is the node's affair.
            if there and here and there.partition("+")[0] != here.partition("+")[0]:
                _warn(f"{package} is {there} on {where} and {here} here; accuracies from there may be others")

    def _with_data(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name, path, options = request.get("data", (None, None, None))
        if path is None:
            return dict(request)
        reference, marker = self._shelf.put(path)
        return {**request, "data": [name, marker, options], FILES: [reference]}


def node_workers(cluster: Cluster, workers: int, *, cores: float, gpus: float = 0) -> MakeWorker:
    """Give what makes workers on nodes; each takes a share of a node's cores and GPUs for itself.

    Raises:
        DefinitionError: the cluster has no room for so many.
    """
    living = [node.resources for node in cluster.nodes() if node.alive]
    room = sum(
        min(_parts(node.get(name, 0), share) for name, share in (("CPU", cores), ("GPU", gpus)) if share)
        for node in living
    )
    if room < workers:
        takes = f"{cores:g} cores" + (f" and {gpus:g} GPUs" if gpus else "")
        raise DefinitionError(
            f"--workers {workers} is too many: each takes {takes}, and at {cluster.address} there is room for {room}"
        )
    shelf = DataShelf()
    placement = Placement("a worker", {}, cores, gpus)

    def make(task: str, *, threads: int, cpus: Sequence[int] | None, memory_limit_bytes: int | None) -> NodeWorker:
        assert cpus is None, "Ray says which cores of a node are taken, not which"
        return NodeWorker(cluster, placement, shelf, task, threads=threads, memory_limit_bytes=memory_limit_bytes)

    return make


def _parts(amount: float, share: float) -> int:
    """Say how often a share goes into an amount; one GPU has five shares of 0.2, and floats know of four."""
    return int(amount / share + 1e-9)


def find_module(place: str, folder: Path) -> tuple[str, ...]:
    """Give the file or folder of the module that `module:function` names, if it lies in that folder.

    What is installed has to be so on the nodes too.
    """
    name = place.partition(":")[0].partition(".")[0]
    found = [path for path in (folder / name, folder / f"{name}.py") if path.exists()]
    return tuple(str(path) for path in found[:1])


def _told_to_end() -> Crashed:
    return Crashed("the workers were told to end")


@lru_cache(maxsize=256)
def _warn(text: str) -> None:
    _log.warning("%s", text)  # once: a node is looked at by every worker that comes to it


def _packed(path: Path) -> bytes:
    try:
        with tempfile.TemporaryFile(prefix="nasbench-") as file:
            with tarfile.open(fileobj=file, mode="w", dereference=True) as archive:
                archive.add(path, arcname=path.name)
            file.seek(0)
            return file.read()
    except OSError as error:
        raise DatasetError(f"{path} cannot be packed: {error}") from error


def _size_bytes(path: Path) -> int:
    if not path.exists():
        raise DatasetError(f"{path} does not exist")
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
