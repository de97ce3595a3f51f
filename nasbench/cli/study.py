"""`nasbench study`: what makes networks fast or slow on a device."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench.cli.study_measuring import bench_networks, find_efficiencies, latency_of, macs_of, note, point_of
from nasbench.cli.tables import print_rows
from nasbench.errors import CandidateError, DefinitionError
from nasbench.registry import unknown_name
from nasbench.units import format_between, format_count, format_percent, format_seconds

if TYPE_CHECKING:
    from nasbench.records import DeviceSpec, Measurement, TimingPlan
    from nasbench.space.architecture import Architecture
    from nasbench.studies.efficiency import Peak
    from nasbench.studies.guidelines import Finding
    from nasbench.studies.tables import Place

study = typer.Typer(
    help="Study a device: what makes networks fast or slow there. Each ends in a table, a figure and parquet files.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_SMALLEST_SIDE = 64
_EFFICIENCY = (
    *("resnet_50", "mobilenet_v2_1.0", "efficientnet_b0", "deit_tiny", "regnetx_400mf", "shufflenet_v2_1.0"),
    *("hardnet_68", "convnext_atto", "repvit_m0_9", "mobileone_s1"),
)
_RESOLUTION = ("resnet_18", "mobilenet_v2_1.0", "efficientnet_b0", "shufflenet_v2_1.0", "convnext_atto", "deit_tiny")
_SIDES = "96,128,160,192,224,256,320"

Networks = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NETWORK]...",
        help="Published names, see `nasbench ls architectures`, files or RUN#TRIAL.  [default: a choice of families]",
    ),
]
DeviceName = Annotated[
    str | None, typer.Option("--device", help="Where to measure, see `nasbench ls devices`.  [default: cpu]")
]
Threads = Annotated[
    int | None, typer.Option("--threads", min=1, help="Threads of the runtime.  [default: the device's]")
]
Level = Annotated[
    str | None,
    typer.Option(
        "--level",
        metavar="screen|confirm",
        help="screen: one process a row. confirm: 5 to 15 interleaved ones.  [default: screen]",
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of weights, orders and resampling.")]
Folder = Annotated[
    Path | None, typer.Option("--run", help="Folder of the new run.  [default: results/DATE-STUDY-DEVICE]")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, no table.")]


@study.command("guidelines")
def guidelines(
    device: DeviceName = None,
    threads: Threads = None,
    seed: Seed = 0,
    run: Folder = None,
    json_output: Json = False,
) -> None:
    """Check the four guidelines of ShuffleNet V2 on a device.

    Small networks of equal multiply-accumulates are compared in pairs, timed in turns: equal channel widths against
    unequal ones, one group against several, one layer against fragments, and bottlenecks without element-wise
    operators against those with them. A guideline is supported where the variant that it calls slower surely is.
    """
    from nasbench.cli.interrupt import ending_orderly
    from nasbench.cli.status import StatusLine
    from nasbench.device.load import open_device
    from nasbench.measure.compare import Progress
    from nasbench.plot.studies import draw_study
    from nasbench.store.manifest import free_folder
    from nasbench.studies.guidelines import Guideline, Variant, check_guidelines
    from nasbench.studies.tables import Place

    spec = _find_spec(device, threads)
    folder = free_folder(run, "guidelines", spec.name)
    found: list[Finding] = []

    def last_words() -> str:
        kept = f"the {len(found)} variants that were compared are in {folder}/guidelines.parquet"
        return f"interrupted; {kept if found else 'nothing was compared yet'}"

    with ending_orderly(last_words), open_device(spec) as opened, StatusLine() as line:

        def watch(guideline: Guideline, variant: Variant, progress: Progress) -> None:
            line.update(f"{guideline.name}, {variant.name}   process {progress.processes + progress.discarded + 1}")

        for finding in check_guidelines(opened, seed=seed, watch=watch):
            found.append(finding)
            _write(folder, "guidelines", Place.of(spec), found, {"seed": seed})
    draw_study("guidelines", folder, folder / "guidelines.png")
    shown: _Shown = {
        "guideline": lambda f: f"{f.guideline.name}: {f.guideline.says}",
        "variant": lambda f: f.variant.name,
        "against": lambda f: f.guideline.fast.name,
        "MACs": lambda f: format_count(f.variant.cost.deployed_macs),
        "memory traffic": lambda f: format_count(f.variant.cost.traffic),
        "latency": lambda f: format_seconds(f.comparison and f.comparison.first_s and f.comparison.first_s[0]),
        "ratio, 95 % interval": lambda f: (
            format_between(f.comparison.ratio, f.comparison.low, f.comparison.high) if f.comparison else f.reason
        ),
        "n": lambda f: str(f.comparison.processes) if f.comparison else "-",
        "verdict": lambda f: f.verdict,
    }
    _print("guidelines", Place.of(spec), found, shown, folder, ["guidelines.png"], json_output)


@study.command("correlation")
def correlation(
    networks: Networks = None,
    family: Annotated[
        str | None, typer.Option(metavar="NAME[,NAME...]|all", help="All published networks of these search spaces.")
    ] = None,
    source: Annotated[
        list[Path] | None, typer.Option("--from", help="Take the rows of stored benches, measure nothing; repeat it.")
    ] = None,
    device: DeviceName = None,
    threads: Threads = None,
    level: Level = None,
    seed: Seed = 0,
    run: Folder = None,
    json_output: Json = False,
) -> None:
    """Find out how well params, MACs, activations and memory traffic rank latency on a device.

    Measures the first published network of every family unless networks are named, or takes those of stored benches.
    Memory traffic is HarDNet's CIO: the elements that convolutions and matrix products take in and put out. All counts
    are of the deployed form, which is what is measured.
    """
    from nasbench.measure.networks import first_networks
    from nasbench.plot.studies import draw_study
    from nasbench.store.manifest import free_folder
    from nasbench.studies.correlation import check_enough, correlate
    from nasbench.studies.stored import read_points
    from nasbench.studies.tables import Place

    if source:
        _refuse_beside_from(networks=networks, family=family, device=device, threads=threads, level=level)
        place, points, notes = read_points(source)
        for words in notes:
            note(words)
        folder = free_folder(run, "correlation", place.device)
    else:
        plan = _make_plan(level, seed)
        spec = _find_spec(device, threads)
        named = _find_networks(networks, family) or first_networks(_SMALLEST_SIDE)
        check_enough(len(named))
        folder = free_folder(run, "correlation", spec.name)
        place, points = Place.of(spec), [point_of(row) for row in bench_networks(named, spec, plan, folder)]
    asked = {"seed": seed, "from": [str(one) for one in source or ()]}
    _write(folder, "points", place, points, asked)
    found = correlate(points, seed)
    _write(folder, "correlations", place, found, asked)
    draw_study("correlation", folder, folder / "correlation.png")
    shown: _Shown = {
        "figure": lambda c: c.figure,
        "networks": lambda c: str(c.networks),
        "Spearman, 95 % interval": lambda c: format_between(c.spearman, c.low, c.high),
        "Kendall": lambda c: f"{c.kendall:.2f}",
        "Pearson of logarithms": lambda c: f"{c.pearson_log:.2f}",
    }
    _print("correlations", place, found, shown, folder, ["points.parquet", "correlation.png"], json_output)


@study.command("efficiency")
def efficiency(
    networks: Networks = None,
    device: DeviceName = None,
    threads: Threads = None,
    level: Level = None,
    seed: Seed = 0,
    run: Folder = None,
    json_output: Json = False,
) -> None:
    """Find out how much of a device's arithmetic networks use, and which layers lose it.

    latency = MACs / (peak x efficiency). The peak is that of the fastest of some large matrix products, run through the
    device's own runtime. efficiency-gap.png sets networks against it, waterline.png the layers of the first four, where
    the runtime can tell them: eager, channels_last and onnx on a CPU of this machine.
    """
    from nasbench.plot.studies import draw_study
    from nasbench.store.manifest import free_folder
    from nasbench.studies.tables import LayerOf, Place

    plan = _make_plan(level, seed)
    spec = _find_spec(device, threads)
    named = _find_networks(networks or _EFFICIENCY)
    folder = free_folder(run, "efficiency", spec.name)
    found, place = find_efficiencies(named, spec, plan, folder), Place.of(spec)
    _write(folder, "efficiencies", place, found, {"seed": seed})
    draw_study("efficiency", folder, folder / "efficiency-gap.png")
    wrote = ["efficiency-gap.png"]
    layers = [LayerOf(one, *numbered) for one in found if one.layers for numbered in enumerate(one.layers.layers)]
    if layers:
        _write(folder, "layers", place, layers, {"seed": seed})
        draw_study("waterline", folder, folder / "waterline.png")
        wrote += ["layers.parquet", "waterline.png"]
    shown: _Shown = {
        "network": lambda e: e.network,
        "MACs": lambda e: format_count(e.macs),
        "latency, 95 % interval": lambda e: _seconds(e.measurement),
        "MACs/s": lambda e: format_count(e.macs / e.latency_s),
        "of the peak": lambda e: format_percent(e.share),
        "at the peak": lambda e: format_seconds(e.ideal_s),
        "without MACs": lambda e: "-" if e.layers is None else format_percent(e.layers.idle_share),
    }
    if not json_output:
        _tell_peak(found[0].peak)
    _print("efficiencies", place, found, shown, folder, wrote, json_output)


@study.command("resolution")
def resolution(
    networks: Networks = None,
    sides: Annotated[str, typer.Option(metavar="N,N[,N...]", help="Sides of the square images, in pixels.")] = _SIDES,
    device: DeviceName = None,
    threads: Threads = None,
    level: Level = None,
    seed: Seed = 0,
    run: Folder = None,
    json_output: Json = False,
) -> None:
    """Find out how latency grows with the resolution of the image, and whether as the MACs do.

    A size that a network does not accept is left out with a note.
    """
    from nasbench.plot.resolution import check_networks
    from nasbench.plot.studies import draw_study
    from nasbench.store.manifest import free_folder
    from nasbench.studies.resolution import Sized, find_growths
    from nasbench.studies.tables import Place

    pixels = _read_sides(sides)
    plan = _make_plan(level, seed)
    spec = _find_spec(device, threads)
    named = _find_networks(networks or _RESOLUTION)
    check_networks([name for name, _ in named])
    sized = _resize(named, pixels)
    folder = free_folder(run, "resolution", spec.name)
    rows = []
    for row in bench_networks(sized, spec, plan, folder):
        name, _, side = row.entry.network.rpartition("@")
        rows.append(Sized(name, row.entry.architecture, int(side), macs_of(row.entry.architecture), *latency_of(row)))
    growths, place = find_growths(rows), Place.of(spec)
    for name in {row.network for row in rows} - {growth.network for growth in growths}:
        note(f"{name} has a latency at one size alone, which tells no growth")
    asked = {"seed": seed, "sides": list(pixels)}
    _write(folder, "resolutions", place, rows, asked)
    _write(folder, "growths", place, growths, asked)
    draw_study("resolution", folder, folder / "resolution.png")
    shown: _Shown = {
        "network": lambda g: g.network,
        "sides": lambda g: ", ".join(map(str, g.sides)),
        "latency grows as side to the, 95 % interval": lambda g: format_between(g.latency_exponent, g.low, g.high),
        "MACs as side to the": lambda g: f"{g.macs_exponent:.2f}",
    }
    _print("growths", place, growths, shown, folder, ["resolutions.parquet", "resolution.png"], json_output)


def _make_plan(level: str | None, seed: int) -> TimingPlan:
    from nasbench.records import LEVELS

    chosen = level or "screen"
    if chosen not in LEVELS:
        raise unknown_name("level", chosen, LEVELS)
    return replace(LEVELS[chosen], seed=seed)


def _find_spec(device: str | None, threads: int | None) -> DeviceSpec:
    """Find the device; one that trains is refused, since all that is counted here is of an inference."""
    from nasbench.cli.checks import find_spec
    from nasbench.runtime.base import find_runtime

    spec = find_spec(device or "cpu", threads=threads)
    if find_runtime(spec.runtime).form != "inference":
        raise DefinitionError(
            f"{spec.name} runs the runtime {spec.runtime!r}, which is no inference; studies are of those"
        )
    return spec


def _refuse_beside_from(**given: object) -> None:
    for name, value in given.items():
        if value:
            option = "networks" if name == "networks" else f"--{name}"
            raise DefinitionError(f"--from takes what stored benches measured; leave out {option}")


def _find_networks(texts: Sequence[str] | None, family: str | None = None) -> list[tuple[str, Architecture]]:
    """Find networks by name, file or trial, and published ones by family, each once.

    Raises:
        DefinitionError: a network is a file or a function, of which nothing can be counted.
    """
    from nasbench.cli.checks import split_names
    from nasbench.measure.networks import all_families, family_networks, find_network
    from nasbench.model.foreign import is_foreign

    named = [find_network(text) for text in texts or ()]
    for text, (_, architecture) in zip(texts or (), named, strict=True):
        if is_foreign(architecture):
            raise DefinitionError(f"{text}: a study counts what a network computes, row by row, and this has no rows")
    if family:
        named += family_networks(all_families() if family == "all" else split_names(family))
    return list(dict(named).items())


def _read_sides(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch("[1-9][0-9]{0,3}", part) and 8 <= int(part) <= 4096 for part in parts):
        raise DefinitionError(f"--sides {text!r}: whole numbers from 8 to 4096 are allowed, such as {_SIDES}")
    sides = tuple(sorted({int(part) for part in parts}))
    if len(sides) < 2:
        raise DefinitionError(f"--sides {text}: growth needs two sides or more, such as {_SIDES}")
    return sides


def _resize(networks: Sequence[tuple[str, Architecture]], sides: Sequence[int]) -> list[tuple[str, Architecture]]:
    """Give every network at every side that it takes, named `NETWORK@SIDE`."""
    from nasbench.model.cost import count
    from nasbench.studies.resolution import resize

    sized = []
    for name, architecture in networks:
        for side in sides:
            resized = resize(architecture, side)
            try:
                count(resized)
            except CandidateError as error:
                note(f"{name} takes no images of {side} x {side}: {error}")
            else:
                sized.append((f"{name}@{side}", resized))
    if not sized:
        raise DefinitionError("no network takes images of any of the --sides; choose others")
    return sized


def _tell_peak(peak: Peak) -> None:
    rates = peak.macs_per_s, peak.low_macs_per_s, peak.high_macs_per_s
    billions = (None if rate is None else rate / 1e9 for rate in rates)
    words = "" if peak.measurement.verdict == "ok" else f", {peak.measurement.verdict}"
    typer.echo(
        f"peak: {format_between(*billions)} billion MACs/s, products of {peak.size} x {peak.size} matrices{words}"
    )


_Shown = Mapping[str, Callable[[Any], str]]
"""The columns of a table for people: a title, and what shows a row's cell."""


