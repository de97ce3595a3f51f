"""Which of a bench's networks are published architectures, and what their papers state of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from nasbench.definitions import read_text
from nasbench.errors import DefinitionError
from nasbench.space.architecture import Architecture
from nasbench.space.load import find_space, list_spaces, load_space
from nasbench.store.published import Published


def find_published(
    networks: Mapping[str, Architecture],
    families: Iterable[str] = (),
    stated: Mapping[str, Published] | None = None,
) -> dict[str, Published]:
    """Give what papers state of the networks, by name; a network of which nothing is known has no entry.

    A network counts as the published architecture of its name only if it equals it: a user's file may be called so too.

    Args:
        networks: what is measured, by the names of this run.
        families: search spaces to look in first, by name or path, as the run was asked for them.
        stated: figures of networks that no search space names, by the names of this run.
    """
    found = {name: one for name, one in (stated or {}).items() if name in networks}
    for path in dict.fromkeys([*(find_space(name).path for name in families), *list_spaces().values()]):
        wanted = networks.keys() - found.keys()
        if not wanted:
            break
        found |= _in_space(path, {name: networks[name] for name in wanted})
    return {name: found[name] for name in networks if name in found}


def _in_space(path: Path, networks: Mapping[str, Architecture]) -> Iterator[tuple[str, Published]]:
    """Give those that a definition names; a definition that is wrong names none, since it was not asked for."""
    try:
        text = read_text(path)
        if not any(name in text for name in networks):
            return
        space = load_space(path)
    except DefinitionError:
        return
    for named in space.architectures:
        if named.name in networks and named.architecture == networks[named.name]:
            yield named.name, Published.of(named, space.name)
