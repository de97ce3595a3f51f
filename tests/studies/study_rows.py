"""Findings of studies as a device without noise would give them."""

from dataclasses import replace

from nasbench.device.base import Layers
from nasbench.layers import DENSE, DEPTHWISE, OTHER, Layer
from nasbench.measure.compare import Comparison
from nasbench.records import CONFIRM, Cost, DeviceSpec, Measurement, TimingPlan
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block
from nasbench.studies.correlation import Point
from nasbench.studies.efficiency import Efficiency, Peak
from nasbench.studies.guidelines import Finding, guidelines
from nasbench.studies.resolution import Sized, resize

HERE = DeviceSpec("here", "cpu", "eager", 1, 1 << 30)
NETWORK = Architecture(
    (3, 32, 32), 10, (make_block("conv", 3, 8, 1, {}, "n"), make_block("pool_linear", 8, 10, 1, {}, "n"))
)
PEAK = 1e10


def measured(latency_s, batch=1, verdict="ok"):
    return Measurement(
        architecture=NETWORK.digest,
        device="here",
        device_digest=HERE.digest,
        plan=TimingPlan(batch=batch),
        latencies_s=(latency_s,) * 7,
        kept=(True,) * 7,
        warmups_s=(),
        first_call_s=0.1,
        build_s=0.1,
        low_s=0.9 * latency_s,
        high_s=1.2 * latency_s,
        verdict=verdict,
        reasons=(),
        stop="converged",
        peak_memory_bytes=1,
        output_hash="",
        output_error=None,
        settings={},
        host={},
        noise={},
        started_at="2026-01-01T00:00:00+00:00",
    )


def compared(ratio, verdict="slower", names=("a", "b")):
    return Comparison(
        names=names,
        architectures=("1", "2"),
        device="here",
        device_digest=HERE.digest,
        plan=CONFIRM,
        margin=0.01,
        against=1.0,
        verdict=verdict,
        ratio=ratio,
        low=None if ratio is None else 0.98 * ratio,
        high=None if ratio is None else 1.02 * ratio,
        ratios=(ratio,) * 4 if ratio else (),
        first_s=(ratio, ratio, ratio) if ratio else None,
        second_s=(1.0, 1.0, 1.0) if ratio else None,
        processes=4,
        pairs=40,
        discarded=0,
        seconds=1.0,
        stop="decided",
    )


def findings():
    verdicts = {"slower": "supported", "faster": "contradicted", "tie": "no difference"}
    ratios = {"slower": 1.5, "faster": 0.7, "tie": 1.0}
    words = list(verdicts)
    return [
        Finding(guideline, variant, verdicts[word], compared(ratios[word], word), "decided")
        for guideline in guidelines()
        for variant, word in zip(guideline.slower, words, strict=False)
    ]


def point(number, latency_s, **figures):
    counted = {"params": number, "macs": number, "activations": number, "weight_bytes": number}
    deployed = {"deployed_params": number, "deployed_macs": number, "deployed_activations": number, "traffic": number}
    cost = Cost(**{**counted, **deployed, **figures})
    return Point(f"network {number}", "family", str(number), cost, latency_s, 0.9 * latency_s, 1.1 * latency_s, "ok")


LAYERS = Layers(
    (
        Layer("conv", DENSE, 4_000_000, (1, 8), 0.0008),
        Layer("dw", DEPTHWISE, 1_000, (1, 8), 0.0004),
        Layer("relu", OTHER, 0, (1, 8), 0.0003),
    ),
    0.0016,
    20,
)


def efficiency(name="net", macs=4_001_000, latency_s=0.0016, layers=LAYERS, batch=1):
    peak = Peak(512, 8 * 512**3 / PEAK, measured(8 * 512**3 / PEAK, 512))
    return Efficiency(name, NETWORK, macs, latency_s, measured(latency_s, batch), peak, layers)


def sized(side, latency_s, macs, name="net"):
    return Sized(name, resize(NETWORK, side), side, macs, latency_s, measured(latency_s))


def unsure(row):
    return replace(row, verdict="noisy")
