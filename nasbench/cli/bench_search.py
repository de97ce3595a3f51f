"""`nasbench bench-search`: which sampler needs the fewest evaluations, replayed on tables."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench.cli.tables import print_rows
from nasbench.errors import DefinitionError
from nasbench.units import format_between, format_seconds

if TYPE_CHECKING:
    from nasbench.search.contest import Benchmark, Standing, Step
    from nasbench.space.space import SearchSpace

_DEFAULT = "surrogate,tpe,nsga2,evolution,random"


def bench_search(
    space: Annotated[str, typer.Argument(help="A search space's name or .yaml file.")],
    accuracy: Annotated[
        str | None, typer.Option(metavar="table:FILE#COLUMN", help="Table with the accuracy of each network.")
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(metavar="table:FILE#COLUMN", help="Table with a latency of each network; repeat it."),
    ] = None,
    sampler: Annotated[
        str, typer.Option(metavar="NAME[,NAME...]", help="Samplers to compare, see `nasbench ls samplers`.")
    ] = _DEFAULT,
    trials: Annotated[int, typer.Option(min=1, help="Evaluated candidates of each run.")] = 100,
    seeds: Annotated[int, typer.Option(min=2, help="Runs of each sampler, with seeds from 0.")] = 20,
    workers: Annotated[int, typer.Option(min=1, max=1024, help="Runs at a time.")] = 1,
    run: Annotated[
        Path | None, typer.Option(help="Folder of the new run.  [default: results/DATE-bench-search-SPACE]")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object, no table.")] = False,
) -> None:
    """Compare samplers by how good their fronts are after so many evaluations, on tables that know every network.

    Nothing is measured or trained, and no run begins with published points. With one objective the gap is the regret:
    the best accuracy there is less the best found. With several it is the share of the true front's hypervolume that
    was not found, the objectives scaled by the true front's ideal and nadir, the reference at 1.1.
    """
    from nasbench.cli.checks import split_names
    from nasbench.cli.interrupt import ending_orderly
    from nasbench.cli.status import StatusLine
    from nasbench.plot.studies import draw_study
    from nasbench.search.contest import play_all, summarize
    from nasbench.search.contest_tables import STANDINGS, STEPS
    from nasbench.search.samplers import check_sampler
    from nasbench.space.load import load_space
    from nasbench.store.found import write_found
    from nasbench.store.manifest import free_folder

    found = load_space(space)
    samplers = split_names(sampler)
    if len(set(samplers)) < len(samplers) or not samplers:
        raise DefinitionError(f"--sampler {sampler!r}: name each sampler once, such as surrogate,tpe,random")
    for name in samplers:
        check_sampler(name, found)
        if name == "grid":
            raise DefinitionError("the sampler 'grid' visits all points in any order; there is nothing to compare")
    benchmark = _open(found, accuracy, device or [])
    folder = free_folder(run, "bench-search", found.name)
    folder.mkdir(parents=True, exist_ok=True)
    asked = {
        "space": found.name,
        "objectives": [one.name for one in benchmark.objectives],
        "accuracy": accuracy and Path(accuracy).name,
        "devices": [Path(one).name for one in device or []],
        "samplers": list(samplers),
        "trials": trials,
        "seeds": seeds,
    }
    steps: list[Step] = []

    def write() -> None:
        write_found(folder / "steps.parquet", STEPS, steps, "bench-search", asked, ("optuna", "moocore"))

    def last_words() -> str:
        ended = len({(step.sampler, step.seed) for step in steps})
        if ended:
            write()
        return (
            f"interrupted; {f'the {ended} runs that ended are in {folder}/steps.parquet' if ended else 'no run ended'}"
        )

    with ending_orderly(last_words), StatusLine() as line:
        for done, ended in enumerate(play_all(benchmark, samplers, seeds, trials, workers), start=1):
            steps += ended
            line.update(f"run {done} of {len(samplers) * seeds}   {ended[-1].sampler}, seed {ended[-1].seed}")
    write()
    standings = summarize(steps, trials)
    write_found(folder / "standings.parquet", STANDINGS, standings, "bench-search", asked, ("optuna", "moocore"))
    draw_study("samplers", folder, folder / "samplers.png")
    if json_output:
        rows = [asdict(one) for one in standings]
        typer.echo(json.dumps({"run": str(folder), "networks": len(benchmark.values), "samplers": rows}))
        return
    _print(benchmark, standings, folder)


def _open(space: SearchSpace, accuracy: str | None, devices: Sequence[str]) -> Benchmark:
    from nasbench.objectives import find_objective
    from nasbench.search.contest import Benchmark
    from nasbench.tabular.accuracy import open_table_accuracy
    from nasbench.tabular.device import open_table_device
    from nasbench.tabular.reference import parse_reference

    names, tables = [], []
    twice = [name for name, count in Counter(parse_reference(text).name for text in devices).items() if count > 1]
    if twice:
        raise DefinitionError(f"a device is given twice: {twice[0]}; end one with ,name=OTHER")
    if accuracy is not None:
        names.append("accuracy")
        tables.append(open_table_accuracy(accuracy, space).known())
    for text in devices:
        device, note = open_table_device(text, space)
        if note:
            typer.echo(f"note: {note}", err=True)
        names.append(f"latency@{device.spec.name}" if len(devices) > 1 else "latency")
        tables.append(device.known())
    if not tables:
        raise DefinitionError(
            "what is to be found? Give --accuracy table:FILE#COLUMN, --device table:FILE#COLUMN, or both"
        )
    shared = set(tables[0]).intersection(*tables[1:])
    if len(shared) < space.size():
        more = f"{space.size():,} ways to choose; a network that they have not counts as one that failed"
        typer.echo(f"note: the tables have {len(shared):,} networks for {more}", err=True)
    values = {digest: tuple(table[digest] for table in tables) for digest in sorted(shared)}
    return Benchmark(space, tuple(map(find_objective, names)), values)


def _print(benchmark: Benchmark, standings: Sequence[Standing], folder: Path) -> None:
    alone = len(benchmark.objectives) == 1
    figure = f"regret of {benchmark.objectives[0].name}" if alone else "hypervolume not found"

    def words(one: Standing) -> str:
        if alone and not benchmark.objectives[0].maximize:
            return f"{format_seconds(one.gap)} ({format_seconds(one.low)} to {format_seconds(one.high)})"
        return f"{format_between(100 * one.gap, 100 * one.low, 100 * one.high)} {'points' if alone else '%'}"

    rows = [
        [
            one.sampler,
            str(one.seeds),
            words(one),
            "-" if one.to_best is None else f"{one.to_best:g}",
            format_seconds(one.proposing_s),
        ]
        for one in standings
    ]
    after = standings[0].evaluations
    columns = ["sampler", "seeds", f"{figure} after {after}, mean, 95 % interval", "median to all", "a proposal takes"]
    print_rows("samplers", columns, rows)
    typer.echo(f"{len(benchmark.values):,} networks; wrote {folder}/: steps.parquet, standings.parquet, samplers.png")
