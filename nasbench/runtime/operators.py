"""The time of every operator that torch dispatches, on a CPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import sdpa_flop_count

from nasbench.layers import OTHER, PRODUCT, Layer, join_passes, name_convolution
from nasbench.model.trace import count_macs


class OperatorProfile:
    """Inferences of a torch network whose operators are timed.

    A clock is read before and after each operator, below whatever composes it; what Python takes in between is in none.
    """

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._passes: list[list[Layer]] = []

    def run(self) -> None:
        """Run one inference."""
        with _Clock() as clock:
            self._call()
        self._passes.append(clock.operators)

    def end(self) -> tuple[Layer, ...]:
        """Give the operators with the median of their times; MeasurementError if inferences differ in them."""
        return join_passes(self._passes)


_ATTENTION: Any = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default


def _count_attention(args: tuple[Any, ...]) -> int:
    """Count the MACs of attention by blocks on the CPU, which torch's flop counter does not know."""
    query, key, value = (tensor.shape for tensor in args[:3])
    return int(sdpa_flop_count(query, key, value)) // 2  # type: ignore[no-untyped-call]


class _Clock(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operators: list[Layer] = []

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if func._can_decompose():  # type: ignore[attr-defined]
            with self:
                output = func.decompose(*args, **named)  # type: ignore[attr-defined]
            if output is not NotImplemented:
                return output
        began = time.perf_counter_ns()
        output = func(*args, **named)
        seconds = (time.perf_counter_ns() - began) / 1e9
        macs = _count_attention(args) if func is _ATTENTION else count_macs(func, args, named, output)
        kind = OTHER if macs is None else PRODUCT
        if func is torch.ops.aten.convolution.default:
            kind = name_convolution(args[0].shape[1], args[1].shape, groups=args[8])
        first = output if isinstance(output, Tensor) else next((o for o in output if isinstance(o, Tensor)), None)
        shape = () if first is None else tuple(first.shape)
        self.operators.append(Layer(str(func), kind, macs or 0, shape, seconds))
        return output
