"""The figure of how searches went: the hypervolume over trials and over time, a line a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nasbench.plot.curves import Curve, find_curves
from nasbench.plot.front import check_comparable
from nasbench.plot.searches import check_searches
from nasbench.plot.style import LOOKS, Look, add_legend, drawing
from nasbench.store.parquet import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HOUR_S, _MINUTE_S = 3600.0, 60.0
_LINE = 0.01
"""About the part of a panel's height that a line covers."""
_MOST_MARKS = 40
"""More rises than that are a line anyway, and their marks are left out."""


def draw_hypervolume(runs: Sequence[Run], out: Path, width: str = "double") -> None:
    """Draw the hypervolume of searches over their trials and over their time, into a PNG, SVG or PDF.

    It is the share of one box, the same for all runs, that the front over all objectives dominates, by the figures of
    the search. A mark is a trial that was better than all before, the band holds what the 95 % intervals of latencies
    allow, and ticks at the bottom are trials that failed. Time runs from the start of the first trial, and goes on
    while a run lies interrupted.

    Args:
        runs: searches, with equal objectives, data set, device, batch and number format.
        out: the file to write; its folder is made.
        width: `single` (3.5 in, panels above each other) or `double` (7.16 in).

    Raises:
        DefinitionError: the suffix or width is not there, a run is no search, or the runs cannot share axes.
        StoreError: the file cannot be written.
    """
    with drawing(out, width) as figure:
        check_searches(runs, "hypervolume")
        check_comparable(runs)
        stacked = width == "single"
        figure.set_figheight((4.3 if stacked else 2.4) + 0.16 * (len(runs) + 2))
        panels = figure.subplots(2, 1, sharey=True) if stacked else figure.subplots(1, 2, sharey=True)
        over_trials, over_time = find_curves(runs), find_curves(runs, over_time=True)
        draw_curves(panels[0], over_trials, 1.0)
        unit, scale = _choose_unit(over_time)
        draw_curves(panels[1], over_time, scale)
        panels[0].set_xlabel("Trials")
        panels[1].set_xlabel(f"Time of the search ({unit})")
        label = "Hypervolume (share of box)" if len(runs) == 1 else "Hypervolume (share)\nsame box for all runs"
        for panel in panels if stacked else panels[:1]:
            panel.set_ylabel(label)
        if not stacked:
            panels[1].tick_params(labelleft=False)
        _limit_shares(panels[0], over_trials)
        _draw_legend(figure, over_trials, 1 if stacked else 2)


def _choose_unit(curves: Sequence[Curve]) -> tuple[str, float]:
    """Give the unit of time that fits, and what seconds are multiplied with."""
    # The place of a trial whose time is unknown is NaN, and stands last.
    longest = max((float(np.nanmax(curve.places, initial=0.0)) for curve in curves), default=0.0)
    if longest > 3 * _HOUR_S:
        return "h", 1 / _HOUR_S
    return ("min", 1 / _MINUTE_S) if longest > 5 * _MINUTE_S else ("s", 1.0)


def draw_curves(axes: Axes, curves: Sequence[Curve], scale: float) -> None:
    """Draw curves into a panel, their places times `scale`."""
    from matplotlib.ticker import MaxNLocator

    for number, curve in enumerate(curves):
        look = LOOKS[number % len(LOOKS)]
        places = curve.places * scale
        axes.fill_between(places, curve.low, curve.high, step="post", color=look.color, alpha=0.2, linewidth=0)
        axes.step(places, curve.shares, where="post", color=look.color, linestyle=look.line, linewidth=1.2)
        marked = curve.rises if curve.rises.sum() <= _MOST_MARKS else np.arange(len(places)) == len(places) - 1
        axes.plot(
            places[marked],
            curve.shares[marked],
            linestyle="",
            marker=look.marker,
            markersize=3.4,
            color=look.color,
            markeredgecolor="white",
            markeredgewidth=0.4,
            zorder=4,
        )
        _draw_failed(axes, places[curve.failed], number, look)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=scale == 1.0, min_n_ticks=1))
    if not any(len(curve.places) for curve in curves):
        axes.set_xticks([])
        axes.text(0.5, 0.5, "no trial", transform=axes.transAxes, ha="center", va="center", color="0.4")
    else:
        axes.set_xlim(left=0)


def _draw_failed(axes: Axes, places: np.ndarray, row: int, look: Look) -> None:
    """Draw a tick for each trial that failed, runs above each other, at the bottom of the panel."""
    across = axes.get_xaxis_transform()
    low = 0.01 + 0.05 * row
    axes.vlines(places, low, low + 0.04, transform=across, color=look.color, linewidth=0.8, zorder=2)


def _limit_shares(axes: Axes, curves: Sequence[Curve]) -> None:
    """Show the shares that there are, with room for the ticks of failed trials below them."""
    known = np.concatenate([np.concatenate([curve.low, curve.high])[np.tile(curve.shares > 0, 2)] for curve in curves])
    if not len(known):
        axes.set_ylim(0, 1)
        return
    least, most = float(known.min()), float(known.max())
    room = max(most - least, 0.002)
    failing = any(curve.failed.any() for curve in curves)
    below = (0.08 + 0.06 * len(curves)) * room if failing else 0.08 * room
    axes.set_ylim(max(0.0, least - below), min(1.0, most + 0.08 * room))


def _draw_legend(figure: Figure, curves: Sequence[Curve], columns: int) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Line2D | Patch] = []
    labels = []
    for number, curve in enumerate(curves):
        look = LOOKS[number % len(LOOKS)]
        handles.append(
            Line2D([], [], color=look.color, marker=look.marker, linestyle=look.line, linewidth=1.2, markersize=3.4)
        )
        labels.append(_describe(curve))
    color = LOOKS[0].color if len(curves) == 1 else "0.4"
    wide = max((float((curve.high - curve.low).max(initial=0.0)) for curve in curves), default=0.0)
    if wide > 0:
        shown = float(np.diff(figure.axes[0].get_ylim())[0])
        handles.append(Patch(facecolor=color, alpha=0.2))
        hidden = ": within the line" if wide < _LINE * shown else ""
        labels.append(f"latencies at the ends of their 95 % intervals{hidden}")
    if any(curve.rises.sum() <= _MOST_MARKS and curve.rises.any() for curve in curves):
        handles.append(Line2D([], [], linestyle="", marker="o", markersize=3.4, color=color))
        labels.append("better than all trials before")
    if any(curve.failed.any() for curve in curves):
        handles.append(Line2D([], [], linestyle="", marker="|", markersize=6, color=color))
        labels.append("a trial that failed")
    add_legend(figure, handles, labels, columns, handlelength=3.2)


def _describe(curve: Curve) -> str:
    count, failed = len(curve.places), int(curve.failed.sum())
    text = f"{curve.run.name}: {count:,} trial{'' if count == 1 else 's'}"
    return f"{text}, {failed:,} failed" if failed else text
