"""`nasbench devices`: where latency can be measured, and how those places are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench.cli.tables import print_rows
from nasbench.errors import NasbenchError
from nasbench.units import format_seconds

if TYPE_CHECKING:
    from nasbench.device.base import Device
    from nasbench.measure.cache import MeasurementCache
    from nasbench.records import DeviceSpec

_REACH_S = 2.0


def devices(
    names: Annotated[list[str] | None, typer.Argument(metavar="DEVICE", help="Only these.  [default: all]")] = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Open each, say what it is, and measure the canary network on it.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """List the registered devices: where each is and whether it can be reached; with --probe, what it is and takes.

    The canary is one small network that every confirmation measures too. Where it takes longer than last time, so will
    everything else.
    """
    from nasbench.definitions import list_definitions
    from nasbench.device.load import load_device, read_device

    specs = []
    for name in names or ():
        specs.append(load_device(name))
    if not names:
        for path in list_definitions("devices").values():
            try:
                specs.append(read_device(path))
            except NasbenchError as error:
                typer.echo(f"warning: {error}", err=True)
    rows = list(_probe(specs)) if probe else [_reach(spec) for spec in specs]
    columns = tuple(rows[0]) if rows else ("device",)
    lines = [tuple(row[name] if json_output else _word(name, row[name]) for name in columns) for row in rows]
    print_rows("devices", columns, lines, json_output)


def _reach(spec: DeviceSpec) -> dict[str, Any]:
    from nasbench.cluster.address import check_reachable, parse_address

    state = "this machine"
    if spec.address is not None:
        try:
            check_reachable(parse_address(spec.address), _REACH_S)
            state = "the cluster answers"
        except NasbenchError as error:
            state = str(error)
    return {
        "device": spec.name,
        "where": spec.address or "here",
        "runtime": spec.runtime,
        "dtype": spec.dtype,
        "threads": spec.threads,
        "state": state,
    }


def _probe(specs: list[DeviceSpec]) -> Iterator[dict[str, Any]]:
    from nasbench.device.load import open_device
    from nasbench.measure.cache import MeasurementCache

    with MeasurementCache(say=lambda text: typer.echo(f"note: {text}", err=True)) as cache:
        for spec in specs:
            typer.echo(f"probing {spec.name} ...", err=True)
            row: dict[str, Any] = {"device": spec.name, "where": spec.address or "here", "state": "free"}
            row |= dict.fromkeys(
                ("host", "machine", "cores", "temperature_c", "canary_s", "verdict", "canary_before_s")
            )
            try:
                with ExitStack() as stack:
                    row |= _look(stack.enter_context(open_device(spec)), cache)
            except NasbenchError as error:
                row["state"] = str(error)
            yield row


def _look(device: Device, cache: MeasurementCache) -> dict[str, Any]:
    from nasbench.device.loading import CANARY
    from nasbench.host import temperature_c
    from nasbench.records import TimingPlan

    found = device.fingerprint()
    plan = TimingPlan(dtype=device.spec.dtype)
    before = cache.find(device, CANARY, plan)
    now = device.take(CANARY, plan)
    cache.keep(device, CANARY, now, "nasbench devices")
    about = getattr(device, "about", None)
    return {
        "host": found.get("host"),
        "machine": f"{found.get('cpu_model') or found.get('machine')}{', emulated' if found.get('emulated') else ''}",
        "cores": f"{found['cpus']} of {found.get('physical_cores') or '?'}",
        "temperature_c": about["temperature_c"] if about else temperature_c(),
        "canary_s": now.latency_s,
        "verdict": now.verdict,
        "canary_before_s": before.latency_s if before else None,
    }


def _word(column: str, value: Any) -> str:
    if value is None:
        return "-"
    if column.endswith("_s"):
        return format_seconds(value)
    return f"{value:.0f} °C" if column == "temperature_c" else str(value)
