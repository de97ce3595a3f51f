"""The figure of samplers: what is missing of the optimum after so many evaluations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nasbench.plot.axes import number_ticks
from nasbench.plot.style import LOOKS, WIDTHS_INCH, add_heading, drawing

if TYPE_CHECKING:
    import pandas as pd

_RESAMPLES = 1000


def draw_samplers(standings: pd.DataFrame, steps: pd.DataFrame, out: Path, width: str = "double") -> None:
    """Draw the mean gap of every sampler over its evaluations, with the 95 % interval of the mean over seeds.

    Args:
        standings: `standings.parquet`; a line each, in that order.
        steps: `steps.parquet`.
        out: the file to write, a PNG, SVG or PDF by its suffix.
        width: `single` (3.5 in) or `double` (7.16 in).

    Raises:
        DefinitionError: the suffix or width is not there.
        StoreError: the file cannot be written.
    """
    with drawing(out, width) as figure:
        figure.set_figheight(0.55 * WIDTHS_INCH[width] + 0.6)
        axes = figure.subplots()
        known = steps.loc[np.isfinite(steps["gap"]), "gap"]
        steps = steps.assign(gap=steps["gap"].clip(upper=known.max() if len(known) else 1.0))
        means = steps.groupby(["sampler", "evaluations"])["gap"].mean()
        floor = 0.7 * means[means > 0].min() if (means > 0).any() else 0.5
        for number, (_, standing) in enumerate(standings.iterrows()):
            look = LOOKS[number % len(LOOKS)]
            mine = steps[steps["sampler"] == standing["sampler"]]
            runs = mine.pivot_table(index="evaluations", columns="seed", values="gap").ffill()
            low, high = _interval(runs.to_numpy())
            every = max(1, len(runs) // 8)
            axes.fill_between(
                runs.index, np.maximum(low, floor), np.maximum(high, floor), color=look.color, alpha=0.18, linewidth=0
            )
            axes.plot(
                runs.index,
                runs.mean(axis=1).clip(lower=floor),
                color=look.color,
                linestyle=look.line,
                marker=look.marker,
                markevery=(number % every, every),
                markersize=3.5,
                markerfacecolor=look.color if number < len(LOOKS) else "white",
                linewidth=1.2,
                label=standing["sampler"],
            )
        axes.set_yscale("log")
        axes.set_ylim(bottom=floor)
        number_ticks(axes.yaxis)
        axes.set_xlabel("Evaluated networks")
        axes.set_ylabel("Missing: regret, or share of the hypervolume")
        *fewer, most = map(str, sorted(set(standings["seeds"])))
        seeds = f"{', '.join(fewer)} or {most}" if fewer else most
        add_heading(figure, f"Mean of {seeds} runs a sampler; shaded: its 95 % interval")
        figure.legend(loc="outside lower center", ncols=min(len(standings), 6), frameon=False)


def _interval(runs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the 95 % interval of the mean of each row, over columns drawn again with replacement."""
    drawn = np.random.default_rng(0).integers(runs.shape[1], size=(_RESAMPLES, runs.shape[1]))
    means = np.array([runs[:, some].mean(axis=1) for some in drawn])
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return low, high
