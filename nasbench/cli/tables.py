"""Tables on stdout, for eyes or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

import typer

_WIDE = 400


_GAP = 3
"""Spaces between two columns."""


def print_rows(
    what: str, columns: Sequence[str], rows: Sequence[Sequence[str]], as_json: bool = False, keys: int | None = None
) -> None:
    """Print rows under their columns, or one JSON object with them under `what`.

    With `keys`, a table that is wider than the terminal becomes several, each of which begins with that many first
    columns; without, cells are folded.
    """
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
    parts = [range(len(columns))] if keys is None else split_columns(columns, rows, keys, console.width)
    for part in parts:
        if part != parts[0]:
            console.print()
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for index in part:
            numeric = bool(rows) and all(_is_figure(row[index]) for row in rows)
            justify: Literal["left", "right"] = "right" if numeric else "left"
            table.add_column(Text(columns[index]), justify=justify, overflow="fold", no_wrap=numeric)
        for row in rows:
            table.add_row(*(Text(row[index]) for index in part))
        console.print(table)


def split_columns(
    columns: Sequence[str], rows: Sequence[Sequence[str]], keys: int, width: int
) -> list[tuple[int, ...]]:
    """Give the columns of each table, by number, into which one must be cut so that nothing is folded in `width`.

    A table holds the first `keys` columns and at least one more, even where that is too wide.
    """
    widths = [max(map(len, (columns[index], *(row[index] for row in rows)))) for index in range(len(columns))]
    first = tuple(range(keys))
    parts = [first]
    for index in range(keys, len(columns)):
        wider = (*parts[-1], index)
        if len(parts[-1]) > keys and sum(widths[one] + _GAP for one in wider) - _GAP > width:
            parts.append((*first, index))
        else:
            parts[-1] = wider
    return parts


def _is_figure(cell: str) -> bool:
    return cell[:1].isdigit() or cell in ("-", "")
