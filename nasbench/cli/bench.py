"""`nasbench bench`: how fast networks are, on devices, with runtimes, at batches and thread counts."""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench.errors import DefinitionError
from nasbench.registry import unknown_name
from nasbench.units import format_clock, format_count

if TYPE_CHECKING:
    from nasbench.device.base import Device
    from nasbench.measure.bench import Entry, Row, Setting
    from nasbench.measure.shortlist import Shortlist
    from nasbench.records import TimingPlan
    from nasbench.space.architecture import Architecture
    from nasbench.store.log import RunLog
    from nasbench.store.published import Published

_SAMPLE = 10
_CACHES = ("hot", "cold")


def bench(
    networks: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NETWORK",
            help="Published name, timm/NAME, file.yaml, file.onnx, package.module:factory, or RUN#TRIAL of a run.",
        ),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[,NAME...]|all", help="Measure all published architectures of these search spaces too."
        ),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option("--max", metavar="NAME=VALUE", help="Leave out what counts more: macs=5G, params=10M."),
    ] = None,
    timm_results: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="timm's results-imagenet.csv, for the published top-1 of timm/NAME."),
    ] = None,
    space: Annotated[str | None, typer.Option(help="Measure sampled architectures of this search space too.")] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, max=10_000, help=f"How many of --space.  [default: {_SAMPLE}]")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample and of the order of measuring.")] = 0,
    device: Annotated[
        list[str] | None, typer.Option(help="Where to measure, see `nasbench ls devices`; repeat it.  [default: cpu]")
    ] = None,
    batch: Annotated[str, typer.Option(metavar="N[,N...]", help="Images in one inference; each is a row.")] = "1",
    threads: Annotated[
        str | None, typer.Option(metavar="N[,N...]", help="Threads; each is a row.  [default: the device's]")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Number format: fp32, fp16, bf16 or int8.  [default: the device's]")
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|best",
            help="Runtime; best measures all that the device has and marks the fastest whose output agrees with eager.",
        ),
    ] = None,
    level: Annotated[
        str,
        typer.Option(
            metavar="confirm|screen",
            help="confirm: 5 to 15 interleaved processes a row, for claims. screen: one process, for a first look.",
        ),
    ] = "confirm",
    cache: Annotated[
        str, typer.Option(metavar="hot|cold", help="cold empties the processor's caches before every sample.")
    ] = "hot",
    energy: Annotated[bool, typer.Option("--energy", help="Take the energy of an inference too.")] = False,
    top: Annotated[
        int | None, typer.Option(min=1, metavar="K", help="Race the networks first; measure the K fastest.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Reuse no measurements of earlier runs.")] = False,
    input_shape: Annotated[
        str | None, typer.Option("--input", metavar="CxHxW", help="Image of a factory.  [default: 3x224x224]")
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="Folder of the new run.  [default: results/DATE-bench-DEVICE]")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object, no table.")] = False,
) -> None:
    """Measure networks: one row for each network, device, batch and thread count.

    Every row has a latency with an interval and a verdict: ok, noisy, throttled, drift, invalid or failed. With --level
    confirm the interval is over processes and holds with 95 %, and what this run measures is measured in turns, so that
    it can be compared; with --level screen it holds in one process only.

    What an earlier run measured on this machine, with equal versions and settings and the verdict ok, is reused and
    marked; it took no turns with what is measured now. With --runtime best the rows of a network are reused only if one
    run measured them all. A race (--top) and a package.module:function are measured every time.
    """
    from nasbench.cli.checks import check_threads
    from nasbench.measure.bench import open_devices, plan_entries

    asked = _Asked(
        texts=tuple(networks or ()),
        families=_read_families(family) if family else (),
        limits=_read_limits(limit or ()),
        timm_results=str(timm_results) if timm_results else None,
        space=space,
        sample=sample,
        seed=seed,
        devices=tuple(device or ("cpu",)),
        batches=_read_counts("--batch", batch),
        threads=_read_counts("--threads", threads) if threads else (),
        dtype=dtype,
        runtime=runtime,
        input_shape=input_shape,
        top=top,
    )
    plan = _read_plan(level, cache, energy)
    found = _find_networks(asked)
    settings = _find_settings(asked)
    check_threads(asked.threads, asked.devices)
    _check_top(asked, len(found), len(settings))
    published = _find_published(asked, found)
    with open_devices([setting.spec for setting in settings]) as devices:
        opened = [(devices[setting.spec], setting.dtype) for setting in settings]
        if energy:
            _check_energy([one for one, _ in opened])
        entries = plan_entries(found, opened, asked.batches, plan)
        _measure(asked, entries, published, run, fresh, json_output)


