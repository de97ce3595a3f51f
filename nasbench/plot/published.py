"""The figure of published architectures and of what searches found: latency as measured here against top-1."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench.errors import DefinitionError
from nasbench.plot.axes import number_ticks
from nasbench.plot.labels import place_labels
from nasbench.plot.networks import FOUND, PANEL, PUBLISHED, REASONS, SETTING, check_panel, read_networks
from nasbench.plot.style import LOOKS, Look, add_legend, drawing
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

_MS = 1e3
_MOST_NAMES = 8
"""From more members on, and in a single column, a front has numbers, and their names stand in a key below."""

_LINE_INCH = 0.15
_ROW_INCH = 0.135
"""Height of a row of the key."""
_FIGURE_SPACE = "\u2007"
_WIDER = 1.4
"""A star covers less of its square than the other marks do."""

_OTHER = Look("0.62", "o", "")

# A star is found and everything else is published, in colour and in grey; stars differ by how many points they have.
_STARS: tuple[tuple[str, Any], ...] = (
    ("#B2182B", "*"),
    ("#542788", (4, 1, 0)),
    ("#8C510A", (6, 1, 0)),
    ("0.3", (8, 1, 0)),
)
_FOUND = tuple(Look(color, marker, "") for color, marker in _STARS)

Looks = Mapping[tuple[str, str], Look]
"""By the kind of a row and the run that found it, or the family of a published one."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class _Panel:
    """What one panel draws: rows in order of latency, with a `name` each, and what stands above them."""

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
        for name, *place in zip(self.rows["name"][front], x[front], y[front], strict=True):
            found.setdefault(name, (place[0], place[1]))
        return found

    @property
    def places(self) -> tuple[Values, Values]:
        """Give where the rows stand: latencies in ms, top-1 in percent."""
        return _MS * self.rows["latency_s"].to_numpy(float), 100 * self.rows["top1"].to_numpy(float)

    @property
    def ends(self) -> tuple[Values, Values]:
        """Give the ends of the 95 % intervals in ms; the latency itself where there is none."""
        low, high = (
            self.rows[name].fillna(self.rows["latency_s"]).to_numpy(float)
            for name in ("latency_low_s", "latency_high_s")
        )
        return _MS * low, _MS * high


def suits_published(runs: Sequence[Run]) -> bool:
    """Say whether benches are drawn so when nothing else is said."""
    networks = read_networks(runs)
    drawn = networks[networks["left_out"].isna()]
    return drawn["network"].nunique() >= FEWEST_NETWORKS and drawn["panel"].nunique() <= MOST_PANELS


def draw_published(runs: Sequence[Run], out: Path, width: str = "double") -> None:
    """Draw measured latency (logarithmic) against top-1 into a PNG, SVG or PDF, by the suffix of `out`.

    A bench's networks have the top-1 that is published, a search's feasible trials the accuracy that it found; these
    are stars. A panel is one setting (device, runtime, number format, batch, threads) and one number of classes, since
    a top-1 among 10 classes and one among 1,000 do not compare. The steps are the Pareto front of what the panel shows,
    found and published together, its members carry their names, and all points 95 % intervals of their latencies; what
    was confirmed stands at its confirmed one. Up to seven families have looks of their own, those with most members of
    a front first; the rest are grey. A verdict other than ok is drawn open. What is left out is counted above.

    Args:
        runs: benches and searches, read by `store.parquet.read_run`.
        out: the file to write; its folder is made.
        width: `single` (3.5 in) or `double` (7.16 in).

    Raises:
        DefinitionError: the suffix or width is not there, nothing can be drawn, there are too many settings or
            searches, or what would share a panel does not compare: two machines, or accuracies on different data.
        StoreError: the file cannot be written.
    """
    with drawing(out, width) as figure:
        panels = _read_panels(runs)
        looks = _choose_looks(panels)
        narrow = width == "single"
        heights = [_height_inch(panel, narrow) for panel in panels]
        titles = [_wrap(panel.title, 52 if narrow else 125) for panel in panels]
        kinds = {_wrap(text, 56 if narrow else 125): mark for text, mark in _kinds(panels, looks).items()}
        more = sum(title.count("\n") - 1 for title in titles) + sum(text.count("\n") + 1 for text in kinds)
        height = 1.0 + sum(heights) + _LINE_INCH * more
        figure.set_figheight(height)
        shared, alike = (len({panel.rows[name].iloc[0] for panel in panels}) == 1 for name in ("batch", "classes"))
        grid = figure.subplots(
            len(panels), 1, sharex=shared, sharey=shared and alike, squeeze=False, height_ratios=heights
        )[:, 0]
        numbered = narrow or max(len(panel.members) for panel in panels) > _MOST_NAMES
        for axes, panel, title in zip(grid, panels, titles, strict=True):
            _draw_panel(axes, panel, looks)
            axes.set_title(title, loc="left")
        for axes, panel in zip(grid, panels, strict=True):
            labelled = not shared or axes is grid[-1]
            _frame_axes(axes, panel, labelled, "Top-1 accuracy (%)" if kinds else "Top-1 as published (%)")
            if numbered:
                axes.tick_params(labelbottom=True)  # the key would stand between them and those of another panel
                _draw_key(axes, panel, looks, _key_columns(panel, narrow), 0.42 if labelled else 0.28)
        if kinds:
            figure.legend(kinds.values(), kinds, loc="outside upper left", frameon=False, handlelength=1.6)
        _draw_legend(figure, panels, looks, 2 if narrow else 4)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for axes, panel in zip(grid, panels, strict=True):
            _draw_names(axes, panel, numbered)


