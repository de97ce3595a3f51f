"""The figure of a bench with several batches: what a larger batch gains in throughput and costs in latency."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nasbench.objectives import OBJECTIVES
from nasbench.plot.axes import make_axis, number_ticks
from nasbench.plot.labels import place_labels
from nasbench.plot.rows import label_settings, read_rows
from nasbench.plot.style import LOOKS, Look, add_legend, drawing
from nasbench.store.parquet import Run

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

    _Entry = tuple[Line2D, str]


def draw_throughput(runs: Sequence[Run], out: Path, width: str = "double") -> None:
    """Draw latency against images per second, both logarithmic, into a PNG, SVG or PDF, by the suffix of `out`.

    A line is one network on one device with one runtime and number of threads; its points are the batches, with 95 %
    intervals. Equal batches lie on the grey diagonals. Networks differ by colour and marker, the rest by the dashes.
    More networks than there are looks are numbered at the ends of their lines instead.

    Args:
        runs: read by `store.parquet.read_run`.
        out: the file to write; its folder is made.
        width: `single` (3.5 in) or `double` (7.16 in).

    Raises:
        DefinitionError: the suffix or width is not there, or no measurement has a latency.
        StoreError: the file cannot be written.
    """
    with drawing(out, width) as figure:
        rows = read_rows(runs)
        rows["setting"] = label_settings(rows)
        looks = _choose_looks(rows)
        columns = _legend_columns(_legend_groups(rows, looks), most=2 if width == "single" else 4)
        figure.set_figheight(2.6 + 0.16 * (len(columns[0]) if columns else 0))
        axes = figure.subplots()
        scale = _label_axes(axes, rows)
        if rows["network"].nunique() == 1:
            axes.set_title(rows["network"].iloc[0], loc="left", pad=12)
        ends = _draw_lines(axes, rows, looks, scale)
        _draw_batches(axes, rows, scale)
        if columns:
            handles, labels = zip(*(entry for column in columns for entry in column), strict=True)
            add_legend(figure, handles, labels, len(columns), handlelength=3.2)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        if _is_crowded(rows):
            place_labels(axes, ends, [(x, y, 10.0) for x, y, _ in ends])


def _is_crowded(rows: pd.DataFrame) -> bool:
    return bool(rows["network"].nunique() > len(LOOKS))


def _choose_looks(rows: pd.DataFrame) -> dict[tuple[str, str], Look]:
    """Give every pair of network and setting its look."""
    networks, settings = (list(dict.fromkeys(rows[name])) for name in ("network", "setting"))
    marks = cycle(LOOKS[:1] if _is_crowded(rows) else LOOKS)
    of_network = dict(zip(networks, marks, strict=False))
    of_setting = dict(zip(settings, cycle(LOOKS), strict=False))
    if len(networks) == 1:  # then colour and marker are free for the settings
        return {(networks[0], setting): look for setting, look in of_setting.items()}
    return {
        (network, setting): Look(of_network[network].color, of_network[network].marker, of_setting[setting].line)
        for network in networks
        for setting in settings
    }


def _label_axes(axes: Axes, rows: pd.DataFrame) -> float:
    """Label the axes; gives what a latency in seconds is multiplied with."""
    axis = make_axis(OBJECTIVES["latency"], rows["latency_s"])
    axes.set(xscale="log", yscale="log", ylabel="Throughput (images/s)")
    axes.set_xlabel(axis.label.replace("Latency", "Latency of a whole batch"))
    return axis.scale


def _draw_lines(
    axes: Axes, rows: pd.DataFrame, looks: dict[tuple[str, str], Look], scale: float
) -> list[tuple[float, float, str]]:
    """Draw a line for each network and setting; gives the last point of each with the number of its network."""
    ends: list[tuple[float, float, str]] = []
    numbers: dict[str, str] = {}
    for (network, setting), line in rows.groupby(["network", "setting"], sort=False):
        look = looks[str(network), str(setting)]
        line = line.sort_values("batch", kind="stable")
        batch = line["batch"].to_numpy(dtype=np.float64)
        latency, low, high = (
            line[name].to_numpy(dtype=np.float64, na_value=np.nan)
            for name in ("latency_s", "latency_low_s", "latency_high_s")
        )
        low, high = np.where(np.isnan(low), latency, low), np.where(np.isnan(high), latency, high)
        axes.errorbar(
            latency * scale,
            batch / latency,
            xerr=np.clip(np.stack([latency - low, high - latency]) * scale, 0, None),
            yerr=np.clip(np.stack([batch / latency - batch / high, batch / low - batch / latency]), 0, None),
            color=look.color,
            marker=look.marker,
            linestyle=look.line,
            linewidth=1.0,
            markersize=4.2,
            markeredgecolor="white",
            markeredgewidth=0.4,
            elinewidth=1.1,
            zorder=3,
        )
        number = numbers.setdefault(str(network), str(len(numbers) + 1))
        ends.append((latency[-1] * scale, batch[-1] / latency[-1], number))
    return ends


def _draw_batches(axes: Axes, rows: pd.DataFrame, scale: float) -> None:
    """Draw the diagonals on which a batch lies, since images per second are batch / latency."""
    from matplotlib.transforms import blended_transform_factory

    axes.margins(0.12)
    axes.autoscale_view()
    limits = axes.get_xlim(), axes.get_ylim()
    beside = blended_transform_factory(axes.transAxes, axes.transData)
    above = blended_transform_factory(axes.transData, axes.transAxes)
    for batch in sorted(set(rows["batch"])):
        ends = np.asarray(limits[0])
        axes.plot(ends, batch * scale / ends, color="0.75", linewidth=0.6, linestyle=(0, (4, 3)), zorder=1)
        at_top, at_left = batch * scale / limits[1][1], batch * scale / limits[0][0]
        if limits[0][0] <= at_top <= limits[0][1]:
            axes.text(at_top, 1.01, f"batch {batch}", transform=above, fontsize=6.5, color="0.35", ha="center")
        elif limits[1][0] <= at_left <= limits[1][1]:
            axes.text(0.005, at_left, f"batch {batch}", transform=beside, fontsize=6.5, color="0.35", va="bottom")
    axes.set(xlim=limits[0], ylim=limits[1])
    number_ticks(axes.xaxis)
    number_ticks(axes.yaxis)


def _legend_groups(rows: pd.DataFrame, looks: dict[tuple[str, str], Look]) -> list[list[_Entry]]:
    """Give the legend's entries: networks, then settings and what the bars are, where there are some."""
    from matplotlib.lines import Line2D

    networks, settings = (list(dict.fromkeys(rows[name])) for name in ("network", "setting"))
    alone = len(networks) == 1
    named: list[_Entry] = []
    for number, network in enumerate(networks if not alone else (), 1):
        look = looks[network, settings[0]]
        line = Line2D([], [], color=look.color, marker=look.marker, linestyle="", markersize=4.2)
        if _is_crowded(rows):
            line.set(marker=f"${number}$", color="black", markersize=3.0 + 1.6 * len(str(number)), markeredgewidth=0)
        named.append((line, network))
    others: list[_Entry] = []
    for setting in settings if len(settings) > 1 else ():
        look = looks[networks[0], setting]
        color, marker = (look.color, look.marker) if alone else ("0.2", "")
        line = Line2D([], [], color=color, marker=marker, linestyle=look.line, linewidth=1.0, markersize=4.2)
        others.append((line, setting))
    if rows[["latency_low_s", "latency_high_s"]].notna().any(axis=None):
        others.append((Line2D([], [], color="0.2", marker="+", linestyle="", markersize=7), "95 % interval"))
    return [group for group in (named, others) if group]


def _legend_columns(groups: list[list[_Entry]], most: int) -> list[list[_Entry]]:
    """Lay groups out in at most so many columns of equal length, each group beginning a column of its own."""
    from matplotlib.lines import Line2D

    length = next(n for n in count(1) if sum(-(-len(group) // n) for group in groups) <= most)
    columns = [group[at : at + length] for group in groups for at in range(0, len(group), length)]
    blank = (Line2D([], [], linestyle=""), "")
    return [column + [blank] * (length - len(column)) for column in columns]
