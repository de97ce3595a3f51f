"""One line on stderr that says where things stand: it changes on a terminal, and comes now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from nasbench.units import format_clock, format_seconds

_PERIOD_S = 5.0
"""Without a terminal no more than a line in so many seconds, so that a log stays readable."""


class StatusLine:
    """A line at the bottom of a terminal while the context is open."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._live = Live(Text(""), console=self._console, transient=True, refresh_per_second=4)
        self._printed = -_PERIOD_S

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        """Print a line that stays, above the one that changes."""
        self._console.print(Text(text), soft_wrap=True)

    def update(self, words: str, lasting: bool | None = None) -> None:
        """Take the place of the line before.

        Where there is no terminal the line is printed if it is `lasting`; None for one line in five seconds.
        """
        if self._console.is_terminal:
            self._live.update(Text(words, no_wrap=True, overflow="ellipsis"))
            return
        now = time.monotonic()
        if now - self._printed >= _PERIOD_S if lasting is None else lasting:
            self._printed = now
            print(words, file=self._console.file, flush=True)


def describe_processes(done: int, expected: int, seconds: float, current: str, last_s: float | None) -> str:
    """Say how many processes were measured in so many seconds, what is measured now, and about how long the rest takes.

    `last_s` is the latency that the last process found.
    """
    words = f"process {done + 1} of about {expected}"
    if done:
        words += f"   {format_clock(seconds / done * (expected - done))} left"
    words += f"   {current}"
    return words if last_s is None else f"{words}   last: {format_seconds(last_s)}"
