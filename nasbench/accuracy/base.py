"""The contract of an accuracy estimator: one network in, one score out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

from nasbench.errors import DatasetError
from nasbench.isolation import AnyWorker
from nasbench.records import Score
from nasbench.space.architecture import Architecture

GoOn = Callable[[int, float], bool]
"""Asked after an epoch with its number (from 1) and the validation value so far; False ends the estimate early."""


class Accuracy(ABC):
    """Something that says how good a network is. `nasbench.testing.AccuracyContract` proves an implementation.

    `classes` is the number of classes it tells apart, or None when any network will do. `rungs` are the epochs after
    which `go_on` is asked; empty when an estimate has no middle. `description` is what the run's manifest records:
    two scores compare only under equal descriptions.
    """

    name: str
    workers: int = 1
    classes: int | None = None
    rungs: tuple[int, ...] = ()

    @property
    def has_test_split(self) -> bool:
        """Say whether `final` can be called."""
        return False

    @property
    @abstractmethod
    def description(self) -> Mapping[str, Any]:
        """Give all that a score depends on besides the network, as JSON data."""

    @abstractmethod
    def estimate(self, architecture: Architecture, go_on: GoOn) -> Score:
        """Estimate one network on the validation split.

        The search calls this once per new architecture, never while a device measures on the same cores.

        Raises:
            CandidateError: this network failed; its subclass says how.
        """

    def identify(self, architecture: Architecture) -> str | None:
        """Give a digest that is equal for networks which compute the same, so that one score serves them all.

        None where that is not known, or where a score may hang on more than what a network computes.
        """
        return None

    def final(self, architecture: Architecture) -> Score:
        """Score one network on the test split, for the figure that is reported; called once, after a search.

        Raises:
            CandidateError: this network failed.
            DatasetError: there is no test split.
        """
        raise DatasetError(f"accuracy by {self.name} has no test split, so there is no final score")

    def pause(self, place: str) -> None:  # noqa: B027 - what takes no cores need not make way
        """Stop what runs on a machine (see `Device.place`) until `resume`: a device measures there."""

    def resume(self, place: str) -> None:  # noqa: B027
        """Let it go on."""

    def abort(self) -> None:  # noqa: B027
        """End what runs, from any thread; an estimate that is waited for ends with an error."""

    def open(self) -> None:  # noqa: B027 - most have nothing to get ready
        """Get ready; raises DatasetError when the data cannot be had."""

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Leave nothing behind."""

    def __enter__(self) -> Accuracy:
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


@runtime_checkable
class RovingWorker(Protocol):
    """A worker that takes whichever machine has room. It learns which only when it starts there.

    Both are called from any thread.
    """

    def pause_on(self, place: str) -> None:
        """Stand still on that machine until `resume_on`, also when it comes there later."""

    def resume_on(self, place: str) -> None:
        """Go on there."""


class ChildAccuracy(Accuracy):
    """An estimator that works in a child process; whoever inherits it sets `_worker`, which runs it."""

    _worker: AnyWorker

    def close(self) -> None:
        """End the child."""
        self._worker.close()

    def pause(self, place: str) -> None:
        """Stop the child, if it is on that machine or comes there, until `resume`."""
        if isinstance(self._worker, RovingWorker):
            self._worker.pause_on(place)
        elif self._worker.place == place:
            self._worker.pause()

    def resume(self, place: str) -> None:
        """Let it go on."""
        if isinstance(self._worker, RovingWorker):
            self._worker.resume_on(place)
        elif self._worker.place == place:
            self._worker.resume()

    def abort(self) -> None:
        """Kill the child, from any thread."""
        self._worker.abort()
