"""A bench: every network on every device at every batch and thread count, one stored row each.

entries = plan_entries(networks, devices, batches, LEVELS["confirm"])
with RunLog.create(folder, manifest) as log:
    rows = Bench(entries, log, cache).run()
best = find_best(rows)  # of nasbench.measure.best
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np

from nasbench.device.base import Device
from nasbench.device.load import open_device
from nasbench.errors import BuildError, CandidateError, DefinitionError
from nasbench.measure.cache import MeasurementCache
from nasbench.measure.levels import Job, Outcome, Progress, confirm, screen
from nasbench.model.cost import count
from nasbench.model.foreign import is_foreign, is_timm
from nasbench.records import Cost, DeviceSpec, Evaluation, Measurement, TimingPlan, place_of
from nasbench.runtime.base import RUNTIMES, check_runtime, find_runtime
from nasbench.space.architecture import Architecture
from nasbench.store.log import RunLog
from nasbench.store.manifest import circumstances
from nasbench.store.parquet import flush
from nasbench.store.published import KEY, Published, describe_published

BEST = "best"
"""In the place of a runtime's name: all that the device's backend offers for inference."""

YARDSTICK = "eager"
"""The runtime that the others are compared with."""

TAIL_SAMPLES = {90: 64, 95: 130, 99: 662}
"""The fewest samples from which a percentile is given; below it would rest on a handful of them."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one row measures: a network under the name that its user knows, on an open device."""

    network: str
    architecture: Architecture
    device: Device
    plan: TimingPlan

    @property
    def settings(self) -> dict[str, Any]:
        """What tells this entry from the others of its network; a row keeps it as its choices."""
        spec = self.device.spec
        return {
            "device": spec.name,
            "runtime": spec.runtime,
            "dtype": self.plan.dtype,
            "batch": self.plan.batch,
            "threads": spec.threads,
            "level": self.plan.level,
            "cache": self.plan.cache,
        }

    @property
    def label(self) -> str:
        """Name the entry for who watches."""
        spec = self.device.spec
        where = spec.name if spec.runtime in spec.name else f"{spec.name} {spec.runtime}"
        return f"{self.network} on {where}, {self.plan.dtype}, batch {self.plan.batch}, threads {spec.threads}"


@dataclass(frozen=True, slots=True)
class Row:
    """An entry and what came of it, as it is stored."""

    entry: Entry
    evaluation: Evaluation

    @property
    def measurement(self) -> Measurement | None:
        """What was measured; None after a failure."""
        return self.evaluation.measurements[0] if self.evaluation.measurements else None


@dataclass(frozen=True, slots=True)
class Setting:
    """A device with the runtime and threads that it is to run with, and the number format to compute in."""

    spec: DeviceSpec
    dtype: str


def vary_devices(
    specs: Sequence[DeviceSpec], threads: Sequence[int], runtime: str | None, dtype: str | None
) -> tuple[list[Setting], list[str]]:
    """Give each device once for every runtime and thread count asked for, and notes on what was dropped.

    Args:
        specs: as they are defined.
        threads: none for the device's own number.
        runtime: None for the device's own, `best` for all that its backend offers for inference, that are installed and
            that compute in the number format; torch eager, in fp32 if need be, is among those in any case, as the
            yardstick.
        dtype: None for the device's own.

    Raises:
        UnknownNameError: there is no such runtime.
        DefinitionError: a device's backend does not have the runtime, or that does not compute in the number format.
        BuildError: what the runtime needs is not installed.
    """
    found: dict[Setting, Setting] = {}
    notes: dict[str, None] = {}
    for spec in specs:
        if runtime == BEST:
            offered, left_out = _offered(spec, dtype or spec.dtype)
            notes |= dict.fromkeys(left_out)
        else:
            offered = [Setting(replace(spec, runtime=runtime or spec.runtime), dtype or spec.dtype)]
            check_runtime(spec.hardware, offered[0].spec.runtime, offered[0].dtype)
            find_runtime(offered[0].spec.runtime).versions()
        for setting in offered:
            for number in threads or (spec.threads,):
                chosen = replace(setting, spec=replace(setting.spec, threads=number))
                # Under another name, or with another number format in the definition, it would be measured twice.
                nameless = replace(chosen, spec=replace(chosen.spec, name="", dtype=""))
                first = found.setdefault(nameless, chosen)
                if first is not chosen:
                    notes[f"{_describe(chosen)} is what {_describe(first)} is; measured once"] = None
    return list(found.values()), list(notes)