@dataclass(frozen=True)
class _Asked:
    """What was asked for, as far as it decides which rows there are."""

    texts: tuple[str, ...]
    families: tuple[str, ...]
    limits: Mapping[str, float]
    timm_results: str | None
    space: str | None
    sample: int | None
    seed: int
    devices: tuple[str, ...]
    batches: tuple[int, ...]
    threads: tuple[int, ...]
    dtype: str | None
    runtime: str | None
    input_shape: str | None
    top: int | None


def _read_plan(level: str, cache: str, energy: bool) -> TimingPlan:
    from nasbench.records import LEVELS

    if level not in LEVELS:
        raise unknown_name("level", level, LEVELS)
    if cache not in _CACHES:
        raise unknown_name("cache state", cache, _CACHES)
    return replace(LEVELS[level], cache=cache, energy=energy)


def _read_families(text: str) -> tuple[str, ...]:
    from nasbench.cli.checks import split_names
    from nasbench.measure.networks import all_families

    return all_families() if text == "all" else split_names(text)


def _read_limits(texts: Sequence[str]) -> dict[str, float]:
    """Read `macs=5G`; what would have to be measured first limits nothing here."""
    from nasbench.objectives import OBJECTIVES, read_limits, split_objective

    limits = read_limits(texts)
    for name in limits:
        if not OBJECTIVES[split_objective(name)[0]].free:
            counted = " and ".join(one.name for one in OBJECTIVES.values() if one.free)
            raise DefinitionError(f"--max {name} is not counted before measuring; {counted} are")
    return limits


def _read_counts(option: str, text: str) -> tuple[int, ...]:
    """Read `1,8`."""
    counts = []
    for part in text.split(","):
        if not re.fullmatch("0*[1-9][0-9]{0,8}", part.strip()):
            raise DefinitionError(f"{option} {text!r} holds {part!r}; whole numbers from 1 are allowed, such as 1,8")
        if int(part) in counts:
            _note(f"{option} has {int(part)} twice; it is measured once")
        else:
            counts.append(int(part))
    return tuple(counts)


def _find_networks(asked: _Asked) -> list[tuple[str, Architecture]]:
    from nasbench.measure.networks import family_networks, find_network, read_image_shape, sample_networks
    from nasbench.space.load import load_space

    if not asked.texts and not asked.families and asked.space is None:
        raise DefinitionError("which networks? For example: nasbench bench resnet_18. See nasbench ls architectures")
    if asked.sample is not None and asked.space is None:
        raise DefinitionError("--sample draws from a search space; say which with --space")
    image = read_image_shape(asked.input_shape, asked.texts) if asked.input_shape else None
    found = [(text, *find_network(text, image)) for text in asked.texts]
    found += [(name, name, architecture) for name, architecture in family_networks(asked.families)]
    if asked.space is not None:
        sampled = sample_networks(load_space(asked.space), asked.sample or _SAMPLE, asked.seed)
        found += [(name, name, architecture) for name, architecture in sampled]
    networks: dict[str, Architecture] = {}
    for text, name, architecture in found:
        same = next((known for known, one in networks.items() if one == architecture), None)
        if same is not None:
            _note(f"{text} is the network {same} again; it is measured once")
        else:
            networks[text if name in networks else name] = architecture
    return _within(asked.limits, networks)


