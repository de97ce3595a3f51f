"""From the processes that measured one network to one figure: when there are enough, which count, what is said."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from nasbench.measure.canary import Canary
from nasbench.measure.statistics import PER_LOOK, Interval, halfwidth, log_interval
from nasbench.records import Measurement, TimingPlan

FEWEST_COUNTED = 3
"""From so many undisturbed processes on the figure rests on these alone; with fewer it rests on all."""


UNDISTURBED = ("ok", "emulated", "table")
"""Verdicts of a process in which nothing went on beside it; of an emulated one nothing is known, nor worth knowing."""


def is_finished(processes: Sequence[Measurement], plan: TimingPlan) -> bool:
    """Say whether a network needs no further process: its interval is narrow enough, or the plan's most were tried."""
    return len(processes) >= plan.max_processes or _is_narrow(processes, plan)


def combine(processes: Sequence[Measurement], plan: TimingPlan, canary: Canary) -> Measurement:
    """Make one measurement of all processes of a network, in the order taken, at least one.

    The figure rests on the processes whose verdict is ok when these are three or more, else on all, and then the
    verdict says so. It is `ok` only with `plan.min_processes` of them. Settings and host are those of the first
    process, energy that of the first undisturbed one that took it. `noise["processes"]` tells of every one.
    """
    counted = _counted(processes, plan)
    medians_s = tuple(one.latency_s for one in counted if one.latency_s is not None)
    interval = _interval(medians_s, plan)
    first = processes[0]
    powered = next((one for one in [*_quiet(processes), *processes] if one.energy_j is not None), first)
    verdict, reasons = _judge(processes, interval, plan, canary)
    return replace(
        first,
        plan=plan,
        latencies_s=tuple(value for one in counted for value in one.latencies_s),
        kept=tuple(keep for one in counted for keep in one.kept),
        warmups_s=tuple(value for one in counted for value in one.warmups_s),
        first_call_s=_median(one.first_call_s for one in counted),
        build_s=_median(one.build_s for one in counted),
        low_s=interval[1] if interval else counted[0].low_s if plan.max_processes == 1 else None,
        high_s=interval[2] if interval else counted[0].high_s if plan.max_processes == 1 else None,
        verdict=verdict,
        reasons=reasons,
        stop=first.stop if plan.max_processes == 1 else "converged" if _is_narrow(processes, plan) else "cap",
        peak_memory_bytes=_whole(_median(one.peak_memory_bytes for one in counted)),
        end_to_end_s=_median(one.end_to_end_s for one in counted),
        energy_j=powered.energy_j,
        idle_power_w=powered.idle_power_w,
        energy_source=powered.energy_source,
        noise={**canary.record(), "processes": [_summary(one, counted) for one in processes]},
        process_medians_s=medians_s,
        process_samples=tuple(len(one.latencies_s) for one in counted),
        attempts=tuple(lost for one in processes for lost in one.attempts),
    )


def _quiet(processes: Sequence[Measurement]) -> list[Measurement]:
    return [one for one in processes if one.verdict in UNDISTURBED]


def _counted(processes: Sequence[Measurement], plan: TimingPlan) -> list[Measurement]:
    quiet = _quiet(processes)
    return quiet if len(quiet) >= min(FEWEST_COUNTED, plan.min_processes) else list(processes)


def _interval(medians_s: Sequence[float], plan: TimingPlan) -> Interval | None:
    return log_interval(medians_s, PER_LOOK if plan.min_processes < plan.max_processes else 0.95)


def _is_narrow(processes: Sequence[Measurement], plan: TimingPlan) -> bool:
    medians_s = [one.latency_s for one in _quiet(processes) if one.latency_s is not None]
    interval = _interval(medians_s, plan)
    if interval is None or len(medians_s) < plan.min_processes:
        return False
    return halfwidth(interval) <= plan.target_process_halfwidth


def _judge(
    processes: Sequence[Measurement], interval: Interval | None, plan: TimingPlan, canary: Canary
) -> tuple[str, tuple[str, ...]]:
    """Give the verdict and a sentence for everything that is wrong; the gravest gives the word."""
    found: list[tuple[str, str]] = []
    # Where each output was compared with a reference, bits may differ: kernels are chosen anew in every process.
    hashes = {one.output_hash for one in processes if one.output_hash is not None and one.output_error is None}
    if len(hashes) > 1:
        found.append(("invalid", f"{len(processes)} processes gave {len(hashes)} different outputs for the same input"))
    if emulated := next((one for one in processes if one.verdict == "emulated"), None):
        found.append(("emulated", emulated.reasons[0]))
    quiet = len(_quiet(processes))
    if quiet < plan.min_processes:
        disturbed = [one for one in processes if one.verdict not in UNDISTURBED]
        throttled = sum(one.verdict == "throttled" for one in disturbed)
        rest = "those" if len(_counted(processes, plan)) == quiet else "all"
        found.append(
            (
                "throttled" if 2 * throttled > len(disturbed) else "noisy",
                f"{quiet} of {len(processes)} processes were undisturbed, and {plan.min_processes} are needed; "
                f"the figure rests on {rest}. Of the others: {_commonest(disturbed)}",
            )
        )
    if moved := canary.drifted():
        found.append(("drift", moved))
    if canary.error:
        found.append(("noisy", canary.error))
    if interval and (width := halfwidth(interval)) > plan.target_process_halfwidth:
        asked = f"±{plan.target_process_halfwidth:.1%} was asked for"
        found.append(("noisy", f"the interval over processes is ±{width:.1%} wide; {asked}"))
    word = next((word for word in ("invalid", "emulated", "throttled", "drift", "noisy") if word in dict(found)), "ok")
    return word, tuple(reason for _, reason in found)


def _commonest(disturbed: Sequence[Measurement]) -> str:
    """Give the first reason of the last disturbed process; the rest is in `noise`."""
    return next((one.reasons[0] for one in reversed(disturbed) if one.reasons), "no reason was given")


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _summary(one: Measurement, counted: Sequence[Measurement]) -> dict[str, Any]:
    return {
        "verdict": one.verdict,
        "reasons": list(one.reasons),
        "median_s": one.latency_s,
        "samples": len(one.latencies_s),
        "counted": any(one is other for other in counted),
        "started_at": one.started_at,
        "noise": dict(one.noise),
    }
