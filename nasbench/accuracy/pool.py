"""Several estimators of one kind as one that runs as many estimates at a time."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from nasbench.accuracy.base import Accuracy, GoOn
from nasbench.errors import Crashed
from nasbench.records import Score
from nasbench.space.architecture import Architecture


class AccuracyPool(Accuracy):
    """Estimators that give equal scores, of which an estimate takes whichever is free.

    Threads that call it stay the same as long as it is open: a child lives no longer than the thread that started it.
    """

    def __init__(self, members: Sequence[Accuracy]) -> None:
        self._members = list(members)
        self._free: queue.LifoQueue[Accuracy] = queue.LifoQueue()
        for member in reversed(self._members):
            self._free.put(member)
        self.name = self._members[0].name
        self.rungs = self._members[0].rungs
        self.workers = len(self._members)
        self._aborted = False

    def open(self) -> None:
        """Open the first, so that what is wrong is said once and early; the others open with their first estimate."""
        self._aborted = False
        self._members[0].open()
        self.classes = self._members[0].classes

    def close(self) -> None:
        """Close all of them."""
        for member in self._members:
            member.close()

    @property
    def has_test_split(self) -> bool:
        """Say whether `final` can be called."""
        return self._members[0].has_test_split

    @property
    def description(self) -> Mapping[str, Any]:
        """Give that of one; they are all alike."""
        return self._members[0].description

    def estimate(self, architecture: Architecture, go_on: GoOn) -> Score:
        """Estimate one network with whichever member is free; waits for one."""
        with self._member() as member:
            return member.estimate(architecture, go_on)

    def identify(self, architecture: Architecture) -> str | None:
        """Ask whichever member is free."""
        with self._member() as member:
            return member.identify(architecture)

    def final(self, architecture: Architecture) -> Score:
        """Score one network on the test split."""
        with self._member() as member:
            return member.final(architecture)

    def pause(self, place: str) -> None:
        """Stop those that run on a machine."""
        for member in self._members:
            member.pause(place)

    def resume(self, place: str) -> None:
        """Let them go on."""
        for member in self._members:
            member.resume(place)

    def abort(self) -> None:
        """End what runs in any of them; whoever waits for a free one gets an error."""
        self._aborted = True
        for member in self._members:
            member.abort()

    @contextmanager
    def _member(self) -> Iterator[Accuracy]:
        member = self._free.get()
        try:
            if self._aborted:
                raise Crashed("the estimators were told to end")
            yield member
        finally:
            self._free.put(member)
