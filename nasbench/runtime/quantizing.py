"""A graph in int8: static quantization after training, with what ONNX Runtime brings for it.

Convolutions and matrix products then compute on whole numbers, in ONNX Runtime and in OpenVINO alike.
Source: Jacob et al., Quantization and Training of Neural Networks, 2018, arXiv:1712.05877, section 2.1.
"""

from __future__ import annotations

import logging
import math
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from nasbench.errors import BuildError
from nasbench.runtime.images import draw_images

if TYPE_CHECKING:
    from nasbench.runtime.base import Images

LEAST_IMAGES = 16
"""How many images the ranges are found with, at least."""

_SEED_OFFSET = 1_000_003
"""What the seed of the calibration images is above that of the measured ones, so that none is both."""


def quantize(source: Path, target: Path, shape: tuple[int, ...], seed: int, scratch: str) -> dict[str, Any]:
    """Write the graph at `source` with weights and activations of 8 bits, and say how that was done.

    Weights have a scale for each output channel, activations one for each tensor, from the least and largest values
    in a calibration. `shape` is that of the input; a batch that the graph leaves open is fixed to it. All temporary
    files go to the folder `scratch`, which the caller removes however this ends.

    Raises:
        BuildError: the graph cannot be quantized.
    """
    batches = math.ceil(LEAST_IMAGES / shape[0])
    images = draw_images(shape, seed + _SEED_OFFSET, batches)
    fixed, prepared = Path(scratch) / "fixed.onnx", Path(scratch) / "prepared.onnx"
    unsigned = platform.machine() in ("x86_64", "AMD64")
    narrow = unsigned and not _has_vnni()
    logging.disable(logging.WARNING)  # its advice is for people who call it by hand
    tempfile.tempdir = scratch
    try:
        model = onnx.load(str(source))
        _fix_batch(model.graph, shape[0])
        onnx.save(model, str(fixed))
        quant_pre_process(str(fixed), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(target),
            _Reader(model.graph.input[0].name, images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=narrow,
            activation_type=QuantType.QUInt8 if unsigned else QuantType.QInt8,
            weight_type=QuantType.QInt8,
        )
    except (OSError, MemoryError):
        raise
    except Exception as error:  # the library raises whatever its parts raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BuildError(f"the network cannot be quantized to int8: {reason}") from error
    finally:
        tempfile.tempdir = None
        logging.disable(logging.NOTSET)
    return {
        "method": "static, least and largest value, a scale for each output channel",
        "activations": "uint8" if unsigned else "int8",
        "weights": "int8 of 7 bits" if narrow else "int8",
        "calibration": f"{batches * shape[0]} images of normal values, seed {seed + _SEED_OFFSET}",
    }


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands the calibration images to the library, one batch at a time."""

    def __init__(self, name: str, images: Sequence[Images]) -> None:
        self._batches = iter([{name: image} for image in images])

    def get_next(self) -> dict[str, Images] | None:
        """Give the next batch, None after the last."""
        return next(self._batches, None)


def _fix_batch(graph: onnx.GraphProto, batch: int) -> None:
    """Write the batch wherever the graph names it by the word that its input has for it."""
    initial = {tensor.name for tensor in graph.initializer}
    (images,) = (value for value in graph.input if value.name not in initial)
    first = images.type.tensor_type.shape.dim[0]
    word = first.dim_param
    first.dim_value = batch
    for value in (*graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if word and dim.dim_param == word:
                dim.dim_value = batch


def _has_vnni() -> bool:
    """Say whether products of 8 bits are summed without overflow; else ONNX Runtime advises weights of 7 bits."""
    flags = Path("/proc/cpuinfo").read_text(errors="replace")
    return "avx512_vnni" in flags or "avx_vnni" in flags
