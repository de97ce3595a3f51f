"""Few of many networks are worth a bench: a race finds the fastest, and what it found is stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from nasbench.errors import CANDIDATE_ERRORS, CandidateError
from nasbench.measure.bench import Entry, Row, cost_of, evaluate
from nasbench.measure.levels import Outcome
from nasbench.measure.race import Progress, RaceResult, Standing, race
from nasbench.records import Measurement
from nasbench.store.log import RunLog

LEVEL = "race"
"""The level of a race's rows: it ranks networks within one process, and claims nothing of the next."""


@dataclass(frozen=True, slots=True)
class Shortlist:
    """What a race left: `entries` to measure, the fastest first, and the rows that it stored, one for each network."""

    result: RaceResult
    entries: tuple[Entry, ...]
    rows: tuple[Row, ...]


def shortlist(
    entries: Sequence[Entry],
    top: int,
    log: RunLog,
    *,
    seed: int = 0,
    watch: Callable[[Progress], object] = lambda progress: None,
) -> Shortlist:
    """Race entries of one device and plan, store a row for each, numbered from 0, and give the `top` fastest.

    A row's one sample is the latency that the race estimates, with its interval; `noise` says whether the network is
    among the fastest, what the race took, and in a sentence why it stopped. All networks run in one process, so every
    row began when the race did and took as long as it.

    Raises:
        DefinitionError: the networks take too much memory together.
        CandidateError: a network failed and it is not known which.
        DeviceError: the device is gone.
    """
    device, plan = entries[0].device, replace(entries[0].plan, level=LEVEL, energy=False)
    names = [entry.network for entry in entries]
    costs = [cost_of(entry.architecture) for entry in entries]
    started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    result = race(device, [entry.architecture for entry in entries], plan, top, names=names, seed=seed, watch=watch)
    outcomes: dict[int, Outcome] = dict.fromkeys(range(len(entries)), CandidateError(f"took no part: {result.stop}"))
    outcomes |= {failure.index: CANDIDATE_ERRORS[failure.status](failure.error) for failure in result.failures}
    for place, standing in enumerate(result.ranking, 1):
        outcomes[standing.index] = _measurement(entries[standing.index], result, standing, place, started_at)
    rows = []
    for index, entry in enumerate(entries):
        raced = replace(entry, plan=plan)
        evaluation = evaluate(raced, index, outcomes[index], costs[index])
        evaluation = replace(evaluation, started_at=started_at, seconds=result.seconds)
        log.append(evaluation)
        rows.append(Row(raced, evaluation))
    return Shortlist(result, tuple(entries[standing.index] for standing in result.fastest), tuple(rows))


def _measurement(entry: Entry, result: RaceResult, standing: Standing, place: int, started_at: str) -> Measurement:
    spec = entry.device.spec
    estimate_s = () if standing.latency_s is None else (standing.latency_s,)
    took = {name: getattr(result, name) for name in ("top", "rounds", "inferences", "budget", "margin", "stop")}
    own = {"place": place, "membership": standing.membership, "own_inferences": standing.inferences}
    return Measurement(
        architecture=standing.architecture,
        device=spec.name,
        device_digest=spec.digest,
        plan=result.plan,
        latencies_s=estimate_s,
        kept=(True,) * len(estimate_s),
        warmups_s=(),
        first_call_s=None,
        build_s=None,
        low_s=standing.low_s,
        high_s=standing.high_s,
        verdict="noisy" if result.reasons or not estimate_s else "ok",
        reasons=result.reasons or (() if estimate_s else ("no turn of this network had its cores",)),
        stop="cap" if any(one.membership == "undecided" for one in result.ranking) else "converged",
        peak_memory_bytes=None,
        output_hash=None,
        settings={"runtime": spec.runtime, "threads": spec.threads},
        host=result.host,
        noise={**result.noise, "race": {**took, **own}},
        started_at=started_at,
    )
