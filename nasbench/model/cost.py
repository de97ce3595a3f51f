"""What a network takes: parameters, multiply-accumulates, activations and weight bytes, counted on the built module."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from nasbench.model.deploy import fold
from nasbench.model.trace import Shape, make_meta_module, trace_rows
from nasbench.records import Cost
from nasbench.space.architecture import Architecture, Block
from nasbench.space.kinds import find_kind


@dataclass(frozen=True, slots=True)
class RowCost:
    """What one row takes. `output_shape` is (channels, height, width) of images, (classes,) for the head."""

    block: Block
    output_shape: Shape
    cost: Cost


def count(architecture: Architecture) -> Cost:
    """Count what a network takes for one image; raises as `nasbench.model.build.build`.

    MACs are those of convolutions and matrix products, without biases, norms, activations and poolings; half of what
    torch's own flop counter says. Rows are counted once for each input shape and remembered.
    """
    rows = count_rows(architecture)
    return Cost(
        params=sum(row.cost.params for row in rows),
        macs=sum(row.cost.macs for row in rows),
        activations=sum(row.cost.activations for row in rows),
        weight_bytes=sum(row.cost.weight_bytes for row in rows),
    )


def count_rows(architecture: Architecture) -> tuple[RowCost, ...]:
    """Count what every row takes for one image; raises as `nasbench.model.build.build`."""
    rows = []
    shape: Shape = architecture.input_shape
    for block, trace in zip(architecture.blocks, trace_rows(architecture), strict=True):
        params, weight_bytes = _count_weights(block, shape if find_kind(block.kind).sized else None)
        shape = trace.output_shape
        rows.append(RowCost(block, trace.output_shape, Cost(params, trace.macs, trace.activations, weight_bytes)))
    return tuple(rows)


@lru_cache(maxsize=65536)
def _count_weights(block: Block, shape: Shape | None) -> tuple[int, int]:
    """Give the parameters of a row, and the bytes of parameters and buffers of its deployed form in fp32."""
    module = make_meta_module(block, shape)
    params = sum(parameter.numel() for parameter in module.parameters())
    with torch.no_grad():
        deployed = fold(module)
    tensors = [*deployed.parameters(), *deployed.buffers()]
    return params, sum(tensor.numel() * tensor.element_size() for tensor in tensors)
