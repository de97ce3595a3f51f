"""The contract of a runtime: how a built network is executed. One file a runtime, one line in `RUNTIMES`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from nasbench.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor, nn

RUNTIMES = Registry("runtime", {"eager": "nasbench.runtime.eager:Eager"})


class Runtime(ABC):
    """Turns a deployed network into something that can be called. Lives in the measuring process only.

    `dtypes` are those that it can compute in, as `TimingPlan.dtype` names them.
    """

    dtypes: tuple[str, ...]

    @abstractmethod
    def prepare(self, network: nn.Module, images: Sequence[Tensor], dtype: str) -> list[Callable[[], Any]]:
        """Give one call for each input; each runs one inference, from ready inputs to what the network puts out.

        `network` is in its inference form; `images` are (N, C, H, W) in fp32 and all of one shape. Whatever can be
        done once (conversion, compilation, copies to another type) is done here.
        """

    @abstractmethod
    def to_tensor(self, output: Any) -> Tensor:
        """Give what a call returned as a tensor on the CPU, so that it can be checked."""

    @abstractmethod
    def set_threads(self, threads: int) -> None:
        """Fix the number of threads; called before the first operation.

        Raises:
            DeviceError: this runtime does not obey.
        """

    def context(self) -> AbstractContextManager[Any]:
        """Give what all calls run inside of."""
        return nullcontext()

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Give the versions of the software that does the work, by name."""
