"""What a search begins with, and whether its limits can be met at all."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nasbench.errors import CandidateError, DefinitionError, UnknownNameError
from nasbench.model.cost import count
from nasbench.objectives import find_objective
from nasbench.records import Evaluation
from nasbench.search.plan import SearchPlan
from nasbench.search.samplers import grid_points
from nasbench.space.architecture import Architecture, Scalar
from nasbench.space.space import SearchSpace
from nasbench.store.parquet import read_run

_PROBES = 200
"""Architectures sampled to see whether the limits can be met at all."""


@dataclass(frozen=True, slots=True)
class Start:
    """A candidate that a search begins with. `beside` is a network that no choices of the space stand for."""

    name: str | None
    choices: Mapping[str, Scalar]
    beside: Architecture | None = None


def starting_points(space: SearchSpace, plan: SearchPlan, earlier: Sequence[Mapping[str, Scalar]] = ()) -> list[Start]:
    """Give the candidates that a search begins with.

    Those are the front of an earlier run; after it the named architectures that are within the limits on what is
    counted, first those of the space and then those beside it, and for a grid every point of the space.
    """
    named: list[Start] = []
    if plan.warm_start:
        within = [n for n in space.architectures if _counted(n.architecture, plan.limits).status == "complete"]
        named += [Start(one.name, one.choices) for one in within if one.choices]
        named += [Start(one.name, {}, one.architecture) for one in within if one.choices is None]
    starts: list[Start] = []
    for choices in earlier:
        start = next((one for one in named if one.choices == choices), Start(None, choices))
        starts += [] if start in starts else [start]
    starts += [one for one in named if one not in starts]
    if plan.sampler == "grid":
        known = [start.choices for start in starts]
        starts += [Start(None, choices) for choices in grid_points(space, plan.seed) if choices not in known]
    return starts


def front_of(folder: Path, space: SearchSpace) -> list[dict[str, Scalar]]:
    """Give the choices of the front of an earlier run, whose data, epochs or device may be others.

    Raises:
        StoreError: the folder holds no run.
        DefinitionError: no member of its front is of the space.
    """
    run = read_run(folder)
    front = run.pareto[run.pareto["fell_off"].isna()]
    chosen = run.evaluations.set_index("trial")["choices"]
    found = [
        _find_choices(space, json.loads(chosen[trial]), json.loads(rows))
        for trial, rows in zip(front["trial"], front["architecture_rows"], strict=True)
    ]
    starts = [choices for choices in found if choices is not None]
    if not starts:
        raise DefinitionError(
            f"--start-from {folder}: none of the {len(found)} networks on its front is a point of {space.name}; name a "
            "run of this space"
        )
    return starts


def _find_choices(space: SearchSpace, choices: dict[str, Scalar], rows: Mapping[str, Any]) -> dict[str, Scalar] | None:
    """Give the choices of this space that make a network of an earlier run, whose space may have had others."""
    architecture = Architecture.from_dict(rows)
    found = space.with_classes(architecture.classes).skeleton.encode(architecture)  # a run has the classes of its data
    if found is None and choices:
        with suppress(DefinitionError, UnknownNameError):
            # For images of another size its network is another one, and its choices are what there is of it.
            return choices if space.decode_choices(choices).input_shape != architecture.input_shape else None
    return found


def check_limits(space: SearchSpace, plan: SearchPlan) -> None:
    """Look before a search whether any sampled candidate meets the limits on what is counted.

    Raises:
        DefinitionError: none does; the text has the smallest figures seen.
    """
    free = {name: limit for name, limit in plan.limits.items() if find_objective(name).free}
    if not free:
        return
    rng = random.Random(plan.seed)
    sampled = []
    for _ in range(_PROBES):
        sampled.append(_counted(space.sample(rng)[1], free))
        if sampled[-1].status == "complete":
            return
    if any(_counted(n.architecture, free).status == "complete" for n in space.architectures if n.choices):
        return
    asked = ", ".join(f"{name}={find_objective(name).show(limit)}" for name, limit in free.items())
    seen = [evaluation for evaluation in sampled if evaluation.cost]
    smallest = ", ".join(
        f"{find_objective(name).show(min(find_objective(name).read(e) or 0.0 for e in seen))} {name}"
        for name in free
        if seen
    )
    raise DefinitionError(
        f"none of {_PROBES} architectures sampled from {space.name} meets --max {asked}; the smallest seen: "
        f"{smallest or 'none could be built'}. Raise the limit or search another space."
    )


def _counted(architecture: Architecture, limits: Mapping[str, float]) -> Evaluation:
    """Give a trial that went no further than counting."""
    evaluation = Evaluation(0, "complete", {}, architecture)
    try:
        return keep_limits(replace(evaluation, cost=count(architecture)), limits)
    except CandidateError as error:
        return replace(evaluation, status=error.status, error=str(error))


def keep_limits(evaluation: Evaluation, limits: Mapping[str, float]) -> Evaluation:
    """Mark a candidate that is beyond a limit, as far as its figures are known."""
    for name, limit in limits.items():
        objective = find_objective(name)
        value = objective.read(evaluation)
        if value is not None and value > limit:
            reason = f"{name} is {objective.show(value)}; the limit is {objective.show(limit)}"
            return replace(evaluation, status="infeasible", error=reason)
    return evaluation
