"""Figures of computational efficiency: the gap between networks and the peak, and where in a network the time goes.

Source: Lavin, On the Efficiency of Convolutional Neural Networks, 2024, arXiv:2404.03617 (efficiency gap plots and
waterline analysis; drawn here after their idea: latency = MACs / (peak x efficiency)).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench.layers import DENSE, DEPTHWISE, GROUPED, LAYER_KINDS, OTHER, POINTWISE, PRODUCT
from nasbench.plot.axes import number_ticks
from nasbench.plot.labels import place_labels
from nasbench.plot.style import LOOKS, add_heading, add_legend, drawing, make_panels

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch

_SHARES = (1.0, 0.5, 0.25, 0.1, 0.05)

LAYER_FILLS = {
    DENSE: (LOOKS[0].color, ""),
    POINTWISE: (LOOKS[6].color, "////"),
    GROUPED: (LOOKS[4].color, "...."),
    DEPTHWISE: (LOOKS[1].color, "xxxx"),
    PRODUCT: (LOOKS[3].color, "\\\\\\\\"),
    OTHER: ("0.85", "----"),
}
"""Colour and hatching of each kind of layer; the hatching alone is enough in print."""

_TALLEST = 12.0
"""A layer that takes longer for a MAC than so many times the peak's is cut off."""


def draw_gap(networks: pd.DataFrame, title: str, out: Path, width: str = "double") -> None:
    """Draw latency against MACs, both logarithmic, with lines of equal efficiency: the peak, a half of it and so on.

    What lies between a network and the line of the peak is its efficiency gap.

    Args:
        networks: `efficiencies.parquet`, of one device.
        title: says the device.
        out: the file to write, a PNG, SVG or PDF by its suffix.
        width: `single` (3.5 in) or `double` (7.16 in).

    Raises:
        DefinitionError: the suffix or width is not there.
        StoreError: the file cannot be written.
    """
    from matplotlib.lines import Line2D

    with drawing(out, width) as figure:
        x, y = networks["batch"] * networks["macs"] / 1e6, 1e3 * networks["latency_s"]
        ideal = 1e3 * networks["ideal_s"]
        sure = networks["latency_verdict"] == "ok"
        figure.set_figheight(3.8)
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(x.min() / 1.6, x.max() * 1.9)
        axes.set_ylim(min(ideal.min(), y.min()) / 1.5, y.max() * 1.6)
        for share in _SHARES:
            _draw_share(axes, share, networks["peak_macs_per_s"].iloc[0])
        axes.vlines(x, ideal, y, color="0.85", linewidth=0.8, zorder=1)
        ends = 1e3 * networks["latency_low_s"], 1e3 * networks["latency_high_s"]
        axes.vlines(x, *ends, color="0.2", linewidth=1.4, zorder=2)
        dot: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 4, "color": LOOKS[0].color}
        marks = [("network", sure, {}), ("network, another verdict than ok", ~sure, {"markerfacecolor": "white"})]
        seen = [(words, some, look) for words, some, look in marks if some.any()]
        for _, some, look in seen:
            axes.plot(x[some], y[some], zorder=3, **dot | look)
        axes.set_xlabel("MACs (millions)")
        axes.set_ylabel("Latency (ms)")
        for axis in (axes.xaxis, axes.yaxis):
            number_ticks(axis)
        add_heading(figure, _with_peak(title, networks))
        handles = [Line2D([], [], **dot | look) for _, _, look in seen]
        lines = {"95 % interval": ("0.2", 1.4), "gap": ("0.85", 0.8), "the peak": ("0.2", 1.2)}
        lines |= {"a part of the peak": ("0.7", 0.7)}
        handles += [Line2D([], [], color=color, linewidth=thick) for color, thick in lines.values()]
        labels = [*(words for words, _, _ in seen), *lines]
        add_legend(figure, handles, labels, 6 if width == "double" else 2)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        names = list(zip(x, y, networks["network"], strict=True))
        dots = [(across, up, 5.0) for across, up, _ in names]
        along = np.geomspace(*axes.get_xlim(), 150)
        for share in _SHARES:
            dots += [(at, at * _slope_ms(share, networks["peak_macs_per_s"].iloc[0]), 4.0) for at in along]
        place_labels(axes, names, dots)


def _with_peak(title: str, networks: pd.DataFrame) -> str:
    first = networks.iloc[0]
    size = first["peak_size"]
    return f"{title}, peak {first['peak_macs_per_s'] / 1e9:.3g} billion MACs/s ({size} x {size} matrices)"


def _slope_ms(share: float, peak_macs_per_s: float) -> float:
    """Give the time of a million MACs at a part of the peak, in ms."""
    return 1e9 / (share * peak_macs_per_s)


