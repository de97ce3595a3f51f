"""The figure of ShuffleNet V2's guidelines on a device: what each variant takes of the fast network's time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nasbench.plot.style import LOOKS, add_heading, add_legend, drawing

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_MARKS = {"supported": LOOKS[0], "no difference": LOOKS[1], "contradicted": LOOKS[5], "undecided": LOOKS[2]}
"""How each verdict looks; what failed has no mark."""

_RATIO = ("ratio", "ratio_low", "ratio_high")


def draw_guidelines(variants: pd.DataFrame, title: str, out: Path, width: str = "double") -> None:
    """Draw the ratio of every variant with its 95 % interval, a panel a guideline.

    Args:
        variants: `guidelines.parquet`.
        title: says the device.
        out: the file to write, a PNG, SVG or PDF by its suffix.
        width: `single` (3.5 in) or `double` (7.16 in).

    Raises:
        DefinitionError: the suffix or width is not there.
        StoreError: the file cannot be written.
    """
    from matplotlib.lines import Line2D

    with drawing(out, width) as figure:
        groups = [group for _, group in variants.groupby("guideline", sort=False)]
        height = 1.1 + sum(0.42 + 0.17 * len(group) for group in groups)
        figure.set_figheight(height)
        heights = [1.5 + len(group) for group in groups]
        grid = figure.subplots(len(groups), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for axes, group in zip(grid, groups, strict=True):
            _draw_group(axes, group, narrow=width == "single")
        grid[-1].set_xlabel("Latency over that of the fast network (1 = equal)")
        add_heading(figure, title)
        seen = [verdict for verdict in _MARKS if (variants["verdict"] == verdict).any()]
        handles = [
            Line2D([], [], linestyle="", marker=_MARKS[verdict].marker, color=_MARKS[verdict].color, markersize=5)
            for verdict in seen
        ]
        handles.append(Line2D([], [], color="0.2", linewidth=1.1))
        columns = 2 if width == "single" else len(handles)
        add_legend(figure, handles, [*seen, "95 % interval"], columns)


def _draw_group(axes: Axes, group: pd.DataFrame, narrow: bool) -> None:
    axes.axvline(1, color="0.3", linewidth=0.8, linestyle=(0, (4, 2)))
    for place, (_, row) in enumerate(group.iterrows()):
        ratio, low, high = (float("nan" if row[name] is None else row[name]) for name in _RATIO)
        if not ratio > 0:
            axes.annotate(f"not measured: {row['reason']}", (1, place), fontsize=7, va="center")
            continue
        look = _MARKS[row["verdict"]]
        if low > 0 and high > 0:
            axes.hlines(place, low, high, color="0.2", linewidth=1.1)
        axes.plot(ratio, place, marker=look.marker, color=look.color, markersize=5)
        right = high if high > 0 else ratio
        axes.annotate(f"{ratio:.2f}", (right, place), (6, 0), textcoords="offset points", va="center", fontsize=7)
    axes.set_yticks(range(len(group)), list(group["variant"]))
    axes.set_ylim(len(group) - 0.4, -0.6)
    axes.margins(x=0.12)
    axes.grid(axis="y", visible=False)
    first = group.iloc[0]
    title = f"{first['guideline']}: {first['says']}{',' if narrow else ';'}\nagainst {first['fast']}"
    axes.set_title(title if narrow else title.replace("\n", " "), loc="left")
