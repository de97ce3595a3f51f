"""The figure of published architectures: the latency that was measured here against the top-1 of their papers."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench.errors import DefinitionError
from nasbench.pareto import UNUSABLE_VERDICTS, non_dominated
from nasbench.plot.axes import number_ticks
from nasbench.plot.labels import place_labels
from nasbench.plot.rows import read_rows
from nasbench.plot.style import LOOKS, WIDTHS_INCH, Look, check_output, own_rules, save
from nasbench.store.parquet import Run

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

MOST_PANELS = 6
"""What one figure holds; more are refused."""

FEWEST_NETWORKS = 3
"""From this many networks on a bench is drawn so when nothing else is said; fewer make no front to speak of."""

_SETTING = ("device", "runtime", "dtype", "batch", "threads", "level", "cache")
_PANEL = (*_SETTING, "device_digest", "classes")
"""What is equal in all that a panel shows."""
_MS = 1e3
_MOST_NAMES = 8
"""From more members on, and in a single column, a front has numbers, and their names stand in a key below."""

_ROW_INCH = 0.135
"""Height of a row of the key."""
_FIGURE_SPACE = "\u2007"

_OTHER = Look("0.62", "o", "")

Values = NDArray[np.float64]


@dataclass(frozen=True)
class _Panel:
    """What one panel draws: rows in order of latency, with `on_front`, and what stands above them."""

    rows: pd.DataFrame
    title: str

    @property
    def front(self) -> NDArray[np.bool_]:
        """Mark the rows on the front."""
        return self.rows["on_front"].to_numpy(bool)

    @property
    def members(self) -> dict[str, tuple[float, float]]:
        """Give where each network of the front stands, by name; one of several runs is named once, at its fastest."""
        front, (x, y) = self.front, self.places
        found: dict[str, tuple[float, float]] = {}
        for name, *place in zip(self.rows["network"][front], x[front], y[front], strict=True):
            found.setdefault(name, (place[0], place[1]))
        return found

    @property
    def places(self) -> tuple[Values, Values]:
        """Give where the rows stand: latencies in ms, top-1 in percent."""
        return _MS * self.rows["latency_s"].to_numpy(float), 100 * self.rows["published_top1"].to_numpy(float)

    @property
    def ends(self) -> tuple[Values, Values]:
        """Give the ends of the 95 % intervals in ms; the latency itself where there is none."""
        low, high = (
            self.rows[name].fillna(self.rows["latency_s"]).to_numpy(float)
            for name in ("latency_low_s", "latency_high_s")
        )
        return _MS * low, _MS * high


def suits_published(runs: Sequence[Run]) -> bool:
    """Say whether benches are drawn so when nothing else is said. Raises DefinitionError as `draw_published`."""
    drawn = _drawable(read_rows(runs))
    return drawn["network"].nunique() >= FEWEST_NETWORKS and len(_panel_keys(drawn)) <= MOST_PANELS


def draw_published(runs: Sequence[Run], out: Path, width: str = "double") -> None:
    """Draw measured latency (logarithmic) against published top-1 into a PNG, SVG or PDF, by the suffix of `out`.

    A panel is one setting (device, runtime, number format, batch, threads) and one number of classes, since a top-1
    among 10 classes and one among 1,000 do not compare. The steps are the Pareto front of what the panel shows, its
    members carry their names, and all points 95 % intervals of their latencies. Up to seven families have looks of
    their own, those with most members of a front first; the rest are grey. A verdict other than ok is drawn open. What
    has no latency, no sound one or no published top-1 is counted above its panel.

    Args:
        runs: benches, read by `store.parquet.read_run`.
        out: the file to write; its folder is made.
        width: `single` (3.5 in) or `double` (7.16 in).

    Raises:
        DefinitionError: the suffix or width is not there, nothing can be drawn, or there are too many settings.
        StoreError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    check_output(out, width)
    panels = _read_panels(runs)
    looks = _choose_looks(panels)
    with own_rules():
        narrow = width == "single"
        heights = [_height_inch(panel, narrow) for panel in panels]
        figure = Figure(figsize=(WIDTHS_INCH[width], 1.0 + sum(heights)), layout="constrained")
        FigureCanvasAgg(figure)
        shared = len({(panel.rows["batch"].iloc[0], panel.rows["classes"].iloc[0]) for panel in panels}) == 1
        grid = figure.subplots(len(panels), 1, sharex=shared, sharey=shared, squeeze=False, height_ratios=heights)[:, 0]
        numbered = narrow or max(len(panel.members) for panel in panels) > _MOST_NAMES
        for axes, panel in zip(grid, panels, strict=True):
            _draw_panel(axes, panel, looks)
            lines = [textwrap.fill(line, 52 if narrow else 125) for line in panel.title.splitlines()]
            axes.set_title("\n".join(lines), loc="left")
        for axes, panel in zip(grid, panels, strict=True):
            labelled = not shared or axes is grid[-1]
            _frame_axes(axes, panel, labelled)
            if numbered:
                _draw_key(axes, panel, looks, _key_columns(panel, narrow), 0.42 if labelled else 0.1)
        _draw_legend(figure, panels, looks, 2 if narrow else 4)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for axes, panel in zip(grid, panels, strict=True):
            _draw_names(axes, panel, numbered)
        save(figure, out)


