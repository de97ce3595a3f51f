"""The figure of latency over the side of the image, beside what growth with the MACs would be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nasbench.errors import DefinitionError
from nasbench.plot.axes import number_ticks
from nasbench.plot.style import LOOKS, add_heading, add_legend, drawing

if TYPE_CHECKING:
    import pandas as pd


def check_networks(names: Sequence[str]) -> None:
    """Refuse more networks than a figure can tell apart; raises DefinitionError."""
    if len(names) > len(LOOKS):
        raise DefinitionError(f"{len(names)} networks are too many to tell apart in a figure; name up to {len(LOOKS)}")


def _exponent(growth: pd.Series) -> str:
    low, high = growth["latency_exponent_low"], growth["latency_exponent_high"]
    words = f"{growth['latency_exponent']:.2f}"
    return f"{words} ({low:.2f} to {high:.2f})" if low <= high else words


def draw_resolutions(
    resolutions: pd.DataFrame, growths: pd.DataFrame, title: str, out: Path, width: str = "double"
) -> None:
    """Draw latency over the side, both logarithmic, a line a network; grey, what it would be if it grew as the MACs do.

    The grey lines begin at the largest image. Latencies carry their 95 % intervals.

    Args:
        resolutions: `resolutions.parquet`, networks at their sides.
        growths: `growths.parquet`, their exponents for the legend.
        title: says the device.
        out: the file to write, a PNG, SVG or PDF by its suffix.
        width: `single` (3.5 in) or `double` (7.16 in).

    Raises:
        DefinitionError: the suffix or width is not there, or there are more networks than looks.
        StoreError: the file cannot be written.
    """
    from matplotlib.lines import Line2D

    with drawing(out, width) as figure:
        check_networks(list(resolutions["network"].unique()))
        figure.set_figheight(3.4 + 0.1 * resolutions["network"].nunique())
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.set_yscale("log")
        handles, labels = [], []
        for (name, unsorted), look in zip(resolutions.groupby("network", sort=False), LOOKS, strict=False):
            rows = unsorted.sort_values("side")
            last = rows.iloc[-1]
            as_macs = 1e3 * last["latency_s"] * rows["macs"] / last["macs"]
            axes.plot(rows["side"], as_macs, color="0.75", linewidth=0.8)
            line = {"marker": look.marker, "color": look.color, "linestyle": look.line, "markersize": 4.0}
            axes.plot(rows["side"], 1e3 * rows["latency_s"], linewidth=1, **line)
            ends = 1e3 * rows["latency_low_s"], 1e3 * rows["latency_high_s"]
            axes.vlines(rows["side"], *ends, color="0.2", linewidth=1.1)
            handles.append(Line2D([], [], **line))
            words = ""
            for _, growth in growths[growths["network"] == name].iterrows():
                words = f": side^{_exponent(growth)}, MACs side^{growth['macs_exponent']:.2f}"
            labels.append(f"{name}{words}")
        handles += [Line2D([], [], color="0.75", linewidth=0.8), Line2D([], [], color="0.2", linewidth=1.1)]
        labels += ["if it grew as its MACs do, from the largest image", "95 % interval"]
        axes.set_xlabel("Side of the image (pixels)")
        axes.set_ylabel("Latency (ms)")
        sides = sorted(resolutions["side"].unique())
        axes.set_xticks(sides, [str(side) for side in sides])
        axes.minorticks_off()
        axes.margins(0.06)
        number_ticks(axes.yaxis)
        add_heading(figure, title)
        columns = 1 if width == "single" else 2
        add_legend(figure, handles, labels, columns, handlelength=3)
