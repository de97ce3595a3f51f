"""The time of every node of a graph, as ONNX Runtime's own profiler has it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, Protocol

import onnxruntime

from nasbench.errors import MeasurementError
from nasbench.layers import OTHER, PRODUCT, Layer, join_passes, name_convolution

Shape = tuple[int, ...]


class _Inference(Protocol):
    @property
    def session(self) -> onnxruntime.InferenceSession: ...

    def __call__(self) -> Any: ...


class NodeProfile:
    """Inferences of a session that profiles itself; the nodes are those that its optimizer left."""

    def __init__(
        self,
        graph: Path,
        prepare: Callable[[onnxruntime.SessionOptions], _Inference],
        options: onnxruntime.SessionOptions,
    ) -> None:
        self._graph = graph
        self._folder = tempfile.TemporaryDirectory(prefix="nasbench-profile-")
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(self._folder.name) / "profile")
        self._inference = prepare(options)
        self._runs = 0

    def run(self) -> None:
        """Run one inference."""
        self._inference()
        self._runs += 1

    def end(self) -> tuple[Layer, ...]:
        """Give the nodes with the median of their times; MeasurementError if inferences differ in them."""
        events = json.loads(Path(self._inference.session.end_profiling()).read_text(encoding="utf-8"))
        self._folder.cleanup()
        nodes = [event for event in events if str(event.get("name", "")).endswith("_kernel_time")]
        if not self._runs or not nodes or len(nodes) % self._runs:
            raise MeasurementError(f"ONNX Runtime told of {len(nodes)} nodes in {self._runs} inferences")
        each = len(nodes) // self._runs
        plain, transposed = (_weights(self._graph, operator) for operator in ("Conv", "ConvTranspose"))
        passes = []
        for first in range(0, len(nodes), each):
            left = list(plain), list(transposed)
            passes.append([_read_node(node, *left) for node in nodes[first : first + each]])
        return join_passes(passes)


def _weights(graph: Path, operator: str) -> list[Shape]:
    """Give the shapes of the weights of a graph's nodes of a kind, in its order."""
    import onnx  # the exporters' package; who only measures does without

    loaded = onnx.load(graph, load_external_data=False).graph
    shapes = {weight.name: tuple(weight.dims) for weight in loaded.initializer}
    return [shapes[node.input[1]] for node in loaded.node if node.op_type == operator and node.input[1] in shapes]


_CONVOLUTIONS = {"Conv": 1, "FusedConv": 1, "NhwcFusedConv": 1, "ConvInteger": 1, "QLinearConv": 3}
"""Operators that convolve, and which of their inputs is the weight."""

_PRODUCTS = frozenset(
    ("Gemm", "FusedGemm", "MatMul", "FusedMatMul", "MatMulInteger", "QGemm", "QLinearMatMul", "MatMulIntegerToFloat")
)
"""Operators that multiply matrices."""


def _read_node(event: Mapping[str, Any], weights: list[Shape], transposed: list[Shape]) -> Layer:
    """Read one node; a convolution takes its weight's shape away from those of the graph."""
    told = event["args"]
    operator, takes, gives = told["op_name"], _shapes(told["input_type_shape"]), _shapes(told["output_type_shape"])
    output = gives[0] if gives else ()
    kind, macs = OTHER, 0
    if operator in _CONVOLUTIONS:
        executed = takes[_CONVOLUTIONS[operator]]
        weight = _find_weight(executed, weights)
        last = output[1] != executed[0] == output[-1]  # channels innermost, as integers are convolved
        kind = name_convolution(takes[0][-1 if last else 1], executed)
        macs = prod(output) * weight[0] // executed[0] * prod(weight[1:])
    elif operator == "ConvTranspose":
        # Of a transposed one ONNX Runtime rearranges the weight before the first inference, and tells nothing of it.
        weight = next(one for one in transposed if one[0] == takes[0][1])
        transposed.remove(weight)
        kind = name_convolution(takes[0][1], weight, groups=output[1] // weight[1])
        macs = prod(takes[0]) * prod(weight[1:])
    elif operator in _PRODUCTS and output:
        kind, macs = PRODUCT, prod(output) * _inner(takes[0], output)
    name = str(event["name"]).removesuffix("_kernel_time")
    return Layer(f"{operator} {name}", kind, macs, output, int(event["dur"]) / 1e6)


_BLOCK = 16
"""ONNX Runtime pads channels to whole blocks of at most so many, and what it computes for the padding is no work."""


def _find_weight(executed: Shape, weights: list[Shape]) -> Shape:
    """Take the first weight away that is the executed one when padded; the executed one itself where none is."""
    for index, weight in enumerate(weights):
        if weight[2:] == executed[2:] and all(0 <= e - w < _BLOCK for w, e in zip(weight, executed, strict=True)):
            return weights.pop(index)
    return executed


def _inner(left: Shape, output: Shape) -> int:
    """Give what a product sums over, by the sizes of its left operand and its output, transposed or not."""
    rows = prod(output) // output[-1]
    return prod(left) // rows if rows and prod(left) % rows == 0 else left[-1]


def _shapes(told: Sequence[Mapping[str, Sequence[int]]]) -> list[Shape]:
    return [tuple(shape) for one in told for shape in one.values()]
