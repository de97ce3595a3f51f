"""What commands say and check of the definitions and threads that a user names, before anything is opened."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from nasbench.errors import DefinitionError
from nasbench.host import choose_cores

if TYPE_CHECKING:
    from nasbench.definitions import Found
    from nasbench.records import DeviceSpec


def split_names(text: str) -> tuple[str, ...]:
    """Read `a,b`, as options that take several names have it."""
    return tuple(filter(None, text.split(",")))


def find_spec(name: str, runtime: str | None = None, threads: int | None = None) -> DeviceSpec:
    """Find a device by name for one measuring, with another runtime or number of threads where they are asked for.

    Raises:
        DefinitionError: there is none, or not as many cores.
    """
    from dataclasses import replace

    from nasbench.device.load import find_device, read_device

    found = find_device(name)
    note_hidden(found)
    check_threads([] if threads is None else [threads], [name])
    spec = read_device(found.path)
    return replace(spec, runtime=runtime or spec.runtime, threads=threads or spec.threads)


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
    from nasbench.tabular.reference import is_reference

    names = list(devices)
    if names and all(not is_reference(name) and load_device(name).backend == "ray" for name in names):
        return
    most = max(counts, default=0)
    cores = len(choose_cores(most)) if most else 0
    if cores < most:
        raise DefinitionError(
            f"--threads {most} is too many: a thread takes a physical core, of which {cores} may be used here"
        )
