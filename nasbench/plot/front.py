"""The figure of a search: accuracy against cost, and the hypervolume over the trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nasbench.errors import DefinitionError
from nasbench.objectives import MEASURED, Objective, find_objective
from nasbench.pareto import Losses, beats, non_dominated
from nasbench.plot.axes import Axis, make_axis
from nasbench.plot.curves import find_curves, losses_of
from nasbench.plot.labels import place_labels
from nasbench.plot.style import LOOKS, Look, add_legend, drawing
from nasbench.registry import unknown_name
from nasbench.store.parquet import Run, run_devices, run_digests

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FALLEN = "0.45"

_RASTER = 1000
"""Above this many dominated points they are a picture inside a vector file, which stays small and opens at once."""


_LATENCY = ("latency_s", "latency_low_s", "latency_high_s", "latency_verdict")
_CONFIRMED = ("confirmed_latency_s", "confirmed_low_s", "confirmed_high_s", "confirmed_verdict")


def _of_device(columns: Sequence[str], objective: Objective) -> list[str]:
    """Give the columns of the device that an objective names; the first device's have no name at their end."""
    return [f"{column}@{objective.device}" if objective.device else column for column in columns]


@dataclass(frozen=True)
class _Series:
    """One run, ready to draw.

    `feasible` are its feasible trials with the figures of the search, and `placed` the same with the confirmed latency
    where there is one. `front` are those of `placed` that no other beats in the two figures shown, and `fallen` those
    that left the front when it was confirmed.
    """

    run: Run
    look: Look
    feasible: pd.DataFrame
    placed: pd.DataFrame
    front: pd.DataFrame
    fallen: pd.DataFrame
    confirmed: bool


def draw_front(
    runs: Sequence[Run], out: Path, x: str | None = None, y: str | None = None, width: str = "double"
) -> None:
    """Draw one or more runs into a PNG, SVG or PDF, by the suffix of `out`.

    Left: every feasible trial as the search found it, the front of the two figures shown as steps, with 95 % intervals
    where one is a latency, and the published architectures by name. The front of a run that confirmed its own stands at
    the confirmed latencies, and what fell off is drawn open and grey. Right: the share of the box between the best
    conceivable point and the reference that the front over all objectives dominates, after each trial and by the
    figures of the search; several runs share one reference, the worst of theirs.

    Args:
        runs: read by `store.parquet.read_run`; with equal objectives, data set, device, batch and number format.
        out: the file to write; its folder is made.
        x: objective across; the first cost by default.
        y: objective upwards; accuracy, or the first other objective, by default.
        width: `single` (3.5 in, panels above each other) or `double` (7.16 in).

    Raises:
        DefinitionError: the suffix, width or an objective is not there, or the runs cannot share axes; it says why.
        StoreError: the file cannot be written.
    """
    with drawing(out, width) as figure:
        if not runs:
            raise DefinitionError("there is no run to draw; name at least one")
        across, upwards = _choose(runs[0], x, y)
        check_comparable(runs)
        series = [_series(run, LOOKS[index % len(LOOKS)], across, upwards) for index, run in enumerate(runs)]
        stacked = width == "single"
        height = (4.6 if stacked else 2.7) + 0.16 * len(runs)
        figure.set_figheight(height)
        grid = (
            figure.subplots(2, 1, height_ratios=[1.6, 1]) if stacked else figure.subplots(1, 2, width_ratios=[1.6, 1])
        )
        axes = _axis_of(across, series), _axis_of(upwards, series)
        _draw_trials(grid[0], series, *axes)
        _draw_hypervolume(grid[1], series)
        _draw_legend(figure, series, stacked)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        _draw_names(grid[0], series, *axes)