def _read_panels(runs: Sequence[Run]) -> list[_Panel]:
    import pandas as pd

    rows = read_rows(runs)
    for name in _PANEL:
        rows[name] = rows[name].astype(object).where(rows[name].notna(), "-")  # an older run did not store all
    drawn = _drawable(rows)
    if drawn.empty:
        names = ", ".join(run.name for run in runs)
        raise DefinitionError(
            f"{names}: no network has both a sound latency and a published top-1, so there is nothing to draw; "
            "a run of an older nasbench did not store what is published"
        )
    keys = _panel_keys(drawn)
    if len(keys) > MOST_PANELS:
        raise DefinitionError(
            f"{len(keys)} settings and numbers of classes are a panel each, and a figure holds {MOST_PANELS}; measure "
            "with fewer devices, runtimes, batches and thread counts in a run"
        )
    counts: dict[Any, dict[str, int]] = {key: {} for key in keys}
    for row, reason in _left_out(runs, rows):
        alike = [key for key in keys if key[: len(_SETTING)] == row[: len(_SETTING)]]
        if alike:  # what no panel is for is counted above the first of its setting
            home = max(alike, key=lambda key: (key[-1] == row[-1], key[-2] == row[-2]))
            counts[home][reason] = counts[home].get(reason, 0) + 1
    panels = []
    for key in keys:
        panel = drawn[(drawn[list(_PANEL)] == pd.Series(key, _PANEL)).all(axis=1)]
        if len({json.loads(host).get("host") for host in panel["host"]}) > 1:
            raise DefinitionError(
                f"{key[0]} was another machine in another run, and latencies of two machines make no front; draw them "
                "apart"
            )
        panel = panel.sort_values(["latency_s", "published_top1"], kind="stable")
        losses = np.column_stack([panel["latency_s"].to_numpy(float), -panel["published_top1"].to_numpy(float)])
        alike = [other for other in keys if other[: len(_SETTING)] == key[: len(_SETTING)]]
        several = {name for at, name in enumerate(_PANEL) if len({other[at] for other in alike}) > 1}
        title = _title(panel, dict(zip(_PANEL, key, strict=True)), several, counts[key])
        panels.append(_Panel(panel.assign(on_front=non_dominated(losses)), title))
    return panels


