"""`nasbench table`: own measurements as a table that others can replay."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

table = typer.Typer(
    help="Tables of networks and their figures, which --device table:FILE#COLUMN and --accuracy read.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@table.callback()
def _table() -> None:
    """Keep `make` a word of its own, so that more can join it."""


@table.command("make")
def make(
    run: Annotated[Path, typer.Argument(help="Folder of a search or bench.")],
    out: Annotated[Path, typer.Option(help="The file to write: .csv, .csv.gz or .parquet.")],
) -> None:
    """Write the networks of a run, their choices and figures, as a table that a search can be replayed on."""
    from nasbench.store.parquet import read_run
    from nasbench.tabular.make import make_from_run

    made = make_from_run(read_run(run), out)
    typer.echo(f"wrote {out}: {made.networks} networks, {', '.join(made.figures)}")
    device = next((name for name in made.figures if name.startswith("latency_s")), None)
    if device is not None:
        typer.echo(f"for example: nasbench search SPACE --device table:{out}#{device}")
