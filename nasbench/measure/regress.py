"""Two stored runs against each other: did what was measured before become faster or slower?

    comparisons = compare_runs(read_run(monday), read_run(today))

Measurements of the same network on the same device, taken in the same way, are put side by side. What cannot be
compared is refused, and the text names the field that differs.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from nasbench.errors import DefinitionError
from nasbench.measure.canary import DRIFT_LIMIT
from nasbench.measure.statistics import PER_LOOK, ratio_interval
from nasbench.pareto import SOUND_VERDICTS
from nasbench.records import TimingPlan
from nasbench.store.schema import load_json

if TYPE_CHECKING:
    from nasbench.store.parquet import Run

MARGIN = 0.02
"""A difference below this is a tie: software of another version moves a latency by about as much without meaning to."""

"""Verdicts of a measurement on which a claim may rest."""

_MACHINE = ("host", "machine", "cpu_model", "physical_cores", "gpu", "gpu_id", "mig")
_CHANGEABLE = (
    *("kernel", "python", "governor", "turbo", "cpu_quota_cores", "max_frequency_hz"),
    *("driver", "driver_cuda", "power_limit_w", "persistence_mode", "ecc"),
)


@dataclass(frozen=True, slots=True)
class Alike:
    """What two measurements must share to be put side by side."""

    architecture: str
    device: str
    batch: int
    dtype: str
    threads: int | None
    runtime: str | None
    level: str


@dataclass(frozen=True, slots=True)
class RunComparison:
    """One network in two runs. `ratio` is the latency after over that before, above 1 for slower.

    `low` and `high` bound the ratio; the intervals of all rows hold together with 95 %. `canary_ratio` is the same
    ratio of the canary, and `relative` what is left of `ratio` without it. `verdict` is faster, slower, tie or
    undecided, drift where the canary moved too, or `no claim` for screens; `reason` says why.
    """

    name: str
    alike: Alike
    before_s: float
    after_s: float
    before_verdict: str
    after_verdict: str
    ratio: float
    low: float | None
    high: float | None
    canary_ratio: float | None
    verdict: str
    reason: str

    @property
    def relative(self) -> float | None:
        """The ratio over that of the canary: what a change of the whole machine does not explain."""
        return None if self.canary_ratio is None else self.ratio / self.canary_ratio


@dataclass(frozen=True, slots=True)
class _Row:
    alike: Alike
    latency_s: float
    verdict: str
    reasons: tuple[str, ...]
    started_at: str
    process_medians_s: tuple[float, ...]
    canary_s: tuple[float, ...]
    canary_on: Any
    must_equal: Mapping[str, Any]
    changeable: Mapping[str, Any]


def compare_runs(before: Run, after: Run, margin: float = MARGIN) -> list[RunComparison]:
    """Compare every network that both runs measured in the same way, the one that became slowest first.

    Only confirmed measurements make a claim, each by the interval on the ratio of its process medians (Bonferroni over
    the confirmed rows). A tie comes before a difference, as in `nasbench.measure.compare`. Of several measurements that
    are alike the last of each run counts.

    Raises:
        DefinitionError: nothing is alike, or something is and was measured on another machine, by another definition of
            the device or by another plan; the text has the field and both values.
    """
    pairs = _matched(before, after)
    for pair in pairs:
        _refuse_different(before, after, *pair)
    confirmed = sum(old.alike.level == "confirm" for old, _ in pairs)
    names = {**_names(before), **_names(after)}
    compared = [_compare(names, old, new, max(1, confirmed), margin) for old, new in pairs]
    return sorted(compared, key=lambda one: -one.ratio)


def changes_between(before: Run, after: Run) -> tuple[str, ...]:
    """Name the versions and settings that differ between the measurements that `compare_runs` puts side by side."""
    found: dict[str, None] = {}
    for old, new in _matched(before, after):
        for name in sorted({*old.changeable, *new.changeable}):
            was, now = old.changeable.get(name), new.changeable.get(name)
            if was != now:
                found[f"{name}: {_shown(was)} before, {_shown(now)} after"] = None
    return tuple(found)


def _matched(before: Run, after: Run) -> list[tuple[_Row, _Row]]:
    old, new = (_rows(run) for run in (before, after))
    pairs = [(old[alike], row) for alike, row in new.items() if alike in old]
    if not pairs:
        raise _nothing_alike(before, after, list(old), list(new))
    return pairs


def _rows(run: Run) -> dict[Alike, _Row]:
    found = {}
    for _, cells in run.measurements.sort_values("started_at", kind="stable", na_position="first").iterrows():
        row = _row(cells)
        if row is not None:
            found[row.alike] = row
    return found


def _row(cells: Any) -> _Row | None:
    """Read a row of `measurements.parquet`; None when it holds no latency."""
    if not math.isfinite(cells["latency_s"]) or cells["verdict"] in ("failed", "invalid"):
        return None
    settings, host, noise = (load_json(cells[name]) for name in ("settings", "host", "noise"))
    plan = {field.name: _or_default(cells.get(f"plan_{field.name}"), field.default) for field in fields(TimingPlan)}
    alike = Alike(
        cells["architecture"],
        cells["device"],
        int(plan.pop("batch")),
        plan.pop("dtype"),
        settings.get("threads"),
        settings.get("runtime"),
        plan.pop("level"),
    )
    return _Row(
        alike,
        float(cells["latency_s"]),
        cells["verdict"],
        tuple(cells["reasons"]),
        str(cells["started_at"]),
        _numbers(cells.get("process_medians_s")),
        _numbers(noise.get("canary_s")),
        noise.get("canary_on"),
        {
            "device_digest": cells["device_digest"],
            **{f"host.{name}": host.get(name) for name in _MACHINE},
            **{f"plan.{name}": value for name, value in plan.items()},
        },
        {
            **{name: host.get(name) for name in _CHANGEABLE},
            **(host.get("software") or {}),
            "nasbench commit": ((host.get("git") or {}).get("commit") or "")[:12] or None,
        },
    )


def _or_default(value: Any, default: Any) -> Any:
    """Give what a field of the plan that an older nasbench did not know was: what is its default now."""
    import pandas as pd

    return default if pd.isna(value) else value


def _numbers(value: Any) -> tuple[float, ...]:
    """Read a list, in which a process that failed is None; an older nasbench stored no list at all."""
    return tuple(float(one) for one in value if one is not None) if isinstance(value, Iterable) else ()


def _refuse_different(before: Run, after: Run, old: _Row, new: _Row) -> None:
    for name, was in old.must_equal.items():
        now = new.must_equal[name]
        if was != now:
            raise DefinitionError(
                f"{before.folder} and {after.folder} cannot be compared: {name} is {_shown(was)} before and "
                f"{_shown(now)} after, for architecture {old.alike.architecture} on {old.alike.device}; measure both "
                "in the same way"
            )


def _nothing_alike(before: Run, after: Run, old: Sequence[Alike], new: Sequence[Alike]) -> DefinitionError:
    networks = {alike.architecture for alike in old} & {alike.architecture for alike in new}
    text = (
        f"{before.folder} and {after.folder} have nothing to compare: {len(old)} and {len(new)} measurements with a "
        f"latency, networks in both: {len(networks)}"
    )
    differing = []
    for field in fields(Alike)[1:]:
        was, now = (
            {getattr(alike, field.name) for alike in some if alike.architecture in networks} for some in (old, new)
        )
        if networks and not was & now:
            differing.append(f"{field.name} is {_listed(was)} before and {_listed(now)} after")
    return DefinitionError(f"{text}{', but ' if differing else ''}{'; '.join(differing)}")


def _listed(values: set[Any]) -> str:
    return " or ".join(sorted(map(_shown, values)))


def _shown(value: Any) -> str:
    return "not known" if value is None else str(value)


def _names(run: Run) -> dict[str, str]:
    """Give a name for every architecture: its published one, or space and digest."""
    shown: dict[str, str] = {}
    columns = (run.evaluations[name] for name in ("architecture", "space", "published"))
    for digest, space, published in zip(*columns, strict=True):
        prefix = f"{space}/" if isinstance(space, str) and space else ""
        shown[digest] = published if isinstance(published, str) else f"{prefix}{digest[:8]}"
    return shown


def _compare(names: Mapping[str, str], old: _Row, new: _Row, claims: int, margin: float) -> RunComparison:
    confirm = old.alike.level == "confirm"
    ratio, low, high = new.latency_s / old.latency_s, None, None
    if confirm and min(len(old.process_medians_s), len(new.process_medians_s)) >= 2:
        # Both confirmations stopped when their intervals were narrow, which `PER_LOOK` makes up for.
        confidence = 1 - (1 - PER_LOOK) / claims
        ratio, low, high = ratio_interval(new.process_medians_s, old.process_medians_s, confidence)
    canary = None
    if old.canary_s and new.canary_s and old.canary_on == new.canary_on:
        canary = statistics.median(new.canary_s) / statistics.median(old.canary_s)
    verdict, reason = _claim(confirm, low, high, canary, margin)
    unsound = next(_unsound(old, new), None)
    if (old.started_at, old.latency_s) == (new.started_at, new.latency_s):
        verdict = "no claim"
        reason = "both runs hold one and the same measurement; measure again with nasbench bench --fresh"
    elif confirm and canary is not None and abs(canary - 1) > DRIFT_LIMIT:
        verdict = "drift"
        reason = (
            f"the canary took {canary:.3f} of what it took before: the machine changed, or the software under every "
            f"network; relative to the canary the ratio is {ratio / canary:.3f}"
        )
    elif confirm and unsound:
        verdict, reason = "undecided", unsound
    return RunComparison(
        names.get(new.alike.architecture, new.alike.architecture),
        new.alike,
        old.latency_s,
        new.latency_s,
        old.verdict,
        new.verdict,
        ratio,
        low,
        high,
        canary,
        verdict,
        reason,
    )


def _unsound(old: _Row, new: _Row) -> Iterator[str]:
    for when, row in (("before", old), ("after", new)):
        if row.verdict not in SOUND_VERDICTS:
            yield f"the measurement {when} was {row.verdict}: {'; '.join(row.reasons)}"


def _claim(
    confirm: bool, low: float | None, high: float | None, canary: float | None, margin: float
) -> tuple[str, str]:
    """Give the verdict that an interval allows, and why.

    A difference is claimed only of what differs from the canary's ratio too: by so much all networks moved.
    """
    if not confirm:
        return "no claim", "a screen cannot claim a difference; run nasbench bench --level confirm"
    if low is None or high is None:
        return "undecided", "fewer than two processes on one side bound no ratio"
    interval = f"the interval {low:.3f} to {high:.3f}"
    if max(-math.log(low), math.log(high)) <= math.log1p(margin):
        return "tie", f"{interval} is within ±{margin:.1%} of 1"
    moved = canary or 1.0
    beside = "" if canary is None else f" and the canary's {canary:.3f}"
    if high < min(1.0, moved):
        return "faster", f"{interval} is below 1{beside}"
    if low > max(1.0, moved):
        return "slower", f"{interval} is above 1{beside}"
    if not low <= 1 <= high:
        return "undecided", f"{interval} does not hold 1, but the canary, which took {canary:.3f}, moved alike"
    return "undecided", f"{interval} holds 1 and is not within ±{margin:.1%} of it"