def _offered(spec: DeviceSpec, dtype: str) -> tuple[list[Setting], list[str]]:
    found, notes = [], []
    kinds = [kind for kind in RUNTIMES.values() if spec.hardware in kind.backends and kind.form == "inference"]
    for kind in kinds:
        if dtype not in kind.dtypes:
            continue
        try:
            kind.versions()
        except BuildError as error:
            notes.append(f"left out: {error}")
        else:
            found.append(Setting(replace(spec, runtime=kind.name), dtype))
    if not found:
        able = sorted({one for kind in kinds for one in kind.dtypes})
        raise DefinitionError(
            f"no runtime for {spec.name!r} computes in {dtype!r} here; others do in {', '.join(able)}"
        )
    if YARDSTICK not in (setting.spec.runtime for setting in found):
        found.insert(0, Setting(replace(spec, runtime=YARDSTICK), "fp32"))
    return found, notes


def _describe(setting: Setting) -> str:
    spec = setting.spec
    return f"{spec.name} ({spec.runtime}, {setting.dtype}, threads {spec.threads})"


@contextmanager
def open_devices(specs: Sequence[DeviceSpec]) -> Iterator[dict[DeviceSpec, Device]]:
    """Open each device once and close it at the end; raises DeviceError before anything is measured."""
    with ExitStack() as stack:
        yield {spec: stack.enter_context(open_device(spec)) for spec in dict.fromkeys(specs)}


def plan_entries(
    networks: Sequence[tuple[str, Architecture]],
    settings: Sequence[tuple[Device, str]],
    batches: Sequence[int],
    plan: TimingPlan,
) -> list[Entry]:
    """Combine every network with every device and its number format, and every batch; the rest is as `plan` says."""
    return [
        Entry(name, architecture, device, replace(plan, batch=batch, dtype=dtype))
        for name, architecture in networks
        for device, dtype in settings
        for batch in batches
    ]


def group_runtimes(entries: Sequence[Entry]) -> list[tuple[int, ...]]:
    """Group entries, by number, whose runtimes are to be compared: of one network, batch and number of threads."""
    groups: dict[object, list[int]] = {}
    for index, entry in enumerate(entries):
        spec = entry.device.spec
        place = (*place_of(spec), spec.threads, entry.plan.batch)
        groups.setdefault((entry.architecture.digest, place), []).append(index)
    return [tuple(members) for members in groups.values()]


def origin_of(measurement: Measurement) -> str | None:
    """Name the run that a reused measurement was taken in; None for one of this run.

    Measurements were taken in turns, and so have a ratio with an interval, only if they are of one run.
    """
    if measurement.reused_from is None:
        return None
    origin = measurement.reused_from.rpartition(" at ")[0]
    run, hash_sign, _ = origin.rpartition("#")
    return run if hash_sign else origin


