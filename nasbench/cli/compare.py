"""`nasbench compare`: two networks on a device, or two stored runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench.cli.tables import print_rows
from nasbench.errors import DefinitionError
from nasbench.units import format_count, format_seconds, parse_share

if TYPE_CHECKING:
    from nasbench.measure.compare import Comparison, Progress
    from nasbench.measure.regress import RunComparison
    from nasbench.records import DeviceSpec
    from nasbench.space.architecture import Architecture

_MEASURING = ("device", "runtime", "batch", "threads", "dtype", "max-processes", "seed", "input")
"""Options that only measuring looks at."""

_NAMED = 5


def compare(
    first: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK|RUN",
            help="Published name, file.yaml, file.onnx, package.module:function, RUN#TRIAL; or a run's folder.",
        ),
    ],
    second: Annotated[str, typer.Argument(metavar="NETWORK|RUN", help="What it is compared with, of the same kind.")],
    device: Annotated[str | None, typer.Option(help="Where networks are measured.  [default: cpu]")] = None,
    runtime: Annotated[
        str | None, typer.Option(help="Runtime, see `nasbench ls runtimes`.  [default: the device's]")
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Images in one inference.  [default: 1]")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the runtime.  [default: the device's]")] = None,
    dtype: Annotated[str | None, typer.Option(help="Number format.  [default: the device's]")] = None,
    margin: Annotated[
        str | None, typer.Option(metavar="SHARE", help="A smaller difference is a tie.  [default: 1%, for runs 2%]")
    ] = None,
    max_processes: Annotated[
        int | None, typer.Option(min=4, max=30, help="Most processes that are spent.  [default: 15]")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the orders and weights.  [default: 0]")] = None,
    shape: Annotated[
        str | None, typer.Option("--input", metavar="CxHxW", help="Input of a factory's network.  [default: 3x224x224]")
    ] = None,
    fail_if_slower: Annotated[
        bool, typer.Option("--fail-if-slower", help="Of runs: exit code 1 when a network is slower in the second.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Compare two networks, timed in turns on a device, or what two stored runs measured alike.

    Of networks nothing is stored and nothing is reused; --json prints every figure.
    """
    given = dict(zip(_MEASURING, (device, runtime, batch, threads, dtype, max_processes, seed, shape), strict=True))
    share = None if margin is None else _read_margin(margin)
    runs = [_is_run(text) for text in (first, second)]
    if any(runs) and not all(runs):
        run, network = (first, second) if runs[0] else (second, first)
        raise DefinitionError(
            f"{run} is a stored run and {network} is none; give two runs or two networks (one of a run is {run}#TRIAL)"
        )
    if all(runs):
        unused = [f"--{name}" for name, value in given.items() if value is not None]
        if unused:
            raise DefinitionError(f"{' and '.join(unused)} cannot change what stored runs hold; leave it out")
        _compare_runs(Path(first), Path(second), share, fail_if_slower, json_output)
        return
    if fail_if_slower:
        raise DefinitionError("--fail-if-slower is for two stored runs, of which the second is the later one")
    from nasbench.cli.checks import find_spec

    networks = _networks((first, second), shape)
    spec = find_spec(device or "cpu", runtime, threads)
    found = _measure(spec, networks, dtype or spec.dtype, batch or 1, share, max_processes, seed or 0)
    if json_output:
        _print_json(found)
    else:
        _print(found, [architecture for _, architecture in networks])


def _read_margin(text: str) -> float:
    share = parse_share(text)
    if not 0 < share < 1:
        raise DefinitionError(f"--margin {text} is no share between 0 and 1, such as 0.01 or 1%")
    return share


def _is_run(text: str) -> bool:
    folder = Path(text)
    if not folder.is_dir():
        return False
    if not any((folder / name).is_file() for name in ("run.db", "measurements.parquet")):
        raise DefinitionError(f"{text} is a folder and holds no run: neither run.db nor measurements.parquet is in it")
    return True


def _networks(texts: Sequence[str], shape: str | None) -> list[tuple[str, Architecture]]:
    from nasbench.measure.networks import find_network, read_image_shape

    image = read_image_shape(shape, texts) if shape else None
    return [find_network(text, image) for text in texts]


def _measure(
    spec: DeviceSpec,
    networks: Sequence[tuple[str, Architecture]],
    dtype: str,
    batch: int,
    margin: float | None,
    max_processes: int | None,
    seed: int,
) -> Comparison:
    from dataclasses import replace

    from nasbench.cli.interrupt import ending_orderly
    from nasbench.cli.status import StatusLine
    from nasbench.device.load import open_device
    from nasbench.measure import compare as measuring
    from nasbench.records import CONFIRM
    from nasbench.runtime.base import check_runtime, find_runtime

    check_runtime(spec.hardware, spec.runtime, dtype)
    find_runtime(spec.runtime).versions()
    options: dict[str, Any] = {"margin": margin, "max_processes": max_processes}
    (first_name, first), (second_name, second) = networks
    last: Progress | None = None

    def watch(progress: Progress) -> None:
        nonlocal last
        last = progress
        line.update(_describe(progress))

    with (
        ending_orderly(lambda: _describe_end((first_name, second_name), last)),
        open_device(spec) as device,
        StatusLine() as line,
    ):
        return measuring.compare(
            device,
            first,
            second,
            replace(CONFIRM, batch=batch, dtype=dtype, seed=seed),
            names=(first_name, second_name),
            seed=seed,
            watch=watch,
            **{name: value for name, value in options.items() if value is not None},
        )


