"""What commands say and check of the definitions and threads that a user names, before anything is opened."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from nasbench.errors import DefinitionError
from nasbench.host import choose_cores

if TYPE_CHECKING:
    from nasbench.definitions import Found


def note_hidden(found: Found) -> None:
    """Say on stderr that a definition in the working directory stands before the bundled one, if it does."""
    if found.hides:
        typer.echo(f"note: {found.path} is used; it hides the bundled one of the same name", err=True)


def check_threads(counts: Iterable[int], devices: Iterable[str] = ()) -> None:
    """Refuse numbers of threads, as given with --threads, for which there are not enough cores on this machine.

    A device somewhere else says itself how many it has.

    Raises:
        DefinitionError: one is more than the physical cores that may be used.
    """
    from nasbench.device.load import load_device

    names = list(devices)
    if names and all(load_device(name).backend == "ray" for name in names):
        return
    most = max(counts, default=0)
    cores = len(choose_cores(most)) if most else 0
    if cores < most:
        raise DefinitionError(
            f"--threads {most} is too many: a thread takes a physical core, of which {cores} may be used here"
        )
