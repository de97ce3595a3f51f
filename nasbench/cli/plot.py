"""`nasbench plot`: fronts of runs as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def plot(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs, such as results/first.")],
    out: Annotated[Path, typer.Option(help="The figure; its suffix says png, svg or pdf.")] = Path("front.png"),
    x: Annotated[str | None, typer.Option(help="Objective across.  [default: the first cost]")] = None,
    y: Annotated[str | None, typer.Option(help="Objective upwards.  [default: accuracy]")] = None,
    width: Annotated[str, typer.Option(metavar="single|double", help="Columns of a page it fills.")] = "double",
) -> None:
    """Draw the Pareto fronts of one or more runs, and their hypervolume over trials."""
    from nasbench.plot.front import draw_front
    from nasbench.store.parquet import read_run

    draw_front([read_run(run) for run in runs], out, x, y, width)
    typer.echo(f"wrote {out}")
