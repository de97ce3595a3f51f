"""How a network is executed: what is known of every runtime, and the contract that one implements.

What is known (`RUNTIMES`) needs no torch, so that a wrong name or dtype is refused before anything is built. One file a
runtime, one entry here.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nasbench.errors import BuildError, CandidateError, DefinitionError, OutOfMemory
from nasbench.registry import unknown_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from nasbench.layers import Layer

    Images = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RuntimeKind:
    """What is known of a runtime without importing it.

    `takes` is what it is given: the network as a `torch` module, or as an `onnx` file. `tolerances` holds the number
    formats that it computes in, each with the largest output error (see `Measurement.output_error`) at which it still
    agrees with torch eager in fp32. `packages` are the distributions whose versions decide how fast it is, and `extra`
    is what `pip install nasbench[extra]` brings them with, "" for those that nasbench always has. `build_limit_s` is
    how long it may take to get a network ready. One that `tells_layers` can profile what each layer takes, on a CPU.
    `form` is that of the network: `inference`, or `training` where a call is a training step, which answers another
    question and is compared with none of the others.
    """

    name: str
    about: str
    backends: tuple[str, ...]
    takes: str
    tolerances: Mapping[str, float]
    packages: tuple[str, ...]
    implementation: str
    extra: str = ""
    build_limit_s: float = 30.0
    tells_layers: bool = False
    form: str = "inference"

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The number formats it computes in."""
        return tuple(self.tolerances)

    def tolerance(self, dtype: str) -> float | None:
        """Give the largest output error that is agreement with torch eager in fp32.

        None for that itself and in training, where a batch norm computes something else.
        """
        return None if self.form == "training" or (self.name, dtype) == ("eager", "fp32") else self.tolerances[dtype]

    @property
    def remedy(self) -> str:
        """What to do where its packages are not installed."""
        return f"pip install nasbench[{self.extra}]" if self.extra else f"install {' and '.join(self.packages)}"

    @property
    def executors(self) -> tuple[str, ...]:
        """Those of its packages that a machine needs which is given a finished graph."""
        return tuple(package for package in self.packages if self.takes == "torch" or package not in _EXPORTERS)

    def versions(self) -> dict[str, str]:
        """Give the versions of its packages; nothing is imported.

        Raises:
            BuildError: one is not installed; the text says how to.
        """
        found = {}
        for package in self.packages:
            try:
                found[package] = metadata.version(package)
            except metadata.PackageNotFoundError as error:
                raise self.unusable(f"{package} is not installed") from error
        return found

    def unusable(self, reason: str) -> BuildError:
        """Make the error that says why it cannot be used here and what to install."""
        return BuildError(f"runtime {self.name!r} cannot be used: {reason}; {self.remedy}")


_FP32 = 1e-3
_BF16 = 0.05
_FP16 = 0.01
_INT8 = 0.25

_EXPORTERS = ("torch", "onnx", "onnxscript")
"""They write the graph that is executed, so they too decide how fast it is."""

RUNTIMES: dict[str, RuntimeKind] = {
    kind.name: kind
    for kind in (
        RuntimeKind(
            "eager",
            "torch, operator by operator",
            ("cpu", "cuda"),
            "torch",
            {"fp32": _FP32, "fp16": _FP16, "bf16": _BF16},
            ("torch",),
            "nasbench.runtime.eager:Eager",
            tells_layers=True,
        ),
        RuntimeKind(
            "channels_last",
            "torch, operator by operator, channels innermost in memory",
            ("cpu", "cuda"),
            "torch",
            {"fp32": _FP32, "fp16": _FP16, "bf16": _BF16},
            ("torch",),
            "nasbench.runtime.channels_last:ChannelsLast",
            tells_layers=True,
        ),
        RuntimeKind(
            "compile",
            "torch.compile, which needs a C++ compiler on a CPU",
            ("cpu", "cuda"),
            "torch",
            {"fp32": _FP32, "fp16": _FP16, "bf16": _BF16},
            ("torch",),
            "nasbench.runtime.compile:Compile",
            build_limit_s=300.0,
        ),
        RuntimeKind(
            "cuda_graph",
            "torch, captured once as a CUDA graph and replayed",
            ("cuda",),
            "torch",
            {"fp32": _FP32, "fp16": _FP16, "bf16": _BF16},
            ("torch",),
            "nasbench.runtime.cuda_graph:CudaGraph",
        ),
        RuntimeKind(
            "onnx",
            "ONNX Runtime; int8 by static quantization after training",
            ("cpu",),
            "onnx",
            {"fp32": _FP32, "int8": _INT8},
            ("onnxruntime", *_EXPORTERS),
            "nasbench.runtime.onnx:OnnxRuntime",
            extra="onnx",
            tells_layers=True,
        ),
        RuntimeKind(
            "openvino",
            "OpenVINO; int8 by static quantization after training",
            ("cpu",),
            "onnx",
            {"fp32": _FP32, "bf16": _BF16, "int8": _INT8},
            ("openvino", *_EXPORTERS),
            "nasbench.runtime.openvino:OpenVino",
            extra="openvino",
        ),
        RuntimeKind(
            "training",
            "torch, operator by operator: a training step instead of an inference",
            ("cpu", "cuda"),
            "torch",
            {"fp32": _FP32},
            ("torch",),
            "nasbench.runtime.training:Training",
            form="training",
        ),
    )
}
"""Every runtime by name."""


