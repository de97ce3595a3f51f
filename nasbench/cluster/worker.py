"""A worker whose child lives on a node: the same calls and the same errors as `nasbench.isolation.Worker`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from nasbench.cluster.post import Post, ray_errors
from nasbench.errors import CandidateError, DatasetError, DefinitionError, DeviceError, DeviceLost, NasbenchError
from nasbench.isolation import OnReport, error_of

FILES = "$files"
"""Key of a request under which references to files that lie in the cluster travel; taken out before it is sent."""

CAP_BYTES = 2 << 30
"""What the files that are kept in the cluster may take; those not used for longest go first."""


class RemoteWorker:
    """Runs one task at a time in a child process on the node of an open post.

    With `once` the child ends with every call. Without, it is kept until `close`.
    """

    def __init__(
        self,
        post: Post,
        task: str,
        *,
        threads: int,
        cpus: Sequence[int] | None = None,
        memory_limit_bytes: int | None = None,
        once: bool = True,
    ) -> None:
        self._post = post
        self._once = once
        self._setup = {
            "task": task,
            "threads": threads,
            "cpus": list(cpus) if cpus else None,
            "memory_limit_bytes": memory_limit_bytes,
            "once": once,
        }

    @property
    def place(self) -> str:
        """Say which machine the child is on, see `Post.place`."""
        return self._post.place

    @property
    def pid(self) -> int | None:
        """Give None: the child is on another machine."""
        return None

    def call(
        self, request: Mapping[str, Any], *, limits_s: Mapping[str, float], on_report: OnReport | None = None
    ) -> dict[str, Any]:
        """Run the task once; raises as `Worker.call`, and as `Post.begin` when the supervisor is lost."""
        plain = {name: value for name, value in request.items() if name != FILES}
        asked = {**self._setup, "limits_s": dict(limits_s), "request": plain}
        try:
            kind, content = self._post.begin(asked, request.get(FILES, ()))
            while kind == "report":
                kind, content = self._post.reply(on_report(content) if on_report else {})
        except DeviceLost:
            raise  # there is nothing left to end
        except BaseException:
            self._post.give_up()
            raise
        if kind == "error":
            raise _told(content)
        return content

    def close(self) -> None:
        """End the child, if it is kept after a call."""
        if not self._once:
            self._post.give_up()

    def abort(self) -> None:
        """Kill the child, from any thread; a call that waits for it ends with `Crashed`."""
        self._post.abort()

    def pause(self) -> None:
        """Stop the child until `resume`; no time limit runs meanwhile."""
        self._post.control("pause")

    def resume(self) -> None:
        """Let the child go on."""
        self._post.control("resume")

    def __enter__(self) -> RemoteWorker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _told(content: Mapping[str, Any]) -> NasbenchError:
    """Make the error that a node tells of; one that says something of this machine is one of the device."""
    error = error_of(content)
    if isinstance(error, CandidateError | DatasetError | DefinitionError) or type(error) is DeviceError:
        return error
    return DeviceError(f"{type(error).__name__}: {error}")


class Shelf:
    """Files of this machine that were put into the cluster, each once; a node fetches one when it first needs it."""

    def __init__(self, cap_bytes: int = CAP_BYTES) -> None:
        self._cap_bytes = cap_bytes
        self._kept: OrderedDict[tuple[Any, ...], tuple[Any, int]] = OrderedDict()

    def put(self, path: str) -> Any:
        """Give a reference to the content of a file as it is now.

        Raises:
            DeviceError: the cluster has no room for it.
        """
        import ray

        about = Path(path).stat()
        key = (path, about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)
        if key not in self._kept:
            with ray_errors("the cluster"):
                self._kept[key] = (ray.put(Path(path).read_bytes()), about.st_size)
        self._kept.move_to_end(key)
        while sum(size for _, size in self._kept.values()) > self._cap_bytes and len(self._kept) > 1:
            self._kept.popitem(last=False)
        return self._kept[key][0]

    def clear(self) -> None:
        """Let go of all of them."""
        self._kept.clear()
