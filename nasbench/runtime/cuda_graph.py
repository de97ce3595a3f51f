"""torch, captured once as a CUDA graph and replayed: the host enqueues one thing where it enqueued hundreds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from nasbench.errors import BuildError, OutOfMemory
from nasbench.runtime.eager import Eager

if TYPE_CHECKING:
    from nasbench.runtime.base import Images

_WARM_UPS = 3
"""Inferences before a capture: libraries set themselves up at the first ones, which may not be captured."""

_cuda: Any = torch.cuda
"""torch's stubs leave most of this out."""


class CudaGraph(Eager):
    """torch eager behind a CUDA graph, one for each input; all share one pool of memory, and run one at a time.

    Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
    """

    def prepare(self, network: nn.Module | Path, images: Sequence[Images], dtype: str) -> list[Callable[[], Any]]:
        """Give one replay for each input. All share their memory: the next replay of any may overwrite an output.

        Raises:
            BuildError: the network does what cannot be captured, such as waiting for a value of the GPU.
            OutOfMemory: the GPU lacks the memory for its capture.
            RuntimeError: CUDA has failed in another way, after which this process cannot use it.
        """
        pool = _cuda.graph_pool_handle()
        side = _cuda.Stream(self.device)
        return [self._capture(call, side, pool) for call in super().prepare(network, images, dtype)]

    def _capture(self, call: Callable[[], Any], side: Any, pool: Any) -> Callable[[], Any]:
        # A capture needs a stream of its own; what cuBLAS keeps for a stream must be made on it before.
        side.wait_stream(_cuda.current_stream(self.device))
        with _cuda.stream(side):
            for _ in range(_WARM_UPS):
                call()
        graph = _cuda.CUDAGraph()
        try:
            with _cuda.graph(graph, pool=pool, stream=side):
                output = call()
        except RuntimeError as error:
            chain = _chain(error)
            for one in chain:
                if isinstance(one, _cuda.OutOfMemoryError):
                    raise OutOfMemory(_first_line(one)) from error
                if _is_sticky(one):
                    raise one from None  # the measuring process reads what CUDA says, and ends
            raise BuildError(f"the network cannot be captured as a CUDA graph: {_first_line(chain[0])}") from error
        _cuda.current_stream(self.device).wait_stream(side)
        return _Replay(graph, output, call)


def _chain(error: BaseException | None) -> list[RuntimeError]:
    """Give an error and those that it was raised over, the first to happen first: ending a broken capture fails too."""
    found: list[RuntimeError] = []
    while error is not None:
        if isinstance(error, RuntimeError):
            found.insert(0, error)
        error = error.__context__
    return found


def _is_sticky(error: BaseException) -> bool:
    """Say whether an error is of CUDA and not about the capture; all that CUDA says of captures has that word in it."""
    line = _first_line(error)
    of_cuda = "CUDA error" in line or any(kind.__name__ == "AcceleratorError" for kind in type(error).__mro__)
    return of_cuda and "captur" not in line


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


@dataclass(frozen=True, slots=True)
class _Replay:
    """A captured inference. The graph holds addresses only: `captured` keeps weights and input where they are."""

    graph: Any
    output: Any
    captured: Callable[[], Any]

    def __call__(self) -> Any:
        """Run it again."""
        self.graph.replay()
        return self.output