def find_runtime(name: str) -> RuntimeKind:
    """Give what is known of a runtime.

    Raises:
        UnknownNameError: there is none of this name.
    """
    if name not in RUNTIMES:
        raise unknown_name("runtime", name, RUNTIMES)
    return RUNTIMES[name]


def check_runtime(backend: str, runtime: str, dtype: str) -> None:
    """Check that a backend has a runtime, and that this computes in a number format.

    Raises:
        UnknownNameError: there is no such runtime.
        DefinitionError: it does not run there, or not in this format.
    """
    kind = find_runtime(runtime)
    if backend not in kind.backends:
        able = [other.name for other in RUNTIMES.values() if backend in other.backends]
        raise DefinitionError(
            f"the runtime {runtime!r} does not run on the backend {backend!r}; there it is one of {', '.join(able)}"
        )
    if dtype not in kind.dtypes:
        raise DefinitionError(
            f"the runtime {runtime!r} does not compute in {dtype!r}; it is one of {', '.join(kind.dtypes)}"
        )


def load_runtime(name: str, device: str = "cpu") -> Runtime:
    """Make a runtime, which imports what it runs on; `device` is torch's name of where it runs, such as `cuda:0`.

    Raises:
        UnknownNameError: there is none of this name.
        BuildError: the packages that it needs are not installed; the text says how to.
    """
    kind = find_runtime(name)
    module, _, attribute = kind.implementation.partition(":")
    try:
        implementation: type[Runtime] = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise kind.unusable(str(error)) from error
    return implementation(device)


class Runtime(ABC):
    """Turns a network into something that can be called. Lives in the measuring process only.

    `device` is torch's name of where it runs.
    """

    form = "inference"
    """The form of the networks that it is given, as its kind says."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = device

    @abstractmethod
    def prepare(self, network: nn.Module | Path, images: Sequence[Images], dtype: str) -> list[Callable[[], Any]]:
        """Give one call for each input; each runs one inference, from ready inputs to what the network puts out.

        `network` is a module or the path of an ONNX file, in the form that the runtime's kind says; in training a call
        is a whole step. `images` are (N, C, H, W) in fp32 and all of one shape. Whatever can be done once (conversion,
        compilation, copies to another type) is done here.
        """

    @abstractmethod
    def to_array(self, output: Any) -> Images:
        """Give what a call returned as an array in fp32, so that it can be checked."""

    def synchronize(self) -> None:  # noqa: B027 - where a call returns when it is done, there is nothing to wait for
        """Wait until all calls are done."""

    @abstractmethod
    def set_threads(self, threads: int) -> None:
        """Fix the number of threads; called before the first operation.

        Raises:
            DeviceError: this runtime does not obey.
        """

    def context(self) -> AbstractContextManager[Any]:
        """Give what all calls run inside of."""
        return nullcontext()

    def profile(self, call: Callable[[], Any]) -> Profile:
        """Make what runs one of the calls of `prepare` again and notes the time of every layer.

        Raises:
            BuildError: this runtime does not tell it; those whose kind `tells_layers` do.
        """
        raise BuildError(f"{type(self).__name__} does not tell what each layer takes")

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Give the versions of the software that does the work, by name."""


class Profile(Protocol):
    """Inferences whose layers are timed. What notes the times slows them, so they stand for shares and no latency."""

    def run(self) -> None:
        """Run one inference."""

    def end(self) -> tuple[Layer, ...]:
        """Give the layers of all inferences so far; none may follow.

        Raises:
            MeasurementError: two inferences did not execute the same layers.
        """


def refusal(library: str, reason: str) -> CandidateError:
    """Make the error that says why a library cannot run a graph; for lack of memory it is OutOfMemory."""
    if "alloc" in reason.lower():
        return OutOfMemory(f"{library} ran out of memory: {reason}")
    return BuildError(f"{library} cannot run this network: {reason}")
