"""The figure of latencies: what each network takes on each device, with interval and how its samples scatter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench.errors import DefinitionError
from nasbench.objectives import OBJECTIVES
from nasbench.plot.axes import make_axis, number_ticks
from nasbench.plot.rows import SETTINGS, label_settings, read_rows
from nasbench.plot.samples import describe_latency
from nasbench.plot.searches import shorten
from nasbench.plot.style import LOOKS, add_heading, add_legend, drawing
from nasbench.store.parquet import Run, label_runs

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_ROWS = 40
"""What a page holds, panel by panel and the fastest of each first; how many more there are is said."""

_FACES = {"screen": "white", "confirm": LOOKS[6].color}
"""Fill of a box by level; what is neither is filled as confirmed."""
_HATCHES = {"screen": "", "confirm": "////"}
_BOX = (0.25, 0.75)
_WHISKERS = (0.05, 0.95)
_SURE: dict[str, Any] = {"linestyle": "", "marker": "|", "color": "black", "markersize": 8, "markeredgewidth": 0.9}
_UNSURE = _SURE | {"marker": "D", "markersize": 4.2, "markerfacecolor": "none", "markeredgewidth": 0.8}
"""The mark of a latency, and that of one with another verdict than ok."""
_FEWEST_BOXED = 2
"""One sample alone is the latency itself, as what was read from a table is."""
_ROW_INCH, _LEVEL_INCH = 0.13, 0.12
_WIDE = 8.0
"""Latencies that differ by more than this factor stand on a logarithmic axis."""


def draw_latency(runs: Sequence[Run], out: Path, width: str = "double") -> None:
    """Draw the latency of each member of a search's front, or each network of a bench, into a PNG, SVG or PDF.

    A panel is a device with its settings, and its rows are sorted, the fastest first. A row has the latency with its
    95 % interval over a box of the samples that count. Of a member that was confirmed the search's own figure stands
    above the confirmed one.

    Args:
        runs: searches and benches.
        out: the file to write; its folder is made.
        width: `single` (3.5 in) or `double` (7.16 in).

    Raises:
        DefinitionError: the suffix or width is not there, or nothing of the runs has a latency.
        StoreError: the file cannot be written.
    """
    with drawing(out, width) as figure:
        rows = read_latencies(runs)
        kept = rows[rows["row"] < MOST_ROWS]
        panels = [panel for _, panel in kept.groupby("panel", sort=False)]
        heights = [0.3 + _ROW_INCH * panel["row"].nunique() + _LEVEL_INCH * len(panel) for panel in panels]
        figure.set_figheight(0.75 + sum(heights) + 0.35 * len(panels))
        grid = figure.subplots(len(panels), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
        batches = set(kept["batch"])
        axis = make_axis(OBJECTIVES["latency"], kept["latency_s"], batches.pop() if len(batches) == 1 else None)
        if kept["latency_s"].max() > _WIDE * kept["latency_s"].min():
            grid[0].set_xscale("log")
        for axes in grid:
            axes.use_sticky_edges = False  # a box at the end of the axis would be cut
            axes.margins(x=0.03)
        for axes, panel in zip(grid, panels, strict=True):
            draw_panel(axes, panel, axis.scale, width == "single")
        if grid[0].get_xscale() == "log":
            number_ticks(grid[-1].xaxis)
        grid[-1].set_xlabel(axis.label)
        if (count := rows["row"].nunique()) > MOST_ROWS:
            add_heading(figure, f"the first {MOST_ROWS} of {count:,} rows")
        _draw_legend(figure, kept, 1 if width == "single" else 3)


def read_latencies(runs: Sequence[Run]) -> pd.DataFrame:
    """Give the measurements to draw, as `plot.rows.read_rows` does, a panel after the other and sorted within.

    Of a search these are the members of its front, those included that fell off when it was confirmed.

    Returns:
        Besides: `panel`, what tells its device and settings from the others; `row`, counted through all panels; and
        `label`, the name of the network, with the trial of a search.

    Raises:
        DefinitionError: there is none.
    """
    if not runs:
        raise DefinitionError("there is no run to draw; name at least one")
    every = read_rows(runs)
    every["label"] = every["network"].map(shorten)
    for run, name in zip(runs, label_runs(runs), strict=True):
        if not run.is_bench:
            own = every["run"] == name
            every.loc[own, "label"] = every["label"].str.cat(every["trial"].astype(str), sep=" #")
            every = every[~own | every["trial"].isin(run.pareto["trial"])].copy()
    if every.empty:
        names = ", ".join(run.name for run in runs)
        raise DefinitionError(f"{names}: no member of the front has a latency, so there is nothing to draw")
    settings = [name for name in (*SETTINGS, "batch") if name != "level"]
    every["panel"] = label_settings(every, settings)
    # The confirmed latency, which stands last, is what counts.
    every["rank"] = every.groupby(["panel", "run", "trial"])["latency_s"].transform("last")
    every["first"] = every.groupby("panel")["rank"].transform("min")
    every = every.sort_values(["first", "panel", "rank", "run", "trial", "measurement"], kind="stable")
    every["row"] = every.groupby(["panel", "run", "trial"], sort=False).ngroup()
    return every.reset_index(drop=True)


def draw_panel(axes: Axes, panel: pd.DataFrame, scale: float, narrow: bool = False) -> None:
    """Draw the rows of one device and its settings, the first at the top; seconds times `scale` are what is shown."""
    texts, labels, places = [], [], []
    place = 0.0
    for _, row in panel.groupby("row", sort=True):
        middle = place + 0.5 * (len(row) - 1)
        for _, level in row.iterrows():
            _draw_box(axes, place, level, scale)
            place += 1.0
        place += 0.45
        places.append(middle)
        labels.append(shorten(row["label"].iloc[0], 23 if narrow else 40))
        texts.append(describe_latency(row.iloc[-1]))
    axes.set_ylim(place - 0.45 - 0.3, -0.7)
    axes.grid(axis="y", visible=False)
    axes.set_yticks(places, labels, fontsize=6.5)
    axes.tick_params(axis="y", length=0)
    axes.set_title(panel["panel"].iloc[0], loc="left", fontsize=7)
    if not narrow:
        beside = axes.secondary_yaxis("right")
        beside.set_yticks(places, texts, fontsize=6.5)
        beside.tick_params(axis="y", length=0)
        beside.spines["right"].set_visible(False)


def _draw_box(axes: Axes, place: float, row: pd.Series[Any], scale: float) -> None:
    """Draw the samples that count as a box, and over it the latency with its interval."""
    samples = np.asarray(row["latencies_s"], dtype=np.float64)[np.asarray(row["kept"], dtype=bool)]
    if len(samples) >= _FEWEST_BOXED:
        low, left, right, high = scale * np.quantile(samples, [_WHISKERS[0], *_BOX, _WHISKERS[1]])
        axes.plot([low, high], [place, place], color="0.5", linewidth=0.7, zorder=2)
        axes.barh(
            place,
            right - left,
            left=left,
            height=0.72,
            color=_FACES.get(row["level"], _FACES["confirm"]),
            hatch=_HATCHES.get(row["level"], ""),
            edgecolor="0.35",
            linewidth=0.5,
            zorder=3,
        )
    ends = scale * np.array([row["latency_low_s"], row["latency_high_s"]], dtype=np.float64)
    if not np.isnan(ends).any():
        axes.plot(ends, [place, place], color="black", linewidth=1.8, solid_capstyle="butt", zorder=5)
    axes.plot([scale * row["latency_s"]], [place], zorder=6, **(_SURE if row["verdict"] == "ok" else _UNSURE))


def _draw_legend(figure: Figure, rows: pd.DataFrame, columns: int) -> None:
    """Say what is drawn: rows of a table have neither samples nor intervals."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    words = {"screen": "half of the samples, one process", "confirm": "half of the samples, several processes"}
    handles: list[Any] = []
    labels = []
    sampled = rows[[int(np.sum(kept)) >= _FEWEST_BOXED for kept in rows["kept"]]]
    for level in dict.fromkeys(sampled["level"]):
        handles.append(
            Patch(
                facecolor=_FACES.get(level, _FACES["confirm"]),
                hatch=_HATCHES.get(level, ""),
                edgecolor="0.35",
                linewidth=0.5,
            )
        )
        labels.append(words.get(level, f"half of the samples, {level}"))
    if len(sampled):
        handles.append(Line2D([], [], color="0.5", linewidth=0.7))
        labels.append("5 to 95 % of samples")
    if rows[["latency_low_s", "latency_high_s"]].notna().all(axis=1).any():
        handles.append(Line2D([], [], **_SURE | {"linestyle": "-", "linewidth": 1.8}))
        labels.append("latency, 95 % interval")
    elif (rows["verdict"] == "ok").any():
        handles.append(Line2D([], [], **_SURE))
        labels.append("latency")
    if (rows["verdict"] != "ok").any():
        handles.append(Line2D([], [], **_UNSURE))
        labels.append("another verdict than ok")
    add_legend(figure, handles, labels, columns)
