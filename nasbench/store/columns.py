"""The columns of the parquet files: name, type, unit, meaning, and where each value comes from.

This is the one place that says what is stored. `results/README.md` shows the same tables and a test compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from nasbench.objectives import OBJECTIVES, measured_on
from nasbench.pareto import Standing
from nasbench.records import Evaluation, Measurement, Score, TimingPlan
from nasbench.store.published import Published
from nasbench.store.schema import dump_json, parse_time


@dataclass(frozen=True, slots=True)
class Trial:
    """An evaluation together with what only the whole run can say of it.

    `feasible` and `hypervolume` are None in a run without objectives. `stated` is what its paper states of a published
    architecture.
    """

    run: str
    evaluation: Evaluation
    feasible: bool | None
    on_front: bool
    hypervolume: float | None
    final: Score | None = None
    confirmed: tuple[Measurement, ...] = ()
    standing: Standing | None = None
    stated: Published | None = None


@dataclass(frozen=True, slots=True)
class Sampled:
    """A measurement with the trial that asked for it."""

    run: str
    trial: int
    index: int
    measurement: Measurement


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `type` is as pyarrow writes it, `unit` is `-` for what has none, `read` takes a Trial or a Sampled."""

    name: str
    type: str
    unit: str
    about: str
    read: Callable[[Any], Any]


def _trial(name: str, kind: str, unit: str, about: str, read: Callable[[Evaluation], Any]) -> Column:
    return Column(name, kind, unit, about, lambda row: read(row.evaluation))


def _figure(objective: str, kind: str) -> Column:
    found = OBJECTIVES[objective]
    return _trial(found.column, kind, found.unit, found.about, found.read)


def _score(name: str, kind: str, unit: str, about: str, read: Callable[[Any], Any]) -> Column:
    return _trial(name, kind, unit, about, lambda e: None if e.score is None else read(e.score))


def _first(name: str, kind: str, unit: str, about: str, read: Callable[[Measurement], Any]) -> Column:
    return _trial(name, kind, unit, about, lambda e: read(e.measurements[0]) if e.measurements else None)


def _json(data: Mapping[str, Any]) -> str:
    return dump_json(dict(data), "a stored mapping")


def _confirmed(name: str, kind: str, unit: str, about: str, read: Callable[[Measurement], Any]) -> Column:
    def find(row: Trial) -> Any:
        # Of several devices, the first one's, as in the columns of the search.
        first = row.evaluation.measurements[0].device if row.evaluation.measurements else None
        measurement = next((one for one in row.confirmed if one.device == first), None)
        return None if measurement is None else read(measurement)

    return Column(name, kind, unit, about, find)


def _standing(name: str, kind: str, about: str, read: Callable[[Standing], Any]) -> Column:
    return Column(name, kind, "-", about, lambda row: read(row.standing) if row.standing else None)


def _stated(name: str, kind: str, unit: str, about: str, read: Callable[[Published], Any]) -> Column:
    return Column(name, kind, unit, about, lambda row: read(row.stated) if row.stated else None)


_LOW = "lower end of its 95 % interval: of the median at the level screen, over the processes at confirm"
_HIGH = "upper end of the same interval"
_VERDICT = "ok, noisy, throttled, drift, emulated, table (looked up, nothing was measured), invalid or failed"
_END_TO_END = "median time from the call until the answer is there, where the latency is the accelerator's alone"
_OUTPUT_ERROR = "distance of the output from torch eager's in fp32, over the length of that (2-norm)"
_REUSED = "the measurement of another time (run, time) that is repeated here"
_ENERGY_SOURCE = "where the energy was read, or why it was not"
_IDLE_POWER = "power of the device at rest, before and after"

