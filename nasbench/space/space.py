"""A search space: what may be chosen, and the published architectures inside and beside it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from nasbench.errors import DefinitionError
from nasbench.registry import unknown_name
from nasbench.space.architecture import Architecture, Scalar
from nasbench.space.choice import Choice, Pick


class Skeleton(Protocol):
    """How rows are laid out from choices; `Stack` and `RegNet` are the ones there are."""

    @property
    def classes(self) -> int:
        """Number of classes of the head."""
        ...

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Every choice that can exist, in the order of the definition."""
        ...

    @property
    def size_of_space(self) -> int:
        """Number of different ways to choose."""
        ...

    def decode(self, pick: Pick) -> Architecture:
        """Choose, and lay the rows out; `pick` is asked once for each choice that has an effect, and no other."""
        ...

    def encode(self, architecture: Architecture) -> dict[str, Scalar] | None:
        """Find choices that decode to an equal architecture, or None when there are none."""
        ...


@dataclass(frozen=True, slots=True)
class PublishedLatency:
    """A latency as a paper states it: on its own device, for a batch of so many images."""

    latency_s: float
    device: str
    batch: int


@dataclass(frozen=True)
class NamedArchitecture:
    """A published architecture. `choices` is None for one that stands beside the space, with a table of its own.

    `published` holds what its paper reports: params, macs, top1 (percent), source, and `form`, the form that params
    and macs are of where that is not the training form; `published_latencies` are from there too.
    """

    name: str
    skeleton: Skeleton
    choices: Mapping[str, Scalar] | None
    published: Mapping[str, float | str]
    published_latencies: tuple[PublishedLatency, ...] = ()

    @property
    def architecture(self) -> Architecture:
        """The network that the name stands for."""
        return self.skeleton.decode(_picker(self.choices or {}))


@dataclass(frozen=True)
class SearchSpace:
    """A definition, read. `digest` covers what can be chosen, not its prose or its published points."""

    name: str
    about: str
    source: str
    path: str
    skeleton: Skeleton
    architectures: tuple[NamedArchitecture, ...]
    digest: str

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Every choice that can exist, in the order of the definition."""
        return self.skeleton.choices

    @property
    def classes(self) -> int:
        """Number of classes of the head."""
        return self.skeleton.classes

    def size(self) -> int:
        """Count the different ways to choose, counting only choices that have an effect."""
        return self.skeleton.size_of_space

    def decode(self, pick: Pick) -> Architecture:
        """Choose, and lay the rows out; `pick` is asked once for each choice that has an effect, and no other.

        Raises:
            DefinitionError: a row does not fit its kind.
        """
        return self.skeleton.decode(pick)

    def decode_choices(self, choices: Mapping[str, Scalar]) -> Architecture:
        """Decode choices given by name.

        Raises:
            DefinitionError: a choice is missing, unknown, without effect, or has a value that is not allowed.
        """
        return decode_choices(self.skeleton, choices)

    def encode(self, architecture: Architecture) -> dict[str, Scalar]:
        """Find choices that decode to an equal architecture.

        Raises:
            DefinitionError: the architecture is not in this space.
        """
        found = self.skeleton.encode(architecture)
        if found is None:
            raise DefinitionError(f"the architecture {architecture.digest} is not in the space {self.name!r}")
        return found

    def sample(self, rng: random.Random) -> tuple[dict[str, Scalar], Architecture]:
        """Draw an architecture, each choice uniformly, with the choices that were made."""
        chosen: dict[str, Scalar] = {}

        def pick(choice: Choice) -> Scalar:
            chosen[choice.name] = choice.values[rng.randrange(len(choice.values))]
            return chosen[choice.name]

        return chosen, self.decode(pick)

    def find_architecture(self, name: str) -> NamedArchitecture:
        """Give a published architecture by name, or raise UnknownNameError."""
        for named in self.architectures:
            if named.name == name:
                return named
        raise unknown_name("architecture", name, (named.name for named in self.architectures))

    def with_classes(self, classes: int) -> SearchSpace:
        """Give the same space with another number of classes."""
        if classes == self.classes:
            return self
        named = tuple(replace(n, skeleton=_with_classes(n.skeleton, classes)) for n in self.architectures)
        return replace(self, skeleton=_with_classes(self.skeleton, classes), architectures=named)


def _with_classes(skeleton: Any, classes: int) -> Any:
    return replace(skeleton, classes=classes)


def decode_choices(skeleton: Skeleton, choices: Mapping[str, Scalar]) -> Architecture:
    """Decode choices given by name; raises as `SearchSpace.decode_choices`."""
    known = {choice.name: choice for choice in skeleton.choices}
    used: set[str] = set()

    def pick(choice: Choice) -> Scalar:
        used.add(choice.name)
        if choice.name not in choices:
            raise DefinitionError(f"the choice {choice.name} is not made; allowed: {choice.describe()}")
        value = choice.find(choices[choice.name])
        if value is None:
            raise DefinitionError(f"{choice.name} is {choices[choice.name]!r}; allowed: {choice.describe()}")
        return value

    for name in choices:
        if name not in known:
            raise unknown_name("choice", name, known)
    architecture = skeleton.decode(pick)
    for name in choices:
        if name not in used:
            raise DefinitionError(f"{name} has no effect beside the other choices; leave it out")
    return architecture


def _picker(choices: Mapping[str, Scalar]) -> Pick:
    def pick(choice: Choice) -> Scalar:
        value = choice.find(choices[choice.name])
        assert value is not None, "a named architecture was checked when its space was read"
        return value

    return pick
