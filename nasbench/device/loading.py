"""In the measuring process: from a request to a network that can be called, checked and ready to be timed.

torch is imported for the runtimes that run on it, and for no other.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench.errors import BuildError, MeasurementError, NanOutputError, ShapeError
from nasbench.records import TimingPlan
from nasbench.runtime.base import Runtime
from nasbench.runtime.images import draw_images
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block

if TYPE_CHECKING:
    from torch import nn

    from nasbench.runtime.base import Images

TINY = Architecture(
    (3, 8, 8), 2, (make_block("conv", 3, 8, 1, {}, "tiny"), make_block("pool_linear", 8, 2, 1, {}, "tiny"))
)
"""Run before anything is measured, so that what the libraries load counts neither as memory nor as build time."""


# About 14 million multiply-accumulates, 1 to 3 ms on a core: dense, depthwise and pointwise convolutions, nothing else.
CANARY = Architecture(
    (3, 96, 96),
    10,
    (
        make_block("conv", 3, 16, 2, {}, "canary"),
        make_block("mbconv", 16, 24, 2, {}, "canary"),
        make_block("mbconv", 24, 24, 1, {}, "canary"),
        make_block("mbconv", 24, 40, 2, {}, "canary"),
        make_block("pool_linear", 40, 10, 1, {}, "canary"),
    ),
)
"""Measured to see whether a machine is still what it was; `nasbench.measure.canary` says how."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A network in this process, called once. `run` runs one inference or training step, on the next input each time.

    `output` is what that call gave for the first input, in fp32 and in memory of its own.
    """

    calls: tuple[Callable[[], Any], ...]
    run: Callable[[], Any]
    build_s: float
    first_call_s: float
    output: Images
    output_hash: str


def load(
    runtime: Runtime, side: Mapping[str, Any], plan: TimingPlan, phase: Callable[[str], None] = lambda name: None
) -> Loaded:
    """Get a network ready for the runtime, call it once and check the shape and the values of what came.

    `side` holds `architecture` and, where the runtime's kind takes onnx, `graph`: the path of the network's graph.
    Nothing of this network ran in this process before its first call. Called inside of `runtime.context()`, with
    `phase` naming build and first_call.

    Raises:
        CandidateError: the network failed; its subclass says how.
    """
    architecture = Architecture.from_dict(side["architecture"])
    images = seeded_images(architecture, plan)
    phase("build")
    began = time.perf_counter()
    network = Path(side["graph"]) if side.get("graph") else _build(architecture, plan, runtime.form)
    calls = runtime.prepare(network, images, plan.dtype)
    build_s = time.perf_counter() - began
    phase("first_call")
    output, first_call_s = _first_call(runtime, calls[0], plan.dtype)
    array = runtime.to_array(output).copy()  # some runtimes write every output into the same memory
    rest = (architecture.classes,) if architecture.classes else array.shape[1:]
    output_hash = checked_hash(array, (plan.batch, *rest))
    following = cycle(calls).__next__
    return Loaded(
        calls=tuple(calls),
        run=lambda: following()(),
        build_s=build_s,
        first_call_s=first_call_s,
        output=array,
        output_hash=output_hash,
    )


def check_agreement(runtime: Runtime, side: Mapping[str, Any], plan: TimingPlan, output: Images) -> float | None:
    """Give how far the output for the first input is from that of torch eager in fp32, see `relative_error`.

    With a graph, the latter lies in the file `reference` of `side`. Else the network is built anew from its seed, where
    `side` holds a `tolerance`, and run. That warms caches and takes memory, so it comes after all that is measured;
    called inside of `runtime.context()`. None where there is nothing to compare with.

    Raises:
        MeasurementError: it is further away than the tolerance; int8 may be.
        CandidateError: the network failed in fp32.
    """
    tolerance = side.get("tolerance")
    if side.get("graph"):
        reference = None if side.get("reference") is None else np.load(side["reference"])
    else:
        reference = None if tolerance is None else _run_eager(runtime.device, side, plan)
    if reference is None:
        return None
    error = relative_error(output, reference)
    if tolerance is not None and error > tolerance and plan.dtype != "int8":
        raise MeasurementError(f"the output is {error:.2g} away from the reference; {tolerance:g} is allowed")
    return error


def _build(architecture: Architecture, plan: TimingPlan, form: str = "inference") -> nn.Module:
    if form == "training":
        from nasbench.model.training import build_training

        return build_training(architecture, plan.seed)
    from nasbench.model.inference import build_inference

    return build_inference(architecture, plan.seed)


def _run_eager(device: str, side: Mapping[str, Any], plan: TimingPlan) -> Images:
    from nasbench.runtime.eager import Eager

    architecture = Architecture.from_dict(side["architecture"])
    eager = Eager(device)
    (call,) = eager.prepare(_build(architecture, plan), seeded_images(architecture, plan)[:1], "fp32")
    return eager.to_array(call())


def _first_call(runtime: Runtime, call: Callable[[], Any], dtype: str) -> tuple[Any, float]:
    began = time.perf_counter()
    try:
        output = call()
        runtime.synchronize()
    except RuntimeError as error:
        if "not implemented" not in str(error).lower():
            raise
        raise BuildError(f"an operation does not exist in {dtype}: {str(error).strip().splitlines()[0]}") from error
    return output, time.perf_counter() - began


def seeded_images(architecture: Architecture, plan: TimingPlan) -> list[Images]:
    """Draw the inputs, (batch, channels, height, width) of normal values in fp32, from the plan's seed."""
    return draw_images((plan.batch, *architecture.input_shape), plan.seed)


def relative_error(output: Images, reference: Images) -> float:
    """Give |output - reference| / |reference| in the 2-norm; infinite where only the reference is all 0."""
    away = float(np.linalg.norm(output.astype(np.float64) - reference))
    length = float(np.linalg.norm(reference.astype(np.float64)))
    return away / length if length else math.inf if away else 0.0


def checked_hash(output: Images, shape: tuple[int, ...]) -> str:
    """Check an output and give 16 hexadecimal digits of it.

    Raises:
        ShapeError: it has another shape.
        NanOutputError: a value is NaN or infinite.
    """
    if tuple(output.shape) != shape:
        raise ShapeError(f"the network puts out {tuple(output.shape)}; {shape} was expected, the batch first")
    broken = int((~np.isfinite(output)).sum())
    if broken:
        raise NanOutputError(f"{broken} of {output.size} output values are NaN or infinite")
    return hashlib.sha256(np.ascontiguousarray(output).tobytes()).hexdigest()[:16]
