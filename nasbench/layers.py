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

    `macs` and `output_shape` are for the whole batch. `seconds` is that of one pass, or the median over several, of
    which half lie between `low_s` and `high_s`.
    """

    name: str
    kind: str
    macs: int
    output_shape: tuple[int, ...]
    seconds: float
    low_s: float | None = None
    high_s: float | None = None


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
        seconds = [layer.seconds for layer in times]
        low, middle, high = statistics.quantiles(seconds, method="inclusive") if len(seconds) > 1 else seconds * 3
        joined.append(replace(times[0], seconds=middle, low_s=low, high_s=high))
    return tuple(joined)


def name_convolution(in_channels: int, weight_shape: Sequence[int], groups: int | None = None) -> str:
    """Say what kind of convolution has a weight (out, in of a group, height, width) and so many input channels.

    A transposed one has a weight (in, out of a group, height, width); `groups` must be given for it.
    """
    groups = in_channels // weight_shape[1] if groups is None else groups
    if groups > 1:
        return DEPTHWISE if groups == in_channels else GROUPED
    return POINTWISE if prod(weight_shape[2:]) == 1 else DENSE