EVALUATIONS: tuple[Column, ...] = (
    Column("run", "string", "-", "name of the run, its folder's", lambda row: row.run),
    _trial("trial", "int64", "-", "number of the trial in its run, from 0", lambda e: e.trial),
    _trial(
        "status",
        "string",
        "-",
        "complete, pruned (estimate ended early), infeasible (beyond a limit), duplicate, or the kind of failure",
        lambda e: e.status,
    ),
    _trial("error", "string", "-", "what went wrong, one line", lambda e: e.error),
    _trial("of_trial", "int64", "-", "the trial whose figures a duplicate repeats", lambda e: e.of_trial),
    _trial(
        "published",
        "string",
        "-",
        "name of the network: a published architecture that a search started from, or what a bench was given",
        lambda e: e.published,
    ),
    _stated("family", "string", "-", "search space that names this published architecture", lambda p: p.family),
    Column(
        "feasible",
        "bool",
        "-",
        "complete, every objective known, every limit kept; null in a run without objectives",
        lambda row: row.feasible,
    ),
    Column(
        "on_front",
        "bool",
        "-",
        "no other feasible trial of the run dominates it, by the figures of the search",
        lambda row: row.on_front,
    ),
    _trial(
        "architecture", "string", "-", "digest of the network, equal for equal ones", lambda e: e.architecture.digest
    ),
    _trial("space", "string", "-", "search space that it was drawn from", lambda e: e.architecture.space),
    _trial(
        "choices",
        "string",
        "JSON",
        "what the sampler chose, by path; of a bench, the settings of the row",
        lambda e: _json(e.choices),
    ),
    _trial(
        "input_shape",
        "list<int64>",
        "pixels",
        "channels, height, width of one image",
        lambda e: e.architecture.input_shape,
    ),
    _trial("classes", "int64", "count", "classes that it tells apart", lambda e: e.architecture.classes),
    _figure("accuracy", "double"),
    Column(
        "final_accuracy",
        "double",
        "share of one",
        "the same figure on the test split, taken once at the end by `--final`",
        lambda row: row.final.value if row.final else None,
    ),
    _score("accuracy_metric", "string", "-", "what `accuracy` is", lambda s: s.metric),
    _score("accuracy_method", "string", "-", "how it was estimated", lambda s: s.method),
    _score("dataset", "string", "-", "data set of the estimate", lambda s: s.dataset),
    _score("split", "string", "-", "split that `accuracy` was taken on", lambda s: s.split),
    _score("estimate_finished", "bool", "-", "false when the estimate was ended early", lambda s: s.finished),
    _score("estimate_s", "double", "s", "time the estimate took", lambda s: s.seconds),
    _score(
        "epochs",
        "int64",
        "count",
        "epochs trained; null for an estimate without any",
        lambda s: s.curve[-1][0] if s.curve else None,
    ),
    _score(
        "accuracy_curve",
        "string",
        "JSON",
        "[epoch, value] pairs on the way",
        lambda s: dump_json([list(p) for p in s.curve], "curve"),
    ),
    _score("estimate_details", "string", "JSON", "what else the estimator tells", lambda s: _json(s.details)),
    _figure("latency", "double"),
    _first("latency_low_s", "double", "s", _LOW, lambda m: m.low_s),
    _first("latency_high_s", "double", "s", _HIGH, lambda m: m.high_s),
    _first("latency_verdict", "string", "-", _VERDICT, lambda m: m.verdict),
    _first("latency_samples", "int64", "count", "samples that the latency rests on", lambda m: sum(m.kept)),
    _first("end_to_end_s", "double", "s", _END_TO_END, lambda m: m.end_to_end_s),
    _first("device", "string", "-", "name of the device", lambda m: m.device),
    _first("device_digest", "string", "-", "digest of the device's definition", lambda m: m.device_digest),
    _first("runtime", "string", "-", "what executed the network", lambda m: m.settings.get("runtime")),
    _first("threads", "int64", "count", "threads that it ran on", lambda m: m.settings.get("threads")),
    _first("batch", "int64", "images", "images in one inference", lambda m: m.plan.batch),
    _first("dtype", "string", "-", "number format of the inference", lambda m: m.plan.dtype),
    _first("output_error", "double", "share of one", _OUTPUT_ERROR, lambda m: m.output_error),
    _first("reused_from", "string", "-", _REUSED, lambda m: m.reused_from),
    _figure("memory", "int64"),
    _figure("energy", "double"),
    _first("energy_source", "string", "-", _ENERGY_SOURCE, lambda m: m.energy_source),
    _first("idle_power_w", "double", "W", _IDLE_POWER, lambda m: m.idle_power_w),
    _figure("params", "int64"),
    _figure("macs", "int64"),
    _trial(
        "activations",
        "int64",
        "count",
        "elements that convolutions and matrix products give for one image",
        lambda e: e.cost.activations if e.cost else None,
    ),
    _trial(
        "weight_bytes", "int64", "bytes", "deployed weights in fp32", lambda e: e.cost.weight_bytes if e.cost else None
    ),
    _trial(
        "deployed_params",
        "int64",
        "count",
        "parameters of the form that is measured: norms folded, branches merged",
        lambda e: e.cost.deployed_params if e.cost else None,
    ),
    _trial(
        "deployed_macs",
        "int64",
        "count",
        "multiply-accumulates for one image in that form",
        lambda e: e.cost.deployed_macs if e.cost else None,
    ),
    _trial(
        "deployed_activations",
        "int64",
        "count",
        "elements that convolutions and matrix products give for one image in that form",
        lambda e: e.cost.deployed_activations if e.cost else None,
    ),
    _trial(
        "traffic",
        "int64",
        "count",
        "elements that convolutions and matrix products of that form take in, without weights, and put out",
        lambda e: e.cost.traffic if e.cost else None,
    ),
    _stated(
        "published_top1",
        "double",
        "share of one",
        "top-1 that its source states, with the source's training; nothing of it was taken here",
        lambda p: p.top1,
    ),
    _stated("published_params", "int64", "count", "parameters that its source states", lambda p: p.params),
    _stated(
        "published_macs",
        "int64",
        "count",
        "multiply-accumulates for one image that its source states",
        lambda p: p.macs,
    ),
    _stated(
        "published_form",
        "string",
        "-",
        "form that those two were counted on: training or deployed",
        lambda p: p.form,
    ),
    _stated(
        "published_latencies",
        "string",
        "JSON",
        "latencies that its source states, on its own devices: device, ms, batch",
        lambda p: dump_json([dict(one) for one in p.latencies], "published latencies") if p.latencies else None,
    ),
    _stated("published_source", "string", "-", "where these published figures stand", lambda p: p.source),
    Column(
        "hypervolume",
        "double",
        "share of one",
        "share of the run's box that its front dominates after this trial, the box as of this file; null without one",
        lambda row: row.hypervolume,
    ),
    _trial(
        "started_at",
        "timestamp[us, tz=UTC]",
        "UTC",
        "when the trial began",
        lambda e: parse_time(e.started_at, f"trial {e.trial}"),
    ),
    _trial("duration_s", "double", "s", "time of the whole trial", lambda e: e.seconds),
)
"""One row a trial, in trial order."""

