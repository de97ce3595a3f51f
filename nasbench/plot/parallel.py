"""The figure of what leads where: parallel coordinates from the choices of a search to its objectives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench.importance import key_of, objective_importances, order_values, trials_with
from nasbench.objectives import Objective
from nasbench.pareto import Losses
from nasbench.plot.axes import make_axis
from nasbench.plot.curves import losses_of
from nasbench.plot.front import confirmed_places
from nasbench.plot.searches import only_search, shorten
from nasbench.plot.style import LOOKS, add_heading, add_legend, drawing
from nasbench.store.parquet import Run

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CHOICES = {"single": 4, "double": 9}
"""How many choices stand beside each other at most, the most important ones."""

_ABSENT = -0.14
"""Where the line of a trial passes that does not have a choice, below the values."""
_SPREAD = 0.055
"""How far lines through one value are spread, so that they are not one."""
_ROOM = 13.0
"""Characters of the smallest text for an inch between two axes."""
_RASTER = 1000
"""Above this many lines they are a picture inside a vector file."""
_MEMBER = LOOKS[0].color


@dataclass(frozen=True)
class Upright:
    """One upright axis: where each line crosses it, 0 at the bottom and 1 at the top, and what is written along it."""

    label: str
    heights: Losses
    ticks: list[tuple[float, str]]
    is_choice: bool
    low: Losses | None = None
    high: Losses | None = None


def draw_parallel(runs: Sequence[Run], out: Path, width: str = "double") -> None:
    """Draw each feasible trial of a search as a line from its choices to its objectives, into a PNG, SVG or PDF.

    Members of the front, at their confirmed latencies where there are some, are dark and marked; the others are thin
    and grey. Lines through one value are spread by the first objective, so that they do not hide each other. Where a
    trial does not have a choice, because another one removed it, its line passes below the values. How many feasible
    trials are not drawn, because no choices of the space stand for their networks, is said.

    Args:
        runs: one search.
        out: the file to write; its folder is made.
        width: `single` (3.5 in, 4 choices at most) or `double` (7.16 in, 9 at most).

    Raises:
        DefinitionError: the suffix or width is not there, or it is not one search.
        StoreError: the file cannot be written.
    """
    with drawing(out, width) as figure:
        run = only_search(runs, "parallel")
        figure.set_figheight(3.4)
        axes = figure.subplots()
        trials = _find_trials(run)
        names, left_out, ranked = _choose(run, trials, MOST_CHOICES[width])
        uprights = [_choice_axis(name, trials) for name in names]
        uprights += [_objective_axis(objective, trials) for objective in run.objectives]
        if len(trials):
            draw_lines(axes, uprights, trials["member"].to_numpy(dtype=bool))
        else:
            axes.set(xticks=[], yticks=[])
            words = "no feasible trial has choices" if len(_without_choices(run)) else "no feasible trial"
            axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color="0.4")
        _draw_legend(figure, run, trials, uprights, width)
        parts = _count_feasible(run, trials)
        if left_out:
            rank = "less important " if ranked else ""
            parts.append(f"{left_out} {rank}choice{'s' if left_out > 1 else ''} not drawn")
        add_heading(figure, (";\n" if width == "single" else "; ").join(parts), fontsize=7)


def _count_feasible(run: Run, trials: pd.DataFrame) -> list[str]:
    """Say how many trials of the run are feasible, and how many of those are not drawn."""
    feasible, bare = int(run.evaluations["feasible"].sum()), len(_without_choices(run))
    parts = [f"{run.name}: {feasible:,} of {len(run.evaluations):,} trials are feasible"]
    if bare:
        parts.append(f"{bare:,} without choices not drawn")
    if unsound := feasible - bare - len(trials):
        parts.append(f"{unsound:,} without a sound figure not drawn")
    return parts


def _without_choices(run: Run) -> pd.DataFrame:
    """Give the feasible trials that no choices of the space stand for, such as published networks beside it."""
    feasible = run.evaluations[run.evaluations["feasible"]]
    return feasible[feasible["choices"].isna() | (feasible["choices"] == "{}")]


def _find_trials(run: Run) -> pd.DataFrame:
    """Give the feasible trials with choices, by the first objective, marked where they are members of the front."""
    feasible = run.evaluations[run.evaluations["feasible"]]
    timed = [objective for objective in run.objectives if objective.figure == "latency"]
    placed = confirmed_places(run, feasible, timed) if run.is_confirmed and timed else feasible
    members = run.pareto.loc[run.pareto["fell_off"].isna(), "trial"]
    trials = trials_with(placed, run.objectives[0])
    trials = trials.assign(member=trials["trial"].isin(members))
    return trials.sort_values([run.objectives[0].column, "trial"], kind="stable")


def _choose(run: Run, trials: pd.DataFrame, most: int) -> tuple[list[str], int, bool]:
    """Give the names of the choices to draw in the order of the space, how many more there are, and if by importance.

    Too few trials say nothing of importance, and then the first of the space are drawn.
    """
    names: dict[str, set[tuple[bool, float, str]]] = {}
    for chosen in sorted(trials["chosen"], key=len, reverse=True):
        for name, value in chosen.items():
            names.setdefault(name, set()).add(key_of(value))
    varying = [name for name, values in names.items() if len(values) > 1]
    if len(varying) <= most:
        return varying, 0, False
    shares: dict[str, float] = {}
    for objective in run.objectives:
        for row in objective_importances(run.evaluations, objective):
            shares[row.choice] = max(shares.get(row.choice, 0.0), row.share)
    best = set(sorted(varying, key=lambda name: -shares.get(name, 0.0))[:most])
    return [name for name in varying if name in best], len(varying) - most, bool(shares)


def _choice_axis(name: str, trials: pd.DataFrame) -> Upright:
    values = order_values(chosen[name] for chosen in trials["chosen"] if name in chosen)
    places = {key_of(value): at / max(len(values) - 1, 1) for at, value in enumerate(values)}
    heights = np.array(
        [places[key_of(chosen[name])] if name in chosen else _ABSENT for chosen in trials["chosen"]], dtype=np.float64
    )
    ticks = [(places[key_of(value)], str(value)) for value in values]
    return Upright(name, heights, _thin([*([(_ABSENT, "none")] if (heights < 0).any() else []), *ticks]), True)


def _thin(ticks: list[tuple[float, str]], most: int = 12) -> list[tuple[float, str]]:
    """Leave out ticks of a long axis evenly, so that they do not overlap."""
    every = -(-len(ticks) // most)
    return ticks if every == 1 else [*ticks[:-1:every], ticks[-1]]


def _objective_axis(objective: Objective, trials: pd.DataFrame) -> Upright:
    from matplotlib.ticker import MaxNLocator

    values, low, high = (np.abs(losses_of(trials, (objective,), end)[:, 0]) for end in (None, 0, 1))
    axis = make_axis(objective, values)
    bottom, top = (float(low.min()), float(high.max())) if len(values) else (0.0, 1.0)
    span = top - bottom or 1.0
    words = fill(axis.label, 11) + ("\n↑ better" if objective.maximize else "\n↓ better")
    numbers = [] if not len(values) else MaxNLocator(5).tick_values(bottom * axis.scale, top * axis.scale)
    shares = [(float(number) / axis.scale - bottom) / span for number in numbers]
    ticks = [(share, f"{number:,.10g}") for share, number in zip(shares, numbers, strict=True) if 0 <= share <= 1]
    heights, below, above = ((each - bottom) / span for each in (values, low, high))
    measured = bool((low < high).any())
    return Upright(words, heights, ticks, False, below if measured else None, above if measured else None)


def draw_lines(axes: Axes, uprights: Sequence[Upright], member: np.ndarray) -> None:
    """Draw upright axes and a line a trial through them; members of the front lie above the others."""
    from matplotlib.collections import LineCollection

    count = len(member)
    spread = _SPREAD * (np.arange(count) / max(count - 1, 1) - 0.5)
    heights = np.stack([one.heights + (spread if one.is_choice else 0.0) for one in uprights], axis=1)
    places = np.arange(len(uprights), dtype=np.float64)
    paths = np.stack([np.broadcast_to(places, heights.shape), heights], axis=2)
    others: list[Any] = list(paths[~member])
    grey = LineCollection(others, colors="0.55", linewidths=0.5, alpha=0.45, zorder=2)
    grey.set_rasterized(len(others) > _RASTER)
    axes.add_collection(grey)
    for path in paths[member]:
        axes.plot(
            *path.T, color=_MEMBER, linewidth=1.1, marker="o", markersize=2.6, mec="white", mew=0.3, alpha=0.9, zorder=4
        )
    room = int(_ROOM * axes.figure.get_figwidth() / len(uprights))  # type: ignore[union-attr]
    for at, one in enumerate(uprights):
        axes.axvline(at, ymin=0, color="0.25", linewidth=0.7, zorder=3)
        if one.low is not None and one.high is not None:
            ends = one.low[member], one.high[member]
            axes.vlines(np.full(int(member.sum()), at), *ends, color="black", linewidth=2.6, zorder=5)
        for height, words in one.ticks:
            axes.annotate(
                shorten(words, room),
                (at, height),
                (3, 0),
                textcoords="offset points",
                fontsize=6,
                va="center",
                zorder=6,
                bbox={"boxstyle": "square,pad=0.08", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
            )
    axes.set_xlim(-0.15, len(uprights) - 1 + 0.45)
    axes.set_ylim(-0.2, 1.06)
    axes.set_yticks([])
    axes.grid(visible=False)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_xticks(places, [shorten(one.label, 20) if one.is_choice else one.label for one in uprights], fontsize=6.5)
    for label, one in zip(axes.get_xticklabels(), uprights, strict=True):
        if one.is_choice:
            label.set(rotation=30, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="x", length=0)


def _draw_legend(figure: Figure, run: Run, trials: pd.DataFrame, uprights: Sequence[Upright], width: str) -> None:
    from matplotlib.lines import Line2D

    members, drawn = int(run.pareto["fell_off"].isna().sum()), int(trials["member"].sum())
    hidden = f", {drawn:,} drawn" if drawn < members else ""
    handles = [
        Line2D([], [], color=_MEMBER, linewidth=1.1, marker="o", markersize=2.6),
        Line2D([], [], color="0.55", linewidth=0.6),
    ]
    labels = [f"on the {'confirmed ' if run.is_confirmed else ''}front ({members:,}{hidden})", "another feasible trial"]
    if any(one.low is not None for one in uprights):
        handles.append(Line2D([], [], color="black", linewidth=2.6))
        labels.append("its latency's 95 % interval")
    add_legend(figure, handles, labels, 1 if width == "single" else len(handles))
