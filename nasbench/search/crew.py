"""Several candidates evaluated at a time: threads that wait for the processes and machines which do the work."""

from __future__ import annotations

import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Generic, TypeVar

from nasbench.accuracy.base import Accuracy

Result = TypeVar("Result")


class Crew(Generic[Result]):
    """Runs work in so many threads, in the order it comes; with one, in the thread that asks for the result.

    The threads end with the process, whatever they wait for.
    """

    def __init__(self, size: int) -> None:
        self._tasks: queue.SimpleQueue[tuple[Future[Result], Callable[[], Result]] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(size if size > 1 else 0)]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[], Result]) -> Callable[[], Result]:
        """Begin some work; what is returned waits for its result, and raises what it raised."""
        if not self._threads:
            return work
        future: Future[Result] = Future()
        self._tasks.put((future, work))
        return lambda: _wait(future)

    def close(self, limit_s: float = 0.0) -> None:
        """Let the threads end when they have done what was begun, and wait for that so long."""
        for _ in self._threads:
            self._tasks.put(None)
        deadline = time.monotonic() + limit_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def drop(self) -> None:
        """Forget what was submitted and has not begun."""
        while True:
            try:
                self._tasks.get_nowait()
            except queue.Empty:
                return

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            future, work = task
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
                future.set_exception(error)


def _wait(future: Future[Result]) -> Result:
    """Wait in short steps, so that a signal is seen."""
    while True:
        try:
            return future.result(timeout=0.2)
        except TimeoutError:
            if future.done():
                raise


class Stillness:
    """Keeps a machine to one measurement at a time, and what trains there off it meanwhile.

    Trainings are stopped and not only kept to other cores: they share caches, memory and the clock with what is timed.
    """

    def __init__(self, accuracy: Accuracy | None) -> None:
        self._accuracy = accuracy
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._making = threading.Lock()

    @contextmanager
    def on(self, place: str) -> Iterator[None]:
        """Have a machine (see `Device.place`) for oneself."""
        with self._making:
            lock = self._locks[place]
        with lock:
            if self._accuracy is not None and self._accuracy.workers > 1:
                self._accuracy.pause(place)
            try:
                yield
            finally:
                if self._accuracy is not None and self._accuracy.workers > 1:
                    self._accuracy.resume(place)