def check_comparable(runs: Sequence[Run]) -> None:
    """Refuse runs whose figures do not mean the same.

    Raises:
        DefinitionError: they differ in objectives, data set, split, metric, device, batch or number format; the text
            names the field.
    """
    for run in runs[1:]:
        _compare("devices", (runs[0], _several(runs[0])), (run, _several(run)))
    measured = any(objective.figure in MEASURED for objective in runs[0].objectives)
    for run in runs[1:]:
        _compare("objectives", *((one, {o.name for o in one.objectives}) for one in (runs[0], run)))
    for field in (
        "dataset",
        "split",
        "accuracy_metric",
        *(("device", "device_digest", "batch", "dtype") if measured else ()),
    ):
        seen: tuple[Run, set[Any]] | None = None
        for run in runs:
            values = set(run.evaluations.loc[run.evaluations["feasible"], field].dropna())
            if values and seen:
                _compare(field, seen, (run, values))
            seen = seen or ((run, values) if values else None)


def _several(run: Run) -> set[Any]:
    """Give name and digest of every device of a run that has several."""
    digests = run_digests(run.manifest) if run_devices(run.manifest) else {}
    return {f"{name} ({digest})" for name, digest in digests.items()}


def _compare(field: str, one: tuple[Run, set[Any]], other: tuple[Run, set[Any]]) -> None:
    if one[1] != other[1]:
        texts = [f"{run.name} has {', '.join(sorted(map(str, values))) or 'none'}" for run, values in (one, other)]
        raise DefinitionError(
            f"runs that differ in {field} cannot share axes: {texts[0]}; {texts[1]}. Draw them apart."
        )


def _choose(run: Run, x: str | None, y: str | None) -> tuple[Objective, Objective]:
    names = [objective.name for objective in run.objectives]
    for name in (x, y):
        if name is not None and name not in names:
            raise unknown_name(f"objective of {run.name}", name, names)
    if len(names) < 2:
        raise DefinitionError(f"{run.name} has {len(names)} objectives; a front needs 2")
    upwards = y or next(name for name in (["accuracy"] if "accuracy" in names else []) + names if name != x)
    costs = [name for name in names if not find_objective(name).maximize] + names
    across = x or next(name for name in costs if name != upwards)
    if across == upwards:
        raise DefinitionError(f"both axes would show {across}; choose two of {', '.join(names)}")
    return find_objective(across), find_objective(upwards)


def _series(run: Run, look: Look, across: Objective, upwards: Objective) -> _Series:
    feasible = run.evaluations[run.evaluations["feasible"]]
    timed = [objective for objective in (across, upwards) if objective.figure == "latency"]
    if not run.is_confirmed or not timed:
        front = feasible[non_dominated(losses_of(feasible, (across, upwards)))]
        return _Series(run, look, feasible, feasible, _sorted(front, across, upwards), feasible[:0], False)
    placed = confirmed_places(run, feasible, timed)
    stays = placed["trial"].isin(run.pareto.loc[run.pareto["fell_off"].isna(), "trial"])
    fallen = placed["trial"].isin(run.pareto.loc[run.pareto["fell_off"].notna(), "trial"])
    front = placed[stays]
    low, high = (_ends(front, timed, which) for which in (1, 2))
    others = [objective for objective in (across, upwards) if objective.figure != "latency"]
    unbeaten = np.flatnonzero(~beats(losses_of(front, others), low, high).any(axis=0))
    return _Series(
        run, look, feasible, placed, _sorted(front.iloc[unbeaten], across, upwards), placed.loc[fallen], True
    )


def _ends(frame: pd.DataFrame, timed: Sequence[Objective], which: int) -> Losses:
    """Give the lower (1) or upper (2) ends of the intervals, shape (points, latencies)."""
    columns = [_of_device(_LATENCY, objective)[which] for objective in timed]
    return frame[columns].to_numpy(dtype=np.float64, na_value=np.nan)


def confirmed_places(run: Run, feasible: pd.DataFrame, timed: Sequence[Objective]) -> pd.DataFrame:
    """Give the feasible trials with what confirming found in the place of what the search did."""
    members = run.pareto[run.pareto["confirmed_on_front"].notna()].set_index("trial")
    placed = feasible.copy()
    for objective in timed:
        for column, source in zip(_of_device(_LATENCY, objective), _of_device(_CONFIRMED, objective), strict=True):
            found = placed["trial"].map(members[source].dropna())
            placed[column] = found.where(found.notna(), placed[column])
    return placed


