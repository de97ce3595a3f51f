"""ONNX Runtime on the processor."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as native

from nasbench.errors import DeviceError
from nasbench.runtime.base import Runtime, refusal
from nasbench.runtime.nodes import NodeProfile

if TYPE_CHECKING:
    from torch import nn

    from nasbench.runtime.base import Images

_REFUSALS = (
    *(native.Fail, native.InvalidArgument, native.InvalidGraph, native.InvalidProtobuf, native.NoModel),
    *(native.NoSuchFile, native.NotImplemented, native.RuntimeException, native.EPFail),
)


class OnnxRuntime(Runtime):
    """ONNX Runtime's own back end for processors, threads spinning while they wait; int8 for a quantized graph."""

    def prepare(self, network: nn.Module | Path, images: Sequence[Images], dtype: str) -> list[Callable[[], Any]]:
        """Give one call for each input; a batch that the graph leaves open is open here too."""
        try:
            assert isinstance(network, Path), "ONNX Runtime runs files"
            session = self._session(network, self._options())
            return [_bind(session, network, image) for image in images]
        except _REFUSALS as error:
            reason = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error).strip())
            raise refusal("ONNX Runtime", reason.splitlines()[0]) from error

    def to_array(self, output: Any) -> Images:
        """Give the first output in fp32."""
        return np.asarray(output.get_outputs()[0].numpy(), dtype=np.float32)

    def set_threads(self, threads: int) -> None:
        """Keep the number; it is a session's own setting, and is read back from there."""
        self._threads = threads

    def profile(self, call: Callable[[], Any]) -> NodeProfile:
        """Have ONNX Runtime write down the time of every node, in a session of its own."""
        assert isinstance(call, _Call), "profiles what it prepared"

        def prepare(options: onnxruntime.SessionOptions) -> _Call:
            return _bind(self._session(call.graph, options), call.graph, call.image)

        return NodeProfile(call.graph, prepare, self._options())

    def versions(self) -> dict[str, str]:
        """Give ONNX Runtime's version."""
        return {"onnxruntime": onnxruntime.__version__}

    def _session(self, graph: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
        session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        if session.get_session_options().intra_op_num_threads != self._threads:
            raise DeviceError(f"ONNX Runtime does not run the {self._threads} threads that were asked for")
        return session

    def _options(self) -> onnxruntime.SessionOptions:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        return options


@dataclass(frozen=True, slots=True)
class _Call:
    """One inference. ONNX Runtime reads the image where it lies and does not keep it alive, so this does."""

    session: onnxruntime.InferenceSession
    binding: onnxruntime.IOBinding
    graph: Path
    image: Images

    def __call__(self) -> onnxruntime.IOBinding:
        self.session.run_with_iobinding(self.binding)
        return self.binding


def _bind(session: onnxruntime.InferenceSession, graph: Path, image: Images) -> _Call:
    """Bind an input and the outputs, so that a call holds nothing but the inference."""
    binding = session.io_binding()
    binding.bind_ortvalue_input(session.get_inputs()[0].name, onnxruntime.OrtValue.ortvalue_from_numpy(image))
    for output in session.get_outputs():
        binding.bind_output(output.name)
    return _Call(session, binding, graph, image)
