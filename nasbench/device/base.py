"""The contract of a device: one network in, one measurement out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType

from nasbench.records import DeviceSpec, Measurement, TimingPlan
from nasbench.space.architecture import Architecture


class Device(ABC):
    """Something that latency is measured on. `nasbench.testing.DeviceContract` proves an implementation.

    A device is opened before the first measurement and closed after the last one, as a context manager.
    """

    spec: DeviceSpec

    @abstractmethod
    def measure(self, architecture: Architecture, plan: TimingPlan) -> Measurement:
        """Time one network on this device.

        The search calls this once per new architecture, never twice at a time for one device. Inputs are
        (batch, channels, height, width), drawn from the plan's seed; their values do not matter, their shape does.

        Returns:
            Every sample in seconds, in the order taken, warm-ups apart, and a verdict.

        Raises:
            CandidateError: this network failed; its subclass says how. The device goes on.
            DeviceError: the device is gone; the caller should not try it again.
        """

    @property
    def cpus(self) -> tuple[int, ...]:
        """Give the local cores that a measurement needs for itself; training stays off them meanwhile."""
        return ()

    def open(self) -> None:  # noqa: B027 - most have nothing to get ready
        """Get ready; raises DeviceError when the device cannot be used."""

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Leave nothing behind: no process, no lock, no memory."""

    def __enter__(self) -> Device:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
