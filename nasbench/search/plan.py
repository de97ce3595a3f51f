"""What a search looks for and how, and when it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from nasbench.records import CONFIRM, TimingPlan


@dataclass(frozen=True)
class SearchPlan:
    """What a search looks for and how. Resuming a run needs an equal plan."""

    objectives: tuple[str, ...]
    limits: Mapping[str, float]
    sampler: str
    seed: int
    timing: TimingPlan
    warm_start: bool = True
    early_stop: bool = True
    confirm_processes: int = CONFIRM.max_processes

    @property
    def confirming(self) -> TimingPlan:
        """How the front is measured again at the end."""
        timing = self.timing
        least = min(CONFIRM.min_processes, self.confirm_processes)
        return replace(
            CONFIRM,
            batch=timing.batch,
            dtype=timing.dtype,
            cache=timing.cache,
            seed=timing.seed,
            min_processes=least,
            max_processes=self.confirm_processes,
        )


@dataclass(frozen=True)
class Budget:
    """When a search ends: after so many evaluated candidates of the run, or so many seconds of this process."""

    trials: int | None
    seconds: float | None

    def spent(self, trials: int, seconds: float) -> bool:
        """Say whether either is used up."""
        return (self.trials is not None and trials >= self.trials) or (
            self.seconds is not None and seconds >= self.seconds
        )
