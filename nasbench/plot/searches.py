"""What figures of searches share: which runs they take, which trials they show, and how a network is called."""

from __future__ import annotations

from collections.abc import Sequence

from nasbench.errors import DefinitionError
from nasbench.store.parquet import Run

LONGEST = 28
"""Characters of a name; a longer one loses its middle."""


def check_searches(runs: Sequence[Run], kind: str) -> None:
    """Refuse what is no search.

    Args:
        runs: what is to be drawn.
        kind: name of the figure.

    Raises:
        DefinitionError: there is no run, or one is a bench.
    """
    if not runs:
        raise DefinitionError("there is no run to draw; name at least one")
    for run in runs:
        if run.is_bench or not run.objectives:
            raise DefinitionError(
                f"{run.folder} is a bench, which has no objectives; --kind {kind} is for searches. "
                "Of a bench there is published, throughput, samples, latency or devices."
            )


def only_search(runs: Sequence[Run], kind: str) -> Run:
    """Give the one search that a figure shows.

    Raises:
        DefinitionError: there is none, several, or it is a bench.
    """
    check_searches(runs, kind)
    if len(runs) > 1:
        raise DefinitionError(f"--kind {kind} draws one search; {len(runs)} runs were given")
    return runs[0]


def shorten(name: str, longest: int = LONGEST) -> str:
    """Give a name with at most so many characters: what is too long loses its middle, since ends tell names apart."""
    if len(name) <= longest:
        return name
    tail = (longest - 1) // 2
    return f"{name[: longest - 1 - tail]}…{name[len(name) - tail :]}"
