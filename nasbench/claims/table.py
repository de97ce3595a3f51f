"""Findings as a parquet file, typed and with units, and as a page of Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nasbench.claims.check import NOT_HERE, TOLERANCE, VERDICTS, Finding
from nasbench.claims.claim import Pair, Side
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
    _pair("second_architecture", "string", "-", "its digest", lambda pair: _digest(pair.second)),
    _pair(
        "figure", "string", "-", "latency, which is measured, or params or macs, which are counted", lambda p: p.figure
    ),
    _pair("batch", "int64", "images", "images in one inference", lambda pair: pair.batch),
    _pair(
        "claimed_ratio", "double", "share of one", "claimed: the first's figure over the second's", lambda p: p.at_most
    ),
    Column("device", "string", "-", "name of the device", lambda row: row.device),
    Column("verdict", "string", "-", ", ".join(VERDICTS), lambda row: row.verdict),
    Column("ratio", "double", "share of one", "found: the first's figure over the second's", lambda row: row.ratio),
    Column("ratio_low", "double", "share of one", "lower end of its 95 % interval", lambda row: row.low),
    Column("ratio_high", "double", "share of one", "upper end of its 95 % interval", lambda row: row.high),
    Column("direction", "string", "-", "whether the first is better at all, worse, or unclear", lambda r: r.direction),
    Column("reason", "string", "-", "how the comparison ended, or why there is none", lambda row: row.reason or None),
    _compared("first_latency_s", "double", "s", "latency of the first", lambda c: c.first_s and c.first_s[0]),
    _compared("second_latency_s", "double", "s", "latency of the second", lambda c: c.second_s and c.second_s[0]),
    _compared("process_ratios", "list<double>", "share of one", "the ratio of each process", lambda c: c.ratios),
    _compared(
        "discarded", "int64", "count", "processes that were disturbed and are not among those", lambda c: c.discarded
    ),
    _compared("reasons", "list<string>", "-", "what was wrong with them", lambda c: c.reasons),
    _compared("device_digest", "string", "-", "digest of the device's definition", lambda c: c.device_digest),
    _compared("host", "string", "JSON", "the machine and its software", lambda c: dump_json(dict(c.host), "host")),
    Column(
        "started_at", "timestamp[us, tz=UTC]", "UTC", "when it began", lambda row: parse_time(row.started_at, "a claim")
    ),
    Column("duration_s", "double", "s", "time it took", lambda row: row.seconds),
)
"""One row a claim and device, in the order of checking."""


def write_findings(folder: Path, findings: Sequence[Finding], asked: Mapping[str, Any]) -> None:
    """Write what was found so far; called after every claim. Raises StoreError when the folder cannot be written."""
    manifest = {"kind": "claims", "tolerance": TOLERANCE, "settings": dict(asked), **circumstances(["torch", "numpy"])}
    metadata = {
        "nasbench.schema": str(SCHEMA),
        "nasbench.table": "claims",
        "nasbench.manifest": dump_json(manifest, "manifest"),
    }
    write_table(folder / FILE, make_table(COLUMNS, findings, metadata))


def summarize(findings: Sequence[Finding]) -> str:
    """Say how many hold and how many do not, by device."""
    lines = []
    for device in dict.fromkeys(finding.device for finding in findings):
        counts = Counter(finding.verdict for finding in findings if finding.device == device)
        lines.append(
            f"{device}: " + ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
        )
    return "\n".join(lines)


def describe_ratio(finding: Finding) -> str:
    """Show a ratio with its interval, such as `0.71 (0.70 to 0.72)`."""
    if finding.ratio is None:
        return "-"
    if finding.low is None or finding.high is None or finding.low == finding.high:
        return f"{finding.ratio:.3g}"
    return f"{finding.ratio:.3g} ({finding.low:.3g} to {finding.high:.3g})"


def as_page(findings: Sequence[Finding]) -> str:
    """Give the findings as a page of Markdown: a table a device, the sources, and why some are not compared."""
    lines = ["# Do the papers' speed claims hold here?", ""]
    for device in dict.fromkeys(finding.device for finding in findings):
        lines += [f"## On `{device}`", "", *_table([finding for finding in findings if finding.device == device]), ""]
    claims = list({finding.claim.name: finding.claim for finding in findings}.values())
    lines += ["## Sources", ""]
    for claim in claims:
        note = f" {claim.note}" if claim.note else ""
        lines.append(
            f"- `{claim.name}`: {claim.says}, on {claim.claimed_on}, at equal {claim.equal}. {claim.source}.{note}"
        )
    elsewhere = {finding.claim.name: finding.reason for finding in findings if finding.verdict == NOT_HERE}
    if elsewhere:
        lines += ["", "## Not comparable here", "", *(f"- `{name}`: {reason}" for name, reason in elsewhere.items())]
    return "\n".join(lines) + "\n"


def _table(findings: Sequence[Finding]) -> list[str]:
    lines = [
        "| claim | first | second | figure | claimed | found, 95 % interval | first takes | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for finding in findings:
        pair = finding.claim.pair
        if pair is None:
            continue
        takes = finding.comparison and finding.comparison.first_s
        lines.append(
            f"| {finding.claim.name} | {pair.first.name} | {pair.second.name} | {pair.figure} | {pair.at_most:.3g} | "
            f"{describe_ratio(finding)} | {format_seconds(takes[0]) if takes else '-'} | {describe_verdict(finding)} |"
        )
    return lines


def describe_verdict(finding: Finding) -> str:
    """Give the verdict, and where a claim does not hold whether the first is better all the same."""
    if finding.verdict == "does not hold" and finding.direction:
        words = {"better": "but better", "worse": "and worse", "unclear": "nor shown to be better"}[finding.direction]
        return f"{finding.verdict}, {words}"
    return finding.verdict
