"""What one row makes of one input shape, found by running its module on the meta device.

Nothing is allocated and nothing computed there, so a row of a search space costs a millisecond the first time and
nothing afterwards. `build` reads the shapes from here and `cost` the counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from nasbench.errors import BuildError, DefinitionError, ShapeError
from nasbench.model.blocks import BLOCKS
from nasbench.space.architecture import Architecture, Block, describe_options
from nasbench.space.kinds import find_kind

Shape = tuple[int, ...] | tuple[tuple[int, ...], ...]
"""What flows between rows, without the batch: (channels, height, width) of images, (positions, channels) of tokens,
(classes,) behind the head, or a pair of these for two streams."""

_ELEMENTWISE = (nn.BatchNorm2d, nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU, nn.GELU, nn.Sigmoid, nn.Hardsigmoid)


@dataclass(frozen=True, slots=True)
class RowTrace:
    """What a row does to one image.

    `output_shape` has no batch. `activations` are the elements that convolutions and matrix products put out, and
    `traffic` those that they take in, without weights, and put out.
    """

    output_shape: Shape
    macs: int
    activations: int
    traffic: int


def make_module(block: Block, shape: Shape | None = None) -> nn.Module:
    """Make the module of one row on torch's default device; options that the row leaves out are its kind's defaults.

    Args:
        block: the row.
        shape: what flows into it; only a sized kind looks at it, and needs it.

    Raises:
        BuildError: the numbers of the row contradict each other.
    """
    kind = find_kind(block.kind)
    options = kind.values(dict(block.options))
    if kind.sized:
        options["shape"] = shape
    module: nn.Module = BLOCKS.find(block.kind)(block.in_channels, block.out_channels, block.stride, **options)
    return module


def trace_rows(architecture: Architecture) -> Iterator[RowTrace]:
    """Trace a network row by row, each on the output shape of the one before.

    Raises:
        ShapeError: a row does not accept the shape it is given, or the last one does not end in the classes.
        BuildError: a row cannot be built.
    """
    shape: Shape = tuple(architecture.input_shape)
    for index, block in enumerate(architecture.blocks):
        try:
            row = trace_row(block, shape)
        except BuildError as error:
            raise type(error)(f"{name_row(architecture, index)}: {error}") from error
        yield row
        shape = row.output_shape
    if shape != (architecture.classes,):
        raise ShapeError(
            f"the network ends in the shape {show_shape(shape)} and not in {architecture.classes} classes; "
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


_FLOWS = {3: "images", 2: "tokens"}
"""What a stream is, by the number of its dimensions without the batch."""


@lru_cache(maxsize=65536)
def trace_row(block: Block, shape: Shape) -> RowTrace:
    """Trace one row on one input shape.

    Raises:
        ShapeError: the row does not accept this shape.
        BuildError: the row cannot be built.
    """
    kind = find_kind(block.kind)
    streams = split_streams(shape)
    flows = tuple(_FLOWS.get(len(stream), "classes") for stream in streams)
    if flows != kind.takes:
        raise ShapeError(
            f"it takes {' and '.join(kind.takes)} and gets {' and '.join(flows)} (shape {show_shape(shape)})"
            + ("; a head must come last" if "classes" in flows else "")
        )
    channels = streams[0][0] if kind.takes[0] == "images" else streams[0][-1]
    if channels != block.in_channels:
        raise ShapeError(f"it takes {block.in_channels} channels and gets {channels} (shape {show_shape(shape)})")
    try:
        return trace_module(_shape_module(block, shape if kind.sized else None), shape)
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ShapeError(f"it does not accept the shape {show_shape(shape)}: {reason}") from error


def trace_module(module: nn.Module, shape: Shape) -> RowTrace:
    """Trace a module on the meta device on one input shape; what it raises is torch's."""
    taken = make_input(shape, torch.device("meta"))  # before the counter looks, which would take it for a constant
    counter = _Counter(chain(module.parameters(), module.buffers()))
    with counter, torch.no_grad():
        output = module(taken)
    streams = (output,) if isinstance(output, Tensor) else output
    shapes = tuple(tuple(stream.shape[1:]) for stream in streams)
    given: Shape = shapes[0] if isinstance(output, Tensor) else shapes
    return RowTrace(given, counter.macs, counter.activations, counter.traffic)


