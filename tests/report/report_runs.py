"""Run folders for the report's tests: searches of any size, failures alone, hostile names, and none at all."""

import random
from dataclasses import replace
from pathlib import Path

from run_samples import MANIFEST, make_architecture, make_confirmation, make_evaluation, make_measurement

from nasbench.records import Score
from nasbench.store.log import RunLog
from nasbench.store.parquet import flush

COMMAND = {"command": ["nasbench", "search", "tiny", "--trials", "9"], "versions": {"nasbench": "0.1.0"}}

HOSTILE = (
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 2'>",
    '"><svg onload="window.hacked = 3">',
    "<a href='javascript:window.hacked = 4'>go</a>",
    "${alert(1)} %{text} {trial} \u2028\u2029 &lt;b&gt;",
)


def write_run(folder: Path, evaluations, manifest=None, confirmed=()):
    """Write a run as a search does; `confirmed` are pairs of a trial's number and its latency."""
    with RunLog.create(folder, {**MANIFEST, **COMMAND, **(manifest or {})}) as log:
        for evaluation in evaluations:
            log.append(evaluation)
        known = {evaluation.trial: evaluation for evaluation in evaluations}
        for trial, latency_s in confirmed:
            log.append_confirmed(trial, make_confirmation(known[trial].architecture, latency_s))
        flush(log)
    return folder


def make_search(folder: Path, count=12, seed=0, **options):
    """Write a search in which the slower candidate is mostly the more accurate one."""
    return write_run(folder, search_evaluations(count, seed), **options)


def search_evaluations(count, seed=0):
    """Give evaluations whose choices, costs and latencies go together."""
    draw, evaluations = random.Random(seed), []
    for trial in range(count):
        width, kernel = 8 * draw.randrange(1, 41), draw.choice((3, 5, 7))
        latency_s = 1e-5 * width * kernel * draw.uniform(0.9, 1.1)
        accuracy = 0.6 + 0.35 * (1 - 40 / (40 + width)) + 0.01 * kernel - draw.uniform(0, 0.1)
        evaluations.append(
            make_evaluation(
                trial,
                accuracy,
                latency_s,
                params=width * 90,
                architecture=make_architecture(width, kernel),
                choices={"stage0.out": width, "stage0.kernel": kernel, "stage1.block": draw.choice(("conv", "mbconv"))},
                started_at=f"2026-11-21T{10 + trial // 3600:02d}:{trial // 60 % 60:02d}:{trial % 60:02d}+00:00",
                seconds=0.75,
            )
        )
    return evaluations


def failure(trial, status="crashed", error="signal 11 in row 3"):
    """Give a trial that failed."""
    return make_evaluation(trial, status=status, error=error, score=None, measurements=(), cost=None)


def make_failures(folder: Path):
    """Write a run of failures alone."""
    return write_run(
        folder, [failure(t, *(("timeout", f"the build took {t + 30} s") if t % 2 else ())) for t in range(7)]
    )


def make_hostile(folder: Path):
    """Write a run in which names, errors, choices, devices, versions and the command are hostile."""
    evaluations = search_evaluations(6)
    for index, text in enumerate(HOSTILE):
        one = evaluations[index]
        measured = make_measurement(
            one.architecture, 0.001 + 0.001 * index, device=text, reasons=(text,), verdict="noisy"
        )
        score = Score(0.5 + 0.05 * index, text, text, text, text, 1.0)
        evaluations[index] = replace(
            one, published=text, choices={text: text, **one.choices}, score=score, measurements=(measured,)
        )
    evaluations += [failure(10 + index, error=text) for index, text in enumerate(HOSTILE)]
    manifest = {
        "command": ["nasbench", "search", *HOSTILE],
        "versions": {text: text for text in HOSTILE},
        "sampler": HOSTILE[0],
        "space": HOSTILE[1],
    }
    return write_run(folder, evaluations, manifest)


def make_bench(folder: Path, latencies_s=(0.002, 0.004), device="cpu", published=None):
    """Write a bench of networks that papers have figures of."""
    rows = []
    for index, latency_s in enumerate(latencies_s):
        architecture = make_architecture(8 * (index + 1))
        rows.append(
            make_evaluation(
                index,
                score=None,
                architecture=architecture,
                measurements=(make_measurement(architecture, latency_s, device=device, host={"host": "one"}),),
                choices={"device": device, "batch": 1},
                published=f"net_{index}",
            )
        )
    stated = {f"net_{index}": {"top1": 0.7 + 0.05 * index, "family": "net"} for index in range(len(rows))}
    manifest = {"kind": "bench", "objectives": [], "space": None, "published": stated}
    return write_run(folder, rows, manifest)
