"""`nasbench claims`: do the papers' claims of speed hold on this device?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench.cli.tables import print_rows
from nasbench.errors import DefinitionError, DeviceError

if TYPE_CHECKING:
    from nasbench.claims.check import Finding
    from nasbench.claims.claim import Claim
    from nasbench.claims.table import Row
    from nasbench.measure.compare import Progress
    from nasbench.records import DeviceSpec


def claims(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[CLAIM]...", help="Claims by name.  [default: all of them]")
    ] = None,
    family: Annotated[
        str | None, typer.Option(metavar="NAME[,NAME...]", help="All claims about these search spaces too.")
    ] = None,
    device: Annotated[list[str] | None, typer.Option(help="Where to measure; repeat it.  [default: cpu]")] = None,
    file: Annotated[Path | None, typer.Option(help="Claims of your own.  [default: those of nasbench]")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the runtime.  [default: the device's]")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of weights and orders.")] = 0,
    run: Annotated[
        Path | None, typer.Option(help="Folder of the findings.  [default: results/DATE-claims-DEVICE]")
    ] = None,
    source: Annotated[
        list[Path] | None,
        typer.Option("--from", help="Show what earlier checks found, measure nothing; repeat it, the last one counts."),
    ] = None,
    page: Annotated[Path | None, typer.Option(metavar="FILE.md", help="Write a page of Markdown too.")] = None,
    listing: Annotated[bool, typer.Option("--list", help="Show what would be checked, and measure nothing.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object, no table.")] = False,
) -> None:
    """Check what papers claim of speed and size, as a ratio of two networks measured in turns, with its interval.

    A claim holds when the whole interval is within the claimed ratio and a tolerance (5 % of a latency, 1 % of a count,
    unless the claim has another), and does not when all of it is beyond. It was made for another device: that it fails
    on yours is a finding, and no error of the paper.

    What is found is stored after every claim, in claims.parquet.
    """
    from nasbench.claims.claim import CLAIMS, choose_claims, load_claims
    from nasbench.claims.page import as_page
    from nasbench.claims.table import FILE, as_rows, read_rows
    from nasbench.cli.checks import find_spec, split_names

    if page is not None and not page.absolute().parent.is_dir():
        raise DefinitionError(f"--page {page}: there is no folder {page.parent}; make it first")
    if source:
        _refuse_beside_from(
            names=names, family=family, device=device, file=file, threads=threads, run=run, list=listing
        )
        rows = read_rows(source)
        if page is not None:
            page.write_text(as_page(rows), encoding="utf-8")
        _print(rows, source[-1], f"wrote {page}" if page else "", json_output)
        return
    chosen = choose_claims(load_claims(file or CLAIMS), split_names(family or ""), names or ())
    if listing:
        _list(chosen, json_output)
        return
    asked = {"file": str(file) if file else None, "threads": threads, "seed": seed}
    specs = [find_spec(name, threads=threads) for name in dict.fromkeys(device or ["cpu"])]
    findings, folder = _check(chosen, specs, asked, run, page)
    _print(as_rows(findings), folder, f"wrote {folder}/{FILE}{f' and {page}' if page else ''}", json_output)


def _refuse_beside_from(**given: object) -> None:
    for name, value in given.items():
        if value:
            option = "names of claims" if name == "names" else f"--{name}"
            raise DefinitionError(f"--from shows all that was found; leave out {option}")


def _list(chosen: Sequence[Claim], json_output: bool) -> None:
    rows = []
    for claim in chosen:
        pair = claim.pair
        sides = (pair.first.name, pair.second.name, pair.words, f"{pair.at_most:.3g}") if pair else ("-",) * 4
        rows.append((claim.name, *sides, claim.says, claim.claimed_on))
    columns = ("claim", "first", "second", "figure", "claimed ratio", "says", "claimed on")
    print_rows("claims", columns, rows, json_output, keys=1)


def _check(
    chosen: Sequence[Claim], specs: Sequence[DeviceSpec], asked: Mapping[str, Any], run: Path | None, page: Path | None
) -> tuple[list[Finding], Path]:
    from nasbench.claims.check import check
    from nasbench.claims.page import as_page
    from nasbench.claims.table import as_rows, write_findings
    from nasbench.cli.interrupt import ending_orderly
    from nasbench.cli.status import StatusLine
    from nasbench.device.load import open_device
    from nasbench.store.manifest import free_folder

    folder = free_folder(run, "claims", *(spec.name for spec in specs))
    asked = {**asked, "claims": [claim.name for claim in chosen], "devices": [spec.name for spec in specs]}
    findings: list[Finding] = []

    def last_words() -> str:
        return f"interrupted; {_describe_rest(chosen, specs, findings, folder, asked)}"

    with ending_orderly(last_words), StatusLine() as line:
        try:
            for spec, own, some in _by_runtime(chosen, specs):
                with open_device(own) as device:
                    for number, claim in some:
                        prefix = f"{spec.name}, claim {number} of {len(chosen)}   {claim.name}"

                        def watch(progress: Progress, prefix: str = prefix) -> None:
                            line.update(f"{prefix}   process {progress.processes + progress.discarded + 1}")

                        findings.append(check(claim, device, seed=asked["seed"], watch=watch))
                        folder.mkdir(parents=True, exist_ok=True)
                        write_findings(folder, findings, asked)
                        if page is not None:
                            page.write_text(as_page(as_rows(findings)), encoding="utf-8")
        except DeviceError:
            line.say(_describe_rest(chosen, specs, findings, folder, asked))
            raise
    return findings, folder


def _by_runtime(
    chosen: Sequence[Claim], specs: Sequence[DeviceSpec]
) -> Iterator[tuple[DeviceSpec, DeviceSpec, list[tuple[int, Claim]]]]:
    """Give each device as it was asked for and as some claims need it, with those claims, numbered, in their order."""
    from nasbench.claims.check import adapt

    for spec in specs:
        for own, some in groupby(enumerate(chosen, 1), key=lambda numbered: adapt(spec, numbered[1])):
            yield spec, own, list(some)


def _describe_rest(
    chosen: Sequence[Claim],
    specs: Sequence[DeviceSpec],
    findings: Sequence[Finding],
    folder: Path,
    asked: Mapping[str, Any],
) -> str:
    """Say where the findings are, and how to check what is left."""
    done = {(finding.claim.name, finding.device.name) for finding in findings}
    options = "".join(f" --{name} {asked[name]}" for name in ("file", "threads", "seed") if asked[name])
    words = f"the {len(findings)} claims that were checked are in {folder}"
    for spec in specs:
        left = [claim.name for claim in chosen if (claim.name, spec.name) not in done]
        if left:
            words += f"\nwhat is left: nasbench claims --device {spec.name}{options} {' '.join(left)}"
    return words


def _print(rows: Sequence[Row], folder: Path, wrote: str, json_output: bool) -> None:
    from nasbench.claims.check import HOLDS, HOLDS_NOT
    from nasbench.claims.page import describe_claimed, describe_figure, describe_ratio, describe_verdict, summarize

    if json_output:
        typer.echo(json.dumps({"run": str(folder), "findings": [_data(row) for row in rows]}))
        return
    cells = [
        (
            row["claim"],
            row["device"],
            describe_figure(row, rows),
            describe_claimed(row),
            describe_ratio(row),
            describe_verdict(row),
            row["says"] if row["verdict"] in (HOLDS, HOLDS_NOT) else row["reason"],
        )
        for row in rows
    ]
    columns = ("claim", "device", "figure", "claimed", "found, 95 % interval", "verdict", "says, or why not")
    print_rows("claims", columns, cells, keys=2)
    typer.echo(summarize(rows))
    if wrote:
        typer.echo(wrote)


def _data(row: Row) -> dict[str, Any]:
    return {
        name: value.tolist() if hasattr(value, "tolist") else value
        for name, value in row.items()
        if name not in ("host", "started_at")
    }
