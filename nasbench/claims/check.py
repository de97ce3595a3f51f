"""Check claims on a device: counted, or measured as a ratio of latencies with its interval."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from nasbench.claims.claim import Claim, Pair, Side
from nasbench.device.base import Device
from nasbench.errors import CandidateError, DefinitionError
from nasbench.measure.compare import Comparison, Progress, compare
from nasbench.model.cost import count
from nasbench.records import CONFIRM, DeviceSpec
from nasbench.runtime.base import check_runtime, find_runtime

HOLDS, HOLDS_NOT, UNDECIDED, NOT_HERE, BROKE = "holds", "does not hold", "undecided", "not comparable here", "failed"
VERDICTS = (HOLDS, HOLDS_NOT, UNDECIDED, NOT_HERE, BROKE)


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of a claim on a device.

    `device` is what was measured on, with the claim's runtime where it has one. `ratio` is what the first takes over
    what the second takes, `low` and `high` its 95 % interval where it was measured. `direction` says whether the first
    is better at all: better, worse, or unclear. `reason` says why there is no verdict, or how the comparison ended.
    """

    claim: Claim
    device: DeviceSpec
    verdict: str
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    direction: str | None = None
    reason: str = ""
    comparison: Comparison | None = None
    started_at: str = ""
    seconds: float = 0.0


def adapt(spec: DeviceSpec, claim: Claim) -> DeviceSpec:
    """Give the device with the runtime of a claim; as it is where the claim has none or cannot be checked on it."""
    if claim.pair is None or claim.pair.runtime is None or _why_not(claim, spec):
        return spec
    return replace(spec, runtime=claim.pair.runtime)


def _why_not(claim: Claim, spec: DeviceSpec) -> str | None:
    """Say why a claim cannot be checked on a device; None where it can."""
    if claim.pair is None:
        return claim.not_here or ""
    if claim.pair.runtime is None or claim.pair.runtime == spec.runtime:
        return None
    if spec.backend == "ray":
        return f"it asks for the runtime {claim.pair.runtime!r}, and a device somewhere else keeps its own"
    try:
        check_runtime(spec.hardware, claim.pair.runtime, spec.dtype)
    except DefinitionError as error:
        return str(error)
    wanted, own = find_runtime(claim.pair.runtime), find_runtime(spec.runtime)
    if wanted.takes != own.takes:
        return f"it asks for the runtime {wanted.name!r}, which runs {wanted.takes}, and this device runs {own.takes}"
    return None


def check(
    claim: Claim,
    device: Device,
    *,
    seed: int = 0,
    watch: Callable[[Progress], object] = lambda progress: None,
    comparing: Callable[..., Comparison] = compare,
) -> Finding:
    """Find out whether a claim holds on a device.

    A claim holds when the ratio is surely within its bound, and does not when it surely is beyond it. The networks of a
    claim of params or MACs are counted in the form that is measured, and nothing runs.

    Args:
        claim: what is checked.
        device: open, as `adapt` gives it for the claim.
        seed: of weights and orders.
        watch: called before every process of a comparison.
        comparing: compares two networks; tests bring their own.

    Raises:
        DeviceError: the device is gone.
    """
    began, started_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="milliseconds")
    reason = _why_not(claim, device.spec)
    if claim.pair is None or reason is not None:
        return Finding(claim, device.spec, NOT_HERE, reason=reason or "", started_at=started_at)
    assert claim.pair.runtime in (None, device.spec.runtime), "the device was made by adapt"
    try:
        if claim.pair.figure == "latency":
            finding = _measure(claim, claim.pair, device, seed, watch, comparing)
        else:
            finding = _count(claim, claim.pair, device)
    except CandidateError as error:
        finding = Finding(claim, device.spec, BROKE, reason=str(error))
    return replace(finding, started_at=started_at, seconds=time.monotonic() - began)


def _measure(
    claim: Claim,
    pair: Pair,
    device: Device,
    seed: int,
    watch: Callable[[Progress], object],
    comparing: Callable[..., Comparison],
) -> Finding:
    assert pair.first.architecture and pair.second.architecture, "a claimed latency is of networks that are built"
    found = comparing(
        device,
        pair.first.architecture,
        pair.second.architecture,
        replace(CONFIRM, batch=pair.batch, dtype=device.spec.dtype, seed=seed),
        names=(pair.first.name, pair.second.name),
        against=pair.bound,
        seed=seed,
        watch=watch,
    )
    verdict = _judge(pair, found.low, found.high)
    return Finding(
        claim,
        device.spec,
        verdict,
        found.ratio,
        found.low,
        found.high,
        _direction(pair, found.low, found.high),
        found.stop,
        found,
    )


def _judge(pair: Pair, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return UNDECIDED
    return HOLDS if high <= pair.bound else HOLDS_NOT if low > pair.bound else UNDECIDED


def _direction(pair: Pair, low: float | None, high: float | None) -> str | None:
    """Say whether the first is better at all; None where the claim itself grants that it is not."""
    if low is None or high is None or pair.at_most >= 1:
        return None
    return "better" if high < 1 else "worse" if low > 1 else "unclear"


def _count(claim: Claim, pair: Pair, device: Device) -> Finding:
    ratio = _counted(pair.first, pair.figure) / _counted(pair.second, pair.figure)
    verdict, direction = _judge(pair, ratio, ratio), _direction(pair, ratio, ratio)
    return Finding(claim, device.spec, verdict, ratio, ratio, ratio, direction, "counted")


def _counted(side: Side, figure: str) -> float:
    if side.architecture is None:
        assert side.stated is not None, "a side without a network states a count"
        return side.stated
    cost = count(side.architecture)
    deployed: int | None = getattr(cost, f"deployed_{figure}")
    return float(getattr(cost, figure) if deployed is None else deployed)
