"""Runs of searches with choices, made from a seed, and what is written in a figure."""

import random
from dataclasses import replace
from xml.etree import ElementTree

from run_samples import MANIFEST, make_evaluation, make_measurement, write_run

from nasbench.store.parquet import flush, read_run

OBJECTIVES = ["accuracy", "latency", "params"]


def choose(draw):
    """One point of a small space in which `stage1.expand` exists for one kind of block alone."""
    chosen = {
        "stem.out": draw.choice([8, 16, 32]),
        "stage1.block": draw.choice(["conv", "mbconv"]),
        "stage1.kernel": draw.choice([3, 5]),
    }
    return chosen | ({"stage1.expand": draw.choice([2, 4])} if chosen["stage1.block"] == "mbconv" else {})


def make_searched(count, seed=0, failing=()):
    """Trials a minute apart whose accuracy follows `stem.out` and whose latency follows the kernel."""
    draw = random.Random(seed)
    found = []
    for trial in range(count):
        chosen = choose(draw)
        accuracy = 0.5 + 0.01 * chosen["stem.out"] + draw.uniform(0, 0.02)
        one = make_evaluation(
            trial, accuracy, 0.001 * chosen["stage1.kernel"] * draw.uniform(1, 1.1), 100 * (trial + 1)
        )
        one = replace(one, choices=chosen, started_at=f"2026-11-21T{10 + trial // 60}:{trial % 60:02d}:00+00:00")
        if trial in failing:
            one = replace(one, status="crashed", error="it crashed", measurements=(), score=None)
        found.append(one)
    return found


def store(folder, evaluations, manifest=None):
    write_run(folder, evaluations, MANIFEST | {"objectives": OBJECTIVES} | (manifest or {}))
    flush(folder)
    return read_run(folder)


def on_devices(evaluations, factors):
    """The same trials, measured on further devices too, by how many times as long each takes."""
    more = []
    for one in evaluations:
        taken = one.measurements
        for device, factor in factors.items():
            latency_s = factor(one) * one.measurements[0].latency_s
            taken += (make_measurement(one.architecture, latency_s, device=device, device_digest=f"of-{device}"),)
        more.append(replace(one, measurements=taken))
    return more


def texts(path):
    return ["".join(node.itertext()) for node in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]