def _wrap(text: str, width: int) -> str:
    return "\n".join(textwrap.fill(line, width, break_on_hyphens=False) for line in text.splitlines())


def _read_panels(runs: Sequence[Run]) -> list[_Panel]:
    networks = read_networks(runs)
    drawn = networks[networks["left_out"].isna()]
    if drawn.empty:
        names = ", ".join(run.name for run in runs)
        if (networks["kind"] == FOUND).all():
            what = "no feasible trial has both a sound latency and an accuracy, so there is nothing to draw"
        else:
            what = (
                "no network has both a sound latency and a published top-1, so there is nothing to draw; "
                "a run of an older nasbench did not store what is published"
            )
        raise DefinitionError(f"{names}: {what}")
    count = drawn["panel"].nunique()
    if count > MOST_PANELS:
        raise DefinitionError(
            f"{count} settings and numbers of classes are a panel each, and a figure holds {MOST_PANELS}; measure "
            "with fewer devices, runtimes, batches and thread counts in a run"
        )
    searches = drawn.loc[drawn["kind"] == FOUND, "run"].nunique()
    if searches > len(_STARS):
        raise DefinitionError(f"{searches} searches are too many for one figure, which tells {len(_STARS)} apart")
    settings = [_setting(drawn[drawn["panel"] == number]) for number in range(count)]
    panels = []
    for number, setting in enumerate(settings):
        rows = drawn[drawn["panel"] == number].sort_values(["latency_s", "top1"], kind="stable")
        check_panel(rows)
        alike = [other for other in settings if all(other[name] == setting[name] for name in SETTING)]
        several = {name for name, among in (("device_digest", alike), ("classes", settings)) if _differs(name, among)}
        left_out = list(networks.loc[networks["panel"] == number, "left_out"])
        title = _title(rows, setting, several, {why: left_out.count(why) for why in REASONS if why in left_out})
        both = rows.groupby("network")["kind"].transform("nunique") > 1
        named = rows["network"].where(~both | (rows["kind"] == PUBLISHED), rows["network"] + " (found)")
        panels.append(_Panel(rows.assign(name=named), title))
    return panels


def _setting(panel: pd.DataFrame) -> dict[str, Any]:
    """Give what is equal in all of a panel by name, without what an older run did not store."""
    return {name: None if panel[name].isna().all() else panel[name].iloc[0] for name in PANEL}


def _differs(name: str, settings: Sequence[Mapping[str, Any]]) -> bool:
    return len({setting[name] for setting in settings}) > 1


