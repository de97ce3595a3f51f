"""Check claims on a device: counted, or measured as a ratio of latencies with its interval."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from nasbench.claims.claim import Claim, Pair, Side
from nasbench.device.base import Device
from nasbench.errors import CandidateError
from nasbench.measure.compare import Comparison, Progress, compare
from nasbench.model.cost import count
from nasbench.records import CONFIRM

TOLERANCE = 0.05
"""How far beyond the claimed share a ratio may lie and the claim still hold: papers round, and so do their clocks."""

HOLDS, FAILS, UNDECIDED, NOT_HERE, FAILED = "holds", "does not hold", "undecided", "not comparable here", "failed"
VERDICTS = (HOLDS, FAILS, UNDECIDED, NOT_HERE, FAILED)


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of a claim on a device.

    `ratio` is what the first takes over what the second takes, `low` and `high` its 95 % interval where it was
    measured. `direction` says whether the first is better at all: better, worse, or unclear. `reason` says why there is
    no verdict, or how the comparison ended.
    """

    claim: Claim
    device: str
    verdict: str
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    direction: str | None = None
    reason: str = ""
    comparison: Comparison | None = None
    started_at: str = ""
    seconds: float = 0.0


def check(
    claim: Claim,
    device: Device,
    *,
    seed: int = 0,
    watch: Callable[[Progress], object] = lambda progress: None,
    against: Callable[..., Comparison] = compare,
) -> Finding:
    """Find out whether a claim holds on a device.

    A claim holds when the ratio is surely at most the claimed one and `TOLERANCE`, and does not when it surely is more.
    Networks of a claim of params or MACs are counted in the form that is measured, and nothing runs.

    Args:
        claim: what is checked.
        device: open.
        seed: of weights and orders.
        watch: called before every process of a comparison.
        against: compares two networks; tests bring their own.

    Raises:
        DeviceError: the device is gone.
    """
    began, started_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="milliseconds")
    if claim.pair is None:
        return Finding(claim, device.spec.name, NOT_HERE, reason=claim.not_here or "", started_at=started_at)
    try:
        if claim.pair.figure == "latency":
            finding = _measure(claim, claim.pair, device, seed, watch, against)
        else:
            finding = _count(claim, claim.pair, device)
    except CandidateError as error:
        finding = Finding(claim, device.spec.name, FAILED, reason=str(error))
    return replace(finding, started_at=started_at, seconds=time.monotonic() - began)


def _measure(
    claim: Claim,
    pair: Pair,
    device: Device,
    seed: int,
    watch: Callable[[Progress], object],
    against: Callable[..., Comparison],
) -> Finding:
    assert pair.first.architecture and pair.second.architecture, "a claimed latency is of networks that are built"
    found = against(
        device,
        pair.first.architecture,
        pair.second.architecture,
        replace(CONFIRM, batch=pair.batch, dtype=device.spec.dtype, seed=seed),
        names=(pair.first.name, pair.second.name),
        against=pair.at_most * (1 + TOLERANCE),
        seed=seed,
        watch=watch,
    )
    # a ratio at the very edge of the tolerance is within it
    verdict = {"faster": HOLDS, "tie": HOLDS, "slower": FAILS}.get(found.verdict, UNDECIDED)
    return Finding(
        claim,
        device.spec.name,
        verdict,
        found.ratio,
        found.low,
        found.high,
        _direction(found.low, found.high),
        found.stop,
        found,
    )


def _direction(low: float | None, high: float | None) -> str | None:
    if low is None or high is None:
        return None
    return "better" if high < 1 else "worse" if low > 1 else "unclear"


def _count(claim: Claim, pair: Pair, device: Device) -> Finding:
    ratio = _counted(pair.first, pair.figure) / _counted(pair.second, pair.figure)
    verdict = HOLDS if ratio <= pair.at_most * (1 + TOLERANCE) else FAILS
    return Finding(claim, device.spec.name, verdict, ratio, ratio, ratio, _direction(ratio, ratio), "counted")


def _counted(side: Side, figure: str) -> float:
    if side.architecture is None:
        assert side.stated is not None, "a side without a network states a count"
        return side.stated
    cost = count(side.architecture)
    deployed: int | None = getattr(cost, f"deployed_{figure}")
    return float(getattr(cost, figure) if deployed is None else deployed)
