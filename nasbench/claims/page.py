"""Findings for people, from rows as they are stored: a page of Markdown, and the words of a table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence

from nasbench.claims.check import HOLDS, HOLDS_NOT, VERDICTS
from nasbench.claims.table import Row
from nasbench.units import format_seconds


def as_page(rows: Sequence[Row]) -> str:
    """Give the findings as a page of Markdown: a table a device, why some have no verdict, and the claims."""
    lines = [
        "# Do the papers' claims of speed hold here?",
        "",
        "Written by `nasbench claims --page`. A ratio is what the first takes over what the second takes; of latencies "
        "it is measured in turns, over n processes, with a 95 % interval. A claim holds when the whole interval is "
        'within the claimed ratio and its tolerance, which is what "up to" says: papers round, and so do their clocks. '
        "Every network has its own resolution; the batch is 1 and the runtime the device's, unless beside the figure "
        "another is named. What was claimed for another device and does not hold here is a finding, and no error of "
        "the paper.",
        "",
    ]
    for device, some in _by_device(rows):
        lines += [f"## On `{device}`: {_count_verdicts(some)}", "", f"{_describe_device(some)}.", "", *_table(some), ""]
        told = [row for row in some if row["verdict"] not in (HOLDS, HOLDS_NOT)]
        lines += [f"- `{row['claim']}`: {row['verdict']}, {row['reason']}" for row in told]
        lines += [""] if told else []
    lines += ["## The claims", ""]
    for row in {row["claim"]: row for row in rows}.values():
        note = f" {row['note']}" if row["note"] else ""
        words = f"{row['says']}. Claimed on: {row['claimed_on']}. Equal: {row['equal']}. {row['source']}.{note}"
        lines.append(f"- `{row['claim']}`: {words}")
    return "\n".join(lines) + "\n"


def summarize(rows: Sequence[Row]) -> str:
    """Say how many hold and how many do not, by device."""
    return "\n".join(f"{device}: {_count_verdicts(some)}" for device, some in _by_device(rows))


def describe_ratio(row: Row) -> str:
    """Show a ratio with its interval, such as `0.71 (0.70 to 0.72)`."""
    ratio, low, high = row["ratio"], row["ratio_low"], row["ratio_high"]
    if ratio is None:
        return "-"
    return f"{ratio:.3g}" if low is None or high is None or low == high else f"{ratio:.3g} ({low:.3g} to {high:.3g})"


def describe_claimed(row: Row) -> str:
    """Show the claimed ratio, and up to which one it holds."""
    if row["claimed_ratio"] is None:
        return "-"
    bound = row["claimed_ratio"] * (1 + row["tolerance"])
    return f"{row['claimed_ratio']:.3g}" + (f", up to {bound:.3g}" if row["tolerance"] else "")


def describe_figure(row: Row, rows: Sequence[Row]) -> str:
    """Say the figure with what it was taken with, where that is not the device's: `latency, training, batch 4`."""
    if row["figure"] is None:
        return "-"
    own = row["runtime"] if row["runtime"] != _main_runtime(rows, row["device"]) else None
    batch = f"batch {row['batch']:.0f}" if (row["batch"] or 1) > 1 else None
    return ", ".join(filter(None, (row["figure"], own, batch)))


def describe_verdict(row: Row) -> str:
    """Give the verdict; where it and the direction say different things, whether the first is better at all."""
    verdict, direction = row["verdict"], row["direction"]
    if verdict == HOLDS_NOT and direction:
        words = {"better": "but better", "worse": "and worse", "unclear": "nor shown to be better"}[direction]
        return f"{verdict}, {words}"
    return f"{verdict}, within the tolerance alone" if verdict == HOLDS and direction == "worse" else str(verdict)


def _by_device(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    for device in dict.fromkeys(row["device"] for row in rows):
        yield device, [row for row in rows if row["device"] == device]


def _main_runtime(rows: Sequence[Row], device: str) -> str:
    """Give the runtime of most rows of a device; claims may bring others."""
    return str(Counter(row["runtime"] for row in rows if row["device"] == device).most_common(1)[0][0])


def _count_verdicts(rows: Sequence[Row]) -> str:
    counts = Counter(row["verdict"] for row in rows)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])


def _describe_device(rows: Sequence[Row]) -> str:
    """Name runtime, threads, number format, processor and day."""
    threads = rows[0]["threads"]
    hosts = [json.loads(row["host"]) for row in rows if row["host"]]
    words = [f"Runtime {_main_runtime(rows, rows[0]['device'])}, {threads} thread{'' if threads == 1 else 's'}"]
    words[0] += "".join(f", {dtype}" for dtype in dict.fromkeys(row["dtype"] for row in rows if row["dtype"]))
    words += dict.fromkeys(str(host["cpu_model"]) for host in hosts if host.get("cpu_model"))
    return "; ".join([*words, max(str(row["started_at"])[:10] for row in rows)])


def _table(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| claim | first | second | figure | claimed | found, 95 % interval | n | first takes | verdict |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if row["first"] is None:
            continue
        cells = (
            row["claim"],
            _show_side(row, "first"),
            _show_side(row, "second"),
            describe_figure(row, rows),
            describe_claimed(row),
            describe_ratio(row),
            "-" if row["processes"] is None else f"{row['processes']:.0f}",
            "-" if row["first_latency_s"] is None else format_seconds(row["first_latency_s"]),
            describe_verdict(row),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _show_side(row: Row, side: str) -> str:
    shape = row[f"{side}_input_shape"]
    return str(row[side]) if shape is None else f"{row[side]}, {shape[1]} px"
