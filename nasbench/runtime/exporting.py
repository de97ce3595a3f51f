"""In the exporting process: a network as an ONNX graph, quantized where asked, and what it should put out.

Called through `nasbench.isolation` by `nasbench.device.graphs`, once for each network. What is heavy and no part of
measuring happens here: torch and its exporter, onnx, calibration.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench.errors import BuildError, CandidateError, NasbenchError
from nasbench.isolation import Link
from nasbench.runtime.base import load_runtime
from nasbench.runtime.images import draw_images
from nasbench.space.architecture import Architecture

if TYPE_CHECKING:
    from torch import nn

    from nasbench.runtime.base import Images


def export(request: Mapping[str, Any], link: Link) -> dict[str, Any]:
    """Write what `request["step"]` names; the phases are called like the steps.

    - `export`: `architecture`, built with `seed`, as a graph for `batch` images at `graph`, and at `reference` what
      torch eager puts out in fp32 for the first images of the seed.
    - `reference`: at `reference`, what ONNX Runtime puts out in fp32 for a user's own `graph`.
    - `quantize`: the graph at `source` in int8 at `graph`; files of its own go to `scratch`.

    Raises:
        BuildError: torch cannot export the network, or it cannot be quantized.
        CandidateError: the network failed in another way.
    """
    step = request["step"]
    link.phase(step)
    shape = (request["batch"], *request["input_shape"])
    if step == "export":
        _export(request, shape)
    elif step == "reference":
        _save(request["reference"], _run_onnx(Path(request["graph"]), draw_images(shape, request["seed"], 1)[0]))
    else:
        from nasbench.runtime.quantizing import quantize

        return quantize(Path(request["source"]), Path(request["graph"]), shape, request["seed"], request["scratch"])
    return {}


def _export(request: Mapping[str, Any], shape: tuple[int, ...]) -> None:
    from nasbench.model.export import to_onnx
    from nasbench.model.inference import build_inference

    network = build_inference(Architecture.from_dict(request["architecture"]), request["seed"])
    _save(request["reference"], _run_eager(network, draw_images(shape, request["seed"], 1)[0]))
    try:
        to_onnx(network, Path(request["graph"]), tuple(request["input_shape"]), request["batch"])
    except CandidateError:
        raise
    except NasbenchError as error:
        raise BuildError(str(error)) from error


def _run_eager(network: nn.Module, image: Images) -> Images:
    runtime = load_runtime("eager")
    with runtime.context():
        (call,) = runtime.prepare(network, [image], "fp32")
        return runtime.to_array(call())


def _run_onnx(graph: Path, image: Images) -> Images:
    runtime = load_runtime("onnx")
    runtime.set_threads(1)
    (call,) = runtime.prepare(graph, [image], "fp32")
    return runtime.to_array(call())


def _save(path: str, output: Images) -> None:
    with Path(path).open("wb") as file:  # np.save would give a bare path a suffix
        np.save(file, output)
