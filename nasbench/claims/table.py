"""Findings as a parquet file, typed and with units, and as a page of Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nasbench.claims.check import HOLDS, HOLDS_NOT, VERDICTS, Finding
from nasbench.claims.claim import Pair, Side
from nasbench.records import DeviceSpec
from nasbench.runtime.base import find_runtime
from nasbench.store.columns import Column
from nasbench.store.manifest import circumstances
from nasbench.store.parquet import make_table, write_table
from nasbench.store.schema import SCHEMA, dump_json, parse_time
from nasbench.units import format_seconds

FILE = "claims.parquet"


def _pair(name: str, kind: str, unit: str, about: str, read: Callable[[Pair], Any]) -> Column:
    return Column(name, kind, unit, about, lambda row: None if row.claim.pair is None else read(row.claim.pair))


def _digest(side: Side) -> str | None:
    return None if side.architecture is None else side.architecture.digest


def _input(side: Side) -> tuple[int, int, int] | None:
    return None if side.architecture is None else side.architecture.input_shape


def _compared(name: str, kind: str, unit: str, about: str, read: Callable[[Any], Any]) -> Column:
    return Column(name, kind, unit, about, lambda row: None if row.comparison is None else read(row.comparison))


COLUMNS: tuple[Column, ...] = (
    Column("claim", "string", "-", "name of the claim", lambda row: row.claim.name),
    Column("families", "list<string>", "-", "search spaces that it is about", lambda row: row.claim.families),
    Column("source", "string", "-", "the paper", lambda row: row.claim.source),
    Column("says", "string", "-", "what is claimed", lambda row: row.claim.says),
    Column("claimed_on", "string", "-", "device or setting that it was claimed for", lambda row: row.claim.claimed_on),
    Column("equal", "string", "-", "what the two have in common there", lambda row: row.claim.equal),
    Column("note", "string", "-", "what was chosen where the paper leaves it open", lambda row: row.claim.note),
    _pair("first", "string", "-", "the network that is said to be better", lambda pair: pair.first.name),
    _pair("second", "string", "-", "the network that it is compared with", lambda pair: pair.second.name),
    _pair("first_architecture", "string", "-", "its digest", lambda pair: _digest(pair.first)),
    _pair(
        "first_input_shape", "list<int64>", "pixels", "channels, height, width of its image", lambda p: _input(p.first)
    ),
    _pair("second_architecture", "string", "-", "its digest", lambda pair: _digest(pair.second)),
    _pair(
        "second_input_shape",
        "list<int64>",
        "pixels",
        "channels, height, width of its image",
        lambda p: _input(p.second),
    ),
    _pair(
        "figure", "string", "-", "latency, which is measured, or params or macs, which are counted", lambda p: p.figure
    ),
    _pair(
        "tolerance", "double", "share of one", "how far beyond the claimed ratio it still holds", lambda p: p.tolerance
    ),
    _pair(
        "claimed_ratio", "double", "share of one", "claimed: the first's figure over the second's", lambda p: p.at_most
    ),
    Column("device", "string", "-", "name of the device", lambda row: row.device.name),
    Column("device_digest", "string", "-", "digest of the device's definition", lambda row: row.device.digest),
    Column("runtime", "string", "-", "what executes networks there", lambda row: row.device.runtime),
    Column("threads", "int64", "count", "threads that they run on", lambda row: row.device.threads),
    Column("verdict", "string", "-", ", ".join(VERDICTS), lambda row: row.verdict),
    Column("ratio", "double", "share of one", "found: the first's figure over the second's", lambda row: row.ratio),
    Column("ratio_low", "double", "share of one", "lower end of its 95 % interval", lambda row: row.low),
    Column("ratio_high", "double", "share of one", "upper end of its 95 % interval", lambda row: row.high),
    Column("direction", "string", "-", "whether the first is better at all, worse, or unclear", lambda r: r.direction),
    Column("reason", "string", "-", "how the comparison ended, or why there is none", lambda row: row.reason or None),
    _compared("first_latency_s", "double", "s", "latency of the first", lambda c: c.first_s and c.first_s[0]),
    _compared("second_latency_s", "double", "s", "latency of the second", lambda c: c.second_s and c.second_s[0]),
    _compared("process_ratios", "list<double>", "share of one", "the ratio of each process", lambda c: c.ratios),
    _compared("processes", "int64", "count", "processes that it rests on", lambda c: c.processes),
    _compared(
        "discarded", "int64", "count", "processes that were disturbed and are not among those", lambda c: c.discarded
    ),
    _compared("reasons", "list<string>", "-", "what was wrong with them", lambda c: c.reasons),
    _compared("batch", "int64", "images", "images in one inference", lambda c: c.plan.batch),
    _compared("dtype", "string", "-", "number format of the inference", lambda c: c.plan.dtype),
    _compared("host", "string", "JSON", "the machine and its software", lambda c: dump_json(dict(c.host), "host")),
    Column(
        "started_at", "timestamp[us, tz=UTC]", "UTC", "when it began", lambda row: parse_time(row.started_at, "a claim")
    ),
    Column("duration_s", "double", "s", "time it took", lambda row: row.seconds),
)
"""One row a claim and device, in the order of checking."""


def write_findings(folder: Path, findings: Sequence[Finding], asked: Mapping[str, Any]) -> None:
    """Write what was found so far; called after every claim. Raises StoreError when the folder cannot be written."""
    packages = {package for finding in findings for package in find_runtime(finding.device.runtime).packages}
    manifest = {
        "kind": "claims",
        "settings": dict(asked),
        **circumstances(sorted({*packages, "torch", "numpy", "pandas", "pyarrow"})),
    }
    metadata = {
        "nasbench.schema": str(SCHEMA),
        "nasbench.table": "claims",
        "nasbench.manifest": dump_json(manifest, "manifest"),
    }
    write_table(folder / FILE, make_table(COLUMNS, findings, metadata))


def summarize(findings: Sequence[Finding]) -> str:
    """Say how many hold and how many do not, by device."""
    return "\n".join(f"{device.name}: {_count_verdicts(some)}" for device, some in _by_device(findings))


def describe_ratio(finding: Finding) -> str:
    """Show a ratio with its interval, such as `0.71 (0.70 to 0.72)`."""
    if finding.ratio is None:
        return "-"
    if finding.low is None or finding.high is None or finding.low == finding.high:
        return f"{finding.ratio:.3g}"
    return f"{finding.ratio:.3g} ({finding.low:.3g} to {finding.high:.3g})"


def _by_device(findings: Sequence[Finding]) -> Iterator[tuple[DeviceSpec, list[Finding]]]:
    """Give the findings of each device that was asked for, whatever runtimes claims have brought."""
    for device in dict.fromkeys(finding.asked or finding.device for finding in findings):
        yield device, [finding for finding in findings if (finding.asked or finding.device) == device]


def _count_verdicts(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.verdict for finding in findings)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])


def as_page(findings: Sequence[Finding]) -> str:
    """Give the findings as a page of Markdown: a table a device, why some have no verdict, and the claims."""
    lines = [
        "# Do the papers' claims of speed hold here?",
        "",
        "Written by `nasbench claims --page`. A ratio is what the first takes over what the second takes; of latencies "
        "it is measured in turns, over n processes, with a 95 % interval. Every network has its own resolution; the "
        "batch is 1 and the runtime the device's, unless beside the figure another is named. What was claimed for "
        "another device and does not hold here is a finding, and no error of the paper.",
        "",
    ]
    for device, some in _by_device(findings):
        dates = sorted(finding.started_at[:10] for finding in some)
        threads = f"{device.threads} thread{'s' if device.threads > 1 else ''}"
        lines += [
            f"## On `{device.name}`: {_count_verdicts(some)}",
            "",
            f"Runtime {device.runtime}, {threads}, {device.dtype}; {_describe_host(some)}{dates[-1]}.",
            "",
            *_table(some),
            "",
        ]
        told = [finding for finding in some if finding.verdict not in (HOLDS, HOLDS_NOT)]
        lines += [f"- `{finding.claim.name}`: {finding.verdict}, {finding.reason}" for finding in told]
        lines += [""] if told else []
    lines += ["## The claims", ""]
    for claim in {finding.claim.name: finding.claim for finding in findings}.values():
        note = f" {claim.note}" if claim.note else ""
        words = f"{claim.says}. Claimed on: {claim.claimed_on}. Equal: {claim.equal}. {claim.source}.{note}"
        lines.append(f"- `{claim.name}`: {words}")
    return "\n".join(lines) + "\n"


def _describe_host(findings: Sequence[Finding]) -> str:
    """Name the processor, if anything was measured."""
    hosts = (finding.comparison.host for finding in findings if finding.comparison)
    models = dict.fromkeys(str(host["cpu_model"]) for host in hosts if host.get("cpu_model"))
    return "".join(f"{model}; " for model in models)


def _table(findings: Sequence[Finding]) -> list[str]:
    lines = [
        "| claim | first | second | figure | claimed | found, 95 % interval | n | first takes | verdict |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for finding in findings:
        pair = finding.claim.pair
        if pair is None:
            continue
        takes = finding.comparison and finding.comparison.first_s
        cells = (
            finding.claim.name,
            _show(pair.first),
            _show(pair.second),
            pair.words,
            f"{pair.at_most:.3g}",
            describe_ratio(finding),
            str(finding.comparison.processes) if finding.comparison else "-",
            format_seconds(takes[0]) if takes else "-",
            describe_verdict(finding),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _show(side: Side) -> str:
    return side.name if side.architecture is None else f"{side.name}, {side.architecture.input_shape[1]} px"


def describe_verdict(finding: Finding) -> str:
    """Give the verdict, and where a claim does not hold whether the first is better all the same."""
    if finding.verdict == HOLDS_NOT and finding.direction:
        words = {"better": "but better", "worse": "and worse", "unclear": "nor shown to be better"}[finding.direction]
        return f"{finding.verdict}, {words}"
    return finding.verdict