def _within(limits: Mapping[str, float], networks: Mapping[str, Architecture]) -> list[tuple[str, Architecture]]:
    """Leave out what counts more than is allowed; a network that cannot be counted stays."""
    from nasbench.measure.bench import cost_of
    from nasbench.measure.networks import exceeds

    kept = [(name, one) for name, one in networks.items() if not limits or not exceeds(cost_of(one), limits)]
    if len(kept) < len(networks):
        words = " or ".join(f"{format_count(round(limit))} {name}" for name, limit in limits.items())
        _note(f"{len(networks) - len(kept)} of {len(networks)} networks have more than {words} and are left out")
    if not kept:
        raise DefinitionError("--max leaves no network; allow more")
    return kept


def _find_published(asked: _Asked, networks: Sequence[tuple[str, Architecture]]) -> dict[str, Published]:
    """Give what is published of the networks, now: the run keeps it, whatever the definitions become."""
    from nasbench.measure.published import find_published
    from nasbench.measure.timm_results import state_timm
    from nasbench.model.foreign import is_timm

    named = dict(networks)
    if asked.timm_results and not any(map(is_timm, named.values())):
        raise DefinitionError("--timm-results has no effect without timm/NAME; definitions have the figures of others")
    stated = state_timm(named, Path(asked.timm_results)) if asked.timm_results else {}
    return find_published(named, asked.families, stated)


def _find_settings(asked: _Asked) -> list[Setting]:
    from nasbench.cli.checks import note_hidden
    from nasbench.device.load import find_device, load_device
    from nasbench.measure.bench import vary_devices

    for name in dict.fromkeys(asked.devices):
        note_hidden(find_device(name))
    specs = [load_device(name) for name in asked.devices]
    settings, notes = vary_devices(specs, asked.threads, asked.runtime, asked.dtype)
    for note in notes:
        _note(note)
    return settings


def _check_top(asked: _Asked, networks: int, settings: int) -> None:
    if asked.top is None:
        return
    if settings * len(asked.batches) > 1:
        raise DefinitionError(
            f"--top ranks networks on one device with one runtime, batch and thread count; {settings} devices and "
            f"{len(asked.batches)} batches were asked for"
        )
    if asked.top >= networks:
        raise DefinitionError(f"--top {asked.top} of {networks} networks leaves nothing to choose; leave it out")


def _check_energy(devices: Iterable[Device]) -> None:
    blind = list(dict.fromkeys(device.spec.name for device in devices if device.energy_source is None))
    if len(blind) == len({device.spec.name for device in devices}):
        raise DefinitionError(
            f"--energy cannot be taken on {' or '.join(blind)}: no counter of energy can be read here"
        )
    for name in blind:
        _note(f"{name} has no counter of energy that can be read here; its rows have none")


def _measure(
    asked: _Asked,
    entries: Sequence[Entry],
    published: Mapping[str, Published],
    run: Path | None,
    fresh: bool,
    json_output: bool,
) -> None:
    from nasbench.cli.interrupt import interruptible, resumable
    from nasbench.cli.status import StatusLine, describe_processes
    from nasbench.measure.bench import BEST, Bench, bench_manifest
    from nasbench.measure.cache import MeasurementCache
    from nasbench.measure.levels import Progress
    from nasbench.store.log import RunLog
    from nasbench.store.manifest import dated_folder

    names = list(dict.fromkeys(entry.device.spec.name for entry in entries))
    folder = run or dated_folder("bench", names[0], *([f"and-{len(names) - 1}-more"] if len(names) > 1 else []))
    again = f"{_command_again()}   ({_describe_reuse(asked)})"
    began = time.monotonic()
    with (
        MeasurementCache(say=_note) as cache,
        RunLog.create(folder, bench_manifest(entries, published, vars(asked))) as log,
        interruptible(again),
        resumable(again),
    ):
        _say(f"{_describe(entries)}; results go to {log.folder}")
        raced = _race(entries, asked, log) if asked.top else None
        with StatusLine() as line:

            def watch(at: Progress) -> None:
                line.update(describe_processes(at.processes, at.expected, at.seconds, at.current, at.latency_s))

            left, first = (raced.entries, len(entries)) if raced else (entries, 0)
            best = asked.runtime == BEST
            measuring = Bench(left, log, cache, fresh=fresh, whole_groups=best, seed=asked.seed, first_trial=first)
            rows = measuring.run(watch)
    _print(asked, rows, published, raced, folder, time.monotonic() - began, json_output)


