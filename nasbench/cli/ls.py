"""`nasbench ls`: what there is to name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from nasbench.cli.tables import print_rows
from nasbench.errors import DefinitionError, NasbenchError
from nasbench.registry import unknown_name

_Listing = tuple[Mapping[str, Callable[[Any], str]], Sequence[tuple[Any, ...]]]
"""How each column shows a value that is not None, by the column's name, and the rows of raw values."""

_Read = TypeVar("_Read")


def _readable(paths: Iterable[Path], read: Callable[[Path], _Read]) -> Iterator[_Read]:
    """Read one after the other; what cannot be read becomes a warning, since it must not hide the rest."""
    for path in paths:
        try:
            found = read(path)
        except NasbenchError as error:
            typer.echo(f"warning: {error}", err=True)
        else:
            yield found


def _spaces() -> _Listing:
    from nasbench.definitions import read_definition
    from nasbench.space.load import list_spaces

    def read(path: Path) -> tuple[Any, ...]:
        entries = read_definition(path).entries()
        count = len(entries["architectures"].entries()) if "architectures" in entries else 0
        return path.stem, count, entries["about"].text() if "about" in entries else ""

    return {"space": str, "architectures": str, "about": str}, list(_readable(list_spaces().values(), read))


def _architectures(family: str | None = None) -> _Listing:
    from nasbench.cli.checks import split_names
    from nasbench.space.load import find_space, list_spaces, load_space
    from nasbench.units import format_count

    rows = []
    paths = list_spaces().values() if family is None else [find_space(name).path for name in split_names(family)]
    for space in _readable(paths, load_space):
        for named in space.architectures:
            figures = (named.published.get(key) for key in ("params", "macs", "top1", "source"))
            rows.append((named.name, space.name, *figures))
    columns: dict[str, Callable[[Any], str]] = {
        "architecture": str,
        "space": str,
        "published params": format_count,
        "published MACs": format_count,
        "published top-1": lambda percent: f"{percent:.1f} %",
        "source": str,
    }
    return columns, rows


def _devices() -> _Listing:
    from nasbench.definitions import list_definitions
    from nasbench.device.load import read_device

    specs = _readable(list_definitions("devices").values(), read_device)
    rows = [(spec.name, spec.backend, spec.runtime, spec.dtype, spec.threads) for spec in specs]
    return {"device": str, "backend": str, "runtime": str, "dtype": str, "threads": str}, rows


def _runtimes() -> _Listing:
    from nasbench.errors import BuildError
    from nasbench.runtime.base import RUNTIMES

    rows = []
    for kind in RUNTIMES.values():
        try:
            installed = f"{kind.packages[0]} {kind.versions()[kind.packages[0]]}"
        except BuildError:
            installed = f"no: {kind.remedy}"
        rows.append((kind.name, kind.about, kind.backends, kind.dtypes, installed))
    return {"runtime": str, "about": str, "backends": ", ".join, "dtypes": ", ".join, "installed": str}, rows


def _blocks() -> _Listing:
    from nasbench.space.kinds import KINDS

    rows = []
    for kind in KINDS.values():
        defaults = {option.name: option.default for option in kind.options}
        rows.append((kind.name, kind.about, defaults, kind.source))

    def words(defaults: dict[str, Any]) -> str:
        return ", ".join(f"{name}={default}" for name, default in defaults.items())

    return {"block": str, "about": str, "options and defaults": words, "source": str}, rows


def _samplers() -> _Listing:
    from nasbench.search.names import SAMPLER_NAMES

    return {"sampler": str, "about": str}, list(SAMPLER_NAMES.items())


def _datasets() -> _Listing:
    from nasbench.accuracy.data import DATASETS

    rows = []
    for name in DATASETS:
        source = DATASETS.find(name)
        written = name if source.needs_path is None else f"{name}=PATH"
        written += "".join(f"[,{option}=VALUE]" for option in source.options or ())
        rows.append((name, f"--data {written}", source.needs_path or "embedded; nothing to fetch"))
    return {"data set": str, "write": str, "PATH": str}, rows


def _runs() -> _Listing:
    from nasbench.store.log import RunLog

    def read(path: Path) -> tuple[Any, ...]:
        with RunLog.read(path.parent) as log:
            asked = [log.manifest.get(key) for key in ("space", "objectives", "sampler", "created_at")]
            return str(path.parent), *asked[:3], log.trial_count, asked[3]

    columns: dict[str, Callable[[Any], str]] = {
        "run": str,
        "space": str,
        "objectives": ", ".join,
        "sampler": str,
        "trials": str,
        "created": str,
    }
    return columns, list(_readable(sorted(Path("results").glob("*/run.db")), read))


_LISTINGS: dict[str, Callable[[], _Listing]] = {
    "spaces": _spaces,
    "devices": _devices,
    "runtimes": _runtimes,
    "architectures": _architectures,
    "blocks": _blocks,
    "samplers": _samplers,
    "datasets": _datasets,
    "runs": _runs,
}


def ls(
    what: Annotated[str, typer.Argument(metavar="WHAT", help=" | ".join(_LISTINGS))],
    family: Annotated[
        str | None, typer.Option(metavar="NAME[,NAME...]", help="Of the architectures, only those of these spaces.")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """List what can be named: search spaces, devices, runtimes, architectures, blocks, samplers, data sets or runs."""
    if what not in _LISTINGS:
        raise unknown_name("list", what, _LISTINGS)
    if family is not None and what != "architectures":
        raise DefinitionError("--family has an effect on `nasbench ls architectures` alone")
    columns, rows = _LISTINGS[what]() if family is None else _architectures(family)
    if not json_output:
        shows = columns.values()
        rows = [
            tuple("-" if value is None else show(value) for show, value in zip(shows, row, strict=True)) for row in rows
        ]
    keys = 1 if what == "architectures" else None  # a name that is folded cannot be copied
    print_rows(what, tuple(columns), rows, json_output, keys)
