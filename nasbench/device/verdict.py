"""Whether a measurement may be believed: the gates over one measuring process, and the words for what they found."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nasbench.errors import MeasurementError
from nasbench.records import TimingPlan

PRESSURE_LIMIT = 0.01
"""Share of the window in which some process on this machine waited for a core."""

WAITING_LIMIT = 0.01
"""Share of the window in which a thread of the measuring process did, on average."""

STEAL_LIMIT = 0.01
FREQUENCY_LIMIT = 0.02
KEPT_LIMIT = 0.8
SHIFT_LIMIT = 0.03
"""How far the median of the first quarter of the samples may lie from that of the last."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`ok`, `noisy` or `throttled`, with a sentence for every gate that failed."""

    word: str
    reasons: tuple[str, ...]


def judge(answer: Mapping[str, Any], plan: TimingPlan, threads: int = 1) -> Verdict:
    """Judge what one measuring process returned.

    A clock or a quota that held the cores back makes it `throttled`, all else `noisy`.

    Raises:
        MeasurementError: a sample is zero, negative or not finite.
    """
    series = answer["series"]
    check_latencies(series["seconds"])
    throttled = list(_throttling(answer["noise"]))
    noisy = list(_disturbance(answer["noise"], threads)) + list(_scatter(series, plan))
    if not answer["settled"]:
        noisy.append(f"still changing after {plan.max_warmup_s:g} s of warm-up")
    return _worded(throttled, noisy)


def check_latencies(seconds: Sequence[float]) -> None:
    """Refuse times that are none.

    Raises:
        MeasurementError: one is zero, negative or not finite, or there are none at all.
    """
    strange = [str(value) for value in seconds if not (math.isfinite(value) and value > 0)]
    if strange or not seconds:
        raise MeasurementError(f"a latency must be positive and finite; {[*strange, 'nothing'][0]} came")


def judge_noise(noise: Mapping[str, Any], threads: int = 1) -> Verdict:
    """Judge what the machine did while a process timed, whatever it timed."""
    throttled, noisy = list(_throttling(noise)), list(_disturbance(noise, threads))
    return _worded(throttled, noisy)


def _worded(throttled: list[str], noisy: list[str]) -> Verdict:
    return Verdict("throttled" if throttled else "noisy" if noisy else "ok", tuple(throttled + noisy))


def _throttling(noise: Mapping[str, Any]) -> Sequence[str]:
    found = []
    if (throttled_us := _counted(noise, "throttled_us")) > 0:
        found.append(f"the group's CPU quota held it back for {throttled_us / 1000:.0f} ms")
    if (events := _counted(noise, "thermal_events")) > 0:
        found.append(f"{events} thermal throttling events")
    frequencies = [value for value in noise["frequencies_hz"] if value > 0]  # some drivers read 0 while a core sleeps
    if (quarter := len(frequencies) // 4) >= 1:
        change = statistics.fmean(frequencies[-quarter:]) / statistics.fmean(frequencies[:quarter]) - 1
        if abs(change) > FREQUENCY_LIMIT:
            found.append(f"the clock moved by {change:+.1%} from the first to the last quarter")
    return found


def _disturbance(noise: Mapping[str, Any], threads: int) -> Sequence[str]:
    found = []
    window_s = noise["window_s"]
    for name, scale, limit, text in (
        ("pressure_us", 1e-6, PRESSURE_LIMIT, "processes waited for a core in {:.1%} of the time"),
        ("waiting_s", 1.0 / threads, WAITING_LIMIT, "this process waited for a core in {:.1%} of the time"),
        ("steal_s", 1.0, STEAL_LIMIT, "the hypervisor took {:.1%} of the time"),
    ):
        if (share := _counted(noise, name) * scale / window_s) > limit:
            found.append(text.format(share))
    return found


def _counted(noise: Mapping[str, Any], name: str) -> float:
    """Give a counter's change; 0, which no gate objects to, for what the machine does not count.

    A change below zero is no count either: the counter wrapped or was reset.
    """
    value: float | None = noise[name]
    return 0 if value is None or value < 0 else value


def _scatter(series: Mapping[str, Any], plan: TimingPlan) -> Sequence[str]:
    found = []
    if series["kept_share"] < KEPT_LIMIT:
        rest = "the figure rests on all" if series["gate_failed"] else "the figure rests on those"
        found.append(f"only {series['kept_share']:.0%} of the samples had the cores to themselves; {rest}")
    kept = [value for value, keep in zip(series["seconds"], series["kept"], strict=True) if keep]
    median = statistics.median(kept)
    if series["low_s"] is None:
        found.append(f"{len(kept)} samples are too few for an interval")
    elif (halfwidth := (series["high_s"] - series["low_s"]) / 2 / median) > plan.target_halfwidth:
        found.append(f"the interval is ±{halfwidth:.1%} wide; ±{plan.target_halfwidth:.1%} was asked for")
    if (quarter := len(kept) // 4) >= 5:
        shift = statistics.median(kept[-quarter:]) / statistics.median(kept[:quarter]) - 1
        if abs(shift) > SHIFT_LIMIT:
            found.append(f"the latency moved by {shift:+.1%} from the first to the last quarter")
    return found