def _race(entries: Sequence[Entry], asked: _Asked, log: RunLog) -> Shortlist:
    from nasbench.cli.status import StatusLine
    from nasbench.measure.race import Progress
    from nasbench.measure.shortlist import shortlist

    assert asked.top is not None, "only --top races"
    with StatusLine() as line:

        def watch(at: Progress) -> None:
            line.update(
                f"race for the {asked.top} fastest   round {at.rounds + 1}   {at.running} networks in it   "
                f"{at.inferences} of at most {at.budget} inferences"
            )

        return shortlist(entries, asked.top, log, seed=asked.seed, watch=watch)


def _describe(entries: Sequence[Entry]) -> str:
    networks = len({entry.architecture.digest for entry in entries})
    devices = len({(entry.device.spec, entry.plan.dtype) for entry in entries})
    batches = len({entry.plan.batch for entry in entries})
    words = [f"{networks} networks" if networks > 1 else entries[0].network]
    words += [f"{devices} settings of devices"] if devices > 1 else []
    words += [f"{batches} batches"] if batches > 1 else []
    return f"{len(entries)} row{'' if len(entries) == 1 else 's'} to {entries[0].plan.level}: {' x '.join(words)}"


def _command_again() -> str:
    """Give the command without what would keep it from reusing: the folder, which is taken now, and --fresh."""
    words, skip = [], False
    for word in sys.argv[1:]:
        if not skip and word != "--run" and word != "--fresh" and not word.startswith("--run="):
            words.append(word)
        skip = not skip and word == "--run"
    return shlex.join(["nasbench", *words])


def _describe_reuse(asked: _Asked) -> str:
    """Say what the command reuses when it is given again."""
    from nasbench.measure.bench import BEST
    from nasbench.measure.networks import is_factory

    words = "reuses the rows that were ok"
    if asked.runtime == BEST:
        words += " if all runtimes of their network were"
    if any(map(is_factory, asked.texts)):
        words += ", none of package.module:function"
    return f"{words}; races again" if asked.top else words


def _print(
    asked: _Asked,
    rows: Sequence[Row],
    published: Mapping[str, Published],
    raced: Shortlist | None,
    folder: Path,
    seconds: float,
    json_output: bool,
) -> None:
    from nasbench.cli.bench_table import as_data, print_bench, print_ranking, ranking_data, summarize
    from nasbench.measure.bench import BEST, verdicts

    best = asked.runtime == BEST
    if json_output:
        data = {"run": str(folder), "seed": asked.seed, "rows": as_data(rows, best, published)}
        data["verdicts"] = dict(verdicts(rows))
        typer.echo(json.dumps(data | {"seconds": seconds} | (ranking_data(raced) if raced else {})))
    else:
        if raced is not None:
            print_ranking(raced)
        if rows:
            print_bench(rows, best, published)
            typer.echo(f"{summarize(rows)}; took {format_clock(seconds)}")
        typer.echo(f"wrote {folder}/: evaluations.parquet, measurements.parquet. Draw it: nasbench plot {folder}")
    if not any(row.measurement for row in rows):
        raise typer.Exit(1)


def _note(text: str) -> None:
    _say(f"note: {text}")


def _say(text: str) -> None:
    typer.echo(text, err=True)
