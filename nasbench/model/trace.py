"""What one row makes of one input shape, found by running its module on the meta device.

Nothing is allocated and nothing computed there, so a row of a search space costs a millisecond the first time and
nothing afterwards. `build` reads the shapes from here and `cost` the counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from nasbench.errors import BuildError, DefinitionError, ShapeError
from nasbench.model.blocks import BLOCKS
from nasbench.space.architecture import Architecture, Block, describe_options
from nasbench.space.kinds import find_kind

_ELEMENTWISE = (nn.BatchNorm2d, nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU, nn.GELU, nn.Sigmoid, nn.Hardsigmoid)


@dataclass(frozen=True, slots=True)
class RowTrace:
    """What a row does to one image.

    `output_shape` has no batch. `activations` are the elements that convolutions and matrix products put out.
    """

    output_shape: tuple[int, ...]
    macs: int
    activations: int


def make_module(block: Block) -> nn.Module:
    """Make the module of one row on torch's default device; options that the row leaves out are its kind's defaults.

    Raises:
        BuildError: the numbers of the row contradict each other.
    """
    options: dict[str, Any] = {option.name: option.default for option in find_kind(block.kind).options}
    options.update(block.options)
    module: nn.Module = BLOCKS.find(block.kind)(block.in_channels, block.out_channels, block.stride, **options)
    return module


def trace_rows(architecture: Architecture) -> Iterator[RowTrace]:
    """Trace a network row by row, each on the output shape of the one before.

    Raises:
        ShapeError: a row does not accept the shape it is given, or the last one does not end in the classes.
        BuildError: a row cannot be built.
    """
    shape: tuple[int, ...] = tuple(architecture.input_shape)
    for index, block in enumerate(architecture.blocks):
        try:
            row = trace_row(block, shape)
        except BuildError as error:
            raise type(error)(f"{name_row(architecture, index)}: {error}") from error
        yield row
        shape = row.output_shape
    if shape != (architecture.classes,):
        raise ShapeError(
            f"the network ends in the shape {_show(shape)} and not in {architecture.classes} classes; "
            "its last row must be a head, such as pool_linear"
        )


def name_row(architecture: Architecture, index: int) -> str:
    """Name a row for an error: `row 7 of 18 (shuffle_v2 116->116, stride 1)`, counted from 1."""
    block = architecture.blocks[index]
    options = describe_options(block.options)
    return (
        f"row {index + 1} of {len(architecture.blocks)} ({block.kind} {block.in_channels}->{block.out_channels}, "
        f"stride {block.stride}{', ' + options if options else ''})"
    )


@lru_cache(maxsize=65536)
def trace_row(block: Block, shape: tuple[int, ...]) -> RowTrace:
    """Trace one row on one input shape (channels, height, width).

    Raises:
        ShapeError: the row does not accept this shape.
        BuildError: the row cannot be built.
    """
    if len(shape) != 3:
        raise ShapeError(f"it gets the shape {_show(shape)}, which has no height and width; a head must come last")
    if shape[0] != block.in_channels:
        raise ShapeError(f"it takes {block.in_channels} channels and gets {shape[0]} (shape {_show(shape)})")
    counter = _Counter()
    module = _shape_module(block)
    try:
        with counter, torch.no_grad():
            output = module(torch.empty((1, *shape), device="meta"))
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ShapeError(f"it does not accept the shape {_show(shape)}: {reason}") from error
    return RowTrace(tuple(output.shape[1:]), counter.macs, counter.activations)


@lru_cache(maxsize=4096)
def _shape_module(block: Block) -> nn.Module:
    """Make the module of a row without its element-wise layers; one is shared by all input shapes.

    On the meta device every element-wise layer runs through Python, which takes most of the time, and neither shapes
    nor counts depend on them.
    """
    module = make_meta_module(block)
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, _ELEMENTWISE):
                setattr(parent, name, nn.Identity())
    return module


def make_meta_module(block: Block) -> nn.Module:
    """Make the module of a row in evaluation mode on the meta device, where weights take no memory.

    Raises:
        BuildError: the numbers of the row contradict each other.
    """
    try:
        with torch.device("meta"):
            return make_module(block).eval()
    except BuildError:
        raise
    except DefinitionError as error:
        raise BuildError(str(error)) from error
    except (RuntimeError, ValueError, OverflowError) as error:
        raise BuildError(f"it cannot be built: {str(error).strip().splitlines()[0]}") from error


def _show(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what runs inside it, with torch's own formulas for the operations of its flop counter.

    torch counts two floating-point operations for each multiply-accumulate, and neither biases, norms, activations nor
    poolings; so half of its count is the MACs as papers give them.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = 0
        self.activations = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)  # type: ignore[attr-defined]
        if formula is not None:
            self.macs += int(formula(*args, **(kwargs or {}), out_val=output)) // 2
            self.activations += prod(output.shape)
        return output
