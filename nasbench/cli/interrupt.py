"""Ctrl-C and SIGTERM: end what is running, keep what is stored, say how to go on."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from nasbench.errors import DeviceError, StoreError


@contextmanager
def resumable(how_to_resume: str) -> Iterator[None]:
    """Say how to go on when a search ends in the middle because its device or its disk is gone."""
    try:
        yield
    except (DeviceError, StoreError):
        typer.echo(f"what is finished is stored. Go on with: {how_to_resume}", err=True)
        raise


_GUARD = "import sys; sys.stdin.read() or print(sys.argv[1], file=sys.stderr)"


@contextmanager
def outlived(words: str) -> Iterator[None]:
    """Have another process say the last words, should this one end without any.

    Ray ends a process at once, from native code, when the node that it belongs to dies.
    """
    guard = subprocess.Popen([sys.executable, "-c", _GUARD, words], stdin=subprocess.PIPE, start_new_session=True)
    assert guard.stdin is not None, "it was asked for"
    try:
        yield
    finally:
        with contextlib.suppress(OSError), guard.stdin as pipe:
            pipe.write(b"done")
        guard.wait()


@contextmanager
def interruptible(how_to_resume: str) -> Iterator[None]:
    """End as `ending_orderly` does, and say that what is finished is stored and how to go on."""
    with ending_orderly(lambda: f"interrupted; what is finished is stored. Go on with: {how_to_resume}"):
        yield


@contextmanager
def ending_orderly(say: Callable[[], str]) -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into an orderly end with exit code 130, and the second into an immediate one.

    `say` gives the last words, when everything that was opened inside is closed.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, signal.SIG_DFL)
        raise KeyboardInterrupt

    before = {name: signal.signal(name, interrupt) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"\n{say()}", err=True)
        sys.exit(130)
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
