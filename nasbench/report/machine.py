"""What measurements tell of the machine and of themselves: samples by process, verdicts, clocks, heat, the canary."""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench.report.document import Canary, Coded, Machine, Samples
from nasbench.report.together import RACE, is_search
from nasbench.store.parquet import Run
from nasbench.store.schema import load_json

if TYPE_CHECKING:
    import pandas as pd

MOST_SAMPLED = 60
"""Rows whose samples a page holds."""

_QUANTILES = np.linspace(0.0, 1.0, 21)
_MOST_REASONS = 20

_OF_SAMPLES = (
    *("trial", "device", "latency_s", "latency_low_s", "latency_high_s", "verdict", "plan_level"),
    *("latencies_s", "kept", "process_samples"),
)


def read_samples(run: Run, rows: pd.DataFrame, trials: Sequence[int]) -> list[Samples]:
    """Give the samples of some trials as quantiles, those of the first `MOST_SAMPLED`; a figure of a table has none.

    Of a search those of its confirmation count where that decided, as its latency does, and else those of the search.

    Args:
        run: the run.
        rows: its trials, in the order of the page's columns.
        trials: those that are wanted, in this order.
    """
    import pyarrow.compute as pc

    places = {int(trial): row for row, trial in enumerate(rows["trial"])}
    order = {trial: place for place, trial in enumerate(trials[:MOST_SAMPLED])}
    table = run.table("measurements").select(list(_OF_SAMPLES))
    found = table.filter(pc.is_in(table["trial"], value_set=_trial_set(order))).to_pylist()
    decided = set(run.pareto.loc[run.pareto["confirmed_on_front"].notna(), "trial"])
    counted: dict[tuple[int, str], Mapping[str, Any]] = {}
    for one in found:
        place = one["trial"], one["device"]
        looked_up = one["verdict"] == "table"  # the one number of a table is no sample
        known = one["latency_s"] and one["latencies_s"] and one["plan_level"] != RACE and not looked_up
        if known and (place not in counted or one["trial"] in decided or not is_search(run)):
            counted[place] = one
    chosen = sorted(counted.values(), key=lambda one: (order[one["trial"]], one["device"]))
    return [_samples(places[one["trial"]], one) for one in chosen]


def _trial_set(trials: Iterable[int]) -> Any:
    import pyarrow as pa

    return pa.array(list(trials), type=pa.int64())


def _samples(row: int, one: Mapping[str, Any]) -> Samples:
    values, kept = np.asarray(one["latencies_s"], dtype=np.float64), np.asarray(one["kept"], dtype=bool)
    ends = np.cumsum(one["process_samples"] or [len(values)])[:-1]
    split = zip(np.split(values, ends), np.split(kept, ends), strict=True)
    processes = [_quantiles(part[good]) for part, good in split if good.any()]
    return Samples(
        row=row,
        device=one["device"],
        latency_s=_digits(one["latency_s"]),
        low_s=_digits(one["latency_low_s"]),
        high_s=_digits(one["latency_high_s"]),
        verdict=one["verdict"],
        count=len(values),
        masked=int((~kept).sum()),
        pooled=_quantiles(values[kept] if kept.any() else values),
        processes=processes,
    )


def _quantiles(values: Any) -> list[float]:
    return [float(f"{value:.5g}") for value in np.quantile(values, _QUANTILES)]


def _digits(value: float | None) -> Any:
    return None if value is None else float(f"{value:.9g}")


def read_machine(run: Run) -> Machine:
    """Give what was seen of the machine in every process that measured for this run, in order of time."""
    table = _read_own(run, "trial", "device", "verdict", "reasons", "noise", "started_at", "threads")
    processes = sorted((each for one in table for each in _processes(one)), key=lambda each: each[0] or 0.0)
    times = [at for at, *_ in processes if at is not None]
    read = [_read(noise, threads) for *_, noise, threads in processes]
    readings = {name: [one[name] for one in read] for name in read[0]} if read else {}
    reasons = _commonest(str(reason) for one in table for reason in one["reasons"] or ())
    began = min(times) if times else None
    return Machine(
        began=None if began is None else datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds"),
        seconds=[None if at is None or began is None else round(at - began, 2) for at, *_ in processes],
        trial=[trial for _, trial, *_ in processes],
        device=Coded.of(device for _, _, device, *_ in processes),
        verdict=Coded.of(verdict for _, _, _, verdict, *_ in processes),
        readings={name: values for name, values in readings.items() if any(value is not None for value in values)},
        reasons=reasons,
    )