def _sorted(frame: pd.DataFrame, across: Objective, upwards: Objective) -> pd.DataFrame:
    return frame.sort_values([across.column, upwards.column], kind="stable")


def _axis_of(objective: Objective, series: Sequence[_Series]) -> Axis:
    values = [float(value) for one in series for value in one.feasible[objective.column]]
    batches = {int(batch) for one in series for batch in one.feasible["batch"].dropna()}
    return make_axis(objective, values, batches.pop() if len(batches) == 1 else None)


def _draw_trials(axes: Axes, series: Sequence[_Series], across: Axis, upwards: Axis) -> None:
    axes.set_xlabel(across.label)
    axes.set_ylabel(upwards.label)
    for one in series:
        x, y = _values(one.feasible, across), _values(one.feasible, upwards)
        beaten = one.confirmed | ~one.feasible.index.isin(one.front.index)
        axes.plot(
            x[beaten],
            y[beaten],
            linestyle="",
            marker=one.look.marker,
            markersize=2.2,
            color=one.look.color,
            alpha=0.25,
            markeredgewidth=0,
            rasterized=bool(beaten.sum() > _RASTER),
            zorder=2,
        )
    for one in series:
        _draw_fallen(axes, one, across, upwards)
        _draw_front(axes, one, across, upwards)
    if not any(len(one.feasible) for one in series):
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no feasible trial", transform=axes.transAxes, ha="center", va="center", color="0.4")


def _draw_front(axes: Axes, one: _Series, across: Axis, upwards: Axis) -> None:
    # Ties stay in a confirmed front though one of them has the smaller value; the steps go through the best alone.
    best = one.front[non_dominated(losses_of(one.front, (across.objective, upwards.objective)))]
    # Between two points only what the cheaper one gives is known to be reachable, so the front goes in steps.
    where: Literal["pre", "post"] = "pre" if across.objective.maximize else "post"
    axes.step(
        _values(best, across),
        _values(best, upwards),
        where=where,
        color=one.look.color,
        linestyle=one.look.line,
        linewidth=0.8,
        alpha=0.7,
        zorder=3,
    )
    axes.errorbar(
        _values(one.front, across),
        _values(one.front, upwards),
        xerr=_interval(one.front, across),
        yerr=_interval(one.front, upwards),
        linestyle="",
        marker=one.look.marker,
        markersize=3.6,
        color=one.look.color,
        markeredgecolor="white",
        markeredgewidth=0.4,
        elinewidth=1.1,
        capsize=2.2,
        capthick=0.9,
        zorder=4,
    )


def _draw_fallen(axes: Axes, one: _Series, across: Axis, upwards: Axis) -> None:
    axes.errorbar(
        _values(one.fallen, across),
        _values(one.fallen, upwards),
        xerr=_interval(one.fallen, across),
        yerr=_interval(one.fallen, upwards),
        linestyle="",
        marker=one.look.marker,
        markersize=4.2,
        color=_FALLEN,
        markerfacecolor="white",
        markeredgewidth=0.9,
        elinewidth=0.8,
        capsize=1.8,
        capthick=0.7,
        zorder=3.5,
    )


def _draw_names(axes: Axes, series: Sequence[_Series], across: Axis, upwards: Axis) -> None:
    names: dict[str, tuple[float, float, str]] = {}
    dots: list[tuple[float, float, float]] = []
    for one in series:
        named = one.placed[one.placed["published"].notna()]
        x, y = _values(named, across), _values(named, upwards)
        axes.plot(
            x,
            y,
            linestyle="",
            marker="*",
            markersize=8,
            color=one.look.color if len(series) > 1 else "white",
            markeredgecolor="black",
            markeredgewidth=0.7,
            zorder=5,
        )
        dots += ((*place, 50.0) for place in zip(x, y, strict=True))
        for place in zip(x, y, named["published"], strict=True):
            names.setdefault(place[2], place)  # the same network in several runs is named once
        for frame in (one.front, one.fallen):
            dots += ((*place, 10.0) for place in zip(_values(frame, across), _values(frame, upwards), strict=True))
    place_labels(axes, list(names.values()), dots)


