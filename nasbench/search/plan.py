"""What a search looks for and how, and when it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from nasbench.objectives import split_objective
from nasbench.records import CONFIRM, TimingPlan


@dataclass(frozen=True)
class SearchPlan:
    """What a search looks for and how. Resuming a run needs an equal plan.

    With `share_equal` a network that computes what an earlier one does takes over its accuracy. `dtypes` are the
    number formats by device, where they differ from that of `timing`; `workers` is how many accuracies are estimated
    at a time.
    """

    objectives: tuple[str, ...]
    limits: Mapping[str, float]
    sampler: str
    seed: int
    timing: TimingPlan
    warm_start: bool = True
    early_stop: bool = True
    confirm_processes: int = CONFIRM.max_processes
    dtypes: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1
    share_equal: bool = False

    @property
    def lag(self) -> int:
        """How many candidates may be under way: candidate n is proposed when all up to n - lag are known.

        It is fixed, whatever finishes first, so that a seed and a number of workers give the same candidates every
        time. Twice the workers, so that one slow candidate does not hold up the others.
        """
        return 2 * self.workers if self.workers > 1 else 1

    def timing_on(self, device: str) -> TimingPlan:
        """Give how candidates are measured on the device of that name."""
        return replace(self.timing, dtype=self.dtypes.get(device, self.timing.dtype))

    def confirming_on(self, device: str) -> TimingPlan:
        """Give how the front is measured again on the device of that name."""
        return replace(self.confirming, dtype=self.timing_on(device).dtype)

    @property
    def latencies(self) -> tuple[str, ...]:
        """The objectives that are latencies."""
        return tuple(name for name in self.objectives if split_objective(name)[0] == "latency")

    @property
    def confirming(self) -> TimingPlan:
        """How the front is measured again at the end, in the number format of the first device."""
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
    """When a search ends: after so many evaluated candidates of the run, or so many seconds of this process.

    With `flat`, also when so many evaluated candidates in a row added next to nothing to the front.
    """

    trials: int | None
    seconds: float | None
    flat: int | None = None

    @property
    def is_bounded(self) -> bool:
        """Say whether anything ends it."""
        return any(bound is not None for bound in (self.trials, self.seconds, self.flat))

    def spent(self, trials: int, seconds: float) -> bool:
        """Say whether either is used up."""
        return (self.trials is not None and trials >= self.trials) or (
            self.seconds is not None and seconds >= self.seconds
        )
