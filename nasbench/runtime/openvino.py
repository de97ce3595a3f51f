"""OpenVINO on the processor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino

from nasbench.errors import BuildError, DeviceError
from nasbench.runtime.base import Runtime, refusal

if TYPE_CHECKING:
    from torch import nn

    from nasbench.runtime.base import Images

_PRECISIONS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""What is computed in where the graph does not say: without the hint OpenVINO would take bf16 wherever it is faster."""


class OpenVino(Runtime):
    """OpenVINO's processor plug-in, set to the least latency of one inference at a time; int8 for a quantized graph."""

    def prepare(self, network: nn.Module | Path, images: Sequence[Images], dtype: str) -> list[Callable[[], Any]]:
        """Give one call for each input; a batch that the graph leaves open becomes that of the images."""
        core = openvino.Core()
        if dtype == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise BuildError("this processor has no instructions for bf16; OpenVINO would compute in fp32 instead")
        try:
            model = core.read_model(str(network))
            if model.inputs[0].partial_shape.is_dynamic:
                model.reshape({model.inputs[0]: openvino.PartialShape(list(images[0].shape))})
            compiled = core.compile_model(model, "CPU", self._settings(_PRECISIONS[dtype]))
        except RuntimeError as error:
            # before its last line it tells where in its own source it failed
            raise refusal("OpenVINO", str(error).strip().splitlines()[-1].removeprefix("-- ")) from error
        self._check(compiled)
        return [_bind(compiled, image) for image in images]

    def to_array(self, output: Any) -> Images:
        """Give the first output in fp32."""
        return np.array(output.get_output_tensor(0).data, dtype=np.float32)

    def set_threads(self, threads: int) -> None:
        """Keep the number; it is a compiled network's own setting, and is read back from there."""
        self._threads = threads

    def versions(self) -> dict[str, str]:
        """Give OpenVINO's version, build number included."""
        return {"openvino": openvino.get_version()}

    def _settings(self, precision: str) -> dict[str, Any]:
        return {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": self._threads,
            "INFERENCE_PRECISION_HINT": precision,
        }

    def _check(self, compiled: openvino.CompiledModel) -> None:
        for name, wanted in (("INFERENCE_NUM_THREADS", self._threads), ("NUM_STREAMS", 1)):
            if int(compiled.get_property(name)) != wanted:
                raise DeviceError(f"OpenVINO set {name} to {compiled.get_property(name)} and not to {wanted}, as asked")


@dataclass(frozen=True, slots=True)
class _Call:
    """One inference. OpenVINO reads the image where it lies and does not keep it alive, so this does."""

    request: openvino.InferRequest
    image: Images

    def __call__(self) -> openvino.InferRequest:
        self.request.infer(share_outputs=True)
        return self.request


def _bind(compiled: openvino.CompiledModel, image: Images) -> _Call:
    """Make a request that shares the memory of its input, so that a call holds nothing but the inference."""
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(image, shared_memory=True))
    return _Call(request, image)
