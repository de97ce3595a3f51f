"""The table of a bench on stdout, and the same rows as plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import typer

from nasbench.cli.tables import print_rows
from nasbench.measure.bench import Row, origin_of, tail_s, verdicts
from nasbench.measure.best import Best, agrees, find_best, speed_up
from nasbench.runtime.base import find_runtime
from nasbench.units import format_bytes, format_clock, format_count, format_joules, format_seconds

if TYPE_CHECKING:
    from nasbench.measure.shortlist import Shortlist
    from nasbench.records import Cost
    from nasbench.store.published import Published

_IN_PROCESS = "interval in the process"
"""What the interval of a screen and of a race is called: another process may lie outside of it."""

Show = Callable[[int], str]
"""Gives a row's cell by the row's number; "-" where there is nothing to show."""


@dataclass
class Notes:
    """Texts under a table, numbered in the order in which cells refer to them; equal ones share a number."""

    texts: list[str] = field(default_factory=list)

    def refer(self, reasons: Sequence[str]) -> str:
        """Give the reference to some reasons, which make one text, such as ` [1]`; "" for none."""
        if not reasons:
            return ""
        text = "; ".join(reasons)
        if text not in self.texts:
            self.texts.append(text)
        return f" [{self.texts.index(text) + 1}]"


def print_bench(rows: Sequence[Row], best: bool, published: Mapping[str, Published]) -> None:
    """Print the rows, with what is equal in all of them above and reasons below; `best` compares the runtimes."""
    table = _Table(rows, find_best(rows) if best else [], published)
    shared, columns = table.columns()
    typer.echo(", ".join(f"{name} {value}" for name, value in shared.items()))
    cells = [tuple(show(index) for show in columns.values()) for index in range(len(rows))]
    titles = list(columns)
    keys = titles.index("latency")
    shown = [i for i in range(len(titles)) if i < keys or any(line[i] != "-" for line in cells)]
    print_rows("rows", [titles[i] for i in shown], [tuple(line[i] for i in shown) for line in cells], keys=keys)
    _print_notes(table.notes)
    if rows[0].entry.plan.level == "screen":
        typer.echo(
            "each row is one process, and processes differ by more than its interval; --level confirm tells how much"
        )
    for one in table.best:
        typer.echo(describe_best(rows, one))


def print_ranking(raced: Shortlist) -> None:
    """Print how a race ended: the place of every network, whether it is sure, and what that took."""
    result, notes = raced.result, Notes()
    lines = [
        (
            str(place),
            standing.name,
            format_seconds(standing.latency_s),
            _interval(standing),
            standing.membership,
            f"{standing.inferences:,}",
        )
        for place, standing in enumerate(result.ranking, 1)
    ]
    for failure in result.failures:
        lines.append(("-", failure.name, "-", "-", "failed" + notes.refer([f"{failure.status}: {failure.error}"]), "-"))
    fastest = f"among the {result.top} fastest"
    print_rows("ranking", ("place", "network", "latency", _IN_PROCESS, fastest, "inferences"), lines, keys=2)
    _print_notes(notes)
    typer.echo(
        f"raced {len(lines)} networks in one process: {result.inferences:,} of at most {result.budget:,} inferences, "
        f"{result.rounds} rounds, {format_clock(result.seconds)}; {result.stop}"
    )
    for reason in result.reasons:
        typer.echo(f"warning: {reason}")
    typer.echo(
        f"stored at level race are all networks, and the {len(raced.entries)} fastest once more, at the level below"
    )


def ranking_data(raced: Shortlist) -> dict[str, Any]:
    """Give a race's end as JSON data, raw and SI."""
    result = raced.result
    return {
        "ranking": [asdict(standing) for standing in result.ranking],
        "race_failures": [asdict(failure) for failure in result.failures],
        "race": {name: getattr(result, name) for name in ("top", "rounds", "inferences", "budget", "seconds", "stop")},
    }


def describe_best(rows: Sequence[Row], best: Best) -> str:
    """Say in a line which runtime is fastest, how much, and which it ties with."""
    entry = rows[best.row].entry
    words = f"best for {entry.network}, batch {entry.plan.batch}, threads {entry.device.spec.threads}: "
    words += f"{entry.device.spec.runtime} {entry.plan.dtype}"
    ratio = None if best.yardstick in (None, best.row) else speed_up(rows[best.row], rows[best.yardstick or 0])
    if ratio is not None:
        words += f", {_ratio(ratio)} as fast as eager {rows[best.yardstick or 0].entry.plan.dtype}"
    if entry.plan.level == "screen":
        words += "; a first look, which --level confirm bounds with an interval"
    if best.ties:
        words += f"; a tie with {' and '.join(rows[tie].entry.device.spec.runtime for tie in best.ties)}"
    return words


