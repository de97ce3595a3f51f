"""Evaluations that look like a search's, made from a seed."""

import random
from dataclasses import replace
from pathlib import Path

from nasbench.records import CONFIRM, Cost, Evaluation, Measurement, Score, TimingPlan
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block
from nasbench.store.log import RunLog

MANIFEST = {"objectives": ["accuracy", "latency"], "limits": {}, "seed": 3, "space": "tiny"}


def make_architecture(width=16, kernel=3, size=32):
    rows = (
        make_block("conv", 3, width, 2, {"kernel": kernel}, "row"),
        make_block("mbconv", width, width, 1, {"kernel": kernel, "expand": 3}, "row"),
        make_block("pool_linear", width, 10, 1, {}, "row"),
    )
    return Architecture((3, size, size), 10, rows, "tiny")


def make_measurement(architecture, latency_s=0.004, samples=8, **changes):
    latencies = tuple(latency_s * (1 + 0.001 * index) for index in range(-(samples // 2), samples - samples // 2))
    values = {
        "architecture": architecture.digest,
        "device": "cpu",
        "device_digest": "0123456789abcdef",
        "plan": TimingPlan(),
        "latencies_s": latencies,
        "kept": (True,) * samples,
        "warmups_s": (2 * latency_s, latency_s),
        "first_call_s": 3 * latency_s,
        "build_s": None,
        "low_s": 0.99 * latency_s,
        "high_s": 1.02 * latency_s,
        "verdict": "ok",
        "reasons": (),
        "stop": "converged",
        "peak_memory_bytes": 1 << 20,
        "output_hash": "ab12",
        "settings": {"threads": 1, "affinity": [1]},
        "host": {"cpu": "a CPU"},
        "noise": {"pressure": 0.0},
        "started_at": "2026-11-21T10:00:00+00:00",
    }
    return Measurement(**(values | changes))


def make_evaluation(trial=0, accuracy=0.5, latency_s=0.004, params=1000, **changes):
    architecture = changes.pop("architecture", None) or make_architecture(8 * (1 + trial % 40))
    values = {
        "trial": trial,
        "status": "complete",
        "choices": {"stage1.out": architecture.blocks[0].out_channels},
        "architecture": architecture,
        "cost": Cost(params, 10 * params, 2 * params, 4 * params),
        "score": Score(
            accuracy, "top1", "train", "digits", "validation", 1.5, curve=((1, accuracy / 2), (2, accuracy))
        ),
        "measurements": (make_measurement(architecture, latency_s),),
        "started_at": "2026-11-21T10:00:00+00:00",
        "seconds": 2.25,
    }
    return Evaluation(**(values | changes))


def make_evaluations(count, seed=0):
    draw = random.Random(seed)
    return [
        make_evaluation(trial, draw.uniform(0.1, 0.9), draw.uniform(0.001, 0.01), draw.randrange(1000, 9000))
        for trial in range(count)
    ]


def make_confirmation(architecture, latency_s=0.004, **changes):
    medians = tuple(latency_s * factor for factor in (0.99, 1.0, 1.01))
    values = {
        "plan": replace(CONFIRM, min_processes=3),
        "process_medians_s": medians,
        "process_samples": (4, 4, 4),
        "low_s": 0.985 * latency_s,
        "high_s": 1.015 * latency_s,
    }
    return make_measurement(architecture, latency_s, samples=12, **(values | changes))


def write_run(folder: Path, evaluations, manifest=None):
    with RunLog.create(folder, manifest or MANIFEST) as log:
        for evaluation in evaluations:
            log.append(evaluation, {"drawn": evaluation.trial}, {"generation": evaluation.trial // 3})
    return folder
