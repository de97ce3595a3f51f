"""From what a user types to networks: published names, timm's, files, factories, trials of runs, samples of a space."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nasbench.errors import DefinitionError
from nasbench.model.foreign import TIMM, is_foreign, is_timm
from nasbench.records import Cost
from nasbench.space.architecture import Architecture
from nasbench.space.load import find_architecture, list_spaces, load_space
from nasbench.space.space import SearchSpace
from nasbench.store.candidate import Candidate, read_candidate

INPUT_SHAPE = (3, 224, 224)
"""(channels, height, width) that a factory's network is given when nothing else is said."""

_FILES = (".onnx", ".yaml", ".yml")

_IDLE_DRAWS = 1000
"""Draws in a row without a new network, after which a space is taken to have no more of them."""


def find_network(text: str, input_shape: tuple[int, int, int] | None = None) -> tuple[str, Architecture]:
    """Find a network and what to call it.

    Args:
        text: the name of a published architecture, a `.yaml` file with no choice left, an `.onnx` file, a network of
            timm as `timm/NAME`, a factory as `package.module:function`, or a trial of a stored run as `results/RUN#17`.
        input_shape: (channels, height, width) of one image for a factory, which cannot know it; others bring their own.

    Raises:
        UnknownNameError: no architecture, or no network of timm, has this name; the text suggests the closest.
        DefinitionError: the definition, the file or the factory is not what it has to be, or the trial is not there or
            stands for a file or factory, which a run that somebody else made must not have us run.
        RunNameError: there is no such run.
    """
    trial = parse_trial(text)
    if trial is not None:
        candidate = find_candidate(*trial)
        return candidate.name, candidate.architecture
    if text.endswith(".onnx"):
        from nasbench.model.foreign import onnx_file  # imports onnx

        return Path(text).name, onnx_file(Path(text))
    if is_timm_name(text):
        from nasbench.model.from_timm import timm_network  # imports timm

        return text, timm_network(text.removeprefix(TIMM))
    if is_factory(text):
        from nasbench.model.foreign import factory

        return text, factory(text, input_shape or INPUT_SHAPE)
    _, named = find_architecture(text)
    return named.name, named.architecture


def parse_trial(text: str) -> tuple[Path, int] | None:
    """Read `RUN#TRIAL`, a run's folder and a trial's number; None where there is no `#`.

    Raises:
        DefinitionError: what follows the last `#` is no number.
    """
    run, hash_sign, trial = text.rpartition("#")
    if not hash_sign:
        return None
    if not re.fullmatch(r"[0-9]{1,18}", trial):
        raise DefinitionError(f"{text}: {trial!r} is no trial; write RUN#TRIAL, such as results/first#17")
    return Path(run), int(trial)


def find_candidate(run: Path, trial: int) -> Candidate:
    """Read a trial of a stored run whose network may be built here.

    Raises:
        DefinitionError: the trial is not there, or stands for a file or a factory.
        RunNameError: there is no such run.
    """
    candidate = read_candidate(run, trial)
    if is_foreign(candidate.architecture) and not is_timm(candidate.architecture):
        raise DefinitionError(
            f"{run}#{trial}: trial {trial} is a network of the user's own; name its file or factory instead"
        )
    return candidate


def is_factory(text: str) -> bool:
    """Say whether a text names a factory, whose input has to be said beside it."""
    return ":" in text and "#" not in text and not text.endswith(_FILES) and not text.startswith(TIMM)


def is_timm_name(text: str) -> bool:
    """Say whether a text names a network of timm."""
    return text.startswith(TIMM) and "#" not in text and not text.endswith(_FILES)


def read_image_shape(text: str, networks: Iterable[str]) -> tuple[int, int, int]:
    """Read `--input`, such as `3x224x224`, for the factories among the networks that a user typed.

    Raises:
        DefinitionError: it is no (channels, height, width), or there is no factory that it could be for.
    """
    if not any(map(is_factory, networks)):
        raise DefinitionError("--input has no effect without package.module:factory; other networks bring their own")
    match = re.fullmatch("x".join(["([1-9][0-9]{0,5})"] * 3), text)
    if match is None:
        raise DefinitionError(f"--input {text!r} is not channels x height x width; write for example 3x224x224")
    return int(match[1]), int(match[2]), int(match[3])


def sample_networks(space: SearchSpace, count: int, seed: int) -> list[tuple[str, Architecture]]:
    """Draw different networks of a space, named `space/digest` with the digest's first 8 digits.

    Equal seeds give equal networks, and a larger sample begins with the smaller one.

    Raises:
        DefinitionError: the space has no `count` different networks.
    """
    rng = random.Random(seed)
    found: dict[str, Architecture] = {}
    idle = 0
    while len(found) < count and idle < _IDLE_DRAWS:
        _, architecture = space.sample(rng)
        idle = idle + 1 if architecture.digest in found else 0
        found.setdefault(architecture.digest, architecture)
    if len(found) < count:
        raise DefinitionError(
            f"{count} different networks were to be drawn from {space.name}, and only {len(found)} were found; "
            "ask for fewer with --sample"
        )
    return [(f"{space.name}/{digest[:8]}", architecture) for digest, architecture in found.items()]


def family_networks(names: Sequence[str]) -> list[tuple[str, Architecture]]:
    """Give every published architecture of families, which are named as their search spaces.

    Raises:
        UnknownNameError: there is no such family.
        DefinitionError: a definition is wrong, or a family has no published architecture.
    """
    found: list[tuple[str, Architecture]] = []
    for name in names:
        space = load_space(name)
        if not space.architectures:
            raise DefinitionError(f"the family {space.name} has no published architectures; sample it with --space")
        found += [(named.name, named.architecture) for named in space.architectures]
    return found


def all_families() -> tuple[str, ...]:
    """Give the names of the search spaces that have published architectures."""
    return tuple(name for name in list_spaces() if load_space(name).architectures)


def first_networks(smallest_side: int) -> list[tuple[str, Architecture]]:
    """Give the first published architecture of every family whose images have at least so many pixels a side."""
    firsts = [family_networks([family])[0] for family in all_families()]
    return [(name, one) for name, one in firsts if min(one.input_shape[1:]) >= smallest_side]


def exceeds(cost: Cost | None, limits: Mapping[str, float]) -> bool:
    """Say whether a network counts more than one of the limits, which are named as the fields of `Cost`."""
    return cost is not None and any(getattr(cost, name) > limit for name, limit in limits.items())
