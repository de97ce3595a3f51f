"""How far fresh processes that time the same network lie apart here, and so what a confirmation would reach."""

from __future__ import annotations

import math
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from nasbench.device.base import Device
from nasbench.doctor.finding import OK, PROBLEM, WARNING, Finding
from nasbench.errors import CandidateError
from nasbench.measure.canary import CANARY
from nasbench.measure.statistics import halfwidth, log_interval
from nasbench.records import CONFIRM
from nasbench.units import format_clock, format_seconds

PROCESSES = 5
_REACHED = CONFIRM.target_process_halfwidth
_HOPELESS = 0.05
"""A confirmation whose interval is wider than this cannot tell networks apart that differ as much as neighbours in a
table do."""

_MOSTLY = 0.6
_PLAN = replace(CONFIRM, max_sampling_s=5.0)
"""As a confirmation takes a process, but a noisy machine may not keep doctor for half a minute each time."""


@dataclass(frozen=True, slots=True)
class Stability:
    """The canary in some fresh processes. `verdicts` and `reasons` have an entry for each; a failed one has no median.

    `process_s` is how long a process took, from start to end.
    """

    medians_s: tuple[float, ...]
    verdicts: tuple[str, ...]
    reasons: tuple[str, ...]
    process_s: float

    @property
    def spread(self) -> float | None:
        """How much longer the slowest process took than the fastest, as a share; None for fewer than two."""
        return max(self.medians_s) / min(self.medians_s) - 1 if len(self.medians_s) > 1 else None

    @property
    def ok_share(self) -> float:
        """Share of the processes whose verdict is ok."""
        return self.verdicts.count("ok") / len(self.verdicts)

    @property
    def halfwidth(self) -> float | None:
        """Half the 95 % interval over these processes, as a share."""
        interval = log_interval(self.medians_s)
        return None if interval is None else halfwidth(interval)

    def expected_halfwidth(self, processes: int) -> float | None:
        """Estimate the half-width that so many processes would reach, if they scatter as these do."""
        if len(self.medians_s) < 2:
            return None
        from scipy import stats

        scatter = statistics.stdev(math.log(median) for median in self.medians_s)
        return math.sinh(float(stats.t.ppf(0.975, processes - 1)) * scatter / math.sqrt(processes))


def probe(
    device: Device,
    processes: int = PROCESSES,
    clock: Callable[[], float] = time.perf_counter,
    say: Callable[[str], object] = lambda text: None,
) -> Stability:
    """Time the canary in fresh processes, one after the other.

    Raises:
        DeviceError: the device is gone.
    """
    plan = replace(_PLAN, dtype=device.spec.dtype)
    medians_s: list[float] = []
    verdicts: list[str] = []
    reasons: list[str] = []
    began = clock()
    for number in range(1, processes + 1):
        say(f"stability of {device.spec.name}: process {number} of {processes}")
        try:
            taken = device.take(CANARY, plan)
        except CandidateError as error:
            verdicts.append("failed")
            reasons.append(f"{error.status}: {error}")
            continue
        verdicts.append(taken.verdict)
        reasons += taken.reasons
        if taken.latency_s is not None:
            medians_s.append(taken.latency_s)
    return Stability(tuple(medians_s), tuple(verdicts), tuple(reasons), (clock() - began) / processes)


def check_stability(stability: Stability) -> Iterator[Finding]:
    """Judge what `probe` found."""
    yield _verdicts(stability)
    if stability.spread is not None:
        yield _spread(stability)
        yield _duration(stability)


def _verdicts(stability: Stability) -> Finding:
    count = len(stability.verdicts)
    found = f"{stability.verdicts.count('ok')} of {count} processes ok"
    others = Counter(verdict for verdict in stability.verdicts if verdict != "ok")
    if others:
        found += f", {', '.join(f'{number} {verdict}' for verdict, number in others.most_common())}"
    most = _most_frequent(stability.reasons)
    if most:
        found += f"; most often: {most}"
    if stability.ok_share >= _MOSTLY:
        return Finding("live verdicts", OK, found)
    return Finding(
        "live verdicts",
        WARNING if stability.medians_s else PROBLEM,
        found,
        "a figure whose verdict is not ok is shown as such, and the processes that are repeated cost time",
        "see to the reason that came most often",
    )


def _spread(stability: Stability) -> Finding:
    few, many = (stability.expected_halfwidth(count) or 0.0 for count in (CONFIRM.min_processes, CONFIRM.max_processes))
    found = (
        f"the canary took {format_seconds(min(stability.medians_s))} to {format_seconds(max(stability.medians_s))} in "
        f"{len(stability.medians_s)} processes, {stability.spread:.1%} apart (±{stability.halfwidth:.1%}); a "
        f"confirmation would reach about ±{few:.1%} with {CONFIRM.min_processes} processes and ±{many:.1%} with "
        f"{CONFIRM.max_processes}"
    )
    if many <= _REACHED:
        return Finding("live spread", OK, found)
    return Finding(
        "live spread",
        PROBLEM if many > _HOPELESS else WARNING,
        found,
        f"±{_REACHED:.0%} is asked for; processes that time the same network differ by more than that here",
        "see to the warnings above; nasbench compare times two networks in turns, and so is less hurt",
    )


def _duration(stability: Stability) -> Finding:
    few, many = (count * stability.process_s for count in (CONFIRM.min_processes, CONFIRM.max_processes))
    found = (
        f"{format_clock(few)} to {format_clock(many)} minutes for each network as small as the canary, and as much for "
        f"the canary beside them; {stability.process_s:.1f} s a process"
    )
    return Finding("live time", OK, f"a confirmation takes about {found}")


def _most_frequent(reasons: Sequence[str]) -> str:
    """Give the kind of reason that came most often, as it was first said; their numbers differ and do not matter."""
    kinds: dict[str, list[str]] = {}
    for reason in reasons:
        kinds.setdefault(re.sub(r"[-+±]?[0-9][0-9.]*", "#", reason), []).append(reason)
    most = max(kinds.values(), key=len, default=[])
    return f"{most[0]} ({len(most)}x)" if most else ""
