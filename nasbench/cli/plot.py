"""`nasbench plot`: stored runs as a figure, and the networks in it as a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench.errors import DefinitionError
from nasbench.registry import Registry, unknown_name

if TYPE_CHECKING:
    from nasbench.store.parquet import Run

KINDS = {
    "front": "the Pareto front of searches, and their hypervolume over the trials",
    "hypervolume": "how searches went, over trials and over time, in one box",
    "importance": "which choices of a search matter for each objective",
    "parallel": "from the choices of a search to its objectives, a line a trial",
    "latency": "each member of a front, or network of a bench, with interval and samples",
    "devices": "the same networks on one device against another",
    "published": "measured latency against the top-1 that papers state and searches found",
    "throughput": "latency against images per second over the batches of a bench",
    "samples": "every raw sample",
}
"""The figures of runs, and what each shows."""

STUDIES = {
    "guidelines": "ratios of latencies that guidelines foretell",
    "correlation": "what is counted against latency",
    "efficiency": "networks against the device's peak",
    "waterline": "layers against the peak",
    "layers": "the time of each layer",
    "resolution": "latency over the size of the image",
    "samplers": "what is missing of the optimum, over evaluations",
}
"""The figures of `nasbench.plot.studies`, which imports what draws them."""

_NAMED = {"Kinds of runs:": KINDS, "Kinds of studies:": STUDIES}
_LINES = [(title, *(f"  {name:<12} {about}" for name, about in kinds.items())) for title, kinds in _NAMED.items()]
EPILOG = "\n\n".join("\n".join(("\b", *lines)) for lines in _LINES)
"""What stands below the options in the help of the command; `\\b` keeps its lines as they are."""

_DRAWN_BY = Registry(
    "kind of figure",
    {
        "hypervolume": "nasbench.plot.hypervolume:draw_hypervolume",
        "importance": "nasbench.plot.importance:draw_importance",
        "parallel": "nasbench.plot.parallel:draw_parallel",
        "latency": "nasbench.plot.latency:draw_latency",
        "devices": "nasbench.plot.devices:draw_devices",
        "published": "nasbench.plot.published:draw_published",
        "throughput": "nasbench.plot.throughput:draw_throughput",
        "samples": "nasbench.plot.samples:draw_samples",
    },
)
"""What draws a kind, given the runs, the file and the width; a front has axes to choose besides."""


def plot(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs, such as results/first.")],
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="What to draw, see below.  [default: front for searches; published for searches and benches; of "
            "benches, throughput for several batches, published for three or more networks with a published top-1, "
            "else samples; a study's own]",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The figure; its suffix says png, svg or pdf.  [default: KIND.png]")
    ] = None,
    x: Annotated[str | None, typer.Option(help="Objective across, of a front.  [default: the first cost]")] = None,
    y: Annotated[str | None, typer.Option(help="Objective upwards, of a front.  [default: accuracy]")] = None,
    width: Annotated[str, typer.Option(metavar="single|double", help="Columns of a page it fills.")] = "double",
    table: Annotated[
        Path | None,
        typer.Option(help="The networks of --kind published as a table too; its suffix says csv, md or tex."),
    ] = None,
) -> None:
    """Draw one or more runs: the front of a search, what a bench measured, or both on one front."""
    from nasbench.plot.table import check_table
    from nasbench.store.parquet import read_run

    if kind is not None and kind not in (*KINDS, *STUDIES):
        raise unknown_name("kind of figure", kind, (*KINDS, *STUDIES))
    if table is not None:
        check_table(table)
    if table is not None and kind not in (None, "published"):
        raise DefinitionError(f"--table holds what --kind published draws, and --kind is {kind}; leave one of them out")
    study = _choose_study(kind, runs, table)
    if study is not None:
        _draw_study(study, runs, out or Path(f"{study}.png"), width, x is None and y is None and table is None)
        return
    read = [read_run(run) for run in runs]
    chosen = kind or ("published" if table is not None else _choose(read))
    path = out or Path(f"{chosen}.png")
    if chosen == "front":
        from nasbench.plot.front import draw_front

        for run in read:
            if run.is_bench:
                raise DefinitionError(
                    f"{run.folder} is a bench, which has no front; --kind is published, throughput, samples, latency "
                    "or devices"
                )
        draw_front(read, path, x, y, width)
    else:
        if x is not None or y is not None:
            raise DefinitionError(f"--x and --y choose the axes of a front; those of {chosen} are fixed")
        _draw_measured(chosen, read, path, width)
    typer.echo(f"wrote {path}")
    if chosen == "published":
        _tell_networks(read, table)


def _choose_study(kind: str | None, folders: Sequence[Path], table: Path | None) -> str | None:
    """Give the figure of a study that is asked for, or that a folder alone holds; None for a figure of runs."""
    from nasbench.plot.studies import study_figures

    if kind is not None:
        return kind if kind in STUDIES else None
    if len(folders) > 1 or table is not None:
        return None
    return next(iter(study_figures(folders[0])), None)


def _draw_study(kind: str, folders: Sequence[Path], path: Path, width: str, plain: bool) -> None:
    from nasbench.plot.layers import explain_no_layers
    from nasbench.plot.studies import draw_study

    if len(folders) > 1:
        raise DefinitionError(f"--kind {kind} draws one study; {len(folders)} folders were given")
    if not plain:
        raise DefinitionError(f"--x, --y and --table are for runs; {folders[0]} is drawn as a study, as {kind}")
    if kind == "layers" and not (folders[0] / "layers.parquet").is_file():
        raise explain_no_layers(folders[0])
    draw_study(kind, folders[0], path, width)
    typer.echo(f"wrote {path}")


def _tell_networks(runs: Sequence[Run], table: Path | None) -> None:
    """Write the table; without one the front of searches and benches goes to stdout."""
    from nasbench.cli.tables import print_rows
    from nasbench.plot.networks import describe_undrawn, read_networks
    from nasbench.plot.table import front_rows, write_table

    networks = read_networks(runs)
    for words in describe_undrawn(networks):
        typer.echo(f"warning: {words}", err=True)
    if table is not None:
        write_table(networks, table)
        typer.echo(f"wrote {table}")
    elif _is_mixed(runs):
        print_rows("front", *front_rows(networks), keys=1)


def _draw_measured(kind: str, runs: Sequence[Run], path: Path, width: str) -> None:
    for run in runs:
        if kind == "throughput" and not run.is_bench:
            raise DefinitionError(
                f"{run.folder} is a search; --kind {kind} needs a bench. Draw its front or its samples."
            )
    _DRAWN_BY.find(kind)(runs, path, width)


def _choose(runs: Sequence[Run]) -> str:
    """Give what says most of these runs."""
    if not all(run.is_bench for run in runs):
        return "published" if _is_mixed(runs) else "front"
    from nasbench.plot.published import suits_published

    batches = {batch for run in runs for batch in run.measurements["plan_batch"]}
    if len(batches) > 1:
        return "throughput"
    return "published" if suits_published(runs) else "samples"


def _is_mixed(runs: Sequence[Run]) -> bool:
    return len({run.is_bench for run in runs}) > 1
