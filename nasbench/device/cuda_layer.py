"""What the measuring process needs of a GPU, and nothing more, so that the loops on top run on a stand-in as well."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from nasbench.device.energy import Meter, NoMeter, find_nvml
from nasbench.device.nvml import open_gpu
from nasbench.errors import DeviceError

if TYPE_CHECKING:
    import torch

_SCRATCH_PER_L2 = 2
"""How much is written to empty the L2 cache, in its own sizes: once over all of it, whatever it keeps back."""


class Event(Protocol):
    """A mark in a stream. `torch.cuda.Event(enable_timing=True)` is one."""

    def record(self) -> Any:
        """Put the mark behind what has been enqueued."""

    def synchronize(self) -> Any:
        """Wait until the GPU has come to the mark."""

    def elapsed_time(self, end_event: Any) -> float:
        """Give the milliseconds of the GPU from this mark to a later one; it resolves about 0.5 us."""


class Layer(ABC):
    """One stream of one GPU. `device` is torch's name of it."""

    device: str

    @abstractmethod
    def event(self) -> Event:
        """Make a mark that can be recorded again and again."""

    @abstractmethod
    def stream(self) -> AbstractContextManager[Any]:
        """Give what everything that belongs to the measurement runs inside of: our stream is the current one there."""

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until the GPU is idle."""

    @abstractmethod
    def empty_cache(self) -> None:
        """Enqueue what pushes everything else out of the L2 cache."""

    @abstractmethod
    def start_memory_pass(self) -> None:
        """Give back what only the timing needed, and begin to watch for the largest amount in use."""

    @abstractmethod
    def memory(self) -> dict[str, int | None]:
        """Give what the memory pass saw, in bytes.

        `allocated_bytes` is the largest amount that tensors held, `reserved_bytes` that which the allocator held for
        them, and `device_used_bytes` all that is in use on the GPU now, by anybody.
        """

    @abstractmethod
    def meter(self) -> AbstractContextManager[Meter | NoMeter]:
        """Open the energy counter of the GPU."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Give the switches that a latency depends on."""


class TorchLayer(Layer):
    """The one GPU that this process can see, which has this UUID.

    Raises:
        DeviceError: torch cannot use it; the text says what CUDA says.
    """

    def __init__(self, uuid: str) -> None:
        import torch

        self._uuid = uuid
        self._torch: Any = torch
        self.device = "cuda:0"
        try:
            self._torch.cuda.init()
            count = torch.cuda.device_count()
            self._stream = self._torch.cuda.Stream(self.device)
        except (RuntimeError, AssertionError) as error:
            line = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise DeviceError(f"torch cannot use the GPU: {line}") from error
        if count != 1:
            raise DeviceError(f"torch sees {count} GPUs where it is shown one; is the driver older than torch's CUDA?")
        # TF32 keeps 10 bits of the mantissa: a network "in fp32" would not be that, and would be as fast as it is not.
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        self._scratch: torch.Tensor | None = None

    def event(self) -> Event:
        """Make a CUDA event with timing."""
        event: Event = self._torch.cuda.Event(enable_timing=True)
        return event

    def stream(self) -> AbstractContextManager[Any]:
        """Make our stream, which is not the default one, the current one."""
        context: AbstractContextManager[Any] = self._torch.cuda.stream(self._stream)
        return context

    def synchronize(self) -> None:
        """Wait for all streams."""
        self._torch.cuda.synchronize(self.device)

    def empty_cache(self) -> None:
        """Write twice the size of the L2 cache."""
        if self._scratch is None:
            size = self._torch.cuda.get_device_properties(self.device).L2_cache_size
            self._scratch = self._torch.empty(_SCRATCH_PER_L2 * size, dtype=self._torch.int8, device=self.device)
        self._scratch.zero_()

    def start_memory_pass(self) -> None:
        """Drop the scratch buffer and what the allocator keeps, and reset its high-water marks."""
        self._scratch = None
        self.synchronize()
        self._torch.cuda.empty_cache()
        self._torch.cuda.reset_peak_memory_stats(self.device)

    def memory(self) -> dict[str, int | None]:
        """Ask torch's allocator, and the driver for the whole GPU."""
        free, total = self._torch.cuda.mem_get_info(self.device)
        return {
            "allocated_bytes": self._torch.cuda.max_memory_allocated(self.device),
            "reserved_bytes": self._torch.cuda.max_memory_reserved(self.device),
            "device_used_bytes": total - free,
        }

    @contextmanager
    def meter(self) -> Iterator[Meter | NoMeter]:
        """Open NVML in this process."""
        gpu = open_gpu(0, visible=self._uuid)
        try:
            yield find_nvml(gpu)
        finally:
            gpu.close()

    def settings(self) -> dict[str, Any]:
        """Give TF32, cuDNN's search and the versions of CUDA and cuDNN."""
        backends = self._torch.backends
        return {
            "tf32": backends.cuda.matmul.allow_tf32 or backends.cudnn.allow_tf32,
            "cudnn_benchmark": backends.cudnn.benchmark,
            "cuda": self._torch.version.cuda,
            "cudnn": backends.cudnn.version(),
        }
