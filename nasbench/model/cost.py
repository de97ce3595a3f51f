"""What a network takes: parameters, multiply-accumulates, activations and weight bytes, of both its forms."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

import torch
from torch import nn

from nasbench.model.deploy import Deployable, fold
from nasbench.model.trace import Shape, make_meta_module, strip, trace_module, trace_row, trace_rows
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
    return Cost(**{name: sum(getattr(row.cost, name) for row in rows) for name in _FIGURES})


_FIGURES = tuple(field.name for field in fields(Cost))


def count_rows(architecture: Architecture) -> tuple[RowCost, ...]:
    """Count what every row takes for one image; raises as `nasbench.model.build.build`."""
    rows = []
    shape: Shape = architecture.input_shape
    for block, trace in zip(architecture.blocks, trace_rows(architecture), strict=True):
        rows.append(RowCost(block, trace.output_shape, count_row(block, shape)))
        shape = trace.output_shape
    return tuple(rows)


@lru_cache(maxsize=65536)
def count_row(block: Block, shape: Shape) -> Cost:
    """Count what one row takes for one input of a shape; raises as `nasbench.model.trace.trace_row`."""
    trace = trace_row(block, shape)
    weights = _count_weights(block, shape if find_kind(block.kind).sized else None)
    deployed = trace if weights.deployed is None else trace_module(weights.deployed, shape)
    return Cost(
        params=weights.params,
        macs=trace.macs,
        activations=trace.activations,
        weight_bytes=weights.deployed_bytes,
        deployed_params=weights.deployed_params,
        deployed_macs=deployed.macs,
        deployed_activations=deployed.activations,
        traffic=deployed.traffic,
    )


@dataclass(frozen=True, slots=True)
class _Weights:
    """The weights of a row. `deployed` is the deployed form where branches are merged in it, else None."""

    params: int
    deployed_params: int
    deployed_bytes: int
    deployed: nn.Module | None


@lru_cache(maxsize=4096)
def _count_weights(block: Block, shape: Shape | None) -> _Weights:
    """Count the parameters of a row, and the parameters and the bytes of parameters and buffers when deployed."""
    module = make_meta_module(block, shape)
    params = sum(parameter.numel() for parameter in module.parameters())
    # folding norms and scales into a convolution leaves its MACs as they are
    merges = any(isinstance(part, Deployable) for part in module.modules())
    with torch.no_grad():
        deployed = fold(module)
    parameters, buffers = list(deployed.parameters()), list(deployed.buffers())
    return _Weights(
        params,
        sum(tensor.numel() for tensor in parameters),
        sum(tensor.numel() * tensor.element_size() for tensor in (*parameters, *buffers)),
        strip(deployed) if merges else None,
    )