PARETO: tuple[Column, ...] = (
    *EVALUATIONS,
    _trial(
        "architecture_rows",
        "string",
        "JSON",
        "the whole network, for Architecture.from_dict",
        lambda e: dump_json(e.architecture.as_dict(), "architecture"),
    ),
    _confirmed(
        "confirmed_latency_s",
        "double",
        "s",
        "latency measured again at the end, in several processes interleaved with the rest of the front",
        lambda m: m.latency_s,
    ),
    _confirmed("confirmed_low_s", "double", "s", "lower end of its 95 % interval, over processes", lambda m: m.low_s),
    _confirmed("confirmed_high_s", "double", "s", "upper end of its 95 % interval, over processes", lambda m: m.high_s),
    _confirmed("confirmed_verdict", "string", "-", _VERDICT, lambda m: m.verdict),
    _confirmed(
        "confirmed_processes", "int64", "count", "processes that it rests on", lambda m: len(m.process_medians_s)
    ),
    _standing(
        "confirmed_on_front",
        "bool",
        "within the limits, and no other member beats it outside the intervals; null unless its verdict is ok or noisy",
        lambda s: s.on_front,
    ),
    _standing("dominated_by", "int64", "trial that beats it outside the intervals", lambda s: s.dominated_by),
    _standing(
        "tied_with",
        "list<int64>",
        "trials of the confirmed front whose latency intervals overlap its own",
        lambda s: s.tied_with,
    ),
    _standing("fell_off", "string", "why it left the front when it was confirmed, one line", lambda s: s.reason),
)
"""The rows that are `on_front`, the first cost ascending; what fell off when it was confirmed is marked and stays."""

