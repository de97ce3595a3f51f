"""`nasbench check`: is a definition right, and how large is what it spans?"""

from __future__ import annotations

from typing import Annotated

import typer

from nasbench.cli.tables import print_rows


def check(
    definition: Annotated[str, typer.Argument(help="A search space's .yaml file, or the name of one.")],
    sample: Annotated[int, typer.Option(min=1, max=100_000, help="Architectures to sample.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sample.")] = 0,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Check a search space: its choices, its size, and the span of parameters and MACs in a sample."""
    import json
    import random

    from nasbench.errors import BuildError, DefinitionError
    from nasbench.model.cost import count
    from nasbench.space.load import load_space
    from nasbench.units import format_count, format_size

    space = load_space(definition)
    for named in space.architectures:
        try:
            count(named.architecture)
        except BuildError as error:
            raise DefinitionError(f"{space.path}: architectures.{named.name} cannot be built: {error}") from None
    rng = random.Random(seed)
    costs, unbuildable = [], []
    for _ in range(sample if space.choices else 1):
        choices, architecture = space.sample(rng)
        try:
            costs.append(count(architecture))
        except BuildError as error:
            unbuildable.append(f"{error}; choices: {', '.join(f'{name}={value}' for name, value in choices.items())}")
    if not costs:
        raise DefinitionError(f"{space.path}: none of {sample} sampled architectures can be built: {unbuildable[0]}")
    spans = {}
    for figure in ("params", "macs", "activations"):
        values = sorted(getattr(cost, figure) for cost in costs)
        spans[figure] = (values[0], values[len(values) // 2], values[-1])
    if json_output:
        described = {choice.name: choice.describe() for choice in space.choices}
        typer.echo(
            json.dumps(
                {
                    "space": space.name,
                    "size": space.size(),
                    "choices": described,
                    "spans": spans,
                    "unbuildable": unbuildable,
                }
            )
        )
        return
    counts = f"{len(space.choices)} choices, {len(space.architectures)} architectures"
    typer.echo(f"{space.name}: {format_size(space.size())} points, {counts}")
    if space.choices:
        print_rows("choices", ("choice", "values"), [(choice.name, choice.describe()) for choice in space.choices])
    titles = {"params": "params", "macs": "MACs", "activations": "activation elements"}
    rows = [(titles[figure], *(format_count(value) for value in span)) for figure, span in spans.items()]
    print_rows("spans", (f"of {len(costs)} sampled", "smallest", "median", "largest"), rows)
    if unbuildable:
        typer.echo(
            f"warning: {len(unbuildable)} of {sample} sampled cannot be built, such as {unbuildable[0]}", err=True
        )
    typer.echo(f"{space.path} is a valid search space")
