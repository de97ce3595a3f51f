"""The contract of a device: a network in, what one measuring process found out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from nasbench.errors import DefinitionError
from nasbench.layers import Layer
from nasbench.records import DeviceSpec, Measurement, TimingPlan
from nasbench.runtime.base import RUNTIMES
from nasbench.space.architecture import Architecture


@dataclass(frozen=True, slots=True)
class Turn:
    """Inferences of one network, one after the other, in a process that holds several.

    Before the first timed one an inference ran that is not timed, so that caches hold this network and not the one
    before it; with cold caches there is none. `kept` is false when the process did not have its cores meanwhile.
    `inferences` counts all of the turn: each of `seconds` is the mean over as many as make a sample, and the untimed
    one counts too.
    """

    side: int
    seconds: tuple[float, ...]
    kept: bool
    inferences: int


@dataclass(frozen=True, slots=True)
class Layers:
    """What each layer of a network takes over so many passes, and the median of as many plain inferences in between."""

    layers: tuple[Layer, ...]
    latency_s: float
    passes: int

    @property
    def macs(self) -> int:
        """Give the multiply-accumulates of all layers."""
        return sum(layer.macs for layer in self.layers)

    @property
    def idle_share(self) -> float:
        """Give the part of the layers' time that goes to operators without multiply-accumulates."""
        return sum(one.seconds for one in self.layers if not one.macs) / sum(one.seconds for one in self.layers)


Steer = Callable[[Sequence[Turn]], Sequence[int] | None]
"""Called with the turns of the last round, none at first; gives the networks of the next round by number, in the order
to run, or None to end."""


class Device(ABC):
    """Something that latency is measured on. `nasbench.testing.DeviceContract` proves an implementation.

    A device is opened before the first measurement and closed after the last one, as a context manager. Levels,
    comparisons and races are built on `take` and `take_turns`, in `nasbench.measure`, and are the same for all devices.
    """

    spec: DeviceSpec

    @abstractmethod
    def take(self, architecture: Architecture, plan: TimingPlan) -> Measurement:
        """Time one network in one fresh process, once, whatever the verdict.

        Never called twice at a time for one device. Inputs are (batch, channels, height, width), drawn from the plan's
        seed; their values do not matter, their shape does.

        Returns:
            Every sample in seconds, in the order taken, warm-ups apart, and a verdict.

        Raises:
            CandidateError: this network failed; its subclass says how. The device goes on.
            DeviceError: the device is gone; the caller should not try it again.
        """

    @abstractmethod
    def take_turns(self, architectures: Sequence[Architecture], plan: TimingPlan, steer: Steer) -> Mapping[str, Any]:
        """Hold several networks in one fresh process and time them in turns, as `steer` says.

        Each is built, checked and warmed up before the first round. The first of `architectures` is built first.

        Returns:
            `host` and `noise` of the process, as in a measurement, and `reasons`: a sentence for every gate that says
            that the process was disturbed.

        Raises:
            CandidateError: one of them failed; its `side` and the text say which, if that is known.
            DeviceError: the device is gone.
        """

    @property
    def measures(self) -> bool:
        """Say whether it times networks. What looks latencies up gains nothing from a cache or a confirmation."""
        return True

    @property
    def tells_layers(self) -> bool:
        """Say whether `take_layers` can be called."""
        return False

    def take_layers(self, architecture: Architecture, plan: TimingPlan) -> Layers:
        """Time every layer of a network, in one fresh process.

        Raises:
            DefinitionError: neither this device nor its runtime can tell what a layer takes.
            CandidateError: the network failed.
            DeviceError: the device is gone.
        """
        raise DefinitionError(
            f"{self.spec.name} cannot tell what each layer takes; CPUs of this machine can, with the runtimes "
            + ", ".join(kind.name for kind in RUNTIMES.values() if kind.tells_layers)
        )

    @abstractmethod
    def fingerprint(self) -> Mapping[str, Any]:
        """Give what a latency depends on besides network, definition and plan: the machine and the software's versions.

        Latencies compare only under equal fingerprints. It holds nothing that changes by itself.
        """

    @property
    def energy_source(self) -> str | None:
        """Say where the energy of an inference can be read here, such as `RAPL package-0`; None for nowhere."""
        return None

    @property
    def cpus(self) -> tuple[int, ...]:
        """Give the local cores that a measurement needs for itself; training stays off them meanwhile."""
        return ()

    @property
    def place(self) -> str:
        """Say which machine it is on, "" for this one; what trains there is paused while the device measures."""
        return ""

    def open(self) -> None:  # noqa: B027 - most have nothing to get ready
        """Get ready; raises DeviceError when the device cannot be used."""

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Leave nothing behind: no process, no lock, no memory."""

    def __enter__(self) -> Device:
        try:
            self.open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
