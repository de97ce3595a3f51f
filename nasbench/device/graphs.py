"""In the driver: every network that runs from an ONNX graph is exported once, in a process of its own, and kept.

The files have no name in any folder: they are reached through this process, and vanish with it however it ends.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from types import TracebackType
from typing import IO, Any

from nasbench.errors import BuildError
from nasbench.host import choose_cores
from nasbench.isolation import Worker
from nasbench.model.foreign import check_onnx, is_onnx_file
from nasbench.records import TimingPlan
from nasbench.runtime.base import find_runtime
from nasbench.space.architecture import Architecture

EAGER = "torch eager fp32"
"""What an output is compared to."""

TASK = "nasbench.runtime.exporting:export"

LIMITS_S = {"start": 60.0, "export": 120.0, "reference": 60.0, "quantize": 300.0}
"""Time limits of the exporting process, by what it does."""

CAP_BYTES = 1 << 30
"""What the kept files may take; those not used for longest go first."""


@dataclass(frozen=True, slots=True)
class Graph:
    """A network as a file that a runtime loads, good for as long as this record is held.

    `reference` is the file of what the network should put out for the first images of the plan's seed, `compared_to`
    says whose output that is; None where there is nothing to compare with. `quantization` says how int8 was made.
    """

    path: str
    reference: str | None = None
    compared_to: str | None = None
    quantization: Mapping[str, Any] | None = None
    files: tuple[IO[bytes], ...] = field(default=(), repr=False, compare=False)


class Graphs:
    """The graphs of a process. Its exporting child starts at the first one, and is kept for the next."""

    def __init__(self, *, memory_limit_bytes: int | None = None, cap_bytes: int = CAP_BYTES, task: str = TASK) -> None:
        self._memory_limit_bytes = memory_limit_bytes
        self._cap_bytes = cap_bytes
        self._task = task
        self._worker: Worker | None = None
        self._kept: OrderedDict[tuple[Any, ...], Graph] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, architecture: Architecture, plan: TimingPlan, runtime: str = "onnx") -> Graph:
        """Give the graph that a runtime loads for a network at the plan's batch, seed and number format.

        Raises:
            BuildError: torch cannot export it, it cannot be quantized, or a package is missing.
            CandidateError: the network failed in another way.
        """
        with self._lock:
            find_runtime(runtime).versions()
            if is_onnx_file(architecture):
                return self._find_foreign(architecture, plan, runtime)
            exported = self._keep(("export", *_key(architecture, plan)), lambda: self._export(architecture, plan))
            return exported if plan.dtype != "int8" else self._find_quantized(architecture, plan, exported)

    def trim(self) -> None:
        """Let go of what was not used for longest, down to the cap; called when no graph is held."""
        with self._lock:
            while self._kept and self._size_bytes() > self._cap_bytes:
                self._kept.popitem(last=False)

    def close(self) -> None:
        """End the exporting process and let go of every file; an export under way ends with an error."""
        if worker := self._worker:
            worker.abort()
        with self._lock:
            self._kept.clear()
            if self._worker:
                self._worker.close()
                self._worker = None

    def __enter__(self) -> Graphs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _find_foreign(self, architecture: Architecture, plan: TimingPlan, runtime: str) -> Graph:
        """Give a user's own file; ONNX Runtime in fp32 takes the place of torch, where it is installed."""
        path = str(check_onnx(architecture, plan.batch).resolve())
        if (runtime, plan.dtype) == ("onnx", "fp32") or find_spec("onnxruntime") is None:
            compared = Graph(path)
        else:
            key = ("reference", *_key(architecture, plan))
            compared = self._keep(key, lambda: self._run_foreign(architecture, plan, path))
        return compared if plan.dtype != "int8" else self._find_quantized(architecture, plan, compared)

    def _find_quantized(self, architecture: Architecture, plan: TimingPlan, exact: Graph) -> Graph:
        return self._keep(("quantize", *_key(architecture, plan)), lambda: self._quantize(architecture, plan, exact))

    def _export(self, architecture: Architecture, plan: TimingPlan) -> Graph:
        graph, reference = _new_file(), _new_file()
        request = {"architecture": architecture.as_dict(), "graph": _path(graph), "reference": _path(reference)}
        self._call("export", architecture, plan, request)
        return Graph(_path(graph), _path(reference), EAGER, files=(graph, reference))

    def _run_foreign(self, architecture: Architecture, plan: TimingPlan, path: str) -> Graph:
        reference = _new_file()
        try:
            self._call("reference", architecture, plan, {"graph": path, "reference": _path(reference)})
        except BuildError:
            return Graph(path)  # ONNX Runtime does not run it, which says nothing of the runtime that was asked for
        return Graph(path, _path(reference), "ONNX Runtime fp32", files=(reference,))

    def _quantize(self, architecture: Architecture, plan: TimingPlan, exact: Graph) -> Graph:
        if find_spec("onnxruntime") is None:
            raise BuildError("int8 is quantized by ONNX Runtime, which is not installed; pip install nasbench[onnx]")
        graph = _new_file()
        with tempfile.TemporaryDirectory(prefix="nasbench-") as scratch:
            request = {"source": exact.path, "graph": _path(graph), "scratch": scratch}
            quantization = self._call("quantize", architecture, plan, request)
        return Graph(_path(graph), exact.reference, exact.compared_to, quantization, (graph, *exact.files))

    def _call(
        self, step: str, architecture: Architecture, plan: TimingPlan, request: Mapping[str, Any]
    ) -> dict[str, Any]:
        if self._worker is None:
            cores = [core.cpu for core in choose_cores(1)]
            self._worker = Worker(self._task, threads=1, cpus=cores, memory_limit_bytes=self._memory_limit_bytes)
        asked = {"batch": plan.batch, "seed": plan.seed, "input_shape": list(architecture.input_shape)}
        return self._worker.call({"step": step, **asked, **request}, limits_s=LIMITS_S)

    def _size_bytes(self) -> int:
        files = {file for graph in self._kept.values() for file in graph.files}
        return sum(os.fstat(file.fileno()).st_size for file in files)

    def _keep(self, key: tuple[Any, ...], make: Callable[[], Graph]) -> Graph:
        if key not in self._kept:
            self._kept[key] = make()
        self._kept.move_to_end(key)
        return self._kept[key]


def _key(architecture: Architecture, plan: TimingPlan) -> tuple[Any, ...]:
    return architecture.digest, plan.batch, plan.seed


def _new_file() -> IO[bytes]:
    return tempfile.TemporaryFile(prefix="nasbench-")


def _path(file: IO[bytes]) -> str:
    """Give the path by which a child opens a file that has no name: the one that this process holds open."""
    return f"/proc/{os.getpid()}/fd/{file.fileno()}"


_shared: dict[int, tuple[Graphs, int]] = {}
_shared_lock = threading.Lock()


@contextmanager
def shared_graphs(memory_limit_bytes: int) -> Iterator[Graphs]:
    """Give the graphs that all devices of this process with one memory limit share; the last one to leave closes them.

    Otherwise each of several devices would export the same networks, and keep torch in a process of its own.
    """
    with _shared_lock:
        graphs, users = _shared.get(memory_limit_bytes, (None, 0))
        graphs = graphs or Graphs(memory_limit_bytes=memory_limit_bytes)
        _shared[memory_limit_bytes] = graphs, users + 1
    try:
        yield graphs
    finally:
        with _shared_lock:
            _, users = _shared.pop(memory_limit_bytes)
            if users > 1:
                _shared[memory_limit_bytes] = graphs, users - 1
            else:
                graphs.close()
