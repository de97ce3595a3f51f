"""How the commands of `nasbench study` measure: networks as a bench does, the peak, and layers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nasbench.errors import CandidateError, DeviceError

if TYPE_CHECKING:
    from nasbench.device.base import Device, Layers
    from nasbench.measure.bench import Row
    from nasbench.records import DeviceSpec, Measurement, TimingPlan
    from nasbench.space.architecture import Architecture
    from nasbench.studies.correlation import Point
    from nasbench.studies.efficiency import Efficiency

_PANELS = 4
"""Networks whose layers are drawn: the first ones."""


def bench_networks(
    networks: Sequence[tuple[str, Architecture]],
    spec: DeviceSpec,
    plan: TimingPlan,
    folder: Path,
    *,
    fresh: bool = False,
) -> list[Row]:
    """Measure networks as `nasbench bench` does, into the same folder, and give the rows that have a latency.

    What was measured before is reused unless `fresh`.
    """
    from nasbench.cli.interrupt import interruptible, resumable
    from nasbench.cli.status import StatusLine, describe_processes
    from nasbench.measure.bench import Bench, bench_manifest, open_devices, plan_entries
    from nasbench.measure.cache import MeasurementCache
    from nasbench.measure.levels import Progress
    from nasbench.measure.published import find_published
    from nasbench.pareto import UNUSABLE_VERDICTS
    from nasbench.store.log import RunLog

    again = "the same command with another --run; it reuses the rows that were ok"
    with open_devices([spec]) as devices:
        entries = plan_entries(networks, [(devices[spec], spec.dtype)], (1,), plan)
        manifest = bench_manifest(entries, find_published(dict(networks)), {"seed": plan.seed, "threads": spec.threads})
        with (
            MeasurementCache(say=note) as cache,
            RunLog.create(folder, manifest) as log,
            interruptible(again),
            resumable(again),
            StatusLine() as line,
        ):

            def watch(at: Progress) -> None:
                line.update(describe_processes(at.processes, at.expected, at.seconds, at.current, at.latency_s))

            rows = Bench(entries, log, cache, fresh=fresh, seed=plan.seed).run(watch)
    measured = []
    for row in rows:
        found = row.measurement
        if found is None or found.latency_s is None or found.verdict in UNUSABLE_VERDICTS:
            note(f"{row.entry.network} is left out: {'; '.join(found.reasons) if found else row.evaluation.error}")
        else:
            measured.append(row)
    if not measured:
        raise DeviceError(f"no network could be measured on {spec.name}; {folder} has the reasons")
    return measured


def latency_of(row: Row) -> tuple[float, Measurement]:
    """Give the latency in seconds of a row that has one, and its measurement."""
    measurement = row.measurement
    assert measurement is not None and measurement.latency_s is not None, "rows without one are left out"
    return measurement.latency_s, measurement


def macs_of(architecture: Architecture) -> int:
    """Count the multiply-accumulates of the deployed form for one image."""
    from nasbench.model.cost import count

    macs = count(architecture).deployed_macs
    assert macs is not None, "what is counted now has all figures"
    return macs


def point_of(row: Row) -> Point:
    """Give a row as a point of a correlation, its network counted."""
    from nasbench.model.cost import count
    from nasbench.studies.correlation import Point

    latency_s, measurement = latency_of(row)
    architecture = row.entry.architecture
    return Point(
        network=row.entry.network,
        family=architecture.space,
        architecture=architecture.digest,
        cost=count(architecture),
        latency_s=latency_s,
        low_s=measurement.low_s,
        high_s=measurement.high_s,
        verdict=measurement.verdict,
    )


def find_efficiencies(
    networks: Sequence[tuple[str, Architecture]], spec: DeviceSpec, plan: TimingPlan, folder: Path
) -> list[Efficiency]:
    """Measure the peak, the networks, the layers of the first ones where they can be told, and the peak once more."""
    from nasbench.cli.interrupt import ending_orderly
    from nasbench.cli.status import StatusLine
    from nasbench.device.load import open_device
    from nasbench.records import TimingPlan
    from nasbench.studies.efficiency import Efficiency, measure_peak, measure_peak_again

    once = TimingPlan(dtype=spec.dtype, seed=plan.seed)

    def last_words() -> str:
        return f"interrupted; the latencies that were measured are in {folder}" if folder.exists() else "interrupted"

    with ending_orderly(last_words), open_device(spec) as device, StatusLine() as line:
        peak = measure_peak(device, once, lambda size: line.update(f"peak: products of {size} x {size} matrices"))
    rows = bench_networks(networks, spec, plan, folder, fresh=True)
    found = []
    with ending_orderly(last_words), open_device(spec) as device, StatusLine() as line:
        layers: dict[str, Layers] = {}
        if device.tells_layers:
            for row in rows[:_PANELS]:
                line.update(f"layers of {row.entry.network}")
                told = _take_layers(device, row.entry.network, row.entry.architecture, once)
                layers |= {row.entry.network: told} if told else {}
        else:
            note(f"{spec.name} cannot tell what each layer takes; CPUs of this machine can, see --help")
        line.update("the peak once more")
        peak = measure_peak_again(device, once, peak)
        for row in rows:
            name, architecture = row.entry.network, row.entry.architecture
            found.append(
                Efficiency(name, architecture, macs_of(architecture), *latency_of(row), peak, layers.get(name))
            )
    return found


def _take_layers(device: Device, name: str, architecture: Architecture, plan: TimingPlan) -> Layers | None:
    try:
        told = device.take_layers(architecture, plan)
    except CandidateError as error:
        note(f"no layers of {name}: {error}")
        return None
    if told.macs != macs_of(architecture):
        share = told.macs / macs_of(architecture)
        note(f"{name}: its layers have {share:.1%} of its MACs; the runtime executes some that are not known here")
    return told


def note(text: str) -> None:
    """Say on stderr what a user should know and nothing ends for."""
    typer.echo(f"note: {text}", err=True)
