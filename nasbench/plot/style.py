"""How figures look and are saved: sizes of journal columns, text as text, equal bytes for equal input."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench.errors import DefinitionError, StoreError

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTHS_INCH = {"single": 3.5, "double": 7.16}
"""Column widths of IEEE journals in inches; those of Elsevier and Nature differ by less than 5 %."""

SUFFIXES = (".pdf", ".png", ".svg")

RULES: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that a figure is the same on every machine
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "savefig.dpi": 300,
    "svg.fonttype": "none",
    "svg.hashsalt": "nasbench",
    "pdf.fonttype": 42,
}


@dataclass(frozen=True, slots=True)
class Look:
    """How one run is told from another, in colour, in grey and by shape."""

    color: str
    marker: str
    line: Any


# Okabe and Ito 2008, https://jfly.uni-koeln.de/color/, in an order that steps through their luminance; the shapes and
# line styles alone are enough in print.
LOOKS = (
    Look("#0072B2", "o", "-"),
    Look("#E69F00", "s", (0, (5, 1.5))),
    Look("#000000", "^", (0, (1, 1))),
    Look("#CC79A7", "D", (0, (5, 1.5, 1, 1.5))),
    Look("#009E73", "v", (0, (3, 1, 1, 1, 1, 1))),
    Look("#D55E00", "P", (0, (8, 2))),
    Look("#56B4E9", "X", (0, (2, 2))),
)


@contextmanager
def drawing(out: Path, width: str) -> Iterator[Figure]:
    """Give a figure of a column's width to draw on, by `RULES` alone, and save it whole or not at all.

    A user's own settings would make another figure of the same run. Its height is for who draws to set.

    Args:
        out: the file to write, a PNG, SVG or PDF by its suffix; its folder is made.
        width: one of `WIDTHS_INCH`.

    Raises:
        DefinitionError: the suffix or width is not there, which is seen before anything is drawn.
        StoreError: the file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    _check_output(out, width)
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RULES)
        figure = Figure(figsize=(WIDTHS_INCH[width], WIDTHS_INCH[width]), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        _save(figure, out)


def make_panels(
    figure: Figure, count: int, columns: int, margins_inch: float, panel_inch: float, sharey: bool = False
) -> list[Axes]:
    """Divide a figure into panels of equal height, row by row, and set its height; what a row has left over is hidden.

    Args:
        figure: one of `drawing`.
        count: of the panels.
        columns: how many stand beside each other.
        margins_inch: height of what is above and below the panels.
        panel_inch: height of a panel.
        sharey: whether all have one vertical axis.
    """
    lines = math.ceil(count / columns)
    figure.set_figheight(margins_inch + panel_inch * lines)
    grid = list(figure.subplots(lines, columns, sharey=sharey, squeeze=False).flat)
    for axes in grid[count:]:
        axes.set_visible(False)
    return grid[:count]


def add_heading(figure: Figure, words: str, fontsize: float = 8) -> None:
    """Write what the whole figure is of above its panels, at the left."""
    figure.suptitle(words, x=0.01, ha="left", fontsize=fontsize)


def add_legend(figure: Figure, handles: Iterable[Artist], labels: Iterable[str], columns: int, **look: Any) -> None:
    """Say below all panels what is drawn; the panels make room for it.

    Args:
        figure: one of `drawing`.
        handles: an example of each thing drawn.
        labels: what each is.
        columns: how many stand beside each other.
        look: whatever else `matplotlib.legend.Legend` takes.
    """
    figure.legend(list(handles), list(labels), loc="outside lower center", ncols=columns, frameon=False, **look)


def _check_output(out: Path, width: str) -> None:
    """Refuse a picture format or a width that is not there.

    Raises:
        DefinitionError: the text lists those that are.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise DefinitionError(f"{out} ends in {out.suffix or 'nothing'!r}; a figure is one of {', '.join(SUFFIXES)}")
    if width not in WIDTHS_INCH:
        raise DefinitionError(f"a figure cannot be {width!r} wide; {' or '.join(WIDTHS_INCH)} is allowed")


def _save(figure: Figure, out: Path) -> None:
    """Write a figure without the time of day, whole or not at all.

    Raises:
        StoreError: the file cannot be written.
    """
    kind = out.suffix.lower().removeprefix(".")
    metadata: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}[kind]
    temporary = out.with_name(f".{out.name}.new")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(temporary, format=kind, metadata=metadata)
        temporary.replace(out)
    except OSError as error:
        raise StoreError(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        if out.parent.is_dir():
            temporary.unlink(missing_ok=True)