def split_streams(shape: Shape) -> tuple[tuple[int, ...], ...]:
    """Give the shape of each stream: one, or two."""
    return shape if shape and isinstance(shape[0], tuple) else (shape,)  # type: ignore[return-value]


def make_input(shape: Shape, device: torch.device, batch: int = 1) -> Tensor | tuple[Tensor, ...]:
    """Make what flows into a row, of a shape, with the batch: a tensor, or a pair of them for two streams."""
    streams = tuple(torch.empty((batch, *stream), device=device) for stream in split_streams(shape))
    return streams if len(streams) > 1 else streams[0]


@lru_cache(maxsize=4096)
def _shape_module(block: Block, shape: Shape | None) -> nn.Module:
    """Make the module of a row to be traced; one is shared by all input shapes."""
    return strip(make_meta_module(block, shape))


def strip(module: nn.Module) -> nn.Module:
    """Take the element-wise layers out of a module that is only to be traced, in place.

    On the meta device every element-wise layer runs through Python, which takes most of the time, and neither shapes
    nor counts depend on them.
    """
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, _ELEMENTWISE):
                setattr(parent, name, nn.Identity())
    return module


def make_meta_module(block: Block, shape: Shape | None = None) -> nn.Module:
    """Make the module of a row in evaluation mode on the meta device, where weights take no memory.

    Raises:
        BuildError: the numbers of the row contradict each other.
    """
    try:
        with torch.device("meta"):
            return make_module(block, shape).eval()
    except BuildError:
        raise
    except DefinitionError as error:
        raise BuildError(str(error)) from error
    except (RuntimeError, ValueError, OverflowError) as error:
        raise BuildError(f"it cannot be built: {str(error).strip().splitlines()[0]}") from error


def show_shape(shape: Shape) -> str:
    """Write a shape as `16x112x112`, two streams as `16x112x112 and 6x192`."""
    return " and ".join("x".join(str(size) for size in stream) for stream in split_streams(shape))


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what runs inside it, with torch's own formulas for the operations of its flop counter.

    torch counts two floating-point operations for each multiply-accumulate, and neither biases, norms, activations nor
    poolings; so half of its count is the MACs as papers give them.
    """

    def __init__(self, weights: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = 0
        self.activations = 0
        self.traffic = 0
        # Weights and all that is made of them alone, by their memory, which is held so that no other gets its address.
        self._constants: dict[int, torch.UntypedStorage] = {}
        self._keep(weights)

    def _keep(self, tensors: Iterable[Tensor]) -> None:
        for tensor in tensors:
            storage = tensor.untyped_storage()
            self._constants[storage._cdata] = storage

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        given = [one for one in tree_leaves(output) if isinstance(one, Tensor)]
        if all(map(self._is_constant, tensors)):
            self._keep(given)
        else:  # a constant that is written to is none any more
            for one in given:
                self._constants.pop(one.untyped_storage()._cdata, None)
        macs = count_macs(func, args, kwargs or {}, output)
        if macs is not None:
            first = _first_output(output)
            self.macs += macs
            self.activations += prod(first.shape)
            self.traffic += prod(first.shape) + sum(
                prod(taken.shape) for taken in tensors if not self._is_constant(taken)
            )
        return output

    def _is_constant(self, tensor: Tensor) -> bool:
        return tensor.untyped_storage()._cdata in self._constants


def count_macs(func: Any, args: Any, kwargs: Mapping[str, Any], output: Any) -> int | None:
    """Count an operation's multiply-accumulates, half of what torch's flop counter has for it; None if it has none."""
    formula = flop_registry.get(func._overloadpacket)
    return None if formula is None else int(formula(*args, **kwargs, out_val=output)) // 2


def _first_output(output: Any) -> Tensor:
    first: Tensor = output if isinstance(output, Tensor) else output[0]
    return first