_PLAN_TYPES = {"str": "string", "int": "int64", "float": "double", "bool": "bool"}
_PLAN_ABOUT: dict[str, tuple[str, str]] = {
    "level": ("-", "screen (may claim a ranking), race (orders networks alone) or confirm"),
    "batch": ("images", "images in one inference"),
    "dtype": ("-", "number format of the inference"),
    "cache": ("-", "hot, or cold: the processor's caches are emptied before every sample"),
    "energy": ("-", "whether a pass of its own took the energy"),
    "min_warmup": ("count", "fewest warm-up calls"),
    "min_warmup_s": ("s", "shortest warm-up"),
    "max_warmup_s": ("s", "longest warm-up"),
    "min_samples": ("count", "fewest samples"),
    "min_sampling_s": ("s", "shortest sampling"),
    "max_samples": ("count", "most samples"),
    "max_sampling_s": ("s", "longest sampling"),
    "target_halfwidth": ("share of one", "half-width of the interval of the median at which sampling stops"),
    "min_processes": ("count", "fewest processes"),
    "max_processes": ("count", "most processes"),
    "target_process_halfwidth": ("share of one", "half-width of the interval over processes at which no more start"),
    "seed": ("-", "seed of the weights and inputs"),
}


def _plan_columns() -> Iterable[Column]:
    for field in fields(TimingPlan):
        unit, about = _PLAN_ABOUT[field.name]

        def read(row: Sampled, name: str = field.name) -> Any:
            return getattr(row.measurement.plan, name)

        yield Column(f"plan_{field.name}", _PLAN_TYPES[str(field.type)], unit, f"timing plan: {about}", read)


def _of(name: str, kind: str, unit: str, about: str, read: Callable[[Measurement], Any]) -> Column:
    return Column(name, kind, unit, about, lambda row: read(row.measurement))


MEASUREMENTS: tuple[Column, ...] = (
    Column("run", "string", "-", "name of the run, its folder's", lambda row: row.run),
    Column("trial", "int64", "-", "trial that asked for the measurement", lambda row: row.trial),
    Column(
        "measurement",
        "int64",
        "-",
        "number of the measurement in its trial, from 0; that of its confirmation is the last",
        lambda row: row.index,
    ),
    _of("architecture", "string", "-", "digest of the network, equal for equal ones", lambda m: m.architecture),
    _of("device", "string", "-", "name of the device", lambda m: m.device),
    _of("device_digest", "string", "-", "digest of the device's definition", lambda m: m.device_digest),
    _of("latency_s", "double", "s", OBJECTIVES["latency"].about, lambda m: m.latency_s),
    _of("latency_low_s", "double", "s", _LOW, lambda m: m.low_s),
    _of("latency_high_s", "double", "s", _HIGH, lambda m: m.high_s),
    _of("verdict", "string", "-", _VERDICT, lambda m: m.verdict),
    _of("reasons", "list<string>", "-", "why the verdict is not ok", lambda m: m.reasons),
    _of("stop", "string", "-", "why sampling ended: converged, plateau, cap, interrupted or table", lambda m: m.stop),
    _of("process_medians_s", "list<double>", "s", "median of each process, of several", lambda m: m.process_medians_s),
    _of(
        "process_samples",
        "list<int64>",
        "count",
        "how many of the samples each process gave, in order",
        lambda m: m.process_samples,
    ),
    _of("latencies_s", "list<double>", "s", "every raw sample in the order taken", lambda m: m.latencies_s),
    _of("kept", "list<bool>", "-", "which samples the gates let through, one mark a sample", lambda m: m.kept),
    _of("warmups_s", "list<double>", "s", "warm-up calls in the order taken", lambda m: m.warmups_s),
    _of("first_call_s", "double", "s", "the first call, before the warm-up", lambda m: m.first_call_s),
    _of("build_s", "double", "s", "time to build the network on the device", lambda m: m.build_s),
    _of("peak_memory_bytes", "int64", "bytes", OBJECTIVES["memory"].about, lambda m: m.peak_memory_bytes),
    _of("end_to_end_s", "double", "s", _END_TO_END, lambda m: m.end_to_end_s),
    _of("energy_j", "double", "J", OBJECTIVES["energy"].about, lambda m: m.energy_j),
    _of("energy_source", "string", "-", _ENERGY_SOURCE, lambda m: m.energy_source),
    _of("idle_power_w", "double", "W", _IDLE_POWER, lambda m: m.idle_power_w),
    _of("output_hash", "string", "-", "hash of the network's output", lambda m: m.output_hash),
    _of("output_error", "double", "share of one", _OUTPUT_ERROR, lambda m: m.output_error),
    _of("reused_from", "string", "-", _REUSED, lambda m: m.reused_from),
    _of(
        "attempts",
        "string",
        "JSON",
        "the attempts before it that a device somewhere else lost: attempt (from 1), device, why",
        lambda m: dump_json([dict(one) for one in m.attempts], "attempts"),
    ),
    _of("runtime", "string", "-", "what executed the network", lambda m: m.settings.get("runtime")),
    _of("threads", "int64", "count", "threads that it ran on", lambda m: m.settings.get("threads")),
    *_plan_columns(),
    _of("settings", "string", "JSON", "threads, affinity and other settings in force", lambda m: _json(m.settings)),
    _of("host", "string", "JSON", "the machine and its software", lambda m: _json(m.host)),
    _of("noise", "string", "JSON", "what else went on: pressure, steal, clocks", lambda m: _json(m.noise)),
    _of(
        "started_at",
        "timestamp[us, tz=UTC]",
        "UTC",
        "when the measurement began",
        lambda m: parse_time(m.started_at, "a measurement"),
    ),
)
"""One row a measurement, in trial order. A duplicate's measurement is listed once, with the trial that it repeats."""