def _left_out(runs: Sequence[Run], rows: pd.DataFrame) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Give every row that is not drawn, as what a panel is told by, and why."""
    sound = _is_sound(rows)
    for reason, marked in (("without a published top-1", sound & rows["published_top1"].isna()), ("invalid", ~sound)):
        yield from ((key, reason) for key in rows.loc[marked, list(_PANEL)].itertuples(index=False, name=None))
    for run in runs:
        failed = run.evaluations[run.evaluations["status"] != "complete"]
        for choices, classes in zip(failed["choices"], failed["classes"], strict=True):
            asked = json.loads(choices)
            yield (*(asked.get(name) for name in _SETTING), None, classes), "failed"


def _is_sound(rows: pd.DataFrame) -> pd.Series[bool]:
    return ~rows["verdict"].isin(UNUSABLE_VERDICTS)


def _drawable(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[_is_sound(rows) & rows["published_top1"].notna()]


def _panel_keys(rows: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(dict.fromkeys(rows[list(_PANEL)].itertuples(index=False, name=None)))


def _title(
    panel: pd.DataFrame, setting: Mapping[str, Any], several: Collection[str], left_out: Mapping[str, int]
) -> str:
    """Describe a panel in two lines; `several` are the names of what differs between panels of the same setting."""
    words = [f"{setting['device']}: {setting['runtime']}", setting["dtype"], f"batch {setting['batch']}"]
    words += [f"threads {setting['threads']}", f"level {setting['level']}"]
    words += [] if setting["cache"] == "hot" else [f"cache {setting['cache']}"]
    words += [f"device definition {setting['device_digest'][:8]}"] if "device_digest" in several else []
    networks, families = panel["network"].nunique(), panel["family"].nunique()
    shown = f"{setting['classes']:,} classes: " if "classes" in several else ""
    shown += f"{networks} network{'' if networks == 1 else 's'}"
    shown += f" of {families} families" if families > 1 else ""
    absent = ", ".join(f"{count} {why}" for why, count in left_out.items())
    return ", ".join(words) + f"\n{shown}" + (f"; not drawn: {absent}" if absent else "")


def _height_inch(panel: _Panel, narrow: bool) -> float:
    """Give a panel room for its points, its title and the key of its front."""
    members = len(panel.members)
    keyed = members if narrow or members > _MOST_NAMES else 0
    height = (2.4 if narrow else 3.0) if len(panel.rows) > 8 else (1.8 if narrow else 2.2)
    return height + _ROW_INCH * -(-keyed // _key_columns(panel, narrow))


def _choose_looks(panels: Sequence[_Panel]) -> dict[str, Look]:
    """Give looks to the families that stand most often on a front, then to the largest ones.

    Where others are left, which are circles, no look has one.
    """
    import pandas as pd

    points = pd.concat([panel.rows for panel in panels])
    ranked = points.groupby("family")["on_front"].agg(["sum", "size"]).reset_index()
    ranked = ranked.sort_values(["sum", "size", "family"], ascending=[False, False, True])
    crowded = len(ranked) > len(LOOKS) or points["family"].isna().any()
    looks = (replace(LOOKS[0], marker="<"), *LOOKS[1:]) if crowded else LOOKS
    return dict(zip(ranked["family"], looks, strict=False))


def _look(looks: dict[str, Look], family: object) -> Look:
    return looks.get(family, _OTHER) if isinstance(family, str) else _OTHER


def _draw_panel(axes: Axes, panel: _Panel, looks: dict[str, Look]) -> None:
    axes.set_xscale("log")
    rows, front, (latency, top1), (low, high) = panel.rows, panel.front, panel.places, panel.ends
    axes.step(latency[front], top1[front], where="post", color="0.35", linewidth=0.8, zorder=3)
    for chosen, color, thick, order in ((~front, "0.75", 0.7, 2.0), (front, "0.1", 1.1, 3.5)):
        axes.hlines(top1[chosen], low[chosen], high[chosen], color=color, linewidth=thick, zorder=order)
    marks = [
        (_look(looks, family), verdict == "ok") for family, verdict in zip(rows["family"], rows["verdict"], strict=True)
    ]
    for look, ok in dict.fromkeys(marks):
        alike = np.asarray([mark == (look, ok) for mark in marks])
        for member in (False, True):
            some = alike & (front == member)
            _draw_points(axes, latency[some], top1[some], look, member, ok)


def _draw_points(axes: Axes, x: Values, y: Values, look: Look, member: bool, ok: bool) -> None:
    named = look is not _OTHER
    axes.plot(
        x,
        y,
        linestyle="",
        marker=look.marker,
        markersize=5.0 if member else 3.4 if named else 2.6,
        color=look.color,
        **_edge(look, member, ok),
        alpha=None if member or not named else 0.6,
        zorder=4 if member else 3 if named else 2.5,
    )


def _edge(look: Look, member: bool, ok: bool) -> dict[str, Any]:
    """Give what tells a member of the front, and a verdict other than ok."""
    if not ok:
        return {"markerfacecolor": "white", "markeredgecolor": look.color, "markeredgewidth": 0.9}
    return {"markeredgecolor": "black" if member else look.color, "markeredgewidth": 0.5 if member else 0.0}


def _frame_axes(axes: Axes, panel: _Panel, labelled: bool) -> None:
    batch = panel.rows["batch"].iloc[0]
    axes.set_ylabel("Top-1 as published (%)")
    if labelled:
        words = "Latency" if batch == 1 else f"Latency of a batch of {batch}"
        axes.set_xlabel(f"{words}, as measured here (ms)")
    axes.margins(x=0.08, y=0.1)
    axes.autoscale_view()
    number_ticks(axes.xaxis)


def _key_columns(panel: _Panel, narrow: bool) -> int:
    longest = max(map(len, panel.members))
    return (1 if longest > 24 else 2) if narrow else 3 if longest > 34 else 4


def _draw_key(axes: Axes, panel: _Panel, looks: dict[str, Look], columns: int, below_inch: float) -> None:
    """Name the members of the front under the axes, in the looks of their families."""
    from matplotlib.transforms import ScaledTranslation

    first = panel.rows.drop_duplicates("network").set_index("network").loc[list(panel.members)]
    axes.legend(
        [
            _mark(_look(looks, family), **_edge(_look(looks, family), True, verdict == "ok"))
            for family, verdict in zip(first["family"], first["verdict"], strict=True)
        ],
        [f"{str(number).rjust(2, _FIGURE_SPACE)}  {name}" for number, name in enumerate(panel.members, 1)],
        loc="upper left",
        bbox_to_anchor=(0.0, 0.0),
        bbox_transform=axes.transAxes + ScaledTranslation(0, -below_inch, axes.figure.dpi_scale_trans),
        ncols=columns,
        frameon=False,
        fontsize=6.5,
        handlelength=1.0,
        handletextpad=0.4,
        labelspacing=0.25,
        columnspacing=1.2,
        borderpad=0,
        borderaxespad=0,
    )


def _draw_names(axes: Axes, panel: _Panel, numbered: bool) -> None:
    front, (x, y) = panel.front, panel.places
    dots = [(left, up, 10.0 if member else 3.0) for left, up, member in zip(x, y, front, strict=True)]
    names = [
        (*place, str(number) if numbered else name) for number, (name, place) in enumerate(panel.members.items(), 1)
    ]
    low, high = panel.ends
    spans = np.geomspace(low[front], high[front], 12).T
    bars = [(left, up, 4.0) for span, up in zip(spans, y[front], strict=True) for left in span]
    place_labels(axes, names, [*dots, *bars, *_steps(axes, x[front], y[front])])


def _steps(axes: Axes, x: Values, y: Values) -> list[tuple[float, float, float]]:
    """Give points along the front's steps, so close that a name on the line lies on one."""
    corners = axes.transData.transform(
        [(x[at], y[at - turn]) for at in range(len(x)) for turn in (1, 0) if at or not turn]
    )
    pixels = [
        start + (end - start) * share
        for start, end in pairwise(corners)
        for share in np.linspace(0, 1, 2 + int(np.abs(end - start).sum() / (axes.figure.dpi / 12)))
    ]
    return [(left, up, 4.0) for left, up in axes.transData.inverted().transform(pixels)] if pixels else []