def _draw_hypervolume(axes: Axes, series: Sequence[_Series]) -> None:
    from matplotlib.ticker import MaxNLocator

    for one, curve in zip(series, find_curves([one.run for one in series]), strict=True):
        trials, shares = curve.places, curve.shares
        axes.step(trials, shares, where="post", color=one.look.color, linestyle=one.look.line, linewidth=1.2)
        if len(trials):
            axes.plot(trials[-1:], shares[-1:], marker=one.look.marker, markersize=4, color=one.look.color)
    axes.set_xlabel("Trials")
    axes.set_ylabel("Hypervolume (share)\nsame box for all runs" if len(series) > 1 else "Hypervolume (share of box)")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    if max((len(one.run.evaluations) for one in series), default=0) < 2:
        axes.set_xlim(0, 2)
    if not any(one.feasible.shape[0] > 1 for one in series):
        axes.set_ylim(0, 1)
    if not any(len(one.run.evaluations) for one in series):
        axes.text(0.5, 0.5, "no trial", transform=axes.transAxes, ha="center", va="center", color="0.4")


def _draw_legend(figure: Figure, series: Sequence[_Series], stacked: bool) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [], [], color=one.look.color, marker=one.look.marker, linestyle=one.look.line, linewidth=1.2, markersize=4
        )
        for one in series
    ]
    labels = [_describe(one) for one in series]
    if any(one.feasible["published"].notna().any() for one in series):
        handles.append(Line2D([], [], linestyle="", marker="*", markersize=8, color="white", markeredgecolor="black"))
        labels.append("starting point, by name")
    if any(one.confirmed for one in series):
        look = series[0].look if len(series) == 1 else Look("0.4", "o", "")
        marks: list[tuple[str, Any]] = [
            (
                "as the search measured it, in one process",
                {"markersize": 2.2, "color": look.color, "alpha": 0.4, "mew": 0},
            )
        ]
        if any(len(one.fallen) for one in series):
            marks.append(("fell off when it was confirmed", {"markersize": 4.2, "color": _FALLEN, "mfc": "white"}))
        for words, mark in marks:
            handles.append(Line2D([], [], linestyle="", marker=look.marker, **mark))
            labels.append(words)
    add_legend(figure, handles, labels, 1 if stacked else 2, handlelength=3.2)


def _describe(one: _Series) -> str:
    """Say what a run's points rest on: how many trials, and the verdicts of the front's latencies."""
    trials = len(one.run.evaluations)
    front = "confirmed front" if one.confirmed else "front"
    text = f"{one.run.name}: {trials:,} trial{'' if trials == 1 else 's'}, {len(one.front)} on the {front}"
    verdicts = one.front["latency_verdict"].dropna().value_counts()
    other = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()) if verdict != "ok")
    return f"{text} ({other})" if other else text


def _values(frame: pd.DataFrame, axis: Axis) -> Losses:
    return frame[axis.objective.column].to_numpy(dtype=np.float64, na_value=np.nan) * axis.scale


def _interval(frame: pd.DataFrame, axis: Axis) -> Losses | None:
    """Give how far the 95 % interval reaches below and above each value, shape (2, points); 0 where unknown."""
    if axis.objective.figure != "latency":
        return None
    columns = _of_device(_LATENCY[1:3], axis.objective)
    ends = frame[columns].to_numpy(dtype=np.float64, na_value=np.nan).T * axis.scale
    values = _values(frame, axis)
    reach: Losses = np.clip(np.stack([values - ends[0], ends[1] - values]), 0.0, None)
    return np.nan_to_num(reach)