def summarize(rows: Sequence[Row]) -> str:
    """Count the rows by verdict, and those that were reused."""
    counts = ", ".join(f"{count} {word}" for word, count in verdicts(rows).items())
    words = f"{len(rows)} row{'' if len(rows) == 1 else 's'}: {counts}"
    reused = sum(_is_reused(row) for row in rows)
    return f"{words}; {reused} reused (--fresh measures again)" if reused else words


def as_data(rows: Sequence[Row], best: bool, published: Mapping[str, Published]) -> list[dict[str, Any]]:
    """Give the rows as JSON data, raw and SI; what is published has the names of the stored columns."""
    best_of = {index: one for one in find_best(rows) for index in one.members} if best else {}
    found = []
    for index, row in enumerate(rows):
        evaluation, measured = row.evaluation, row.measurement
        data: dict[str, Any] = {
            "trial": evaluation.trial,
            "network": row.entry.network,
            "architecture": evaluation.architecture.digest,
            **row.entry.settings,
            "seed": row.entry.plan.seed,
            "status": evaluation.status,
            "error": evaluation.error,
            "verdict": "failed",
            "params": evaluation.cost.params if evaluation.cost else None,
            "macs": evaluation.cost.macs if evaluation.cost else None,
            "deployed_params": evaluation.cost.deployed_params if evaluation.cost else None,
            "deployed_macs": evaluation.cost.deployed_macs if evaluation.cost else None,
            **_published_data(published.get(row.entry.network)),
        }
        if measured is not None:
            data |= {
                "latency_s": measured.latency_s,
                "low_s": measured.low_s,
                "high_s": measured.high_s,
                "processes": max(1, len(measured.process_medians_s)),
                "samples": sum(measured.kept),
                "images_per_s": _throughput(row),
                "p90_s": tail_s(measured, 90),
                "p99_s": tail_s(measured, 99),
                "end_to_end_s": measured.end_to_end_s,
                "peak_memory_bytes": measured.peak_memory_bytes,
                "energy_j": measured.energy_j,
                "energy_source": measured.energy_source,
                "output_error": measured.output_error,
                "verdict": measured.verdict,
                "reasons": list(measured.reasons),
                "reused_from": measured.reused_from,
            }
        if best:
            one = best_of.get(index)
            ratio = speed_up(row, rows[one.yardstick]) if one and one.yardstick is not None else None
            data |= {"best": one is not None and one.row == index, "speed_up": _bounded(ratio)}
        found.append(data)
    return found


def _published_data(stated: Published | None) -> dict[str, Any]:
    figures = ("top1", "params", "macs", "form", "source")
    return {
        "family": stated.family if stated else None,
        **{f"published_{name}": getattr(stated, name) if stated else None for name in figures},
        "published_latencies": [dict(one) for one in stated.latencies] if stated and stated.latencies else None,
    }


def _print_notes(notes: Notes) -> None:
    for number, text in enumerate(notes.texts, 1):
        typer.echo(f"[{number}] {text}")


