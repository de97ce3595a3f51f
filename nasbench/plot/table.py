"""The table of found and published networks: Markdown and LaTeX for people, CSV for programs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench.errors import DefinitionError, StoreError
from nasbench.units import format_count, format_percent, format_seconds

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".md", ".tex")

_CSV = (
    *("network", "kind", "family", "space", "classes", "accuracy", "accuracy_metric", "dataset", "split"),
    *("published_top1", "params", "macs", "deployed_params", "deployed_macs", "published_params", "published_macs"),
    *("published_form", "latency_s", "latency_low_s", "latency_high_s", "verdict", "level", "device", "runtime"),
    *("dtype", "threads", "batch", "cache", "on_front", "left_out", "error", "published_source", "run", "trial"),
    "architecture",
)
"""In CSV: names of the stored columns, values raw and SI."""

_FRONT = (
    *("network", "kind", "classes", "accuracy found here", "published top-1", "params", "MACs"),
    *("latency", "95 % interval", "verdict", "level", "device", "runtime", "threads", "batch"),
)
"""What a front on a terminal shows of a row."""


def check_table(out: Path) -> None:
    """Refuse a kind of table that is not there.

    Raises:
        DefinitionError: the text lists those that are.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise DefinitionError(f"{out} ends in {out.suffix or 'nothing'!r}; a table is one of {', '.join(SUFFIXES)}")


def write_table(networks: pd.DataFrame, out: Path) -> None:
    """Write the networks that a figure draws and those that it leaves out, whole or not at all.

    Panel after panel, each in order of latency and what is left out after it.

    Args:
        networks: from `networks.read_networks`.
        out: the file, Markdown, CSV or LaTeX by its suffix; its folder is made.

    Raises:
        DefinitionError: the suffix is none of those.
        StoreError: the file cannot be written.
    """
    check_table(out)
    rows = networks.assign(absent=networks["left_out"].notna())
    rows = rows.sort_values(["panel", "absent", "latency_s", "top1"], kind="stable", na_position="last")
    text = {".csv": _csv, ".md": _markdown, ".tex": _latex}[out.suffix.lower()](rows)
    temporary = out.with_name(f".{out.name}.new")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8", newline="\n")
        temporary.replace(out)
    except OSError as error:
        raise StoreError(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        if out.parent.is_dir():
            temporary.unlink(missing_ok=True)


def front_rows(networks: pd.DataFrame) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Give the columns and rows of the fronts, panel after panel and each in order of latency, for a terminal."""
    front = networks[networks["on_front"]].sort_values(["panel", "latency_s", "top1"], kind="stable")
    return _FRONT, [tuple(_COLUMNS[name](row) for name in _FRONT) for row in _records(front)]


def _csv(rows: pd.DataFrame) -> str:
    return rows[list(_CSV)].to_csv(index=False, lineterminator="\n")


def _markdown(rows: pd.DataFrame) -> str:
    cells = [[_escape_markdown(cell) for cell in line] for line in _lines(rows)]
    ruler = ["---:" if right else "---" for right in _numeric(cells)]
    lines = [[_escape_markdown(name) for name in _COLUMNS], ruler, *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _latex(rows: pd.DataFrame) -> str:
    """Give a tabular that any document can hold that has booktabs."""
    cells = [[_escape_latex(cell) for cell in line] for line in _lines(rows)]
    columns = "".join("r" if right else "l" for right in _numeric(cells))
    head, *body = (f"{' & '.join(line)} \\\\" for line in ([_escape_latex(name) for name in _COLUMNS], *cells))
    begin = ["% needs \\usepackage{booktabs}", f"\\begin{{tabular}}{{{columns}}}", "\\toprule", head, "\\midrule"]
    return "\n".join([*begin, *body, "\\bottomrule", "\\end{tabular}", ""])


def _lines(rows: pd.DataFrame) -> list[list[str]]:
    return [[show(row) for show in _COLUMNS.values()] for row in _records(rows)]


def _numeric(lines: Sequence[Sequence[str]]) -> list[bool]:
    """Say of each column whether it holds figures alone, which stand at its right."""
    return [
        all(cell[:1].isdigit() or cell == "-" for cell in column) and any(cell != "-" for cell in column)
        for column in zip(*lines, strict=True)
    ]


def _records(rows: pd.DataFrame) -> Iterator[Mapping[str, Any]]:
    """Give the rows with None for what is not there, whatever a column's type makes of it."""
    plain = rows.astype(object).where(rows.notna(), None)
    names = list(plain.columns)
    return (dict(zip(names, row, strict=True)) for row in plain.itertuples(index=False, name=None))


def _escape_markdown(text: str) -> str:
    return re.sub(r"([\\|*<`])", r"\\\1", " ".join(text.split()))


_LATEX = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
    "[": "{[}",  # after the end of a row it would begin that row's options
}


def _escape_latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))


def _text(name: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda row: "-" if row[name] is None else str(row[name])


def _accuracy(row: Mapping[str, Any]) -> str:
    """Say what a search found and on what, and whether it is another figure than top-1."""
    if row["accuracy"] is None:
        return "-"
    metric = None if row["accuracy_metric"] == "top1" else row["accuracy_metric"]
    return ", ".join(filter(None, (format_percent(row["accuracy"]), row["dataset"], row["split"], metric)))


def _counted(figure: str) -> Callable[[Mapping[str, Any]], str]:
    """Show what was counted here, in the form that its source counted, where that says one."""

    def show(row: Mapping[str, Any]) -> str:
        deployed = row[f"deployed_{figure}"] if row["published_form"] == "deployed" else None
        return format_count(row[figure]) if deployed is None else f"{format_count(deployed)} (deployed)"

    return show


def _interval(row: Mapping[str, Any]) -> str:
    low, high = row["latency_low_s"], row["latency_high_s"]
    return "-" if low is None or high is None else f"{format_seconds(low)} to {format_seconds(high)}"


def _left_out(row: Mapping[str, Any]) -> str:
    return ": ".join(filter(None, (row["left_out"], row["error"]))) if row["left_out"] else "-"


_COLUMNS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "network": _text("network"),
    "kind": _text("kind"),
    "family or space": lambda row: str(row["family"] or row["space"] or "-"),
    "classes": lambda row: "-" if row["classes"] is None else f"{row['classes']:,}",
    "accuracy found here": _accuracy,
    "published top-1": lambda row: format_percent(row["published_top1"]),
    "params": _counted("params"),
    "MACs": _counted("macs"),
    "published params": lambda row: format_count(row["published_params"]),
    "published MACs": lambda row: format_count(row["published_macs"]),
    "latency": lambda row: format_seconds(row["latency_s"]),
    "95 % interval": _interval,
    **{name: _text(name) for name in ("verdict", "level", "device", "runtime", "dtype", "threads", "batch")},
    "on the front": lambda row: "yes" if row["on_front"] else "no",
    "left out": _left_out,
    "source": _text("published_source"),
    "run": _text("run"),
    "architecture": _text("architecture"),
}
"""For people: how each column shows a row."""
