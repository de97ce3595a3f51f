"""Which runtime is fastest for a network, by how much, and which ones cannot be told from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nasbench.measure.bench import YARDSTICK, Row, group_runtimes, origin_of
from nasbench.measure.statistics import PER_LOOK, Interval, ratio_interval
from nasbench.runtime.base import find_runtime


@dataclass(frozen=True, slots=True)
class Best:
    """The fastest of the rows of one network that differ in the runtime alone, `members`.

    All are numbers of rows; `yardstick` is None where eager failed. `ties` are the members whose output agrees too and
    whose ratio to the fastest has an interval that holds 1. The intervals hold together (Bonferroni), so that the one
    that is truly fastest is among `row` and `ties` with 95 %, where there are intervals.
    """

    row: int
    yardstick: int | None
    ties: tuple[int, ...]
    members: tuple[int, ...]


def find_best(rows: Sequence[Row]) -> list[Best]:
    """Find the fastest runtime for every network, batch and number of threads, in the order of the rows.

    Only rows compete that are in the number format asked for and whose output agrees with that of torch eager within
    the tolerance of their runtime. A group in which none does is left out.
    """
    found = []
    for members in group_runtimes([row.entry for row in rows]):
        yardstick = next((i for i in members if _latency(rows[i]) and _runtime(rows[i]) == YARDSTICK), None)
        # Where eager lacks the number format it is there as the yardstick alone.
        dtypes = {rows[i].entry.plan.dtype for i in members if _runtime(rows[i]) != YARDSTICK}
        agreeing = [i for i in members if agrees(rows[i]) and (not dtypes or rows[i].entry.plan.dtype in dtypes)]
        if not agreeing:
            continue
        best = min(agreeing, key=lambda i: _latency(rows[i]) or 0.0)
        others = [i for i in agreeing if i != best]
        ties = [i for i in others if _is_tie(rows[best], rows[i], len(others))]
        found.append(Best(best, yardstick, tuple(ties), members))
    return found


def _is_tie(row: Row, other: Row, claims: int) -> bool:
    """Say whether the interval of the ratio holds 1, as one of so many; where there is no interval there is no tie."""
    ratio = speed_up(row, other, claims)
    return ratio is not None and 0 < ratio[1] <= 1 <= ratio[2]


def agrees(row: Row) -> bool:
    """Say whether a row has a latency and its output agrees with that of torch eager, as far as that is known."""
    measurement = row.measurement
    if measurement is None or measurement.latency_s is None or measurement.verdict in ("invalid", "failed"):
        return False
    tolerance = find_runtime(_runtime(row)).tolerance(row.entry.plan.dtype)
    return measurement.output_error is None or tolerance is None or measurement.output_error <= tolerance


def speed_up(row: Row, yardstick: Row, claims: int = 1) -> Interval | None:
    """Give how many times as fast a row is as another, with its interval; None where one has no latency.

    The interval is over processes, and those of `claims` ratios hold together with 95 %. Where nothing bounds the ratio
    it is (0, infinity): with a single process on a side, and of rows that different runs measured, which took no turns.
    """
    before_s, after_s = _process_medians(yardstick), _process_medians(row)
    if not before_s or not after_s:
        return None
    # Both confirmations stopped when their intervals were narrow, which `PER_LOOK` makes up for.
    ratio, low, high = ratio_interval(before_s, after_s, 1 - (1 - PER_LOOK) / claims)
    return (ratio, low, high) if _took_turns(row, yardstick) else (ratio, 0.0, math.inf)


def _took_turns(row: Row, other: Row) -> bool:
    origins = {origin_of(one.measurement) for one in (row, other) if one.measurement is not None}
    return len(origins) == 1


def _process_medians(row: Row) -> Sequence[float]:
    latency = _latency(row)
    if row.measurement is not None and row.measurement.process_medians_s:
        return row.measurement.process_medians_s
    return () if latency is None else (latency,)


def _latency(row: Row) -> float | None:
    return row.measurement.latency_s if row.measurement else None


def _runtime(row: Row) -> str:
    return row.entry.device.spec.runtime