def _write(folder: Path, table: str, place: Place, found: Sequence[Any], asked: Mapping[str, Any]) -> None:
    from nasbench.runtime.base import find_runtime
    from nasbench.store.found import write_found
    from nasbench.studies.tables import TABLES, On

    folder.mkdir(parents=True, exist_ok=True)
    rows = [On(place, one) for one in found]
    write_found(folder / f"{table}.parquet", TABLES[table], rows, "study", asked, find_runtime(place.runtime).packages)


def _print(
    table: str, place: Place, found: Sequence[Any], shown: _Shown, folder: Path, wrote: Sequence[str], as_json: bool
) -> None:
    """Print the table of a study, or all its columns as JSON."""
    from nasbench.studies.tables import TABLES, On

    if as_json:
        columns = [column for column in TABLES[table] if column.name != "host"]
        rows = [{column.name: column.read(On(place, one)) for column in columns} for one in found]
        typer.echo(json.dumps({"run": str(folder), table: rows}))
        return
    print_rows(table, tuple(shown), [tuple(show(one) for show in shown.values()) for one in found], keys=1)
    typer.echo(f"wrote {folder}/: {', '.join([f'{table}.parquet', *wrote])}")


def _seconds(measurement: Measurement) -> str:
    words = format_seconds(measurement.latency_s)
    if measurement.low_s is not None and measurement.high_s is not None:
        words += f" ({format_seconds(measurement.low_s)} to {format_seconds(measurement.high_s)})"
    return words if measurement.verdict == "ok" else f"{words}, {measurement.verdict}"
