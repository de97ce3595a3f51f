"""The figure of what is counted against what is measured: a panel a figure, a point a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nasbench.plot.axes import number_ticks
from nasbench.plot.style import LOOKS, add_heading, add_legend, drawing, make_panels

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_SCALES = {
    "params": (1e6, "Parameters (millions)"),
    "macs": (1e6, "MACs (millions)"),
    "activations": (1e6, "Activations (millions)"),
    "traffic": (1e6, "Memory traffic, CIO (millions)"),
    "weight_bytes": (2**20, "Weights (MiB)"),
}


def draw_correlations(
    correlations: pd.DataFrame, points: pd.DataFrame, title: str, out: Path, width: str = "double"
) -> None:
    """Draw latency against every figure, both logarithmic, the figure that ranks best first.

    Latencies carry their 95 % intervals; a verdict other than ok is drawn open.

    Args:
        correlations: `correlations.parquet`; a panel each.
        points: `points.parquet`, the networks.
        title: says the device.
        out: the file to write, a PNG, SVG or PDF by its suffix.
        width: `single` (3.5 in) or `double` (7.16 in).

    Raises:
        DefinitionError: the suffix or width is not there.
        StoreError: the file cannot be written.
    """
    from matplotlib.lines import Line2D

    with drawing(out, width) as figure:
        columns = 1 if width == "single" else 3
        panels = make_panels(figure, len(correlations), columns, 0.7, 2.1, sharey=True)
        for axes, (_, correlation) in zip(panels, correlations.iterrows(), strict=True):
            _draw_panel(axes, correlation, points)
        for axes in panels[::columns]:
            axes.set_ylabel("Latency (ms)")
        add_heading(figure, f"{title}, {len(points)} networks")
        unsure = (points["latency_verdict"] != "ok").any()
        marks = [("ok", LOOKS[0].color), *([("another verdict", "white")] if unsure else [])]
        handles = [
            Line2D([], [], linestyle="", marker="o", markersize=3.4, color=LOOKS[0].color, markerfacecolor=face)
            for _, face in marks
        ]
        handles.append(Line2D([], [], color="0.6", linewidth=0.8))
        labels = [*(f"network, {words}" for words, _ in marks), "95 % interval"]
        add_legend(figure, handles, labels, len(handles))


def _draw_panel(axes: Axes, correlation: pd.Series, points: pd.DataFrame) -> None:
    scale, label = _SCALES[correlation["figure"]]
    axes.set_xscale("log")
    axes.set_yscale("log")
    known = points[points[correlation["figure"]] > 0]
    x, latency = known[correlation["figure"]] / scale, 1e3 * known["latency_s"]
    axes.vlines(x, 1e3 * known["latency_low_s"], 1e3 * known["latency_high_s"], color="0.6", linewidth=0.8, zorder=2)
    sure = known["latency_verdict"] == "ok"
    for some, face in ((sure, LOOKS[0].color), (~sure, "white")):
        axes.plot(x[some], latency[some], "o", markersize=3, color=LOOKS[0].color, markerfacecolor=face, zorder=3)
    axes.set_xlabel(label)
    rho, low, high = (correlation[name] for name in ("spearman", "spearman_low", "spearman_high"))
    found = f"Spearman {rho:.2f} ({low:.2f} to {high:.2f}), Kendall {correlation['kendall']:.2f}"
    axes.set_title(found, loc="left", fontsize=7)
    axes.margins(0.06)
    for axis in (axes.xaxis, axes.yaxis):
        number_ticks(axis)
