"""When to stop looking: an interval that stays true although one looks after every process.

Whoever tests at 5 % after every process and stops at the first success is wrong in far more than 5 % of cases. So one
level, smaller than 5 % and the same at every look, is used for Student's t; it is chosen so that over all looks, from
the 4th process to the last that is allowed, a difference is claimed of equal networks in 4 %.

Sources: Pocock, Group sequential methods in the design and analysis of clinical trials, Biometrika 64, 1977 (one level
for all looks, and its use with t); Jennison and Turnbull, Interim analyses: the repeated confidence interval approach,
JRSS B 51, 1989 (the same quantiles give intervals that hold at all looks together, for whatever reason one stops);
Spiegelhalter, Freedman and Blackburn, Monitoring clinical trials: conditional or predictive power?, Controlled Clinical
Trials 7, 1986 (when to give up).

What it finds, with the margin 1 % and at most 15 processes; shares of 20,000 simulated comparisons each, and
how many processes they took on average; scatter is that of the ratio between processes:

| scatter | truth | different |    tie | undecided | processes |
|---------|-------|-----------|--------|-----------|-----------|
| 0.5 %   | equal |     0.5 % | 99.5 % |     0.0 % |       6.4 |
| 0.5 %   | +1 %  |    99.3 % |  0.7 % |     0.0 % |       5.7 |
| 1 %     | equal |     3.7 % | 51.8 % |    44.5 % |      10.0 |
| 1 %     | +1 %  |    81.0 % |  1.5 % |    17.5 % |       9.5 |
| 1 %     | +2 %  |   100.0 % |  0.0 % |     0.0 % |       5.7 |
| 1 %     | +3 %  |   100.0 % |  0.0 % |     0.0 % |       4.6 |
| 2 %     | equal |     4.1 % |  0.6 % |    95.3 % |       7.2 |
| 2 %     | +2 %  |    79.8 % |  0.0 % |    20.2 % |       9.2 |
| 2 %     | +3 %  |    98.9 % |  0.0 % |     1.1 % |       7.1 |
| 3 %     | equal |     4.2 % |  0.1 % |    95.7 % |       7.1 |
| 3 %     | +3 %  |    79.2 % |  0.0 % |    20.8 % |       9.2 |
| 3 %     | +5 %  |    99.7 % |  0.0 % |     0.3 % |       6.6 |
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from nasbench.errors import DefinitionError

FIRST_LOOK = 4
"""How many processes there must be before anything is claimed; t with fewer than 3 degrees of freedom claims little."""

NOMINAL_LEVELS = dict(
    enumerate(
        (
            *(0.0401, 0.0259, 0.0197, 0.01624, 0.0140, 0.01244, 0.01126, 0.01036, 0.00966),
            *(0.00908, 0.00859, 0.00817, 0.00782, 0.00751, 0.00723, 0.00698, 0.00676, 0.00656),
            *(0.00638, 0.00622, 0.00607, 0.00593, 0.0058, 0.00568, 0.00557, 0.00547, 0.00537),
        ),
        start=FIRST_LOOK,
    )
)
"""Two-sided level of every look, by the number of processes that are allowed at most.

It is the 4 % quantile of the smallest p-value over all looks, in 4 million simulated series of normal values with mean
zero; t does not depend on their scatter. 4 % and not 5 %: processes are not quite independent, nor quite normal."""

GIVE_UP_BELOW = 0.1
"""Chance of a decision below which no further process is spent."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the processes so far say of a ratio.

    `verdict` is faster, slower, tie or undecided, and None to go on. `low` and `high` hold the ratio with 95 %
    confidence, however often one has looked; both are None before the first look. `reason` says why it ended.
    """

    verdict: str | None
    ratio: float
    low: float | None
    high: float | None
    reason: str = ""


def check_last(last: int) -> None:
    """Refuse a largest number of processes for which there is no level.

    Raises:
        DefinitionError: `last` is not between 4 and 30.
    """
    if last not in NOMINAL_LEVELS:
        raise DefinitionError(
            f"at most {last} processes were asked for; a comparison takes {FIRST_LOOK} to {max(NOMINAL_LEVELS)}"
        )


def critical_value(count: int, last: int) -> float:
    """Give the quantile of t for the look after `count` processes when at most `last` are allowed."""
    from scipy.special import stdtrit

    return float(stdtrit(count - 1, 1 - NOMINAL_LEVELS[last] / 2))


def decide(log_ratios: Sequence[float], last: int, margin: float, against: float = 1.0) -> Decision:
    """Decide from one log ratio a process, in the order taken, after each of them.

    A tie comes before a difference: one that surely lies within `margin` is none. `last` is the largest number of
    processes, fixed beforehand. `against` is the ratio that is neither faster nor slower.

    Raises:
        DefinitionError: `last` is not between 4 and 30.
    """
    check_last(last)
    count = len(log_ratios)
    mean = statistics.fmean(log_ratios) - math.log(against)
    if count < FIRST_LOOK:
        return Decision(None, against * math.exp(mean), None, None)
    scatter = statistics.stdev(log_ratios)
    half = critical_value(count, last) * scatter / math.sqrt(count)
    within = math.log1p(margin)

    def conclude(verdict: str | None, reason: str = "") -> Decision:
        ratio, low, high = (against * math.exp(value) for value in (mean, mean - half, mean + half))
        return Decision(verdict, ratio, low, high, reason)

    if abs(mean) + half <= within:
        return conclude(
            "tie", f"decided after {count} processes: the interval lies within ±{margin:.2g} of {against:.3g}"
        )
    if abs(mean) > half:
        verdict = "faster" if mean < 0 else "slower"
        return conclude(verdict, f"decided after {count} processes: the interval does not hold {against:.3g}")
    if count >= last:
        return conclude("undecided", f"undecided after {count} processes, the most that were allowed")
    if _chance_of_decision(mean, scatter, count, last, within) < GIVE_UP_BELOW:
        return conclude(
            "undecided",
            f"given up after {count} processes: they scatter by {scatter:.1%}, too much for {last} to decide",
        )
    return conclude(None)


def _chance_of_decision(mean: float, scatter: float, count: int, last: int, within: float) -> float:
    """Give the chance that the last look decides, if the scatter stays: that of a mean that is drawn from here.

    Given `count` values and nothing else, the mean of all `last` lies around theirs with t of `count` - 1 degrees of
    freedom, scaled by scatter * sqrt(1 / count - 1 / last).
    """
    from scipy.special import stdtr

    half = critical_value(last, last) * scatter / math.sqrt(last)
    spread = scatter * math.sqrt(1 / count - 1 / last)

    def below(value: float) -> float:
        return float(stdtr(count - 1, (value - mean) / spread))

    different = below(-half) + 1 - below(half)
    tie = below(within - half) - below(half - within) if half < within else 0.0
    return different + tie