def _mark(look: Look, **changes: Any) -> Line2D:
    from matplotlib.lines import Line2D

    given: dict[str, Any] = {"linestyle": "", "marker": look.marker, "markersize": 4.2, "color": look.color}
    return Line2D([], [], **given | changes)


def _draw_legend(figure: Figure, panels: Sequence[_Panel], looks: dict[str, Look], columns: int) -> None:
    import pandas as pd
    from matplotlib.lines import Line2D

    points = pd.concat([panel.rows for panel in panels])
    entries = [(_mark(look), family) for family, look in looks.items()]
    others = points["family"].nunique() - len(looks)
    grey = [f"{others} other famil{'y' if others == 1 else 'ies'}"] if others else []
    grey += ["no family"] if points["family"].isna().any() else []
    if grey:
        entries.append((_mark(_OTHER, markersize=2.6), " or ".join(grey)))
    interval = "95 % interval" if set(points["level"]) == {"confirm"} else "95 % interval, in the process at screen"
    entries.append((Line2D([], [], color="0.35", linewidth=0.8), "Pareto front, its members named"))
    entries.append((Line2D([], [], color="0.1", linewidth=1.1), interval))
    verdicts = points.loc[points["verdict"] != "ok", "verdict"].value_counts()
    if len(verdicts):
        words = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
        entries.append(
            (_mark(Look("black", "o", ""), markerfacecolor="white", markeredgewidth=0.9), f"not ok: {words}")
        )
    handles, labels = zip(*entries, strict=True)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, handlelength=2.4)
