"""`nasbench plot`: stored runs as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench.errors import DefinitionError
from nasbench.registry import unknown_name

if TYPE_CHECKING:
    from nasbench.store.parquet import Run

KINDS = ("front", "published", "throughput", "samples")


def plot(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs, such as results/first.")],
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(KINDS),
            help="The Pareto front of a search; measured latency against the top-1 that papers state; latency against "
            "images per second over batches; every raw sample.  [default: front for searches; of benches, throughput "
            "for several batches, published for three or more networks with a published top-1, else samples]",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The figure; its suffix says png, svg or pdf.  [default: KIND.png]")
    ] = None,
    x: Annotated[str | None, typer.Option(help="Objective across, of a front.  [default: the first cost]")] = None,
    y: Annotated[str | None, typer.Option(help="Objective upwards, of a front.  [default: accuracy]")] = None,
    width: Annotated[str, typer.Option(metavar="single|double", help="Columns of a page it fills.")] = "double",
) -> None:
    """Draw one or more runs: the front of a search, or what a bench measured."""
    from nasbench.store.parquet import read_run

    if kind is not None and kind not in KINDS:
        raise unknown_name("kind of figure", kind, KINDS)
    read = [read_run(run) for run in runs]
    chosen = kind or _choose(read)
    path = out or Path(f"{chosen}.png")
    if chosen == "front":
        from nasbench.plot.front import draw_front

        for run in read:
            if _is_bench(run):
                raise DefinitionError(
                    f"{run.folder} is a bench, which has no front; --kind is published, throughput or samples"
                )
        draw_front(read, path, x, y, width)
    else:
        if x is not None or y is not None:
            raise DefinitionError(f"--x and --y choose the axes of a front; those of {chosen} are fixed")
        _draw_measured(chosen, read, path, width)
    typer.echo(f"wrote {path}")


def _draw_measured(kind: str, runs: Sequence[Run], path: Path, width: str) -> None:
    if kind == "samples":
        from nasbench.plot.samples import draw_samples

        draw_samples(runs, path, width)
        return
    from nasbench.plot.published import draw_published
    from nasbench.plot.throughput import draw_throughput

    for run in runs:
        if not _is_bench(run):
            raise DefinitionError(
                f"{run.folder} is a search; --kind {kind} needs a bench. Draw its front or its samples."
            )
    (draw_published if kind == "published" else draw_throughput)(runs, path, width)


def _choose(runs: Sequence[Run]) -> str:
    """Give what says most of these runs."""
    if not all(map(_is_bench, runs)):
        return "front"
    from nasbench.plot.published import suits_published

    batches = {batch for run in runs for batch in run.measurements["plan_batch"]}
    if len(batches) > 1:
        return "throughput"
    return "published" if suits_published(runs) else "samples"


def _is_bench(run: Run) -> bool:
    return run.manifest.get("kind") == "bench"
