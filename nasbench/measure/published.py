"""Which of a bench's networks are published architectures, and what their papers state of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from nasbench.definitions import read_text
from nasbench.errors import DefinitionError
from nasbench.space.architecture import Architecture
from nasbench.space.load import find_space, list_spaces, load_space
from nasbench.space.space import NamedArchitecture
from nasbench.store.published import Published


def find_published(
    networks: Mapping[str, Architecture],
    families: Iterable[str] = (),
    stated: Mapping[str, Published] | None = None,
) -> dict[str, Published]:
    """Give what papers state of the networks, by name; a network of which nothing is known has no entry.

    A network counts as the published architecture of its name only if it is the one that every definition of this name
    means: a copy of a definition with smaller images keeps the names, and the figures would be of other networks.

    Args:
        networks: what is measured, by the names of this run.
        families: search spaces to look in first, by name or path, as the run was asked for them.
        stated: figures of networks that no search space names, by the names of this run.
    """
    found = {name: one for name, one in (stated or {}).items() if name in networks}
    others: set[str] = set()
    for path in dict.fromkeys(_definitions(families)):
        for named, space in _in_space(path, networks):
            if named.architecture == networks[named.name]:
                found.setdefault(named.name, Published.of(named, space))
            else:
                others.add(named.name)
    return {name: found[name] for name in networks if name in found and name not in others}


def _definitions(families: Iterable[str]) -> Iterator[Path]:
    """Give the files of some families, of all spaces, and of those that are hidden by one of their name."""
    spaces = [find_space(name) for name in (*families, *list_spaces())]
    yield from (space.path for space in spaces)
    yield from (space.hides for space in spaces if space.hides)


def _in_space(path: Path, names: Iterable[str]) -> Iterator[tuple[NamedArchitecture, str]]:
    """Give those that a definition names; a definition that is wrong names none, since it was not asked for."""
    try:
        text = read_text(path)
        if not any(name in text for name in names):
            return
        space = load_space(path)
    except DefinitionError:
        return
    wanted = set(names)
    yield from ((named, space.name) for named in space.architectures if named.name in wanted)
