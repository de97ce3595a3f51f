"""The figure of devices against each other: the latencies of the same networks on two of them, a panel a pair."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench.errors import DefinitionError
from nasbench.objectives import OBJECTIVES
from nasbench.pareto import UNUSABLE_VERDICTS
from nasbench.plot.axes import make_axis, number_ticks
from nasbench.plot.rows import label_settings, read_rows
from nasbench.plot.searches import shorten
from nasbench.plot.style import LOOKS, add_heading, add_legend, drawing, make_panels
from nasbench.ranking import rank_correlation
from nasbench.store.parquet import Run

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PAIRS = 12
"""What a page holds, those with the most networks in common; how many more there are is said."""

_PLACE = ("device", "device_digest", "runtime", "dtype", "threads", "cache", "machine")
_SHOWN = ("device", "runtime", "dtype", "threads", "cache", "run")
_SIGHT = ("architecture", "batch")
"""What two measurements have in common that say how devices compare."""
_RASTER = 1000


@dataclass(frozen=True)
class Pair:
    """Two devices with their settings, and the networks that both measured.

    `networks` has a row each, with `latency_s`, `latency_low_s`, `latency_high_s` and `verdict` of both, ending in
    `_x` and `_y`.
    """

    across: str
    upwards: str
    networks: pd.DataFrame

    @property
    def ratio(self) -> float:
        """How many times the latency across is the one upwards, the median over networks."""
        return float((self.networks["latency_s_y"] / self.networks["latency_s_x"]).median())


def draw_devices(runs: Sequence[Run], out: Path, width: str = "double") -> None:
    """Draw latencies on one device against those on another, both logarithmic, into a PNG, SVG or PDF.

    A point is a network that both measured with the same batch, with the 95 % intervals of both. The solid line is
    where latencies are equal, the dashed one the median ratio. Above stands how alike the two rank the networks:
    Spearman's correlation with its 95 % interval over networks drawn again. Of a network that a device measured more
    than once the screened figure counts, since every candidate has one. Runs of one device are told apart by the run.

    Args:
        runs: searches and benches that measured the same networks on two devices at least.
        out: the file to write; its folder is made.
        width: `single` (3.5 in) or `double` (7.16 in).

    Raises:
        DefinitionError: the suffix or width is not there, no measurement has a usable verdict, there is one device
            alone, or no two have a network in common.
        StoreError: the file cannot be written.
    """
    with drawing(out, width) as figure:
        if not runs:
            raise DefinitionError("there is no run to draw; name at least one")
        pairs = find_pairs(runs)
        shown = pairs[:MOST_PAIRS]
        columns = 1 if width == "single" else 3 if len(shown) > 4 else 2
        side = figure.get_figwidth() / columns
        panels = make_panels(figure, len(shown), columns, 0.6, min(0.95 * side, 3.2))
        for axes, pair in zip(panels, shown, strict=True):
            draw_pair(axes, pair)
        if len(pairs) > len(shown):
            add_heading(figure, f"{len(shown)} of {len(pairs)} pairs")
        _draw_legend(figure, shown, 2 if width == "single" else 5)


def find_pairs(runs: Sequence[Run]) -> list[Pair]:
    """Give every two devices with the networks that both measured, those with the most in common first.

    Raises:
        DefinitionError: no measurement has a usable verdict, there is one device alone, or no two have a network in
            common.
    """
    rows = read_rows(runs)
    rows = rows[~rows["verdict"].isin(UNUSABLE_VERDICTS)]
    if rows.empty:
        raise DefinitionError(
            f"{', '.join(run.name for run in runs)}: the verdict of every measurement is "
            f"{' or '.join(UNUSABLE_VERDICTS)}, so there is nothing to draw"
        )
    rows["machine"] = [json.loads(host).get("host") for host in rows["host"]]
    rows["place"] = rows.groupby(list(_PLACE), dropna=False, sort=False).ngroup()
    if rows["place"].nunique() == 1:
        rows["place"] = rows.groupby("run", sort=False).ngroup()
    labels = _label_places(rows)
    if len(labels) < 2:
        raise DefinitionError(
            f"{', '.join(run.name for run in runs)}: all is measured on {labels[0] or rows['device'].iloc[0]}; --kind "
            "devices draws one device against another. Name a run of the same networks on another device too."
        )
    rows = rows.sort_values("level", key=lambda levels: levels != "screen", kind="stable")
    rows = rows.drop_duplicates(["place", *_SIGHT])
    pairs = []
    for one, other in combinations(range(len(labels)), 2):
        both = rows[rows["place"] == one].merge(rows[rows["place"] == other], on=list(_SIGHT))
        if len(both):
            pairs.append(Pair(labels[one], labels[other], both))
    if not pairs:
        raise DefinitionError(
            f"no two of {'; '.join(labels)} measured the same network with the same batch, so there is nothing to draw"
        )
    return sorted(pairs, key=lambda pair: -len(pair.networks))


def _label_places(rows: pd.DataFrame) -> list[str]:
    """Say of each place what tells it from the others; with the run where the settings are equal."""
    places = rows.drop_duplicates("place").sort_values("place", kind="stable")
    settings = [name for name in _SHOWN if name != "run"]
    labels = label_settings(places, settings)
    if len(set(labels)) < len(labels):
        labels = label_settings(places, _SHOWN)
    return [label or place for label, place in zip(labels, places["device"], strict=True)]


def correlate(pair: Pair) -> tuple[float, float, float] | None:
    """Give how alike two devices rank, as `nasbench.ranking.rank_correlation` does."""
    ones, others = (pair.networks[f"latency_s_{side}"].to_numpy(dtype=np.float64) for side in "xy")
    return rank_correlation(ones, others)


def draw_pair(axes: Axes, pair: Pair) -> None:
    """Draw one device against another into a panel."""
    networks = pair.networks
    sides = []
    for side, label in (("x", pair.across), ("y", pair.upwards)):
        values, low, high = (
            networks[f"{name}_{side}"].to_numpy(dtype=np.float64, na_value=np.nan)
            for name in ("latency_s", "latency_low_s", "latency_high_s")
        )
        axis = make_axis(OBJECTIVES["latency"], values)
        reach = np.nan_to_num(np.clip(np.stack([values - low, high - values]), 0, None))
        sides.append((values * axis.scale, reach * axis.scale, axis, label))
    (x, x_reach, x_axis, across), (y, y_reach, y_axis, upwards) = sides
    axes.set(xscale="log", yscale="log")
    sure = ((networks["verdict_x"] == "ok") & (networks["verdict_y"] == "ok")).to_numpy(dtype=bool)
    axes.errorbar(
        x, y, xerr=x_reach, yerr=y_reach, linestyle="", color="0.6", elinewidth=0.8, zorder=2, **_raster(len(x))
    )
    for some, face in ((sure, LOOKS[0].color), (~sure, "white")):
        axes.plot(
            x[some],
            y[some],
            "o",
            markersize=3.0 if len(x) <= 100 else 2.0,
            color=LOOKS[0].color,
            markerfacecolor=face,
            markeredgewidth=0.6,
            zorder=3,
            **_raster(len(x)),
        )
    axes.margins(0.08)
    axes.autoscale_view()
    limits = axes.get_xlim(), axes.get_ylim()
    ends = np.array(limits[0])
    equal = ends * y_axis.scale / x_axis.scale
    axes.plot(ends, equal, color="black", linewidth=0.8, zorder=1)
    axes.plot(ends, pair.ratio * equal, color=LOOKS[5].color, linewidth=1.0, linestyle=(0, (5, 2)), zorder=1)
    axes.set(xlim=limits[0], ylim=limits[1])
    for drawn in (axes.xaxis, axes.yaxis):
        number_ticks(drawn)
    axes.set_xlabel(x_axis.label.replace("Latency", f"Latency, {shorten(across)}"))
    axes.set_ylabel(y_axis.label.replace("Latency", f"Latency, {shorten(upwards)}"))
    axes.set_title(_describe(pair), loc="left", fontsize=7)


def _raster(count: int) -> dict[str, Any]:
    """Say that many points are a picture inside a vector file, which stays small and opens at once."""
    return {"rasterized": True} if count > _RASTER else {}


def _describe(pair: Pair) -> str:
    count = len(pair.networks)
    words = f"{count:,} network{'' if count == 1 else 's'}, median ratio {pair.ratio:.3g}"
    found = correlate(pair)
    if found is None:
        return f"{words}\ntoo few to rank"
    return f"{words}\nSpearman {found[0]:.3f} ({found[1]:.3f} to {found[2]:.3f})"


def _draw_legend(figure: Figure, pairs: Sequence[Pair], columns: int) -> None:
    from matplotlib.lines import Line2D

    dot: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 3.4, "color": LOOKS[0].color}
    rows = [pair.networks for pair in pairs]
    unsure = [(row[["verdict_x", "verdict_y"]] != "ok").any(axis=1) for row in rows]
    entries = [("network", Line2D([], [], **dot), not all(some.all() for some in unsure))]
    hollow = Line2D([], [], markerfacecolor="white", **dot)
    entries.append(("network, another verdict than ok", hollow, any(some.any() for some in unsure)))
    known = any(row[f"latency_low_s_{side}"].notna().any() for row in rows for side in "xy")
    entries.append(("95 % intervals", Line2D([], [], color="0.6", linewidth=0.8), known))
    entries.append(("equal latency", Line2D([], [], color="black", linewidth=0.8), True))
    dashed = Line2D([], [], color=LOOKS[5].color, linewidth=1.0, linestyle=(0, (5, 2)))
    entries.append(("median ratio", dashed, True))
    handles, labels = zip(*((handle, words) for words, handle, there in entries if there), strict=True)
    add_legend(figure, handles, labels, columns)
