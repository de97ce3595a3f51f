"""The figures of studies, drawn from the parquet files that a study wrote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nasbench.plot.correlation import draw_correlations
from nasbench.plot.efficiency import draw_gap, draw_waterlines
from nasbench.plot.guidelines import draw_guidelines
from nasbench.plot.layers import draw_layers
from nasbench.plot.resolution import draw_resolutions
from nasbench.plot.samplers import draw_samplers
from nasbench.store.found import read_found

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class StudyFigure:
    """A kind of figure: the tables that it is drawn from, by stem, and what draws it.

    `draw` is given the tables, the title where the figure is `of_device`, the file and the width.
    """

    tables: tuple[str, ...]
    draw: Callable[..., None]
    of_device: bool = True


FIGURES = {
    "guidelines": StudyFigure(("guidelines",), draw_guidelines),
    "correlation": StudyFigure(("correlations", "points"), draw_correlations),
    "efficiency": StudyFigure(("efficiencies",), draw_gap),
    "waterline": StudyFigure(("efficiencies", "layers"), draw_waterlines),
    "layers": StudyFigure(("layers",), draw_layers),
    "resolution": StudyFigure(("resolutions", "growths"), draw_resolutions),
    "samplers": StudyFigure(("standings", "steps"), draw_samplers, of_device=False),
}
"""The figures by name, the first of a study being what is drawn when nothing else is said."""


def study_figures(folder: Path) -> list[str]:
    """Name the figures that a folder has the tables of."""
    return [
        name
        for name, figure in FIGURES.items()
        if all((folder / f"{table}.parquet").is_file() for table in figure.tables)
    ]


def draw_study(name: str, folder: Path, out: Path, width: str = "double") -> None:
    """Draw a figure of a study into a PNG, SVG or PDF, by the suffix of `out`.

    Args:
        name: one of `FIGURES`.
        folder: where the study is.
        out: the file to write; its folder is made.
        width: `single` (3.5 in) or `double` (7.16 in).

    Raises:
        RunNameError: the folder lacks a table of it.
        DefinitionError: the suffix or width is not there.
        StoreError: a table cannot be read, or the file not be written.
    """
    figure = FIGURES[name]
    tables = [read_found(folder, table) for table in figure.tables]
    title = [_title(tables[0])] if figure.of_device else []
    figure.draw(*tables, *title, out, width)


def _title(table: pd.DataFrame) -> str:
    """Say the device that a table is of."""
    device, runtime, dtype, threads = (table[name].iloc[0] for name in ("device", "runtime", "dtype", "threads"))
    words = [device, *([] if runtime in device else [runtime]), dtype, f"{threads} thread{'' if threads == 1 else 's'}"]
    return ", ".join(words)
