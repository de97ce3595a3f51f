"""The canary: one small network that is measured in every round, so that a machine that changed is found out.

Its latency has no reason to move. When it does, so may everything that was measured beside it: a clock went down, a
virtual machine was moved, memory was taken away. No interval over the candidates' own samples sees that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nasbench.device.loading import CANARY
from nasbench.measure.statistics import drift
from nasbench.records import Measurement

__all__ = ["CANARY", "Canary"]

DRIFT_LIMIT = 0.03
"""How far the canary may move over the rounds."""

_FEWEST = 3


@dataclass(frozen=True, slots=True)
class Canary:
    """What the canary did in each round, in order: its process, or None where it failed."""

    processes: Sequence[Measurement | None] = ()
    error: str | None = None

    @property
    def medians_s(self) -> tuple[float | None, ...]:
        """Its latency in every round."""
        return tuple(one.latency_s if one else None for one in self.processes)

    @property
    def undisturbed_s(self) -> list[float]:
        """The latencies of the rounds that count: those whose verdict is ok, and all when these are fewer than three.

        A process that a gate caught is no sign of drift; its verdict already says what was wrong.
        """
        known = [one for one in self.processes if one is not None]
        quiet = [one for one in known if one.verdict == "ok"]
        counted = quiet if len(quiet) >= _FEWEST else known
        return [one.latency_s for one in counted if one.latency_s is not None]

    @property
    def ratio(self) -> float | None:
        """Its latency in the last third of the rounds over that in the first."""
        medians_s = self.undisturbed_s
        return 1 + drift(medians_s)[0] if len(medians_s) > 1 else None

    def drifted(self) -> str | None:
        """Say how it moved when that is more than 3 % and beyond its own scatter, else None."""
        medians_s = self.undisturbed_s
        move, beyond_scatter = drift(medians_s)
        if abs(move) <= DRIFT_LIMIT or not beyond_scatter:
            return None
        return f"the canary network moved by {move:+.1%} over {len(medians_s)} rounds; at most {DRIFT_LIMIT:.0%} may be"

    def record(self) -> Mapping[str, Any]:
        """Give what a measurement's `noise` holds of it; two runs' canaries compare where `canary_on` is equal."""
        known = [one for one in self.processes if one is not None]
        record: dict[str, Any] = {
            "canary_s": list(self.medians_s),
            "canary_ratio": self.ratio,
            "canary_on": f"device {known[0].device_digest} in {known[0].plan.dtype}" if known else None,
        }
        return record | ({"canary_error": self.error} if self.error else {})
