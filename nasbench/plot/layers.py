"""The figure of layers: what each layer of a network takes, in the order of execution, a panel a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench.errors import DefinitionError
from nasbench.layers import LAYER_KINDS
from nasbench.plot.efficiency import LAYER_FILLS, layer_patch
from nasbench.plot.searches import shorten
from nasbench.plot.style import add_heading, add_legend, drawing, make_panels
from nasbench.store.parquet import read_run

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MOST_NETWORKS = 8
"""What a page holds; how many more there are is said."""

_SCALES = ((1.0, "s", 1.0), (1e-4, "ms", 1e3), (0.0, "µs", 1e6))
"""Fewest seconds of the slowest layer, the unit, and what seconds are multiplied with."""
_MOST_HATCHED = 80
"""Bars of more layers are too thin for a hatching."""


def draw_layers(layers: pd.DataFrame, title: str, out: Path, width: str = "double") -> None:
    """Draw the time of each layer of some networks, into a PNG, SVG or PDF.

    A bar is the median over the profiled inferences, its colour and hatching the kind of layer; half of the inferences
    lie within the whisker. The line is the part of the network's time that is spent by then.

    Args:
        layers: `layers.parquet`, of one device; each of its networks has a panel.
        title: says the device.
        out: the file to write, a PNG, SVG or PDF by its suffix.
        width: `single` (3.5 in) or `double` (7.16 in).

    Raises:
        DefinitionError: the suffix or width is not there.
        StoreError: the file cannot be written.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    with drawing(out, width) as figure:
        groups = [group for _, group in layers.groupby("network", sort=False)]
        shown = groups[:MOST_NETWORKS]
        columns = 1 if width == "single" else 2
        for axes, group in zip(make_panels(figure, len(shown), columns, 0.95, 1.75), shown, strict=True):
            draw_network(axes, group)
        more = f"; {len(shown)} of {len(groups)} networks" if len(groups) > len(shown) else ""
        add_heading(figure, f"{title}{more}")
        kinds = [kind for kind in LAYER_KINDS if (layers["kind"] == kind).any()]
        handles: list[Patch | Line2D] = [layer_patch(kind) for kind in kinds]
        handles += [Line2D([], [], color="black", linewidth=0.7), Line2D([], [], color="0.35", linewidth=1.0)]
        labels = [*kinds, "interval of half the inferences", "time spent so far (right)"]
        add_legend(figure, handles, labels, 2 * columns)


def draw_network(axes: Axes, layers: pd.DataFrame) -> None:
    """Draw the layers of one network into a panel."""
    slowest = float(layers["duration_s"].max())
    _, unit, scale = next(step for step in _SCALES if slowest >= step[0])
    places = layers["layer"].to_numpy(dtype=np.float64) + 1
    times, low, high = (
        scale * layers[name].to_numpy(dtype=np.float64, na_value=np.nan)
        for name in ("duration_s", "duration_low_s", "duration_high_s")
    )
    for kind in LAYER_KINDS:
        those = (layers["kind"] == kind).to_numpy(dtype=bool)
        color, hatch = LAYER_FILLS[kind]
        look: dict[str, Any] = {"hatch": hatch, "edgecolor": "white"} if len(layers) <= _MOST_HATCHED else {}
        axes.bar(places[those], times[those], width=1.0, color=color, linewidth=0, zorder=2, **look)
    axes.vlines(places, low, high, color="black", linewidth=0.7 if len(layers) <= _MOST_HATCHED else 0.4, zorder=3)
    axes.set_xlim(0.3, float(places.max()) + 0.7)
    axes.set_ylim(0, 1.08 * float(np.nanmax(np.append(high, times))) or 1.0)
    axes.set_xlabel("Layer, in the order of execution")
    axes.set_ylabel(f"Time ({unit})")
    axes.grid(axis="x", visible=False)
    spent = axes.twinx()
    total_s = float(layers["duration_s"].sum())
    spent.step(
        np.append(0.5, places + 0.5),
        np.append(0.0, 100 * np.cumsum(times) / (scale * total_s or 1.0)),
        where="post",
        color="0.35",
        linewidth=1.0,
    )
    spent.set_ylim(0, 100)
    spent.set_ylabel("Time spent (%)", fontsize=7)
    spent.grid(visible=False)
    spent.spines["right"].set_visible(True)
    name, ms = shorten(str(layers["network"].iloc[0])), 1e3 * total_s
    axes.set_title(f"{name}: {len(layers)} layers, {ms:.3g} ms in all", loc="left", fontsize=7)


def explain_no_layers(folder: Path) -> DefinitionError:
    """Give the error for a folder without times of layers: which command measures them of one of its networks."""
    words = f"{folder} has no layers.parquet: "
    if not (folder / "evaluations.parquet").is_file():
        return DefinitionError(
            f"{words}`nasbench study efficiency NETWORK` writes one, of networks by name or RUN#TRIAL"
        )
    run = read_run(folder)
    network = "NETWORK"
    if run.is_bench:
        network = next((str(name) for name in run.evaluations["published"].dropna()), network)
    elif len(run.pareto):
        network = f"{folder}#{run.pareto['trial'].iloc[0]}"
    return DefinitionError(
        f"{words}a search or a bench stores no times of layers. Measure them of one of its networks: "
        f"nasbench study efficiency {network}"
    )
