"""torch, operator by operator, as the network is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from nasbench.errors import DeviceError
from nasbench.runtime.base import Runtime

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Eager(Runtime):
    """torch eager on the CPU, under `torch.inference_mode`."""

    dtypes = tuple(_DTYPES)

    def prepare(self, network: nn.Module, images: Sequence[Tensor], dtype: str) -> list[Callable[[], Tensor]]:
        """Give one call for each input, weights and inputs in `dtype`."""
        network = network.to(_DTYPES[dtype])

        def bind(image: Tensor) -> Callable[[], Tensor]:
            ready = image.to(_DTYPES[dtype]).contiguous()
            return lambda: network(ready)

        return [bind(image) for image in images]

    def to_tensor(self, output: Any) -> Tensor:
        """Give the output in fp32."""
        return torch.as_tensor(output).detach().to("cpu", torch.float32)

    def set_threads(self, threads: int) -> None:
        """Set the threads within and between operators."""
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
        if torch.get_num_threads() != threads:
            raise DeviceError(f"torch runs {torch.get_num_threads()} threads and not {threads}, as asked")

    def context(self) -> AbstractContextManager[Any]:
        """Record nothing for gradients."""
        return torch.inference_mode()

    def versions(self) -> dict[str, str]:
        """Give torch's version and the vector instructions that it uses."""
        return {"torch": torch.__version__, "torch_cpu": torch.backends.cpu.get_cpu_capability()}