def _title(
    panel: pd.DataFrame, setting: Mapping[str, Any], several: Collection[str], left_out: Mapping[str, int]
) -> str:
    """Describe a panel in two lines; `several` are the names of what differs between panels of the same setting."""
    levels = sorted(set(panel["level"]))
    words = [f"{setting['device']}: {setting['runtime']}", setting["dtype"], f"batch {setting['batch']}"]
    words += [f"threads {setting['threads']}", f"level{'s' if len(levels) > 1 else ''} {' and '.join(levels)}"]
    words += [f"cache {setting['cache']}"] if setting["cache"] not in (None, "hot") else []
    words += [f"device definition {setting['device_digest'][:8]}"] if "device_digest" in several else []
    published = panel[panel["kind"] == PUBLISHED]
    found, stated, families = (
        frame[name].nunique()
        for frame, name in ((panel[panel["kind"] == FOUND], "network"), (published, "network"), (published, "family"))
    )
    kinds = [f"{found} found"] * bool(found) + [f"{stated} published" if found else f"{stated}"] * bool(stated)
    shown = f"{setting['classes']:,} classes: " if "classes" in several else ""
    shown += f"{' and '.join(kinds)} network{'' if found + stated == 1 else 's'}"
    shown += f" of {families} families" if families > 1 else ""
    absent = ", ".join(f"{count} {why}" for why, count in left_out.items())
    return ", ".join(words) + f"\n{shown}" + (f"; not drawn: {absent}" if absent else "")