def device_columns(device: str, fronts: Mapping[int, frozenset[str]], *, confirmed: bool) -> tuple[Column, ...]:
    """Give the further columns that a run with several devices has for one of them; `@device` ends their names.

    Args:
        device: its name.
        fronts: for each trial on a device's own front, the devices it is so for.
        confirmed: whether the table has confirmed figures, as `pareto` does.
    """

    def at(name: str, kind: str, unit: str, about: str, read: Callable[[Measurement], Any]) -> Column:
        def find(row: Trial) -> Any:
            measurement = measured_on(row.evaluation, device)
            return None if measurement is None else read(measurement)

        return Column(f"{name}@{device}", kind, unit, f"on {device}: {about}", find)

    def again(name: str, kind: str, unit: str, about: str, read: Callable[[Measurement], Any]) -> Column:
        def find(row: Trial) -> Any:
            measurement = next((one for one in row.confirmed if one.device == device), None)
            return None if measurement is None else read(measurement)

        return Column(f"{name}@{device}", kind, unit, f"on {device}: {about}", find)

    columns = (
        at("latency_s", "double", "s", OBJECTIVES["latency"].about, lambda m: m.latency_s),
        at("latency_low_s", "double", "s", _LOW, lambda m: m.low_s),
        at("latency_high_s", "double", "s", _HIGH, lambda m: m.high_s),
        at("latency_verdict", "string", "-", _VERDICT, lambda m: m.verdict),
        at("peak_memory_bytes", "int64", "bytes", OBJECTIVES["memory"].about, lambda m: m.peak_memory_bytes),
        at("energy_j", "double", "J", OBJECTIVES["energy"].about, lambda m: m.energy_j),
        Column(
            f"on_front@{device}",
            "bool",
            "-",
            f"no other feasible trial dominates it by what is taken on {device} and on no device",
            lambda row: device in fronts.get(row.evaluation.trial, frozenset()),
        ),
    )
    if not confirmed:
        return columns
    return (
        *columns,
        again("confirmed_latency_s", "double", "s", "latency measured again at the end", lambda m: m.latency_s),
        again("confirmed_low_s", "double", "s", "lower end of its 95 % interval, over processes", lambda m: m.low_s),
        again("confirmed_high_s", "double", "s", "upper end of its 95 % interval, over processes", lambda m: m.high_s),
        again("confirmed_verdict", "string", "-", _VERDICT, lambda m: m.verdict),
    )


TABLES: dict[str, tuple[Column, ...]] = {"evaluations": EVALUATIONS, "measurements": MEASUREMENTS, "pareto": PARETO}
"""The files of a run, `<name>.parquet` each, and their columns."""
