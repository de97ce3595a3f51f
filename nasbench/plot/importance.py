"""The figure of which choices matter: the share of each objective's variance that each choice explains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nasbench.importance import FEWEST_TRIALS, Importance, find_importances, trials_with
from nasbench.objectives import Objective
from nasbench.plot.axes import make_axis
from nasbench.plot.searches import only_search, shorten
from nasbench.plot.style import LOOKS, add_heading, add_legend, drawing, make_panels
from nasbench.store.parquet import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_CHOICES = 15
"""What one panel holds, the most important ones; how many more there are is said."""

_BAR_INCH = 0.17


def draw_importance(runs: Sequence[Run], out: Path, width: str = "double") -> None:
    """Draw which choices of a search matter, a panel an objective, into a PNG, SVG or PDF.

    A bar is the share of the objective's variance over the space that the choice explains by itself, with its 95 %
    interval over trials drawn again, as `nasbench.importance` says; the rest is what choices do together, and noise.

    Args:
        runs: one search.
        out: the file to write; its folder is made.
        width: `single` (3.5 in, panels above each other) or `double` (7.16 in).

    Raises:
        DefinitionError: the suffix or width is not there, or it is not one search.
        StoreError: the file cannot be written.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    with drawing(out, width) as figure:
        run = only_search(runs, "importance")
        found = [(objective, *_find(run, objective)) for objective in run.objectives]
        columns = 1 if width == "single" else min(len(found), 3)
        bars = min(MOST_CHOICES, max(len(rows) for _, rows, _ in found)) or 3
        panels = make_panels(figure, len(found), columns, 0.75, 0.62 + _BAR_INCH * bars)
        for axes, (objective, rows, trials) in zip(panels, found, strict=True):
            draw_importances(axes, rows)
            axes.set_title(_title(run, objective, rows, trials), loc="left", fontsize=7)
        add_heading(figure, f"{run.name}: which choices matter")
        handles = [
            Patch(facecolor=LOOKS[6].color, edgecolor="0.3", linewidth=0.4),
            Line2D([], [], color="black", marker="|", markersize=4, linewidth=1.1),
        ]
        labels = ["share that a choice explains by itself", "95 % interval over trials"]
        add_legend(figure, handles, labels, 1 if width == "single" else 2)


def _find(run: Run, objective: Objective) -> tuple[list[Importance], int]:
    trials = trials_with(run.evaluations, objective)
    values = trials[objective.column].to_numpy(dtype=np.float64)
    return find_importances(list(trials["chosen"]), values.tolist()), len(trials)


def _title(run: Run, objective: Objective, rows: Sequence[Importance], trials: int) -> str:
    name = make_axis(objective, ()).label.removesuffix(" (%)").split(" (")[0]
    title = f"{name}, {trials:,} trial{'' if trials == 1 else 's'}"
    more = len(rows) - MOST_CHOICES
    return f"{title}; {more} less important choices not drawn" if more > 0 else title


def draw_importances(axes: Axes, rows: Sequence[Importance]) -> None:
    """Draw bars with their intervals into a panel, the most important choice at the top."""
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("Variance explained (%)")
    shown = rows[:MOST_CHOICES]
    if not shown:
        axes.set(xticks=[], yticks=[])
        words = f"nothing can be said:\nfewer than {FEWEST_TRIALS} trials, or no difference"
        axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color="0.4", fontsize=7)
        return
    places = np.arange(len(shown))
    shares, low, high = (100 * np.array([getattr(row, name) for row in shown]) for name in ("share", "low", "high"))
    axes.barh(places, shares, height=0.66, color=LOOKS[6].color, edgecolor="0.3", linewidth=0.4, zorder=2)
    axes.errorbar(
        shares,
        places,
        xerr=np.clip(np.stack([shares - low, high - shares]), 0, None),
        linestyle="",
        color="black",
        elinewidth=1.1,
        capsize=2.0,
        capthick=0.9,
        zorder=3,
    )
    axes.set_yticks(places, [shorten(row.choice) for row in shown])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0, min(100.0, 1.08 * float(high.max())) or 1.0)
