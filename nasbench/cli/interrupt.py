"""Ctrl-C and SIGTERM: end the running trial, keep what is stored, say how to go on."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer


@contextmanager
def interruptible(how_to_resume: str) -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into an orderly end with exit code 130, and the second into an immediate one."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, signal.SIG_DFL)
        raise KeyboardInterrupt

    before = {name: signal.signal(name, interrupt) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"\ninterrupted; every finished trial is stored. Go on with: {how_to_resume}", err=True)
        sys.exit(130)
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
