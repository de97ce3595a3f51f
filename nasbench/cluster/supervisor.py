"""What lives on a node: an actor that runs one task at a time in a child process, and says how the machine is.

It is imported there from what the driver ships, so it needs numpy and psutil and nothing of torch, Optuna, pandas or
matplotlib; the driver makes an actor of the class. Everything it takes and gives is JSON in bytes, and files as bytes;
no exception of its own leaves it.
"""

from __future__ import annotations

import os
import platform
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from importlib import metadata
from typing import IO, Any

import psutil

import nasbench
from nasbench.cluster.placing import Placed, sweep
from nasbench.device.energy import NoMeter, find_rapl
from nasbench.errors import Crashed, DeviceError, NasbenchError
from nasbench.host import (
    available_cpus,
    choose_cores,
    code_digest,
    find_cores,
    host_record,
    library_environment,
    temperature_c,
)
from nasbench.isolation import Worker
from nasbench.isolation_child import clean, pack, unpack

FILE = "$file"
"""In a request, `{"$file": 0}` stands for the path of the first file that came with it."""

FOLDER = "$folder"
"""In a request, `{"$folder": 0, "name": ..., "digest": ...}` stands for the path of what the first file, an archive,
holds under that name; `digest` is the archive's SHA-256. See `nasbench.cluster.placing`."""

FETCH_LIMIT_S = 120.0
"""How long a file may stand still on its way from the driver before the node counts as cut off from it."""

_STILL_BYTES = 4 << 20  # less than this in that time, received by the whole machine, is no file but signs of life
_TICK_S = 0.2

_Conversation = Generator[dict[str, Any], Mapping[str, Any], dict[str, Any]]


