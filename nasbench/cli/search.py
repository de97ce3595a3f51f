"""`nasbench search`: from a search space to a front."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench.cli.tables import print_rows
from nasbench.errors import DefinitionError, RunNameError
from nasbench.units import format_clock, format_size

if TYPE_CHECKING:
    from nasbench.records import Evaluation, TimingPlan
    from nasbench.search.plan import Budget, SearchPlan
    from nasbench.search.run import Search
    from nasbench.search.settings import Parts, Settings
    from nasbench.space.space import SearchSpace
    from nasbench.store.log import RunLog
    from nasbench.store.parquet import Run

_DEFAULT_TRIALS = 40

_ENLARGED = 4.0
"""Pixels that a network takes for each that the data has, from which on a search says so."""


def search(
    space: Annotated[str | None, typer.Argument(help="A search space's name or .yaml file.")] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|table:FILE#COLUMN",
            help="Where latency is measured, or a table to look it up in; repeat it for several.  [default: cpu]",
        ),
    ] = None,
    accuracy: Annotated[
        str | None,
        typer.Option(
            metavar="train|MODULE:FUNCTION|table:FILE#COLUMN", help="How accuracy is estimated.  [default: train]"
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="NAME[=PATH]", help="Data set to train on.  [default: mnist5k, embedded]")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs each candidate is trained.")] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            help="accuracy, latency, params, macs, memory or energy, of several devices latency@DEVICE; repeat it.  "
            "[default: accuracy, and latency on every device]"
        ),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option("--max", metavar="NAME=VALUE", help="Hard limit: latency=5ms, latency@rpi4=9ms, params=5M."),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="End after so many evaluated candidates.  [default: 40]")
    ] = None,
    time: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Begin no further candidate after 30s, 20m or 1.5h.")
    ] = None,
    stop_when_flat: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="End when N evaluated candidates in a row added less than 0.1 % to the front."
        ),
    ] = None,
    sampler: Annotated[str | None, typer.Option(help="See `nasbench ls samplers`.  [default: surrogate]")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Same seed, same candidates.  [default: 0]")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Images in one inference.  [default: 1]")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads to train and measure with.")] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=1024, help="Accuracies estimated at a time, here or on --cluster.  [default: 1]"),
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Ray cluster whose nodes estimate.  [default: this machine]")
    ] = None,
    worker_gpus: Annotated[
        float | None, typer.Option(min=0.0, max=64.0, help="GPUs that each worker takes, such as 0.5.  [default: 0]")
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(metavar="fp32|fp16|bf16|int8", help="Number format to measure.  [default: the device's]"),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Measure again what another run has measured on this machine.")
    ] = False,
    confirm: Annotated[
        bool,
        typer.Option(
            "--confirm/--no-confirm",
            help="Measure the front again at the end, interleaved, where latency is an objective.",
        ),
    ] = True,
    confirm_processes: Annotated[
        int | None, typer.Option(min=2, help="Most processes for each member of the front then.  [default: 15]")
    ] = None,
    warm_start: Annotated[
        bool | None,
        typer.Option("--warm-start/--no-warm-start", help="Begin with the published points.  [default: on]"),
    ] = None,
    early_stop: Annotated[
        bool | None, typer.Option("--early-stop/--no-early-stop", help="End hopeless candidates early.  [default: on]")
    ] = None,
    share_equal: Annotated[
        bool | None,
        typer.Option(
            "--share-equal/--no-share-equal", help="Train networks that compute the same once.  [default: on]"
        ),
    ] = None,
    start_from: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Begin with the front of an earlier run of the space, say of fewer epochs.",
        ),
    ] = None,
    final: Annotated[
        bool, typer.Option("--final", help="Train the front again and score it on the test split.")
    ] = False,
    run: Annotated[
        Path | None, typer.Option(help="Folder of the new run.  [default: results/DATE-SPACE-DEVICE]")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with a run, under its own settings.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Show the report while the search runs, in a browser on this machine.")
    ] = False,
    live_port: Annotated[
        int | None, typer.Option(min=1024, max=65535, help="Port of --live on loopback.  [default: any that is free]")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end, no table.")] = False,
) -> None:
    """Search a space for the networks with the best accuracy at each latency."""
    from nasbench.cli.checks import check_threads
    from nasbench.objectives import read_limits
    from nasbench.search.plan import Budget
    from nasbench.search.settings import Settings, read_objectives, refuse_unused
    from nasbench.units import parse_seconds

    given: dict[str, Any] = {
        "space": space,
        "devices": tuple(device) if device else None,
        "accuracy": accuracy,
        "data": data,
        "epochs": epochs,
        "objectives": read_objectives(tuple(objective)) if objective else None,
        "limits": read_limits(limit) if limit else None,
        "workers": workers,
        "cluster": cluster,
        "worker_gpus": worker_gpus,
        "sampler": sampler,
        "seed": seed,
        "batch": batch,
        "threads": threads,
        "dtype": dtype,
        "fresh": fresh or None,
        "confirm_processes": confirm_processes,
        "warm_start": warm_start,
        "early_stop": early_stop,
        "share_equal": share_equal,
        "start_from": None if start_from is None else str(start_from),
    }
    given = {name: value for name, value in given.items() if value is not None}
    if live_port is not None and not live:
        raise DefinitionError("--live-port is the port of the live view; give --live too")
    ending = _Ending(confirm, final, json_output, (live_port or 0) if live else None)
    seconds = parse_seconds(time) if time else None
    if confirm_processes is not None and not confirm:
        raise DefinitionError("--confirm-processes has no effect with --no-confirm; give one of them")
    if resume is not None:
        if run is not None:
            raise DefinitionError("--run names a new run and --resume one there is; give one of them")
        _resume(resume, given, Budget(trials, seconds, stop_when_flat), ending)
        return
    if space is None:
        raise DefinitionError("which search space? For example: nasbench search mnist_tiny. See nasbench ls spaces")
    check_threads([] if threads is None else [threads], device or ())
    bounded = trials or seconds or stop_when_flat
    settings = Settings(
        **given, trials=trials if bounded else _DEFAULT_TRIALS, seconds=seconds, stop_when_flat=stop_when_flat
    )
    refuse_unused(settings, given)
    _start(run, settings.resolved(), ending)


@dataclass(frozen=True, slots=True)
class _Ending:
    """What comes after the last trial; and `live_port`, where it is shown meanwhile: 0 is any port, None nowhere."""

    confirm: bool
    final: bool
    json_output: bool
    live_port: int | None = None


def _start(run: Path | None, settings: Settings, ending: _Ending) -> None:
    from nasbench.cli.checks import note_hidden
    from nasbench.device.load import find_device
    from nasbench.search.settings import make_manifest, open_parts
    from nasbench.search.starts import check_limits
    from nasbench.space.load import find_space
    from nasbench.store.database import DATABASE
    from nasbench.store.log import RunLog
    from nasbench.tabular.reference import is_reference

    registered = [name for name in settings.devices if not is_reference(name)]
    for found in (find_space(settings.space), *map(find_device, registered)):
        note_hidden(found)
    with open_parts(settings, _warn) as parts:
        check_limits(parts.space, parts.plan)
        _check_final(parts, ending.final)
        if parts.accuracy and (enlarged := describe_enlarging(parts.space, parts.accuracy.description)):
            _warn(enlarged)
        folder = run or _dated_folder(parts)
        try:
            log = RunLog.create(folder, make_manifest(settings, parts))
        except RunNameError as error:
            if not (folder / DATABASE).is_file():
                raise
            raise RunNameError(f"{error}, or go on with it: {_resuming(folder)}") from error
        with log:
            _search(log, parts, _budget(settings), ending)


def _resuming(folder: Path) -> str:
    return f"nasbench search --resume {shlex.quote(str(folder))}"


def _warn(text: str) -> None:
    typer.echo(f"warning: {text}", err=True)


def describe_enlarging(space: SearchSpace, accuracy: Mapping[str, Any]) -> str:
    """Say that a space asks for images much larger than those it is trained on, which takes long; '' where it does not.

    `accuracy` is the description of the estimator.
    """
    import random

    data = accuracy.get("data")
    if not data:
        return ""
    _, *wanted = space.sample(random.Random(0))[1].input_shape
    times = prod(wanted) / prod(data["size"])
    if times < _ENLARGED:
        return ""
    (height, width), (own_height, own_width) = wanted, data["size"]
    return (
        f"{space.name} takes images of {height} x {width} and those of {data['name']} are {own_height} x {own_width}: "
        f"enlarged, they take about {times:.0f} times the work. A copy of {space.path} with a smaller input.size "
        "trains faster"
    )


def _check_final(parts: Parts, final: bool) -> None:
    if final and (parts.accuracy is None or not parts.accuracy.has_test_split):
        raise DefinitionError("--final scores on the test split, and this search's accuracy has none")


def _budget(settings: Settings) -> Budget:
    from nasbench.search.plan import Budget

    return Budget(settings.trials, settings.seconds, settings.stop_when_flat)


def _resume(folder: Path, given: dict[str, Any], asked: Budget, ending: _Ending) -> None:
    from nasbench.search.settings import Settings, changed_machine, confirm_manifest, open_parts
    from nasbench.store.log import RunLog

    with RunLog.open(folder) as log:
        settings = Settings.of_manifest(log.manifest, folder)
        settings.confirm(given)
        budget = asked if asked.is_bounded else _budget(settings)
        with open_parts(settings, _warn, log.manifest.get("starts", [])) as parts:
            confirm_manifest(log.manifest, parts)
            if change := changed_machine(log.manifest, parts):
                _warn(f"latencies from before and from now may not compare: {change}")
            _check_final(parts, ending.final)
            _search(log, parts, budget, ending)


def _dated_folder(parts: Parts) -> Path:
    from nasbench.store.manifest import dated_folder

    return dated_folder(parts.space.name, *([device.spec.name for device in parts.devices] or ["no-device"]))


def _search(log: RunLog, parts: Parts, budget: Budget, ending: _Ending) -> None:
    from nasbench.cli.interrupt import interruptible, outlived, resumable
    from nasbench.cli.progress import ProgressLine
    from nasbench.search.run import Search

    typer.echo(f"{_describe(parts)}; results go to {log.folder}", err=True)
    resume = _resuming(log.folder)
    far = parts.cluster is not None or any(device.spec.backend == "ray" for device in parts.devices)
    lost = f"the search was ended because its cluster is gone; what is finished is stored. Go on with: {resume}"
    with (
        _showing(log, ending.live_port),
        outlived(lost) if far else nullcontext(),
        interruptible(resume),
        resumable(resume),
    ):
        running = Search(parts.space, parts.plan, log, parts.accuracy, parts.devices, parts.cache, parts.starts)
        with ProgressLine(parts.plan, budget, running.evaluated) as line:
            ended_early = running.run(budget, line.show)
        if ended_early:
            typer.echo(f"ended early: {ended_early}", err=True)
        if ending.confirm:
            _confirm(running, parts.plan)
        if ending.final:
            running.score_front(lambda text: typer.echo(text, err=True))
    _print_result(running, log, ending.json_output)


@contextmanager
def _showing(log: RunLog, port: int | None) -> Iterator[None]:
    """Show the run in a browser meanwhile, where that was asked for; what goes wrong with it is said and no more."""
    if port is None:
        yield
        return
    from nasbench.report.live import LiveView

    with LiveView(log.folder, port) as view:
        if view.url:
            typer.echo(f"live view: {view.url}", err=True)
        else:
            _warn(f"there is no live view: {view.problem}. The search goes on; nasbench report {log.folder} shows it")
        yield


def _confirm(running: Search, plan: SearchPlan) -> None:
    from nasbench.cli.progress import ConfirmationLine

    members = running.to_confirm()
    if not members:
        return
    typer.echo(_describe_confirming(members, plan.confirming), err=True)
    with ConfirmationLine() as line:
        running.confirm_front(line.say, line.show)


def _describe_confirming(members: Sequence[Evaluation], plan: TimingPlan) -> str:
    from nasbench.search.confirm import estimate_s

    quiet_s, noisy_s = estimate_s(members, plan)
    processes, takes = f"{plan.min_processes}", f"about {format_clock(quiet_s)}"
    if plan.max_processes > plan.min_processes:
        processes += f" to {plan.max_processes}"
        takes += f", and up to {format_clock(noisy_s)} on a machine that is not quiet"
    return f"confirming all {len(members)} on the front, interleaved, {processes} processes each: {takes}"


def _describe(parts: Parts) -> str:
    space, plan = parts.space, parts.plan
    words = f"{space.name}: {format_size(space.size())} points, sampler {plan.sampler}, seed {plan.seed}"
    if parts.accuracy is not None:
        words += f"; accuracy by {parts.accuracy.name}, {space.classes} classes"
    if plan.workers > 1:
        words += f", {plan.workers} at a time"
    for index, device in enumerate(parts.devices):
        spec, timing = device.spec, plan.timing_on(device.spec.name)
        if not device.measures:
            words += f"{' and' if index else ';'} {spec.name} from a table"
            continue
        words += f"{' and' if index else '; measured'} on {spec.name} ({spec.runtime}, {timing.dtype}), "
        words += f"batch {timing.batch}, {spec.threads} thread{'' if spec.threads == 1 else 's'}"
    return words


def _count_shared(run: Run) -> int:
    """Count the candidates whose accuracy is that of another one which computes the same."""
    from nasbench.search.run import SAME_FUNCTION

    complete = run.evaluations.loc[run.evaluations["status"] == "complete", "estimate_details"].dropna()
    return int(complete.str.contains(f'"{SAME_FUNCTION}"', regex=False).sum())


def _describe_starts(run: Run) -> str:
    """Say how many of the named architectures that a search began with it could not beat."""
    began = run.evaluations["published"].dropna().nunique()
    unbeaten = run.pareto.loc[run.pareto["fell_off"].isna(), "published"].dropna().nunique()
    return f"{unbeaten} of {began} named starting points on the front" if began else ""


def _print_result(running: Search, log: RunLog, json_output: bool) -> None:
    import json

    from nasbench.cli.front import count_verdicts, describe_fallen, device_correlations, front_data, front_rows
    from nasbench.plot.front import draw_front
    from nasbench.store.parquet import read_run

    picture = log.folder / "front.png"
    run = read_run(log.folder)
    drawn = bool(running.front.members) and len(run.objectives) > 1
    if drawn:
        draw_front([run], picture)
    fallen = describe_fallen(run)
    for text in fallen.values():
        typer.echo(text, err=True)
    correlations = device_correlations(run)
    if json_output:
        shown = {"run": str(log.folder), "evaluated": running.evaluated, "front": front_data(run), "fell_off": fallen}
        alike = [{"devices": [one, other], "spearman": rho, "networks": n} for one, other, rho, n in correlations]
        typer.echo(
            json.dumps(
                {**shown, "hypervolume": running.front.hypervolume, **({"rank_correlation": alike} if alike else {})}
            )
        )
        return
    columns, rows = front_rows(run)
    if rows:
        print_rows("front", columns, rows)
        if counted := count_verdicts(run):
            typer.echo(counted)
    else:
        typer.echo("no candidate was complete and within the limits; see the column error of evaluations.parquet")
    typer.echo(
        f"{len(rows) - len(fallen)} on the front of {running.evaluated} evaluated candidates"
        f"{f', {len(fallen)} fell off when it was confirmed' if fallen else ''}; "
        f"hypervolume {running.front.hypervolume:.4f} of 1 by the figures of the search"
    )
    if saved := _count_shared(run):
        typer.echo(
            f"{saved} trainings saved: those networks compute what another one does (estimate_details says which)"
        )
    if began := _describe_starts(run):
        typer.echo(began)
    for one, other, rho, networks in correlations:
        typer.echo(f"{one} and {other} rank {networks} networks alike to {rho:.2f} (Spearman's rank correlation)")
    files = ["pareto.parquet", "evaluations.parquet", "measurements.parquet", *([picture.name] if drawn else [])]
    typer.echo(f"wrote {log.folder}/: {', '.join(files)}")
