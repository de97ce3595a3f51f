"""Intervals over processes: how far a figure that rests on a few fresh processes may be from the truth.

A latency is positive and its disturbances multiply, so everything here is done on logarithms: figures are geometric
means, intervals lie by factors around them, and a ratio of two latencies is a difference.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

Interval = tuple[float, float, float]
"""An estimate and the two ends around it."""


def log_interval(medians_s: Sequence[float], confidence: float = 0.95) -> Interval | None:
    """Give the geometric mean of some processes' medians and an interval of it, by Student's t on logarithms.

    None for fewer than two, which bound nothing. For one number of processes that was fixed beforehand; whoever looks
    after every process and stops when the interval pleases needs a higher `confidence`, see `PER_LOOK`.
    """
    if len(medians_s) < 2:
        return None
    from scipy import stats

    logs = [math.log(median) for median in medians_s]
    middle = statistics.fmean(logs)
    quantile = float(stats.t.ppf((1 + confidence) / 2, len(logs) - 1))
    half = quantile * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(middle), math.exp(middle - half), math.exp(middle + half)


PER_LOOK = 0.97
"""The confidence with which `log_interval` is asked after every process, from 5 to 15 of them, until it is narrow.

Stopping at the first narrow one favours samples that came out close together by luck: at 95 % a look the interval that
is reported holds the truth in 92 % only, at 97 % in 95 % and more (`tests/measure/test_statistics.py` simulates both).
"""


def ratio_interval(a_s: Sequence[float], b_s: Sequence[float], confidence: float = 0.95) -> Interval:
    """Give the ratio of the geometric means of two sets of process medians, a over b, and an interval of it.

    The interval is Welch's on logarithms: the two may scatter differently and be different in number. With fewer than
    two processes on either side nothing is known, and it is (0, infinity).

    Source: Welch, The generalization of Student's problem when several different population variances are involved,
    Biometrika 34, 1947.

    Raises:
        ValueError: a side is empty.
    """
    if len(a_s) == 0 or len(b_s) == 0:
        raise ValueError(f"a ratio needs a process on both sides; {len(a_s)} and {len(b_s)} came")
    logs_a, logs_b = ([math.log(value) for value in side] for side in (a_s, b_s))
    difference = statistics.fmean(logs_a) - statistics.fmean(logs_b)
    ratio = math.exp(difference)
    if len(logs_a) < 2 or len(logs_b) < 2:
        return ratio, 0.0, math.inf
    variances = [statistics.variance(logs) / len(logs) for logs in (logs_a, logs_b)]
    if sum(variances) == 0:
        return ratio, ratio, ratio
    from scipy import stats

    freedom = sum(variances) ** 2 / sum(
        variance**2 / (len(logs) - 1) for variance, logs in zip(variances, (logs_a, logs_b), strict=True)
    )
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * math.sqrt(sum(variances))
    return ratio, math.exp(difference - half), math.exp(difference + half)


def halfwidth(interval: Interval) -> float:
    """Give half the width of an interval as a share of its estimate."""
    middle, low, high = interval
    return (high - low) / 2 / middle


def drift(medians_s: Sequence[float]) -> tuple[float, bool]:
    """Say by what share a network has moved over the rounds, and whether that is beyond its scatter.

    `medians_s` are its medians in the order of the rounds. The move is from the median of the first third of them to
    that of the last, which finds a slow change and a sudden one, and which single disturbed rounds do not turn. It is
    beyond the scatter when, at 5 % in all, a line through their logarithms rises or falls, or the rounds before some
    moment differ from those after it. Fewer than four rounds show too little of their scatter.
    """
    if len(medians_s) < 2:
        return 0.0, False
    third = max(1, len(medians_s) // 3)
    move = statistics.median(medians_s[-third:]) / statistics.median(medians_s[:third]) - 1
    if len(medians_s) < 4 or min(medians_s) == max(medians_s):
        return move, False
    logs = [math.log(median) for median in medians_s]
    return move, 2 * min(_chance_of_line(logs), _chance_of_step(logs)) < 0.05


def _chance_of_line(logs: Sequence[float]) -> float:
    """Give the p-value of the slope of the least squares line over the rounds."""
    from scipy import stats

    return float(stats.linregress(range(len(logs)), logs).pvalue)


def _chance_of_step(logs: Sequence[float]) -> float:
    """Give the smallest p-value of Student's t over all moments with two rounds or more on each side, by Bonferroni."""
    from scipy import stats

    moments = range(2, len(logs) - 1)
    return len(moments) * min(
        0.0 if _are_flat(logs[:at], logs[at:]) else float(stats.ttest_ind(logs[:at], logs[at:]).pvalue)
        for at in moments
    )


def _are_flat(*parts: Sequence[float]) -> bool:
    return all(min(part) == max(part) for part in parts)