def _commonest(reasons: Iterable[str]) -> list[tuple[str, int]]:
    """Count reasons, those that differ in their numbers alone as one; the first stands for the others."""
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for reason in reasons:
        alike = without_digits(reason)
        counts[alike] += 1
        first.setdefault(alike, reason)
    return [(first[alike], count) for alike, count in counts.most_common(_MOST_REASONS)]


def without_digits(text: str) -> str:
    """Give a text in which two that differ in their numbers alone are equal."""
    return re.sub(r"\d+", "0", text)


def _read_own(run: Run, *columns: str) -> list[dict[str, Any]]:
    """Give some columns of what this run measured itself: not what another run did, nor what a table has."""
    rows = run.table("measurements").select([*dict.fromkeys((*columns, "reused_from", "verdict"))]).to_pylist()
    return [row for row in rows if row["reused_from"] is None and row["verdict"] != "table"]


_Process = tuple[float | None, int, str, str, Mapping[str, Any], int]


def _processes(one: Mapping[str, Any]) -> Iterator[_Process]:
    """Give start, trial, device, verdict, noise and threads of each process of a measurement."""
    noise = load_json(one["noise"] or "{}")
    parts = noise.get("processes") if isinstance(noise, dict) else None
    if not parts:
        yield _seconds(one["started_at"]), one["trial"], one["device"], one["verdict"], noise, one["threads"] or 1
        return
    for part in parts:
        started = part.get("started_at") or one["started_at"]
        told = part.get("verdict", ""), part.get("noise") or {}
        yield _seconds(started), one["trial"], one["device"], *told, one["threads"] or 1


def _seconds(moment: Any) -> float | None:
    try:
        found = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        return None if found is None else float(found.timestamp())
    except ValueError:
        return None


def _read(noise: Mapping[str, Any], threads: int) -> dict[str, float | None]:
    window_s = _middle(noise.get("window_s"))

    def share(name: str, scale: float = 1.0) -> float | None:
        value = _middle(noise.get(name))
        return None if value is None or not window_s else float(f"{value * scale / window_s:.4g}")

    return {
        "clock": _first(noise, "sm_clock_hz", "frequencies_hz"),
        "temperature": _first(noise, "temperature_c"),
        "power": _first(noise, "power_w"),
        "stolen": share("steal_s"),
        "waiting": share("waiting_s", 1 / threads),  # the sum of all threads
        "pressure": share("pressure_us", 1e-6),
        "kept": _first(noise, "kept_share"),
    }


def _first(noise: Mapping[str, Any], *names: str) -> float | None:
    value = next((found for name in names if (found := _middle(noise.get(name))) is not None), None)
    return None if value is None else float(f"{value:.5g}")


def _middle(value: Any) -> float | None:
    """Give a number, or the median of several."""
    if isinstance(value, list | tuple):
        known = [one for one in value if _is_number(one)]
        return statistics.median(known) if known else None
    return float(value) if _is_number(value) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def read_canaries(run: Run) -> list[Canary]:
    """Give the canary of each confirmation or bench; what was measured together shares one."""
    found: dict[tuple[Any, ...], Canary] = {}
    for row in _read_own(run, "device", "noise"):
        device, noise = row["device"], load_json(row["noise"] or "{}")
        rounds = tuple(noise.get("canary_s") or ()) if isinstance(noise, dict) else ()
        if any(one is not None for one in rounds):
            found.setdefault((device, rounds), Canary(device, [_digits(one) for one in rounds]))
    longest: list[Canary] = []
    for one in sorted(found.values(), key=lambda canary: -len(canary.rounds_s)):
        # A network that was finished early saw the first rounds of the same canary.
        if not any(
            (other.device, other.rounds_s[: len(one.rounds_s)]) == (one.device, one.rounds_s) for other in longest
        ):
            longest.append(one)
    return longest