def _height_inch(panel: _Panel, narrow: bool) -> float:
    """Give a panel room for its points, its title and the key of its front."""
    members = len(panel.members)
    keyed = members if narrow or members > _MOST_NAMES else 0
    height = (2.4 if narrow else 3.0) if len(panel.rows) > 8 else (1.8 if narrow else 2.2)
    return height + _ROW_INCH * -(-keyed // _key_columns(panel, narrow))


def _choose_looks(panels: Sequence[_Panel]) -> Looks:
    """Give looks to the searches, to the families that stand most often on a front, then to the largest ones.

    Where others are left, which are circles, no look has one.
    """
    points = _points(panels)
    searches = dict.fromkeys((FOUND, run) for run in points.loc[points["kind"] == FOUND, "run"])
    published = points[points["kind"] == PUBLISHED]
    ranked = published.groupby("family")["on_front"].agg(["sum", "size"]).reset_index()
    ranked = ranked.sort_values(["sum", "size", "family"], ascending=[False, False, True])
    crowded = len(ranked) > len(LOOKS) or published["family"].isna().any()
    looks = (replace(LOOKS[0], marker="<"), *LOOKS[1:]) if crowded else LOOKS
    families = [(PUBLISHED, family) for family in ranked["family"]]
    return dict(zip(searches, _FOUND, strict=False)) | dict(zip(families, looks, strict=False))


def _points(panels: Sequence[_Panel]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat([panel.rows for panel in panels])


def _looks_of(rows: pd.DataFrame, looks: Looks) -> list[Look]:
    who = rows["run"].where(rows["kind"] == FOUND, rows["family"])
    return [looks.get(key, _OTHER) for key in zip(rows["kind"], who, strict=True)]


def _draw_panel(axes: Axes, panel: _Panel, looks: Looks) -> None:
    axes.set_xscale("log")
    rows, front, (latency, top1), (low, high) = panel.rows, panel.front, panel.places, panel.ends
    axes.step(latency[front], top1[front], where="post", color="0.35", linewidth=0.8, zorder=3)
    for chosen, color, thick, order in ((~front, "0.75", 0.7, 2.0), (front, "0.1", 1.1, 3.5)):
        axes.hlines(top1[chosen], low[chosen], high[chosen], color=color, linewidth=thick, zorder=order)
    marks = list(zip(_looks_of(rows, looks), rows["verdict"] == "ok", strict=True))
    for look, ok in dict.fromkeys(marks):
        alike = np.asarray([mark == (look, ok) for mark in marks])
        for member in (False, True):
            some = alike & (front == member)
            _draw_points(axes, latency[some], top1[some], look, member, ok)


def _draw_points(axes: Axes, x: Values, y: Values, look: Look, member: bool, ok: bool) -> None:
    found, named = look in _FOUND, look is not _OTHER
    size = 5.0 if member else 3.4 if named and not found else 2.6
    faint = (0.35, 2.3) if found else (0.6, 3.0) if named else (None, 2.5)  # a search has hundreds of trials
    alpha, order = (None, 4.0) if member else faint
    axes.plot(
        x,
        y,
        linestyle="",
        marker=look.marker,
        markersize=_WIDER * size if found else size,
        color=look.color,
        **_edge(look, member, ok),
        alpha=alpha,
        zorder=order,
    )


def _edge(look: Look, member: bool, ok: bool) -> dict[str, Any]:
    """Give what tells a member of the front, and a verdict other than ok."""
    if not ok:
        return {"markerfacecolor": "white", "markeredgecolor": look.color, "markeredgewidth": 0.9}
    return {"markeredgecolor": "black" if member else look.color, "markeredgewidth": 0.5 if member else 0.0}


def _frame_axes(axes: Axes, panel: _Panel, labelled: bool, upwards: str) -> None:
    batch = panel.rows["batch"].iloc[0]
    axes.set_ylabel(upwards)
    if labelled:
        words = "Latency" if batch == 1 else f"Latency of a batch of {batch}"
        axes.set_xlabel(f"{words}, as measured here (ms)")
    axes.margins(x=0.08, y=0.1)
    axes.autoscale_view()
    number_ticks(axes.xaxis)


def _key_columns(panel: _Panel, narrow: bool) -> int:
    longest = max(map(len, panel.members))
    return (1 if longest > 24 else 2) if narrow else 3 if longest > 34 else 4


def _draw_key(axes: Axes, panel: _Panel, looks: Looks, columns: int, below_inch: float) -> None:
    """Name the members of the front under the axes, in their looks."""
    from matplotlib.transforms import ScaledTranslation

    members = panel.rows[panel.front].drop_duplicates("name")
    axes.legend(
        [
            _mark(look, **_edge(look, True, verdict == "ok"))
            for look, verdict in zip(_looks_of(members, looks), members["verdict"], strict=True)
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

    size = 4.2 * (_WIDER if look in _FOUND else 1)
    given: dict[str, Any] = {"linestyle": "", "marker": look.marker, "markersize": size, "color": look.color}
    return Line2D([], [], **given | changes)


def _kinds(panels: Sequence[_Panel], looks: Looks) -> dict[str, Line2D]:
    """Say whose accuracies the panels show, with a mark each; nothing where all are published, as the axis says."""
    points = _points(panels)
    found = points[points["kind"] == FOUND]
    edge = _edge(_FOUND[0], True, True)
    kinds = {
        _describe(found[found["run"] == run]): _mark(looks[FOUND, run], **edge) for run in dict.fromkeys(found["run"])
    }
    if 0 < len(found) < len(points):
        kinds["all others, published: top-1 as its source states"] = _mark(_OTHER)
    return kinds


def _describe(found: pd.DataFrame) -> str:
    """Say what a search's accuracies are; an estimator of one's own has no data set."""
    first = found.iloc[0]
    figure = "accuracy" if first["accuracy_metric"] == "top1" else f"accuracy (its metric: {first['accuracy_metric']})"
    data = ", ".join(filter(None, (first["dataset"], first["split"])))
    return f"found by {first['run']}: {figure}{f' on {data}' if data else ''}, as the search estimated it"


def _draw_legend(figure: Figure, panels: Sequence[_Panel], looks: Looks, columns: int) -> None:
    from matplotlib.lines import Line2D

    points = _points(panels)
    published = points[points["kind"] == PUBLISHED]
    entries = [(_mark(look), name) for (kind, name), look in looks.items() if kind == PUBLISHED]
    others = published["family"].nunique() - len(entries)
    grey = [f"{others} other famil{'y' if others == 1 else 'ies'}"] if others else []
    grey += ["no family"] if published["family"].isna().any() else []
    if grey:
        entries.append((_mark(_OTHER, markersize=2.6), " or ".join(grey)))
    interval = "95 % interval" if set(points["level"]) == {"confirm"} else "95 % interval, in the process at screen"
    entries.append((Line2D([], [], color="0.35", linewidth=0.8), "Pareto front, its members named"))
    if points[["latency_low_s", "latency_high_s"]].notna().any(axis=None):
        entries.append((Line2D([], [], color="0.1", linewidth=1.1), interval))
    verdicts = points.loc[points["verdict"] != "ok", "verdict"].value_counts()
    if len(verdicts):
        words = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
        entries.append(
            (_mark(Look("black", "o", ""), markerfacecolor="white", markeredgewidth=0.9), f"not ok: {words}")
        )
    handles, labels = zip(*entries, strict=True)
    add_legend(figure, handles, labels, columns, handlelength=2.4)
