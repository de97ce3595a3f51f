"""The columns of what studies find: name, type, unit, meaning, and where each value comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nasbench.layers import Layer
from nasbench.measure.compare import Comparison
from nasbench.records import DeviceSpec
from nasbench.store.columns import Column
from nasbench.store.schema import dump_json
from nasbench.studies.efficiency import Efficiency


@dataclass(frozen=True, slots=True)
class Place:
    """A device as it was measured on."""

    device: str
    digest: str
    runtime: str
    dtype: str
    threads: int

    @classmethod
    def of(cls, spec: DeviceSpec) -> Place:
        """Give the place that a definition is."""
        return cls(spec.name, spec.digest, spec.runtime, spec.dtype, spec.threads)


@dataclass(frozen=True, slots=True)
class On:
    """What was found somewhere."""

    place: Place
    found: Any


@dataclass(frozen=True, slots=True)
class LayerOf:
    """A layer of a network by its number in the order of execution."""

    efficiency: Efficiency
    number: int
    layer: Layer

    @property
    def share(self) -> float | None:
        """Give the part of the peak that it reaches; None for a layer without MACs or too short for the clock."""
        if not self.layer.macs or not self.layer.seconds:
            return None
        return self.layer.macs / self.layer.seconds / self.efficiency.peak.macs_per_s


def _column(name: str, kind: str, unit: str, about: str, read: Callable[[Any], Any]) -> Column:
    return Column(name, kind, unit, about, lambda row: read(row.found))


def _compared(name: str, kind: str, unit: str, about: str, read: Callable[[Comparison], Any]) -> Column:
    return _column(name, kind, unit, about, lambda found: found.comparison and read(found.comparison))


_DEVICE = (
    Column("device", "string", "-", "name of the device", lambda row: row.place.device),
    Column("device_digest", "string", "-", "digest of the device's definition", lambda row: row.place.digest),
    Column("runtime", "string", "-", "what executes networks there", lambda row: row.place.runtime),
    Column("dtype", "string", "-", "number format of the inference", lambda row: row.place.dtype),
    Column("threads", "int64", "count", "threads that they run on", lambda row: row.place.threads),
)


GUIDELINES: tuple[Column, ...] = (
    _column("guideline", "string", "-", "G1 to G4", lambda f: f.guideline.name),
    _column("says", "string", "-", "what it says", lambda f: f.guideline.says),
    _column("variant", "string", "-", "the network that it calls slower", lambda f: f.variant.name),
    _column("fast", "string", "-", "the network that it calls fast", lambda f: f.guideline.fast.name),
    _column("architecture", "string", "-", "digest of the variant", lambda f: f.variant.architecture.digest),
    _column(
        "fast_architecture", "string", "-", "digest of the fast one", lambda f: f.guideline.fast.architecture.digest
    ),
    *_DEVICE,
    _column("macs", "int64", "count", "multiply-accumulates of the variant", lambda f: f.variant.cost.deployed_macs),
    _column(
        "traffic",
        "int64",
        "count",
        "elements that its convolutions take in and put out",
        lambda f: f.variant.cost.traffic,
    ),
    _column(
        "verdict", "string", "-", "supported, contradicted, no difference, undecided or failed", lambda f: f.verdict
    ),
    _compared("ratio", "double", "share of one", "latency of the variant over that of the fast one", lambda c: c.ratio),
    _compared("ratio_low", "double", "share of one", "lower end of its 95 % interval", lambda c: c.low),
    _compared("ratio_high", "double", "share of one", "upper end of its 95 % interval", lambda c: c.high),
    _compared("latency_s", "double", "s", "latency of the variant", lambda c: c.first_s and c.first_s[0]),
    _compared("fast_latency_s", "double", "s", "latency of the fast one", lambda c: c.second_s and c.second_s[0]),
    _compared("process_ratios", "list<double>", "share of one", "the ratio of each process", lambda c: c.ratios),
    _compared("processes", "int64", "count", "processes that it rests on", lambda c: c.processes),
    _compared(
        "discarded", "int64", "count", "processes that were disturbed and are not among those", lambda c: c.discarded
    ),
    _column("reason", "string", "-", "how the comparison ended, or why there is none", lambda f: f.reason),
    _compared("host", "string", "JSON", "the machine and its software", lambda c: dump_json(dict(c.host), "host")),
)
"""One row a variant."""


CORRELATIONS: tuple[Column, ...] = (
    _column("figure", "string", "-", "what was held against latency", lambda c: c.figure),
    *_DEVICE,
    _column("networks", "int64", "count", "networks that it rests on", lambda c: c.networks),
    _column("spearman", "double", "-", "rank correlation, 1 for the same order", lambda c: c.spearman),
    _column("spearman_low", "double", "-", "lower end of its 95 % interval over networks", lambda c: c.low),
    _column("spearman_high", "double", "-", "upper end of the same interval", lambda c: c.high),
    _column("kendall", "double", "-", "Kendall's tau-b", lambda c: c.kendall),
    _column("pearson_log", "double", "-", "Pearson's correlation of the logarithms", lambda c: c.pearson_log),
)
"""One row a figure, the one that ranks best first."""


POINTS: tuple[Column, ...] = (
    _column("network", "string", "-", "name of the network", lambda p: p.network),
    _column("family", "string", "-", "search space that names it", lambda p: p.family),
    _column("architecture", "string", "-", "its digest", lambda p: p.architecture),
    *_DEVICE,
    _column("latency_s", "double", "s", "latency", lambda p: p.latency_s),
    _column("latency_low_s", "double", "s", "lower end of its 95 % interval", lambda p: p.low_s),
    _column("latency_high_s", "double", "s", "upper end of the same interval", lambda p: p.high_s),
    _column("latency_verdict", "string", "-", "ok, or why it is less sure", lambda p: p.verdict),
    _column("params", "int64", "count", "parameters of the deployed form", lambda p: p.cost.deployed_params),
    _column("macs", "int64", "count", "multiply-accumulates of that form", lambda p: p.cost.deployed_macs),
    _column(
        "activations",
        "int64",
        "count",
        "elements that its convolutions and products put out",
        lambda p: p.cost.deployed_activations,
    ),
    _column("traffic", "int64", "count", "elements that they take in and put out", lambda p: p.cost.traffic),
    _column("weight_bytes", "int64", "bytes", "its weights in fp32", lambda p: p.cost.weight_bytes),
)
"""One row a network."""


EFFICIENCIES: tuple[Column, ...] = (
    _column("network", "string", "-", "name of the network", lambda e: e.network),
    _column("architecture", "string", "-", "its digest", lambda e: e.architecture.digest),
    *_DEVICE,
    _column("macs", "int64", "count", "multiply-accumulates of the deployed form for one image", lambda e: e.macs),
    _column("batch", "int64", "images", "images in one inference", lambda e: e.measurement.plan.batch),
    _column("latency_s", "double", "s", "latency", lambda e: e.latency_s),
    _column("latency_low_s", "double", "s", "lower end of its 95 % interval", lambda e: e.measurement.low_s),
    _column("latency_high_s", "double", "s", "upper end of the same interval", lambda e: e.measurement.high_s),
    _column("latency_verdict", "string", "-", "ok, or why it is less sure", lambda e: e.measurement.verdict),
    _column(
        "peak_macs_per_s",
        "double",
        "1/s",
        "multiply-accumulates a second of the fastest square matrix product",
        lambda e: e.peak.macs_per_s,
    ),
    _column("peak_low_macs_per_s", "double", "1/s", "lower end of its 95 % interval", lambda e: e.peak.low_macs_per_s),
    _column(
        "peak_high_macs_per_s", "double", "1/s", "upper end of the same interval", lambda e: e.peak.high_macs_per_s
    ),
    _column("peak_size", "int64", "count", "rows and columns of its matrices", lambda e: e.peak.size),
    _column("peak_verdict", "string", "-", "verdict of its latency", lambda e: e.peak.measurement.verdict),
    _column("efficiency", "double", "share of one", "part of that peak that the network reaches", lambda e: e.share),
    _column("ideal_s", "double", "s", "time of its MACs at the peak", lambda e: e.ideal_s),
    _column(
        "layers_s",
        "double",
        "s",
        "sum of its layers' times, which are profiled and so a little too long; null where they cannot be told",
        lambda e: sum(layer.seconds for layer in e.layers.layers) if e.layers else None,
    ),
    _column(
        "plain_s",
        "double",
        "s",
        "median inference between the profiled ones",
        lambda e: e.layers.latency_s if e.layers else None,
    ),
)
"""One row a network."""


LAYERS: tuple[Column, ...] = (
    _column("network", "string", "-", "name of the network", lambda row: row.efficiency.network),
    _column("layer", "int64", "-", "number in the order of execution, from 0", lambda row: row.number),
    _column("name", "string", "-", "operator, as the runtime names it", lambda row: row.layer.name),
    _column("kind", "string", "-", "what kind of operator it is", lambda row: row.layer.kind),
    *_DEVICE,
    _column("output_shape", "list<int64>", "count", "sizes of its output", lambda row: row.layer.output_shape),
    _column("macs", "int64", "count", "its multiply-accumulates, of the whole batch", lambda row: row.layer.macs),
    _column("passes", "int64", "count", "inferences that were profiled", lambda row: row.efficiency.layers.passes),
    _column("duration_s", "double", "s", "median time over them", lambda row: row.layer.seconds),
    _column("duration_low_s", "double", "s", "a quarter of them were quicker", lambda row: row.layer.low_s),
    _column("duration_high_s", "double", "s", "a quarter of them were slower", lambda row: row.layer.high_s),
    _column("efficiency", "double", "share of one", "part of the peak that it reaches", lambda row: row.share),
)
"""One row a layer."""


SIZED: tuple[Column, ...] = (
    _column("network", "string", "-", "name of the network", lambda s: s.network),
    _column("side", "int64", "pixels", "height and width of the image", lambda s: s.side),
    _column("architecture", "string", "-", "digest of the network at this size", lambda s: s.architecture.digest),
    *_DEVICE,
    _column("macs", "int64", "count", "multiply-accumulates of the deployed form", lambda s: s.macs),
    _column("latency_s", "double", "s", "latency", lambda s: s.latency_s),
    _column("latency_low_s", "double", "s", "lower end of its 95 % interval", lambda s: s.measurement.low_s),
    _column("latency_high_s", "double", "s", "upper end of the same interval", lambda s: s.measurement.high_s),
    _column("latency_verdict", "string", "-", "ok, or why it is less sure", lambda s: s.measurement.verdict),
)
"""One row a network and size."""


GROWTHS: tuple[Column, ...] = (
    _column("network", "string", "-", "name of the network", lambda g: g.network),
    *_DEVICE,
    _column("sides", "list<int64>", "pixels", "sizes that it rests on", lambda g: g.sides),
    _column("latency_exponent", "double", "-", "latency grows as the side to this power", lambda g: g.latency_exponent),
    _column("latency_exponent_low", "double", "-", "lower end of its 95 % interval", lambda g: g.low),
    _column("latency_exponent_high", "double", "-", "upper end of the same interval", lambda g: g.high),
    _column("macs_exponent", "double", "-", "MACs grow as the side to this power", lambda g: g.macs_exponent),
)
"""One row a network."""

TABLES = {
    "guidelines": GUIDELINES,
    "correlations": CORRELATIONS,
    "points": POINTS,
    "efficiencies": EFFICIENCIES,
    "layers": LAYERS,
    "resolutions": SIZED,
    "growths": GROWTHS,
}
"""The parquet files of studies, by stem."""
