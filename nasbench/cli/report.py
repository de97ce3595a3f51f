"""`nasbench report`: stored runs as one page that opens anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasbench.errors import DefinitionError

SUFFIXES = (".html", ".htm")


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs, such as results/first.")],
    out: Annotated[Path, typer.Option(help="The page to write, an .html file.")] = Path("report.html"),
) -> None:
    """Write one or more runs as a page: one file that works offline, with nothing to install."""
    if out.suffix.lower() not in SUFFIXES:
        raise DefinitionError(f"{out} ends in {out.suffix or 'nothing'!r}; a report is one of {', '.join(SUFFIXES)}")

    from nasbench.report.data import make_document
    from nasbench.report.networks import describe_network
    from nasbench.report.page import make_page, write_page
    from nasbench.store.parquet import read_run
    from nasbench.units import format_bytes

    text = make_page(make_document([read_run(run) for run in runs], describe_network))
    write_page(text, out)
    typer.echo(f"wrote {out}, {format_bytes(len(text.encode()))}")
