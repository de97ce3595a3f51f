"""Confirm a front: its members measured again, interleaved, each in several fresh processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from nasbench.device.base import Device
from nasbench.errors import CandidateError
from nasbench.measure.cache import MeasurementCache
from nasbench.measure.levels import INTERRUPTED, Job, Outcome, Progress, confirm
from nasbench.objectives import measured_on
from nasbench.pareto import is_confirmed
from nasbench.records import Evaluation, Measurement, TimingPlan
from nasbench.store.log import RunLog

_OVERHEAD_S = 3.0
"""What a measuring process takes besides warm-up and sampling: start, imports, build, memory pass."""

_CANARY_S = 0.002


Confirming = Sequence[tuple[Device, TimingPlan]]
"""The devices whose latency is to be confirmed, and how each takes it."""


def to_confirm(members: Sequence[Evaluation], confirming: Confirming, log: RunLog) -> list[Evaluation]:
    """Give what to confirm, by trial: all members or, when each was confirmed by these plans, none.

    A log holds what one session confirmed, and only that compares. So a member that is new, or that an interruption
    left over, is not measured alone. One that failed among the others is not tried again.
    """
    known = log.confirmed()
    wanted = {device.spec.name: plan for device, plan in confirming}
    if all({one.device: one.plan for one in known.get(member.trial, ())} == wanted for member in members):
        return []
    return sorted(members, key=lambda member: member.trial)


def estimate_s(members: Sequence[Evaluation], plan: TimingPlan) -> tuple[float, float]:
    """Guess how long confirming takes, in seconds: when all is quiet, and when every member needs every process."""
    measurements = [measurement for member in members for measurement in member.measurements]
    latencies = [measurement.latency_s or 0.0 for measurement in measurements] + [_CANARY_S]
    in_a_round = sum(
        _OVERHEAD_S + plan.min_warmup_s + max(plan.min_sampling_s, plan.min_samples * latency) for latency in latencies
    )
    return plan.min_processes * in_a_round, plan.max_processes * in_a_round


def confirm_members(
    members: Sequence[Evaluation],
    confirming: Confirming,
    log: RunLog,
    cache: MeasurementCache | None,
    *,
    say: Callable[[str], object],
    watch: Callable[[Progress], object],
) -> None:
    """Confirm members of a front on every device; each is stored as soon as it is done on all of them.

    The first takes the place of all that was confirmed before. A cache is not asked, since only what is measured in
    turns with the others compares with them; what comes is kept in it. A member that fails is stored with the verdict
    failed. Whatever decides nothing is said.

    Raises:
        DeviceError: the device is gone. What was done before is stored.
    """
    before = bool(log.confirmed())
    if before:
        say("what was confirmed at another time does not compare with what is confirmed now, so all are measured again")
    found: dict[int, dict[str, Measurement]] = {member.trial: {} for member in members}

    def store(index: int, outcome: Outcome) -> None:
        nonlocal before
        (member, device, plan), job = work[index], jobs[index]
        if isinstance(outcome, Measurement) and outcome.stop == INTERRUPTED:
            return  # a resumed search confirms the front again
        if isinstance(outcome, CandidateError):
            measurement, why = _failed(member, device, plan, outcome), str(outcome)
        else:
            measurement, why = outcome, f"it was {outcome.verdict}: {'; '.join(outcome.reasons)}"
        if not is_confirmed(measurement):
            say(f"{job.name} could not be confirmed and keeps the search's figure: {why}")
        if cache is not None and isinstance(outcome, Measurement):
            cache.keep(device, member.architecture, outcome, log.name)
        known = found[member.trial]
        known[device.spec.name] = measurement
        if len(known) == len(confirming):
            if before:
                log.forget_confirmed()
                before = False
            log.append_confirmed(member.trial, *(known[one.spec.name] for one, _ in confirming))

    work = [(member, device, plan) for member in members for device, plan in confirming]
    jobs = [Job(_name(member, device, confirming), device, member.architecture, plan) for member, device, plan in work]
    confirm(jobs, seed=confirming[0][1].seed, watch=watch, done=store)


def _name(member: Evaluation, device: Device, confirming: Confirming) -> str:
    return f"trial {member.trial}" + (f" on {device.spec.name}" if len(confirming) > 1 else "")


def _failed(member: Evaluation, device: Device, plan: TimingPlan, error: CandidateError) -> Measurement:
    """Give the row of a member that failed: what and how was measured, and no figure."""
    measured = measured_on(member, device.spec.name)
    assert measured is not None, "a member of a front was measured on every device"
    return replace(
        measured,
        plan=plan,
        latencies_s=(),
        kept=(),
        warmups_s=(),
        first_call_s=None,
        build_s=None,
        low_s=None,
        high_s=None,
        verdict="failed",
        reasons=(str(error),),
        stop="cap",
        peak_memory_bytes=None,
        output_hash=None,
        output_error=None,
        noise={},
        energy_j=None,
        idle_power_w=None,
        energy_source=None,
        end_to_end_s=None,
        reused_from=None,
    )
