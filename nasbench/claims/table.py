"""Findings as a parquet file, typed and with units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nasbench.claims.check import VERDICTS, Finding
from nasbench.claims.claim import Pair, Side
from nasbench.runtime.base import find_runtime
from nasbench.store.columns import Column
from nasbench.store.found import read_found, write_found
from nasbench.store.schema import dump_json, parse_time

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
    _pair("first", "string", "-", "the network that the claim is about", lambda pair: pair.first.name),
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
    write_found(folder / FILE, COLUMNS, findings, "claims", asked, packages)


Row = Mapping[str, Any]
"""A finding as it is stored: a value for each of `COLUMNS`, by name."""


def as_rows(findings: Sequence[Finding]) -> list[Row]:
    """Give findings as they are stored."""
    return [{column.name: column.read(finding) for column in COLUMNS} for finding in findings]


def read_rows(folders: Sequence[Path]) -> list[Row]:
    """Read stored findings; of a claim and device that were checked in several folders the last one's counts.

    Raises:
        RunNameError: a folder has none.
        StoreError: they cannot be read; DamagedRunError where they were altered.
    """
    rows: dict[tuple[str, str], Row] = {}
    for folder in folders:
        found = read_found(folder, Path(FILE).stem)
        names, plain = list(found.columns), found.astype(object).where(found.notna(), None)
        for values in plain.itertuples(index=False, name=None):
            row = dict(zip(names, values, strict=True))
            rows[row["claim"], row["device"]] = row
    return list(rows.values())
