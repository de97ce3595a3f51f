"""The figure of what latencies rest on: every raw sample of every row, and how far the processes agree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench.plot.rows import SETTINGS, label_settings, read_rows
from nasbench.plot.style import add_legend, drawing
from nasbench.store.parquet import Run
from nasbench.units import format_seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_ROWS = 60
"""What one figure holds; more is said and not drawn."""

_NARROWEST = 0.02
_WIDEST = 0.6
_TAIL = 6.0
_BODY, _MASKED, _TICK = "#56B4E9", "#D55E00", "#000000"
_ROW_INCH = (0.27, 0.56)
"""Height of a row, and that of one which carries its label inside."""

Shares = NDArray[np.float64]
"""Samples as shares of their row's latency, less one."""


def draw_samples(runs: Sequence[Run], out: Path, width: str = "double") -> None:
    """Draw the raw samples of every measurement into a PNG, SVG or PDF, by the suffix of `out`.

    A row shows how far its samples lie from the latency that is reported: their density, those that the gates masked,
    the median of each process, and the latency's 95 % interval. Rows are in the order of the trials, the first at the
    top; the axis is cut where next to nothing lies, and what is beyond is counted at its end.

    Args:
        runs: read by `store.parquet.read_run`.
        out: the file to write; its folder is made.
        width: `single` (3.5 in) or `double` (7.16 in).

    Raises:
        DefinitionError: the suffix or width is not there, or no measurement has a latency.
        StoreError: the file cannot be written.
    """
    with drawing(out, width) as figure:
        every = read_rows(runs)
        every["label"] = _labels(every)
        rows = [row for _, row in every.head(MOST_ROWS).iterrows()]
        narrow = width == "single"
        figure.set_figheight(1.15 + _ROW_INCH[narrow] * len(rows))
        axes = figure.subplots()
        low, high = _span(rows)
        for place, row in enumerate(rows):
            _draw_row(axes, place, row, (low, high), 0.13 if narrow else 0.3)
        _frame_axes(axes, len(rows), low, high, narrow)
        (_label_inside if narrow else _label_beside)(axes, rows)
        if len(every) > len(rows):
            axes.set_title(f"the first {len(rows)} of {len(every)} rows")
        _draw_legend(figure, rows, (low, high), 2 if narrow else 5)


def _labels(rows: Any) -> list[str]:
    settings = label_settings(rows, (*SETTINGS, "batch"))
    return [", ".join(filter(None, pair)) for pair in zip(rows["network"], settings, strict=True)]


def _shares(row: Any, values: Any) -> Shares:
    return np.asarray(values, dtype=np.float64) / float(row["latency_s"]) - 1


def _kept(row: Any) -> tuple[Shares, Shares]:
    """Give the samples that count, and those that the gates masked."""
    samples, kept = _shares(row, row["latencies_s"]), np.asarray(row["kept"], dtype=bool)
    return samples[kept], samples[~kept]


def _span(rows: Sequence[Any]) -> tuple[float, float]:
    """Give the part of the axis that shows where samples crowd, and every interval whole.

    Samples have a floor and a tail: the tail of a row is shown as far as six times the distance to its floor.
    """
    low, high = -_NARROWEST, _NARROWEST
    for row in rows:
        kept = _kept(row)[0]
        if len(kept):
            floor, tail = np.quantile(kept, (0.005, 0.985))
            low, high = min(low, floor), max(high, min(tail, -_TAIL * floor))
        known = _shares(row, [end for end in (row["latency_low_s"], row["latency_high_s"]) if end == end])
        low, high = min([low, *known]), max([high, *known])
    return max(1.1 * low, -_WIDEST), min(1.1 * high, _WIDEST)


def _draw_row(axes: Axes, place: int, row: Any, span: tuple[float, float], under: float) -> None:
    """Draw a row around the height `place`; the marks of processes and masked samples are `under` it."""
    low, high = span
    kept, masked = _kept(row)
    _draw_density(axes, place, kept[(kept >= low) & (kept <= high)], low, high)
    inside = masked[(masked >= low) & (masked <= high)]
    axes.plot(100 * inside, np.full(len(inside), place + under), "x", color=_MASKED, markersize=2.4, zorder=3)
    medians = _shares(row, row["process_medians_s"])
    axes.plot(
        100 * medians,
        np.full(len(medians), place + under),
        "|",
        color=_TICK,
        markersize=6,
        markeredgewidth=0.8,
        zorder=5,
    )
    ends = _shares(row, [row["latency_low_s"], row["latency_high_s"]])
    if not np.isnan(ends).any():
        axes.plot(100 * ends, [place, place], "-", color=_TICK, linewidth=2.0, solid_capstyle="butt", zorder=4)
    axes.plot([0], [place], "o", color="white", markeredgecolor=_TICK, markersize=3.2, zorder=5)
    for samples, height, color, mark in ((kept, -0.14, "0.25", ""), (masked, under, _MASKED, "x ")):
        if count := int((samples < low).sum()):
            axes.text(100 * low, place + height, f" ◂ {mark}{count:,}", fontsize=5.5, color=color, va="center")
        if count := int((samples > high).sum()):
            words = f"{mark}{count:,} ▸ "
            axes.text(100 * high, place + height, words, fontsize=5.5, color=color, va="center", ha="right")


