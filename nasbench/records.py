"""The records that pass between the parts. Frozen, raw and SI; `None` means not measured and never 0."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from nasbench.space.architecture import Architecture

PROTOCOL = 1
"""Version of how a latency is taken; raised when a change of the loop, gates or levels changes what is found."""


@dataclass(frozen=True, slots=True)
class TimingPlan:
    """How a latency is taken. Two measurements compare only under equal plans.

    The defaults are the level `screen`: one process, in which sampling stops when the 95 % interval of the median is
    within `target_halfwidth` of it, and at `max_samples` or `max_sampling_s` at the latest. `CONFIRM` is the level
    `confirm`: processes are added until the 95 % interval over their medians is within `target_process_halfwidth`.

    `cache` is `hot`, or `cold` to empty the processor's caches before every sample. `energy` asks for a pass of its
    own that takes the energy of an inference.
    """

    level: str = "screen"
    batch: int = 1
    dtype: str = "fp32"
    cache: str = "hot"
    energy: bool = False
    min_warmup: int = 10
    min_warmup_s: float = 0.5
    max_warmup_s: float = 10.0
    min_samples: int = 50
    min_sampling_s: float = 0.5
    max_samples: int = 1000
    max_sampling_s: float = 5.0
    target_halfwidth: float = 0.02
    min_processes: int = 1
    max_processes: int = 1
    target_process_halfwidth: float = 0.01
    seed: int = 0


CONFIRM = TimingPlan(
    level="confirm",
    min_samples=30,
    min_sampling_s=1.0,
    max_samples=10_000,
    max_sampling_s=30.0,
    min_processes=5,
    max_processes=15,
)
"""The level for fronts, tables and claims.

Processes are what is repeated here, so a slow network gets 30 samples in each and not 100: in five processes those are
150, and the processes differ by more than the further 70 would tell."""

LEVELS = {"screen": TimingPlan(), "confirm": CONFIRM}
"""The timing plans by name."""


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """A registered device, as its YAML says.

    `dtype` is what is measured when nothing else is asked for. `index` is the number of the GPU among several. `cores`
    says which cores may be measured on, as `nasbench.host.find_cores` reads it; None is any. A device of the backend
    ray is the node with `resource` of the cluster at `address`. `emulated` says that its processor is not real.
    """

    name: str
    backend: str
    runtime: str
    threads: int
    memory_limit_bytes: int
    dtype: str = "fp32"
    index: int = 0
    cores: str | None = None
    address: str | None = None
    resource: str | None = None
    emulated: bool = False

    @property
    def hardware(self) -> str:
        """What the network runs on, as a runtime names it: `cpu` or `cuda`."""
        return "cpu" if self.backend == "ray" else self.backend

    @property
    def digest(self) -> str:
        """16 hexadecimal digits over what a latency depends on; latencies compare only between equal ones.

        The address is no part of it: a cluster may move. What a definition leaves out is none either, so that a digest
        from before there was such a key stays what it is.
        """
        said = asdict(self)
        del said["address"]
        for name in ("cores", "resource", "emulated"):
            if not said[name]:
                del said[name]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def place_of(spec: DeviceSpec) -> tuple[str, ...]:
    """Say which hardware a device is; devices that differ in runtime or threads alone are one piece of it."""
    return spec.backend, str(spec.index), spec.resource or "", spec.cores or ""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a device answered for one network. Every raw sample is kept, in the order taken.

    `kept` marks the samples that the gates let through; the statistics rest on those. `verdict` is ok, noisy,
    throttled, drift, emulated, table (looked up, nothing was measured), invalid or failed, `reasons` says why, and
    `stop` is converged, plateau, cap or interrupted.

    At the level `confirm` the samples are those of all processes, one process after the other: `process_samples` says
    how many each gave and `process_medians_s` what it found. `low_s` and `high_s` are then an interval over processes.

    `output_error` is how far the output is from that of torch eager in fp32, |difference| / |eager| in the 2-norm.
    `energy_j` is that of one inference of the whole batch, idle power included, `energy_source` where it was read, or
    why it was not. `end_to_end_s` is the median time from the call until the answer is there, where `latencies_s` is
    the time on the accelerator alone. `reused_from` names the measurement (run, time) that is repeated here.
    `attempts` tells of those before it that a device somewhere else lost: `attempt` (from 1), `device` and `why`.
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
    process_medians_s: tuple[float, ...] = ()
    process_samples: tuple[int, ...] = ()
    output_error: float | None = None
    energy_j: float | None = None
    idle_power_w: float | None = None
    energy_source: str | None = None
    end_to_end_s: float | None = None
    reused_from: str | None = None
    attempts: tuple[Mapping[str, Any], ...] = ()

    @property
    def latency_s(self) -> float | None:
        """The latency of one inference of the whole batch; `low_s` and `high_s` bound it with 95 % confidence.

        It is the median of the kept samples of one process, and the geometric mean of the medians of several.
        """
        if len(self.process_medians_s) > 1:
            return statistics.geometric_mean(self.process_medians_s)
        kept = [latency for latency, keep in zip(self.latencies_s, self.kept, strict=True) if keep]
        return statistics.median(kept) if kept else None


@dataclass(frozen=True, slots=True)
class Cost:
    """What a network takes, counted and not measured.

    Multiply-accumulates and activation elements (outputs of convolutions and matrix products) are for one image.
    `params`, `macs` and `activations` are those of the training form; `deployed_params` and the like those of the
    form that is measured, with norms folded, branches merged, and constants where layers always give the same;
    they are None where a program that did not count them wrote the record, and so is `traffic`: the elements that
    convolutions and matrix products of that form take in, without weights, and put out. `weight_bytes` is the deployed
    network in fp32.
    """

    params: int
    macs: int
    activations: int
    weight_bytes: int
    deployed_params: int | None = None
    deployed_macs: int | None = None
    deployed_activations: int | None = None
    traffic: int | None = None


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

FAILURES = STATUSES[STATUSES.index("duplicate") + 1 :]
"""What became of a candidate that failed."""


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