def bench_manifest(
    entries: Sequence[Entry], published: Mapping[str, Published], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Give the manifest of a bench: what is measured where, what papers state of it, and the settings as asked for."""
    specs = list(dict.fromkeys(entry.device.spec for entry in entries))
    packages = {package for spec in specs for package in find_runtime(spec.runtime).packages}
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
    return {
        "kind": "bench",
        "objectives": [],
        "limits": {},
        "space": plain.get("space"),
        "networks": {entry.network: entry.architecture.digest for entry in entries},
        KEY: describe_published(published),
        "devices": [{"name": spec.name, "runtime": spec.runtime, "digest": spec.digest} for spec in specs],
        "level": entries[0].plan.level,
        "settings": plain,
        **circumstances(sorted({*packages, "torch", "numpy", "pandas", "pyarrow"})),
    }


class Bench:
    """Measures entries and stores each as a row the moment it is finished.

    What is measured now is measured together, at the level `confirm` in turns, so that rows differ by what they are and
    not by when they were taken. What is reused was measured at another time, and `origin_of` tells.

    A row's `started_at` and `seconds` span from the beginning of its first process to the row's end. At the level
    `confirm` the other entries took their turns in between. A row that is reused takes no time.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        log: RunLog,
        cache: MeasurementCache,
        *,
        fresh: bool = False,
        whole_groups: bool = False,
        seed: int = 0,
        first_trial: int = 0,
    ) -> None:
        """Get ready.

        Args:
            entries: what to measure, of one level; their rows are numbered in this order.
            log: takes the rows.
            cache: gives what was measured before, unless `fresh`, and takes what is measured now.
            fresh: measure everything, whatever the cache has.
            whole_groups: reuse the rows of a group of runtimes (`group_runtimes`) only if one run measured them all.
            seed: of the order in which processes alternate.
            first_trial: number of the first row.
        """
        self._entries = entries
        self._log = log
        self._cache = cache
        self._fresh = fresh
        self._whole_groups = whole_groups
        self._seed = seed
        self._first_trial = first_trial
        self._rows: dict[int, Row] = {}
        # By the entry's label: when its first process began, by the calendar and by the monotonic clock.
        self._began: dict[str, tuple[str, float]] = {}

    def run(self, watch: Callable[[Progress], object] = lambda progress: None) -> list[Row]:
        """Measure what is not in the cache; an entry that fails becomes a row with the reason.

        `watch` is called before every process. However this ends, the rows that were finished are in the parquet files.

        Raises:
            DeviceError: a device is gone.
            StoreError: the run cannot be written.
        """
        costs = {entry.architecture.digest: cost_of(entry.architecture) for entry in self._entries}
        # Folders of equal names exist in several places and at several times; the moment tells this run from others.
        origin = f"{self._log.name} of {datetime.now(UTC).isoformat(timespec='seconds')}"

        def begin(progress: Progress) -> None:
            self._began.setdefault(progress.current, (_now(), time.monotonic()))
            watch(progress)

        def done(index: int, outcome: Outcome) -> None:
            entry, trial = self._entries[index], self._first_trial + index
            started_at, began = self._began.get(entry.label, (_now(), time.monotonic()))
            evaluation = replace(
                evaluate(entry, trial, outcome, costs[entry.architecture.digest]),
                started_at=started_at,
                seconds=time.monotonic() - began if entry.label in self._began else 0.0,
            )
            self._log.append(evaluation)
            self._rows[index] = Row(entry, evaluation)
            if isinstance(outcome, Measurement):
                self._cache.keep(entry.device, entry.architecture, outcome, f"{origin}#{trial}")

        try:
            self._reuse(done)
            self._measure(done, begin)
        finally:
            flush(self._log)
        return [self._rows[index] for index in sorted(self._rows)]

    def _reuse(self, done: Callable[[int, Outcome], None]) -> None:
        if self._fresh:
            return
        found: dict[int, Measurement] = {}
        for index, entry in enumerate(self._entries):
            measurement = self._cache.find(entry.device, entry.architecture, entry.plan)
            if measurement is not None:
                found[index] = measurement
        for members in group_runtimes(self._entries) if self._whole_groups else ():
            if len({origin_of(found[index]) if index in found else None for index in members}) > 1:
                for index in members:
                    found.pop(index, None)
        for index, measurement in found.items():
            done(index, measurement)

    def _measure(self, done: Callable[[int, Outcome], None], watch: Callable[[Progress], object]) -> None:
        left = [index for index in range(len(self._entries)) if index not in self._rows]
        entries = [self._entries[index] for index in left]
        jobs = [Job(entry.label, entry.device, entry.architecture, entry.plan) for entry in entries]
        if jobs and jobs[0].plan.level != "screen":
            confirm(jobs, seed=self._seed, watch=watch, done=lambda number, outcome: done(left[number], outcome))
            return
        began, last_s = time.monotonic(), None
        for number, job in enumerate(jobs):
            watch(Progress(1, number, len(jobs), job.name, last_s, time.monotonic() - began))
            try:
                outcome: Outcome = screen(job.device, job.architecture, job.plan)
            except CandidateError as error:
                outcome = error
            last_s = outcome.latency_s if isinstance(outcome, Measurement) else None
            done(left[number], outcome)


def evaluate(entry: Entry, trial: int, outcome: Outcome, cost: Cost | None) -> Evaluation:
    """Give what is stored of an entry: its settings as choices, its network's name, its measurement or error."""
    row = Evaluation(trial, "complete", entry.settings, entry.architecture, cost=cost, published=entry.network)
    if isinstance(outcome, CandidateError):
        return replace(row, status=outcome.status, error=str(outcome))
    return replace(row, measurements=(outcome,))


@lru_cache(maxsize=4096)
def cost_of(architecture: Architecture) -> Cost | None:
    """Count what a network takes; None for a user's own, and for one that cannot be built or counted."""
    if is_timm(architecture):
        from nasbench.model.from_timm import count_timm  # reaches for timm

        return count_timm(architecture)
    if is_foreign(architecture):
        return None
    try:
        return count(architecture)
    except CandidateError:
        return None  # measuring it will say why


def tail_s(measurement: Measurement, percent: int) -> float | None:
    """Give the 90th, 95th or 99th percentile of the kept samples of all processes, in seconds.

    None where they are fewer than `TAIL_SAMPLES`, and where a sample is the mean of several inferences.
    """
    kept = [value for value, keep in zip(measurement.latencies_s, measurement.kept, strict=True) if keep]
    if len(kept) < TAIL_SAMPLES[percent] or measurement.settings.get("inner_loops", 1) > 1:
        return None
    return float(np.quantile(kept, percent / 100))


def verdicts(rows: Sequence[Row]) -> Mapping[str, int]:
    """Count the rows of each verdict, the most frequent first; a row without a measurement is `failed`."""
    counts: dict[str, int] = {}
    for row in rows:
        word = row.measurement.verdict if row.measurement else "failed"
        counts[word] = counts.get(word, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
