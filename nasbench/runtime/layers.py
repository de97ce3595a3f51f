"""What a network's layers take, one by one, as a runtime tells it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from nasbench.errors import MeasurementError

DENSE, POINTWISE, DEPTHWISE, GROUPED = "dense convolution", "1x1 convolution", "depthwise", "grouped convolution"
PRODUCT, OTHER = "matrix product", "without MACs"
LAYER_KINDS = (DENSE, POINTWISE, GROUPED, DEPTHWISE, PRODUCT, OTHER)
"""What a layer can be; `OTHER` is all that neither convolves nor multiplies matrices."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator of a network as the runtime executes it, in the order of execution.

    `macs` and `output_shape` are for the whole batch. `seconds` is that of one pass, or the median over several.
    """

    name: str
    kind: str
    macs: int
    output_shape: tuple[int, ...]
    seconds: float


def join_passes(passes: Sequence[Sequence[Layer]]) -> tuple[Layer, ...]:
    """Give the layers of several equal inferences, each with the median of its times.

    Raises:
        MeasurementError: two inferences did not execute the same layers.
    """
    joined = []
    if len({len(one) for one in passes}) > 1:
        raise MeasurementError(
            f"inferences executed {sorted({len(one) for one in passes})} layers, and not equally many"
        )
    for times in zip(*passes, strict=True):
        if len({replace(layer, seconds=0.0) for layer in times}) > 1:
            raise MeasurementError(f"inferences executed different layers where {times[0].name} was first")
        joined.append(replace(times[0], seconds=statistics.median(layer.seconds for layer in times)))
    return tuple(joined)


def name_convolution(in_channels: int, weight_shape: Sequence[int]) -> str:
    """Say what kind of convolution has a weight (out, in of a group, height, width) and so many input channels."""
    if weight_shape[1] != in_channels:
        return DEPTHWISE if weight_shape[1] == 1 else GROUPED
    return POINTWISE if prod(weight_shape[2:]) == 1 else DENSE
