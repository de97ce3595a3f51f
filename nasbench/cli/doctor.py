"""`nasbench doctor`: is this machine fit to measure on, and what to change?"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench.cli.tables import print_rows
from nasbench.errors import DefinitionError

if TYPE_CHECKING:
    from nasbench.doctor.examine import Report
    from nasbench.doctor.finding import Finding

_WIDEST = 100


def doctor(
    device: Annotated[list[str] | None, typer.Option(help="A device to measure on; repeat it.  [default: cpu]")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out the live test: one small network in 5 fresh processes a device.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Say whether this machine is fit to measure on, and what to change; exit code 1 for an unfit one.

    It changes nothing: the live test leaves a GPU's clocks as they are, although a measurement locks them where it may.
    """
    import json

    from nasbench.device.load import load_device
    from nasbench.doctor.examine import examine

    names = list(dict.fromkeys(device or ["cpu"]))
    specs = [load_device(name) for name in names]
    for spec in specs:
        if spec.backend == "ray":
            raise DefinitionError(
                f"{spec.name} is not on this machine, which is all that doctor looks at; look at it with "
                f"`nasbench devices {spec.name} --probe`"
            )
    report = examine(specs, quick, say=lambda text: typer.echo(text, err=True))
    if json_output:
        typer.echo(json.dumps(_as_json(names, report)))
    else:
        _print(report)
    if report.fitness.word == "no":
        raise typer.Exit(1)


def _print(report: Report) -> None:
    width = min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns)
    several = len({finding.device for finding in report.findings if finding.device}) > 1
    titles = [_title(finding, several) for finding in report.findings]
    room = max(24, width - max(map(len, titles)) - len("   warning   "))
    rows = [
        (title, finding.state, "\n".join(textwrap.wrap(finding.found, room)))
        for title, finding in zip(titles, report.findings, strict=True)
    ]
    print_rows("checks", ("check", "state", "found"), rows)
    to_do = [(title, one) for title, one in zip(titles, report.findings, strict=True) if one.advice or one.command]
    if to_do:
        typer.echo("\nto do:")
    for number, (title, finding) in enumerate(to_do, 1):
        _print_advice(f"{number:2}. {title}: ", finding, width)
    fitness = report.fitness
    counts = f"{_count(fitness.problems, 'problem')}, {_count(fitness.warnings, 'warning')}"
    typer.echo(f"\nfit to measure on: {fitness.word} ({counts} in {_count(len(rows), 'check')})")


def _title(finding: Finding, several: bool) -> str:
    return f"{finding.name} ({finding.device})" if several and finding.device else finding.name


def _print_advice(head: str, finding: Finding, width: int) -> None:
    """Print why and what in lines of a readable width; a command stays on one line, so that it can be copied."""
    sentences = ". ".join(text[0].upper() + text[1:] for text in (finding.why, finding.advice) if text)
    end = ":" if finding.command else "."
    typer.echo(textwrap.fill(f"{sentences}{end}", width, initial_indent=head, subsequent_indent="    "))
    if finding.command:
        typer.echo(f"        {finding.command}")


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _as_json(names: Sequence[str], report: Report) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "devices": list(names),
        "fit": report.fitness.word,
        "warnings": report.fitness.warnings,
        "problems": report.fitness.problems,
        "checks": [asdict(finding) for finding in report.findings],
        "stability": {name: asdict(stability) for name, stability in report.stability.items()},
    }