def _draw_share(axes: Axes, share: float, peak_macs_per_s: float) -> None:
    """Draw the latency of every number of MACs at a part of the peak, named where the line leaves the panel."""
    (left, right), (_, top) = axes.get_xlim(), axes.get_ylim()
    slope = _slope_ms(share, peak_macs_per_s)
    leaves = min(right, top / slope)
    color, thick = ("0.2", 1.2) if share == 1 else ("0.7", 0.7)
    axes.plot((left, right), (slope * left, slope * right), color=color, linewidth=thick, zorder=1)
    if leaves > left:
        words = "peak" if share == 1 else f"{share:.0%}"
        axes.annotate(
            words,
            (leaves, slope * leaves),
            (-3, -3) if leaves < right else (-2, 4),
            textcoords="offset points",
            ha="right",
            va="top" if leaves < right else "bottom",
            fontsize=7,
            color="0.2",
            bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"},
        )


def draw_waterlines(networks: pd.DataFrame, layers: pd.DataFrame, title: str, out: Path, width: str = "double") -> None:
    """Draw the layers of networks: width the MACs, height the time of a MAC, so that the area is the layer's time.

    Layers stand in the order of execution. The waterline is the peak: what lies below it is the time that the MACs
    need, what lies above it is lost. Operators without MACs are one bar behind the last layer, as high as the time that
    the network takes for a MAC on average, and so wide that its area is their time. Layers higher than 12 times the
    waterline are cut off, and the panel says how much of the time that hides.

    Args:
        networks: `efficiencies.parquet`, of one device.
        layers: `layers.parquet`; each of its networks has a panel.
        title: says the device.
        out: the file to write, a PNG, SVG or PDF by its suffix.
        width: `single` (3.5 in) or `double` (7.16 in).

    Raises:
        DefinitionError: the suffix or width is not there.
        StoreError: the file cannot be written.
    """
    from matplotlib.lines import Line2D

    with drawing(out, width) as figure:
        groups = [group for _, group in layers.groupby("network", sort=False)]
        columns = 1 if width == "single" else 2
        by_name = networks.set_index("network")
        for axes, group in zip(make_panels(figure, len(groups), columns, 0.9, 2.2), groups, strict=True):
            draw_waterline(axes, by_name.loc[group["network"].iloc[0]], group)
        kinds = [kind for kind in LAYER_KINDS if (layers["kind"] == kind).any()]
        handles: list[Patch | Line2D] = [layer_patch(kind) for kind in kinds]
        handles.append(Line2D([], [], color="black", linewidth=1.2, linestyle=(0, (4, 2))))
        add_heading(figure, _with_peak(title, networks))
        labels = [*kinds, "waterline: the peak"]
        add_legend(figure, handles, labels, 2 * columns)


def layer_patch(kind: str) -> Patch:
    """Give what a kind of layer looks like in a legend."""
    from matplotlib.patches import Patch

    color, hatch = LAYER_FILLS[kind]
    return Patch(facecolor=color, hatch=hatch, edgecolor="white", linewidth=0)


def draw_waterline(axes: Axes, network: pd.Series, layers: pd.DataFrame) -> None:
    """Draw one network into a panel, as `draw_waterlines` says."""
    water_ps = 1e12 / network["peak_macs_per_s"]
    total_s, macs = layers["duration_s"].sum(), layers["macs"].sum()
    working = layers[layers["macs"] > 0]
    left = hidden_s = 0.0
    for duration_s, own, kind in zip(working["duration_s"], working["macs"], working["kind"], strict=True):
        height = 1e12 * duration_s / own
        shown = min(height, _TALLEST * water_ps)
        hidden_s += duration_s * (1 - shown / height) if height else 0.0
        _bar(axes, left / 1e6, own / 1e6, shown, kind)
        left += own
    idle_s = layers.loc[layers["macs"] == 0, "duration_s"].sum()
    mean_ps = 1e12 * total_s / macs
    if idle_s:
        _bar(axes, left / 1e6, 1e12 * idle_s / mean_ps / 1e6, mean_ps, OTHER)
    axes.axhline(water_ps, color="black", linewidth=1.2, linestyle=(0, (4, 2)), zorder=4)
    axes.set_ylim(0, _TALLEST * water_ps if hidden_s else None)
    axes.set_xlim(0, None)
    axes.margins(x=0)
    axes.axvline(left / 1e6, color="0.4", linewidth=0.6, zorder=3)
    axes.set_xlabel("MACs in the order of execution (millions), then the rest")
    axes.set_ylabel("Time of a MAC (ps)")
    hidden = f", {hidden_s / total_s:.1%} cut off" if hidden_s / total_s >= 0.0005 else ""
    axes.set_title(
        f"{network.name}: {1e3 * network['latency_s']:.3g} ms, {network['efficiency']:.0%} of the peak\n"
        f"layers: {1e3 * total_s:.3g} ms, {idle_s / total_s:.0%} without MACs{hidden}",
        loc="left",
    )


def _bar(axes: Axes, left: float, wide: float, height: float, kind: str) -> None:
    color, hatch = LAYER_FILLS[kind]
    axes.bar(left, height, wide, align="edge", color=color, hatch=hatch, edgecolor="white", linewidth=0, zorder=2)
