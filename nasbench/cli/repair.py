"""`nasbench repair`: what can still be read of a damaged run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def repair(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the damaged run; it is left as it is.")],
    out: Annotated[Path, typer.Option(help="Folder of the new run that takes what is readable.")],
) -> None:
    """Copy every readable trial of a damaged run into a new one."""
    from nasbench.store.parquet import flush
    from nasbench.store.repair import recover

    recovered = recover(run, out)
    flush(out)
    lost = "an unknown number" if recovered.lost is None else str(recovered.lost)
    typer.echo(f"saved {recovered.saved} trials into {out}, lost {lost}")
    if not recovered.study_complete:
        typer.echo(
            "note: part of the sampler's memory is lost; a resumed search may propose other candidates", err=True
        )