def _draw_density(axes: Axes, place: int, samples: Shares, low: float, high: float) -> None:
    from matplotlib.mlab import GaussianKDE

    if not _is_spread(samples):
        return
    grid = np.linspace(max(low, samples.min()), min(high, samples.max()), 200)
    density = GaussianKDE(samples, bw_method="scott").evaluate(grid)
    height = 0.45 * density / density.max()
    axes.fill_between(100 * grid, place - height, place + 0.0, color=_BODY, linewidth=0.4, edgecolor="0.3", zorder=2)


def _is_spread(samples: Shares) -> bool:
    """Say whether samples have a density; one alone, as what was read from a table is, has none."""
    return len(samples) > 1 and float(np.ptp(samples)) > 0


def _frame_axes(axes: Axes, count: int, low: float, high: float, narrow: bool) -> None:
    axes.set_xlim(100 * low, 100 * high)
    axes.set_ylim(count - 0.4, -0.95 if narrow else -0.6)
    axes.set_yticks([])
    axes.grid(axis="y", visible=False)
    axes.axvline(0, color="0.6", linewidth=0.6, zorder=1)
    axes.set_xlabel("Distance of a sample from the row's latency (%)")


def _label_beside(axes: Axes, rows: Sequence[Any]) -> None:
    axes.set_yticks(range(len(rows)), [row["label"] for row in rows])
    other = axes.secondary_yaxis("right")
    other.set_yticks(range(len(rows)), [describe_latency(row) for row in rows])
    for side in (axes, other):
        side.tick_params(axis="y", length=0)
    other.spines["right"].set_visible(False)


def _label_inside(axes: Axes, rows: Sequence[Any]) -> None:
    for place, row in enumerate(rows):
        words, where = f"{row['label']}\n{describe_latency(row)}", ("axes fraction", "data")
        axes.annotate(words, (0, place - 0.47), (3, 0), where, "offset points", fontsize=5.5, va="bottom")


def describe_latency(row: Any) -> str:
    """Give the latency, its interval, how many samples and processes it rests on, and a verdict other than ok."""
    words = format_seconds(float(row["latency_s"])).replace("us", "µs")
    if row["latency_low_s"] == row["latency_low_s"]:
        half = (row["latency_high_s"] - row["latency_low_s"]) / 2 / row["latency_s"]
        words += f" ±{half:.1%}"
    words += f", n = {int(np.sum(row['kept'])):,}"
    if (processes := len(row["process_medians_s"])) > 1:
        words += f" of {processes} processes"
    return words if row["verdict"] == "ok" else f"{words}, {row['verdict']}"


def _draw_legend(figure: Figure, rows: Sequence[Any], span: tuple[float, float], columns: int) -> None:
    """Say what is drawn: rows of a table have neither samples nor intervals."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = []
    labels = []
    if any(_is_spread(_kept(row)[0]) for row in rows):
        handles.append(Patch(facecolor=_BODY, edgecolor="0.3", linewidth=0.4))
        labels.append("samples (density)")
    known = any(row["latency_low_s"] == row["latency_low_s"] for row in rows)
    mark: dict[str, Any] = {"marker": "o", "markerfacecolor": "white", "markeredgecolor": _TICK, "markersize": 3.2}
    handles.append(Line2D([], [], color=_TICK, linewidth=2.0, linestyle="-" if known else "", **mark))
    labels.append("latency, 95 % interval" if known else "latency")
    if any(len(row["process_medians_s"]) > 1 for row in rows):
        handles.append(Line2D([], [], color=_TICK, linestyle="", marker="|", markersize=6, markeredgewidth=0.8))
        labels.append("median of a process")
    if any(not all(row["kept"]) for row in rows):
        handles.append(Line2D([], [], color=_MASKED, linestyle="", marker="x", markersize=3))
        labels.append("masked sample")
    shares = [samples for row in rows for samples in _kept(row)]
    if any(((samples < span[0]) | (samples > span[1])).any() for samples in shares):
        handles.append(Line2D([], [], color="0.25", linestyle="", marker=">", markersize=3))
        labels.append("how many lie beyond")
    add_legend(figure, handles, labels, columns)
