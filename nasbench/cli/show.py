"""`nasbench show`: one architecture, row by row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench.cli.tables import print_rows

if TYPE_CHECKING:
    from nasbench.space.space import NamedArchitecture


def show(
    name: Annotated[str, typer.Argument(help="A published architecture, or a .yaml file with no choice left.")],
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Show an architecture: its rows with shapes and costs, and what its paper reports."""
    from nasbench.model.cost import count, count_rows
    from nasbench.model.trace import show_shape
    from nasbench.space.architecture import describe_options
    from nasbench.space.load import find_architecture
    from nasbench.units import format_bytes, format_count

    space, named = find_architecture(name)
    architecture = named.architecture
    cost = count(architecture)
    if json_output:
        shown = {"name": named.name, "digest": architecture.digest, "cost": asdict(cost), "published": _as_data(named)}
        typer.echo(json.dumps({**shown, "architecture": architecture.as_dict()}))
        return
    rows = []
    for index, row in enumerate(count_rows(architecture)):
        block = row.block
        rows.append(
            (
                str(index),
                block.kind,
                show_shape(row.output_shape).replace("x", " x "),
                str(block.stride),
                describe_options(block.options),
                format_count(row.cost.params),
                format_count(row.cost.macs),
            )
        )
    typer.echo(f"{named.name}   digest {architecture.digest}   space {space.name}   {space.source}")
    print_rows("rows", ("row", "block", "output shape", "stride", "options", "params", "MACs"), rows, keys=2)
    shape = " x ".join(map(str, architecture.input_shape))
    typer.echo(
        f"counted: {cost.params:,} params, {format_count(cost.macs)} MACs, {format_count(cost.activations)} activation "
        f"elements, {format_bytes(cost.weight_bytes)} of fp32 weights; input {shape}"
    )
    if (cost.deployed_params, cost.deployed_macs) != (cost.params, cost.macs):
        typer.echo(f"deployed: {cost.deployed_params:,} params, {format_count(cost.deployed_macs)} MACs")
    if named.published:
        typer.echo(f"published: {describe_figures(named.published)}")
    for one in named.published_latencies:
        typer.echo(f"published latency: {1e3 * one.latency_s:g} ms, batch {one.batch}, on {one.device}")


def _as_data(named: NamedArchitecture) -> dict[str, Any]:
    latencies = [asdict(one) for one in named.published_latencies]
    return {**named.published, **({"latencies": latencies} if latencies else {})}


def describe_figures(figures: Mapping[str, float | str]) -> str:
    """Say what a paper reports, as `3.4 M params, 300 M MACs, top-1 72.0 % (table 4)`."""
    from nasbench.units import format_count

    said = [f"{format_count(float(figures[key]))} {word}" for key, word in _WORDS.items() if key in figures]
    if "top1" in figures:
        said.append(f"top-1 {figures['top1']} %")
    form = f", {figures['form']} form" if "form" in figures else ""
    return f"{', '.join(said) or 'no figures'}{form} ({figures['source']})"


_WORDS = {"params": "params", "macs": "MACs"}
