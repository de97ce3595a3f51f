"""`nasbench ls`: what there is to name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from nasbench.cli.tables import print_rows
from nasbench.registry import unknown_name

KINDS_OF_THINGS = ("spaces", "devices", "architectures", "blocks", "samplers", "datasets", "runs")


def ls(
    what: Annotated[str, typer.Argument(metavar="WHAT", help=" | ".join(KINDS_OF_THINGS))],
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """List what can be named: search spaces, devices, architectures, blocks, samplers, data sets or runs."""
    if what not in KINDS_OF_THINGS:
        raise unknown_name("list", what, KINDS_OF_THINGS)
    columns, rows = globals()[f"_{what}"]()
    print_rows(what, columns, rows, json_output)


_Listing = tuple[tuple[str, ...], Sequence[tuple[str, ...]]]


def _spaces() -> _Listing:
    from nasbench.definitions import read_definition
    from nasbench.space.load import list_spaces

    rows = []
    for name, path in list_spaces().items():
        entries = read_definition(path).entries()
        count = len(entries["architectures"].entries()) if "architectures" in entries else 0
        about = entries["about"].text() if "about" in entries else ""
        rows.append((name, str(count), about))
    return ("space", "architectures", "about"), rows


def _architectures() -> _Listing:
    from nasbench.space.load import list_spaces, load_space
    from nasbench.units import format_count

    rows = []
    for path in list_spaces().values():
        space = load_space(path)
        for named in space.architectures:
            published = named.published
            params, macs, top1 = (published.get(key) for key in ("params", "macs", "top1"))
            rows.append(
                (
                    named.name,
                    space.name,
                    format_count(float(params)) if params is not None else "-",
                    format_count(float(macs)) if macs is not None else "-",
                    f"{float(top1):.1f} %" if top1 is not None else "-",
                    str(published.get("source", "-")),
                )
            )
    return ("architecture", "space", "published params", "published MACs", "published top-1", "source"), rows


def _devices() -> _Listing:
    from nasbench.definitions import list_definitions
    from nasbench.device.load import load_device

    specs = [load_device(str(path)) for path in list_definitions("devices").values()]
    rows = [(spec.name, spec.backend, spec.runtime, str(spec.threads)) for spec in specs]
    return ("device", "backend", "runtime", "threads"), rows


def _blocks() -> _Listing:
    from nasbench.space.kinds import KINDS

    rows = []
    for kind in KINDS.values():
        options = ", ".join(f"{option.name}={option.default}" for option in kind.options)
        rows.append((kind.name, kind.about, options, kind.source))
    return ("block", "about", "options and defaults", "source"), rows


def _samplers() -> _Listing:
    from nasbench.search.names import SAMPLER_NAMES

    return ("sampler", "about"), list(SAMPLER_NAMES.items())


def _datasets() -> _Listing:
    from nasbench.accuracy.data import DATASETS

    rows = []
    for name in DATASETS:
        source = DATASETS.find(name)
        written = name if source.needs_path is None else f"{name}=PATH"
        written += "".join(f"[,{option}=VALUE]" for option in source.options or ())
        rows.append((name, f"--data {written}", source.needs_path or "embedded; nothing to fetch"))
    return ("data set", "write", "PATH"), rows


def _runs() -> _Listing:
    from pathlib import Path

    from nasbench.store.log import RunLog

    rows = []
    for path in sorted(Path("results").glob("*/run.db")):
        with RunLog.read(path.parent) as log:
            manifest = log.manifest
            rows.append(
                (
                    str(path.parent),
                    str(manifest.get("space", "")),
                    ", ".join(manifest.get("objectives", ())),
                    str(manifest.get("sampler", "")),
                    str(log.trial_count),
                    str(manifest.get("created_at", "")),
                )
            )
    return ("run", "space", "objectives", "sampler", "trials", "created"), rows
