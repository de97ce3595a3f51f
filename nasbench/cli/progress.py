"""Progress on stderr: one line that changes on a terminal; elsewhere one line a trial, or a round of processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nasbench.cli.status import StatusLine
from nasbench.objectives import find_objective
from nasbench.records import Evaluation
from nasbench.units import format_clock, format_seconds

if TYPE_CHECKING:
    from nasbench.measure.levels import Progress as Confirmation
    from nasbench.search.plan import Budget, SearchPlan
    from nasbench.search.run import Progress


class ProgressLine(StatusLine):
    """Shows trials done, the last candidate, the front, its hypervolume and the time left of a search."""

    def __init__(self, plan: SearchPlan, budget: Budget, done_before: int) -> None:
        super().__init__()
        self._plan = plan
        self._budget = budget
        self._done_before = done_before

    def show(self, progress: Progress) -> None:
        """Show where the search stands after a trial."""
        text = f"{self._position(progress)}   {describe_trial(progress.evaluation, self._plan.objectives)}"
        self.update(text, progress.evaluation.status != "duplicate")

    def _position(self, progress: Progress) -> str:
        of = f"/{self._budget.trials}" if self._budget.trials is not None else ""
        words = f"trial {progress.evaluated}{of}   front {progress.front}   hypervolume {progress.hypervolume:.4f}"
        left = self._seconds_left(progress)
        return words if left is None else f"{words}   {format_clock(left)} left"

    def _seconds_left(self, progress: Progress) -> float | None:
        left = []
        if self._budget.seconds is not None:
            left.append(self._budget.seconds - progress.seconds)
        done = progress.evaluated - self._done_before
        if self._budget.trials is not None and done > 0:
            left.append((self._budget.trials - progress.evaluated) * progress.seconds / done)
        return max(0.0, min(left)) if left else None


class ConfirmationLine(StatusLine):
    """Shows which process of a confirmation runs, and what the last one found."""

    def __init__(self) -> None:
        super().__init__()
        self._round = 0
        self._last = "-"

    def show(self, progress: Confirmation) -> None:
        """Show where the confirmation stands when a process begins."""
        found = f"{self._last} took {format_seconds(progress.latency_s)}   " if progress.latency_s is not None else ""
        self._last = progress.current
        self.update(
            f"confirming: round {progress.round}, process {progress.processes + 1} of {progress.expected} or more   "
            f"{found}{format_clock(progress.seconds)} so far, now {progress.current}",
            progress.round != self._round,
        )
        self._round = progress.round


def describe_trial(evaluation: Evaluation, objectives: tuple[str, ...]) -> str:
    """Say in a few words what became of a trial."""
    if evaluation.status in ("complete", "pruned"):
        sought = map(find_objective, objectives)
        figures = [f"{objective.show(objective.read(evaluation))} {objective.name}" for objective in sought]
        word = "last" if evaluation.status == "complete" else "last (ended early)"
        reused = ", measured before" if any(m.reused_from for m in evaluation.measurements) else ""
        return f"{word}: {', '.join(figures)}{reused}"
    if evaluation.status == "duplicate":
        return f"last: trial {evaluation.of_trial} again"
    first_line = (evaluation.error or "").splitlines()[0] if evaluation.error else ""
    return f"last: {evaluation.status}: {first_line}"
