"""Tables on stdout, for eyes or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

import typer

_WIDE = 400


def print_rows(what: str, columns: Sequence[str], rows: Sequence[Sequence[str]], as_json: bool = False) -> None:
    """Print rows under their columns, or one JSON object with them under `what`."""
    if as_json:
        typer.echo(json.dumps({what: [dict(zip(columns, row, strict=True)) for row in rows]}))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDE)  # a file or a pipe has no width to fold to
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        numeric = bool(rows) and all(_is_figure(row[columns.index(name)]) for row in rows)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def _is_figure(cell: str) -> bool:
    return cell[:1].isdigit() or cell in ("-", "")