class _Table:
    def __init__(self, rows: Sequence[Row], best: Sequence[Best], published: Mapping[str, Published]) -> None:
        self.rows = rows
        self.best = best
        self.notes = Notes()
        self._best_of = {row: one for one in best for row in one.members}
        self._stated = published
        costs = [row.evaluation.cost for row in rows if row.evaluation.cost]
        self._merged = any(cost.deployed_macs not in (None, cost.macs) for cost in costs)

    def columns(self) -> tuple[dict[str, str], dict[str, Show]]:
        """Give what all rows share, and the columns for the rest by title."""
        settings = [{key: str(value) for key, value in row.entry.settings.items()} for row in self.rows]
        interval = "95 % interval" if self.rows[0].entry.plan.level == "confirm" else _IN_PROCESS
        shared = {key: value for key, value in settings[0].items() if all(one[key] == value for one in settings)}
        own = [key for key in settings[0] if key not in shared]
        columns: dict[str, Show] = {"network": lambda index: self.rows[index].entry.network}
        columns |= {key: lambda index, key=key: settings[index][key] for key in own}  # type: ignore[misc]
        columns |= {
            "latency": self._measured(lambda m: format_seconds(m.latency_s)),
            interval: self._measured(_interval),
            "verdict": self._verdict,
            "speed-up on eager": self._speed_up,
            "processes": self._measured(lambda m: str(max(1, len(m.process_medians_s)))),
            "samples": self._measured(lambda m: f"{sum(m.kept):,}"),
            "p90": self._measured(lambda m: format_seconds(tail_s(m, 90))),
            "p99": self._measured(lambda m: format_seconds(tail_s(m, 99))),
            "end to end": self._measured(lambda m: format_seconds(m.end_to_end_s)),
            "images/s": lambda index: _figure(_throughput(self.rows[index])),
            "memory": self._measured(lambda m: format_bytes(m.peak_memory_bytes)),
            "energy": self._measured(lambda m: format_joules(m.energy_j)),
            "output error": self._measured(lambda m: "-" if m.output_error is None else f"{m.output_error:.1e}"),
            "params": self._counted(lambda cost: format_count(cost.params)),
            "MACs": self._counted(lambda cost: format_count(cost.macs)),
            "deployed MACs": self._counted(self._deployed_macs),
            "published top-1": self._published,
        }
        return shared, columns

    def _measured(self, show: Callable[[Any], str]) -> Show:
        return lambda index: "-" if (measured := self.rows[index].measurement) is None else show(measured)

    def _counted(self, show: Callable[[Any], str]) -> Show:
        return lambda index: "-" if (cost := self.rows[index].evaluation.cost) is None else show(cost)

    def _deployed_macs(self, cost: Cost) -> str:
        """Give the MACs of the form that is measured, in a table where they are other ones than those beside."""
        return format_count(cost.deployed_macs) if self._merged else "-"

    def _published(self, index: int) -> str:
        stated = self._stated.get(self.rows[index].entry.network)
        return "-" if stated is None or stated.top1 is None else f"{100 * stated.top1:.1f} %"

    def _speed_up(self, index: int) -> str:
        best = self._best_of.get(index)
        if best is None or best.yardstick is None:
            return "-"
        ratio = speed_up(self.rows[index], self.rows[best.yardstick])
        if ratio is None:
            return "-"
        words = "1x" if index == best.yardstick else _ratio(ratio)
        return f"{words}, best" if index == best.row else words

    def _verdict(self, index: int) -> str:
        row = self.rows[index]
        measured = row.measurement
        if measured is None:
            return "failed" + self.notes.refer([f"{row.evaluation.status}: {row.evaluation.error}"])
        words = f"{measured.verdict}, reused" if _is_reused(row) else measured.verdict
        reasons = list(measured.reasons)
        if _is_reused(row):
            reasons.append(f"reused from {origin_of(measured)}, measured on {measured.started_at[:10]}")
        if measured.plan.energy and measured.energy_j is None:
            reasons.append(f"no energy: {measured.energy_source or 'it was not read'}")
        if not agrees(row) and measured.verdict not in ("invalid", "failed"):
            spec, dtype = row.entry.device.spec, row.entry.plan.dtype
            tolerance = find_runtime(spec.runtime).tolerance(dtype)
            reasons.append(
                f"the output is {measured.output_error:.1e} away from eager's; {tolerance:g} is allowed for "
                f"{spec.runtime} in {dtype}"
            )
        return words + self.notes.refer(reasons)


def _interval(measured: Any) -> str:
    low_s, high_s, latency_s = measured.low_s, measured.high_s, measured.latency_s
    if low_s is None or high_s is None or not latency_s:
        return "-"
    low, high = format_seconds(low_s), format_seconds(high_s)
    if low.split()[1] == high.split()[1]:
        low = low.split()[0]
    return f"{low} to {high} (±{(high_s - low_s) / 2 / latency_s:.1%})"


def _ratio(ratio: tuple[float, float, float]) -> str:
    middle, low, high = ratio
    return f"{middle:.2f}x" if low == 0 else f"{middle:.2f}x ({low:.2f} to {high:.2f})"


def _bounded(ratio: tuple[float, float, float] | None) -> dict[str, float | None] | None:
    """Give a ratio as JSON data; ends that nothing bounds are None."""
    if ratio is None:
        return None
    middle, low, high = ratio
    return {"ratio": middle, "low": low or None, "high": high if low else None}


def _throughput(row: Row) -> float | None:
    latency_s = row.measurement.latency_s if row.measurement else None
    return row.entry.plan.batch / latency_s if latency_s else None


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if value < 999.5 else f"{value:,.0f}"


def _is_reused(row: Row) -> bool:
    return row.measurement is not None and row.measurement.reused_from is not None
