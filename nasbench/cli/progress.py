"""The progress of a search on stderr: one line that changes on a terminal, one line a trial elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from nasbench.objectives import OBJECTIVES
from nasbench.records import Evaluation
from nasbench.units import format_clock

if TYPE_CHECKING:
    from nasbench.search.run import Budget, Progress, SearchPlan


class ProgressLine:
    """Shows trials done, the last candidate, the front, its hypervolume and the time left."""

    def __init__(self, plan: SearchPlan, budget: Budget, done_before: int) -> None:
        self._plan = plan
        self._budget = budget
        self._done_before = done_before
        self._console = Console(stderr=True, highlight=False)
        self._live = Live(Text("starting"), console=self._console, transient=True, refresh_per_second=4)

    def __enter__(self) -> ProgressLine:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, progress: Progress) -> None:
        """Show where the search stands after a trial."""
        text = Text(
            f"{self._position(progress)}   {describe_trial(progress.evaluation, self._plan.objectives)}", no_wrap=True
        )
        if self._console.is_terminal:
            self._live.update(text)
        elif progress.evaluation.status != "duplicate":
            print(text.plain, file=self._console.file, flush=True)

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


def describe_trial(evaluation: Evaluation, objectives: tuple[str, ...]) -> str:
    """Say in a few words what became of a trial."""
    if evaluation.status in ("complete", "pruned"):
        figures = [f"{OBJECTIVES[name].show(OBJECTIVES[name].read(evaluation))} {name}" for name in objectives]
        word = "last" if evaluation.status == "complete" else "last (ended early)"
        return f"{word}: {', '.join(figures)}"
    if evaluation.status == "duplicate":
        return f"last: trial {evaluation.of_trial} again"
    first_line = (evaluation.error or "").splitlines()[0] if evaluation.error else ""
    return f"last: {evaluation.status}: {first_line}"