def _describe(progress: Progress) -> str:
    words = f"process {progress.processes + progress.discarded + 1}, at most {progress.max_processes} count"
    if progress.discarded:
        words += f", {progress.discarded} disturbed"
    decision = progress.decision
    if decision is None:
        return words
    words += f"   ratio so far {decision.ratio:.3f}"
    if decision.low is None or decision.high is None:
        return words
    return f"{words} ({decision.low:.3f} to {decision.high:.3f})"


def _describe_end(names: tuple[str, str], last: Progress | None) -> str:
    """Say what an interrupted comparison has found; `last` is how it stood when its last process began."""
    words = "interrupted; nothing is stored"
    if last is None or last.decision is None:
        return words
    decision, (first, second) = last.decision, names
    bounds = f"n={last.processes}"
    if decision.low is not None and decision.high is not None:
        bounds = f"{decision.low:.3f} to {decision.high:.3f}, 95 %; {bounds}"
    return f"{words}. So far {first} takes {decision.ratio:.3f} of {second}'s time ({bounds}): undecided"


def _print_json(found: Comparison) -> None:
    from dataclasses import asdict

    typer.echo(json.dumps({**asdict(found), "sentence": found.sentence()}))


def _print(found: Comparison, architectures: Sequence[Architecture]) -> None:
    rows = []
    for name, architecture, latency in zip(found.names, architectures, (found.first_s, found.second_s), strict=True):
        middle, low, high = latency or (None, None, None)
        interval = f"{format_seconds(low)} to {format_seconds(high)}" if latency else "-"
        rows.append((name, format_seconds(middle), interval, *_costs(architecture)))
    print_rows("networks", ("network", "latency", "95 % interval", "params", "MACs"), rows, keys=1)
    plan = found.plan
    typer.echo(f"{found.sentence()}, on {found.device}, {plan.dtype}, batch {plan.batch}")
    typer.echo(
        f"{found.stop}; n={found.processes} processes, {found.pairs} pairs of inferences, {found.discarded} processes "
        f"discarded, {found.seconds:.0f} s in all"
    )
    for reason in found.reasons:
        typer.echo(f"  {reason}")


def _costs(architecture: Architecture) -> tuple[str, str]:
    from nasbench.measure.bench import cost_of

    cost = cost_of(architecture)
    return ("-", "-") if cost is None else (format_count(cost.params), format_count(cost.macs))


def _compare_runs(first: Path, second: Path, margin: float | None, fail_if_slower: bool, json_output: bool) -> None:
    from nasbench.measure.regress import MARGIN, changes_between, compare_runs
    from nasbench.store.parquet import read_run

    before, after = read_run(first), read_run(second)
    margin = MARGIN if margin is None else margin
    compared = compare_runs(before, after, margin)
    changes = changes_between(before, after)
    if json_output:
        _print_runs_json(first, second, margin, compared, changes)
    else:
        _print_runs(first, second, margin, compared, changes)
    if fail_if_slower and any(one.verdict == "slower" for one in compared):
        raise typer.Exit(1)


def _print_runs_json(
    first: Path, second: Path, margin: float, compared: Sequence[RunComparison], changes: Sequence[str]
) -> None:
    from dataclasses import asdict

    comparisons = [{**asdict(one), "relative": one.relative} for one in compared]
    shown = {"before": str(first), "after": str(second), "margin": margin, "comparisons": comparisons}
    typer.echo(json.dumps({**shown, "counts": Counter(one.verdict for one in compared), "changes": list(changes)}))


def _print_runs(
    first: Path, second: Path, margin: float, compared: Sequence[RunComparison], changes: Sequence[str]
) -> None:
    alike = {
        name: [str(getattr(one.alike, name)) for one in compared]
        for name in ("device", "runtime", "dtype", "batch", "threads", "level")
    }
    columns = ["network", *(name for name, values in alike.items() if len(set(values)) > 1)]
    titles = [*columns, "verdict", "ratio", "interval", "before", "after", "canary"]
    rows = [
        (
            one.name,
            *(alike[name][index] for name in columns[1:]),
            one.verdict,
            f"{one.ratio:.3f}",
            "-" if one.low is None or one.high is None else f"{one.low:.3f} to {one.high:.3f}",
            _latency(one.before_s, one.before_verdict),
            _latency(one.after_s, one.after_verdict),
            "-" if one.canary_ratio is None else f"{one.canary_ratio:.3f}",
        )
        for index, one in enumerate(compared)
    ]
    same = ", ".join(f"{name} {values[0]}" for name, values in alike.items() if name not in columns)
    typer.echo(f"{second} (after) against {first} (before){': ' if same else ''}{same}")
    print_rows("networks", titles, rows, keys=len(columns))
    for reason, names in _reasons(compared).items():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        typer.echo(f"{reason}: {', '.join(names[:_NAMED])}{more}")
    for change in changes:
        typer.echo(f"note: {change}")
    typer.echo(_summary(compared, margin))


def _latency(seconds: float, verdict: str) -> str:
    return format_seconds(seconds) if verdict == "ok" else f"{format_seconds(seconds)}, {verdict}"


def _reasons(compared: Sequence[RunComparison]) -> dict[str, list[str]]:
    """Give the networks of every reason for which nothing is claimed."""
    found: dict[str, list[str]] = {}
    for one in compared:
        if one.verdict not in ("faster", "slower", "tie"):
            found.setdefault(f"{one.verdict}, {one.reason}", []).append(one.name)
    return found


def _summary(compared: Sequence[RunComparison], margin: float) -> str:
    counts = Counter(one.verdict for one in compared)
    words = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    confirmed = sum(one.alike.level == "confirm" for one in compared)
    if not confirmed:
        return f"{len(compared)} compared: {words}"
    return (
        f"{len(compared)} compared: {words}; within ±{margin:.1%} is a tie, and the intervals of the {confirmed} "
        "confirmed hold together with 95 % (Bonferroni)"
    )