class Supervisor:
    """One task at a time on this node, each in a child process with the limits that come with the request.

    `begin`, `reply` and `end` come one after the other, on one thread that lasts; the rest may come at any time.
    """

    def __init__(self) -> None:
        self._worker: Worker | None = None
        self._made_for: tuple[Any, ...] = ()
        self._conversation: _Conversation | None = None
        self._once = False
        self._references: Sequence[Any] = ()
        self._files: dict[int, IO[bytes]] = {}
        self._attempt = self._unwanted = 0
        self._placed = Placed()
        self._paused = False
        self._pausing = threading.Lock()
        sweep()

    def describe(self, request: bytes) -> bytes:
        """Say what this node is, and which of its cores are measured on.

        `request` has `threads`, `cores` (None, or as `nasbench.host.find_cores` reads it) and `packages`, the
        distributions whose versions are asked for; one that is absent is None.
        """
        return self._answering(lambda: {"done": _describe(unpack(request))})

    def begin(self, request: bytes, files: Sequence[Any] = ()) -> bytes:
        """Start a task in a child and give its first step: a report, its end, or an error.

        `request` has `attempt`, `task`, `threads`, `cpus`, `memory_limit_bytes`, `limits_s`, `request` and `once`: with
        the latter the child ends with the task, and else it is kept for the next one like it. `files` are references to
        bytes that lie in the cluster, or bytes.
        """

        def start() -> dict[str, Any]:
            asked = unpack(request)
            self._hang_up()
            worker = self._ready(asked)
            self._once = bool(asked["once"])
            self._attempt = asked["attempt"]
            self._references = files
            request_there = self._with_paths(asked["request"])
            self._check_wanted()
            self._conversation = worker.converse(request_there, limits_s=asked["limits_s"])
            return self._step(lambda conversation: next(conversation), asked["attempt"])

        return self._answering(start)

    def reply(self, request: bytes) -> bytes:
        """Answer the last report, with `attempt` and `answer`, and give the next step."""

        def go_on() -> dict[str, Any]:
            asked = unpack(request)
            return self._step(lambda conversation: conversation.send(asked["answer"]), asked["attempt"])

        return self._answering(go_on)

    def end(self) -> bytes:
        """Kill the child, if there is one, and let go of the data sets that were unpacked."""

        def close() -> dict[str, Any]:
            self._hang_up()
            self._close_worker()
            self._placed.close()
            return {"done": {}}

        return self._answering(close)

    def pulse(self) -> bytes:
        """Show that this node lives, and how hot it is."""
        return self._answering(lambda: {"done": {"temperature_c": temperature_c(), "pid": os.getpid()}})

    def place(self) -> str:
        """Give the id of the node."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def abort(self, attempt: int) -> bytes:
        """Kill the child of an attempt and of those before it; what waits for it ends with an error."""

        def kill() -> dict[str, Any]:
            self._unwanted = max(attempt, self._unwanted)
            with self._pausing:
                if self._worker is not None:
                    self._worker.abort()
            return {"done": {}}

        return self._answering(kill)

    def pause(self) -> bytes:
        """Stop the child until `resume`: somebody measures on this node."""
        return self._answering(lambda: self._set_paused(True))

    def resume(self) -> bytes:
        """Let the child go on."""
        return self._answering(lambda: self._set_paused(False))

    def _set_paused(self, paused: bool) -> dict[str, Any]:
        with self._pausing:
            self._paused = paused
            worker = self._worker
            if worker is not None:
                (worker.pause if paused else worker.resume)()
        return {"done": {}}

    def _ready(self, asked: Mapping[str, Any]) -> Worker:
        wanted = (asked["task"], asked["threads"], tuple(asked["cpus"] or ()), asked["memory_limit_bytes"])
        if self._worker is None or wanted != self._made_for:
            self._close_worker()
            with self._pausing:
                self._worker = Worker(
                    asked["task"],
                    threads=asked["threads"],
                    cpus=asked["cpus"],
                    memory_limit_bytes=asked["memory_limit_bytes"],
                )
                if self._paused:
                    self._worker.pause()
            self._made_for = wanted
        return self._worker

    def _with_paths(self, value: Any) -> Any:
        """Put paths in the place of what stands for the files."""
        if isinstance(value, Mapping):
            if FILE in value:
                return f"/proc/{os.getpid()}/fd/{self._file(value[FILE]).fileno()}"
            if FOLDER in value:
                reference = self._references[value[FOLDER]]
                folder = self._placed.find(value["digest"], lambda: self._fetch_in_turn(reference), self._check_wanted)
                return str(folder / value["name"])
            return {key: self._with_paths(entry) for key, entry in value.items()}
        return [self._with_paths(entry) for entry in value] if isinstance(value, list) else value

    def _file(self, index: int) -> IO[bytes]:
        if index not in self._files:
            self._files[index] = _write(self._fetch(self._references[index]))
        return self._files[index]

    def _fetch_in_turn(self, file: Any) -> bytes:
        """Get a data set while nobody measures here, and give it to be unpacked likewise."""
        self._await_turn()
        data = self._fetch(file)
        self._await_turn()
        return data

    def _await_turn(self) -> None:
        while self._paused:
            self._check_wanted()
            time.sleep(_TICK_S)

    def _fetch(self, file: Any) -> bytes:
        """Get a file, in steps, so that one which takes long can be given up.

        Raises:
            Crashed: the attempt was given up.
            DeviceError: nothing comes.
        """
        if isinstance(file, bytes):
            return file
        import ray

        received, since = _received_bytes(), time.monotonic()
        while True:
            self._check_wanted()
            # To get with a limit of time, and again, would have Ray begin a large file from its start every time.
            if ray.wait([file], timeout=1.0)[0]:
                data: bytes = ray.get(file)
                return data
            now = time.monotonic()
            if (so_far := _received_bytes()) - received >= _STILL_BYTES:
                received, since = so_far, now
            elif now - since > FETCH_LIMIT_S:
                raise DeviceError(
                    "this node cannot fetch files from the driver: next to nothing came for "
                    f"{FETCH_LIMIT_S:g} s; open Ray's ports, see docs/remote.md"
                )

    def _check_wanted(self) -> None:
        if self._attempt <= self._unwanted:
            raise Crashed("the driver gave up this attempt")

    def _step(self, take: Callable[[_Conversation], dict[str, Any]], attempt: int) -> dict[str, Any]:
        """Go one step on; at the end of the conversation, whatever it is, its files are let go."""
        if self._conversation is None:
            raise DeviceError("the supervisor was asked to go on with a task that it does not run")
        try:
            return {"attempt": attempt, "report": take(self._conversation)}
        except StopIteration as end:
            self._finish()
            return {"attempt": attempt, "done": end.value}
        except BaseException:
            self._finish()
            raise

    def _finish(self) -> None:
        self._hang_up()
        if self._once:
            self._close_worker()

    def _hang_up(self) -> None:
        conversation, self._conversation = self._conversation, None
        if conversation is not None:
            conversation.close()
        for file in self._files.values():
            file.close()
        self._files, self._references = {}, ()

    def _close_worker(self) -> None:
        with self._pausing:
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    def _answering(self, act: Callable[[], dict[str, Any]]) -> bytes:
        """Turn whatever an action gives or raises into an answer."""
        try:
            return pack(act())
        except NasbenchError as error:
            return pack({"error": type(error).__name__, "text": str(error)})
        except Exception as error:  # noqa: BLE001 - the border: a node's fault is told to the driver as data
            return pack({"error": DeviceError.__name__, "text": clean(f"{type(error).__name__}: {error}")})


def _describe(asked: Mapping[str, Any]) -> dict[str, Any]:
    allowed = set(available_cpus())
    named = set(find_cores(asked["cores"])) if asked["cores"] else allowed
    cores = choose_cores(asked["threads"], available=sorted(named & allowed))
    meter = find_rapl(core.cpu for core in cores)
    return {
        "host": host_record(),
        "environment": library_environment(),
        "cpus": [core.cpu for core in cores],
        "energy_source": None if isinstance(meter, NoMeter) else meter.source,
        "temperature_c": temperature_c(),
        "niceness": os.nice(0),
        "code": code_digest(),
        "versions": {
            "nasbench": nasbench.__version__,
            "python": platform.python_version(),
            **{package: version_of(package) for package in asked["packages"]},
        },
    }


def _received_bytes() -> int:
    """Give what this machine received over its networks since it was started."""
    counted = psutil.net_io_counters()
    return counted.bytes_recv if counted else 0


def version_of(package: str) -> str | None:
    """Give the version of an installed distribution; None when it is not."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _write(data: bytes) -> IO[bytes]:
    file = tempfile.TemporaryFile(prefix="nasbench-")  # noqa: SIM115 - closed when the conversation ends
    file.write(data)
    file.flush()
    return file
