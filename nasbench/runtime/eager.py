"""torch, operator by operator, as the network is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nasbench.errors import DeviceError, ShapeError
from nasbench.runtime.base import Runtime
from nasbench.runtime.operators import OperatorProfile

if TYPE_CHECKING:
    from nasbench.runtime.base import Images

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
"""torch's name of each number format."""


class Eager(Runtime):
    """torch eager, under `torch.inference_mode`; other runtimes of torch build on it."""

    memory_format = torch.contiguous_format
    """How the inputs lie in memory."""

    def prepare(self, network: nn.Module | Path, images: Sequence[Images], dtype: str) -> list[Callable[[], Any]]:
        """Give one call for each input, weights and inputs in `dtype`."""
        assert isinstance(network, nn.Module), "torch runs modules"
        module = self.convert(network, DTYPES[dtype])

        def bind(image: Images) -> Callable[[], Any]:
            ready = self.move(image, DTYPES[dtype])
            return lambda: module(ready)

        return [bind(image) for image in images]

    def convert(self, network: nn.Module, dtype: torch.dtype) -> nn.Module:
        """Give the module on the device, its weights in `dtype`; the one given may change."""
        return network.to(self.device, dtype)

    def move(self, image: Images, dtype: torch.dtype) -> Tensor:
        """Give an input on the device, in `dtype`."""
        return torch.from_numpy(image).to(self.device, dtype).contiguous(memory_format=self.memory_format)

    def to_array(self, output: Any) -> Images:
        """Give the output in fp32; of several tensors the first one."""
        array: Images = first_tensor(output).detach().to("cpu", torch.float32).numpy()
        return array

    def synchronize(self) -> None:
        """Wait for the GPU, if that is where it runs."""
        if self.device != "cpu":
            torch.cuda.synchronize(self.device)

    def set_threads(self, threads: int) -> None:
        """Set the threads within and between operators."""
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
        if torch.get_num_threads() != threads:
            raise DeviceError(f"torch runs {torch.get_num_threads()} threads and not {threads}, as asked")

    def context(self) -> AbstractContextManager[Any]:
        """Record nothing for gradients."""
        return torch.inference_mode()

    def profile(self, call: Callable[[], Any]) -> OperatorProfile:
        """Time every operator that torch dispatches."""
        return OperatorProfile(call)

    def versions(self) -> dict[str, str]:
        """Give torch's version and the vector instructions that it uses."""
        return {"torch": torch.__version__, "torch_cpu": torch.backends.cpu.get_cpu_capability()}


def first_tensor(output: Any) -> Tensor:
    """Give the first tensor of what a network puts out: a tensor, or a tuple, list or mapping of outputs.

    Raises:
        ShapeError: there is none.
    """
    inner = output
    while isinstance(inner, Mapping | Sequence) and len(inner) and not isinstance(inner, str):
        inner = next(iter(inner.values())) if isinstance(inner, Mapping) else inner[0]
    if not isinstance(inner, Tensor):
        raise ShapeError(f"the network puts out a {type(output).__name__} that does not begin with a tensor")
    return inner
