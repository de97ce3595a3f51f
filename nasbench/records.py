"""The records that pass between the parts. Frozen, raw and SI; `None` means not measured and never 0."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from nasbench.space.architecture import Architecture


@dataclass(frozen=True, slots=True)
class TimingPlan:
    """How a latency is taken. Two measurements compare only under equal plans.

    The defaults are the level `screen`: sampling stops when the 95 % interval of the median is within
    `target_halfwidth` of it, and at `max_samples` or `max_seconds` at the latest.
    """

    level: str = "screen"
    batch: int = 1
    dtype: str = "fp32"
    min_warmup: int = 10
    min_warmup_s: float = 0.5
    max_warmup_s: float = 10.0
    min_samples: int = 50
    min_sampling_s: float = 0.5
    max_samples: int = 1000
    max_sampling_s: float = 5.0
    target_halfwidth: float = 0.02
    seed: int = 0


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """A registered device, as its YAML says."""

    name: str
    backend: str
    runtime: str
    threads: int
    memory_limit_bytes: int

    @property
    def digest(self) -> str:
        """16 hexadecimal digits over everything here; latencies compare only between equal ones."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a device answered for one network. Every raw sample is kept, in the order taken.

    `kept` marks the samples that the gates let through; the statistics rest on those. `verdict` is ok, noisy,
    throttled, drift, invalid or failed, `reasons` says why, and `stop` is converged, plateau or cap.
    """

    architecture: str
    device: str
    device_digest: str
    plan: TimingPlan
    latencies_s: tuple[float, ...]
    kept: tuple[bool, ...]
    warmups_s: tuple[float, ...]
    first_call_s: float | None
    build_s: float | None
    low_s: float | None
    high_s: float | None
    verdict: str
    reasons: tuple[str, ...]
    stop: str
    peak_memory_bytes: int | None
    output_hash: str | None
    settings: Mapping[str, Any] = field(default_factory=dict)
    host: Mapping[str, Any] = field(default_factory=dict)
    noise: Mapping[str, Any] = field(default_factory=dict)
    started_at: str = ""

    @property
    def median_s(self) -> float | None:
        """Median of the kept samples, in seconds; `low_s` and `high_s` bound it with 95 % confidence."""
        kept = [latency for latency, keep in zip(self.latencies_s, self.kept, strict=True) if keep]
        return statistics.median(kept) if kept else None


@dataclass(frozen=True, slots=True)
class Cost:
    """What a network takes, counted and not measured.

    Multiply-accumulates and activation elements (outputs of convolutions and matrix products) are for one image;
    `weight_bytes` is the deployed network in fp32.
    """

    params: int
    macs: int
    activations: int
    weight_bytes: int


@dataclass(frozen=True, slots=True)
class Score:
    """What an estimator says of one network. `value` is a share of one, higher is better.

    `finished` is false when the estimate was ended early; `curve` holds (epoch, validation value) pairs.
    """

    value: float
    metric: str
    method: str
    dataset: str
    split: str
    seconds: float
    finished: bool = True
    curve: tuple[tuple[int, float], ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


STATUSES = (
    "complete",
    "pruned",
    "infeasible",
    "duplicate",
    "build_error",
    "shape_error",
    "nan_output",
    "out_of_memory",
    "timeout",
    "crashed",
    "invalid",
    "failed",
)
"""What became of a candidate; everything after `duplicate` is a failure."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One trial of a search, as it is stored.

    `choices` are the values that the sampler gave to the choices that exist for this candidate. `of_trial` is the trial
    whose figures a duplicate repeats. `published` names the architecture a search started from.
    """

    trial: int
    status: str
    choices: Mapping[str, Any]
    architecture: Architecture
    cost: Cost | None = None
    score: Score | None = None
    measurements: tuple[Measurement, ...] = ()
    error: str | None = None
    of_trial: int | None = None
    published: str | None = None
    started_at: str = ""
    seconds: float = 0.0
