"""A bench of published networks and searches that were measured as it was, so that they share a panel."""

from dataclasses import replace
from pathlib import Path

from bench_device import BENCH, BRIEF, CPU, make_entries
from run_samples import MANIFEST, make_confirmation, make_evaluation, make_measurement, write_run

from nasbench.measure.bench import Bench
from nasbench.measure.cache import MeasurementCache
from nasbench.store.log import RunLog
from nasbench.store.parquet import flush, read_run
from nasbench.store.published import KEY, Published, describe_published

REFERENCE = Path(__file__).parents[2] / "results" / "reference"

# The n-th network is 8 (n + 1) wide and takes 0.8 (n + 1) ms: c is slower and worse than b, and e has no accuracy.
TOP1 = {"a": 0.60, "b": 0.75, "c": 0.70, "d": 0.80, "e": None}

# By trial, (accuracy, seconds): the first beats a, the second is beaten by b, the last is the best of all.
FOUND = ((0.65, 0.0007), (0.72, 0.002), (0.85, 0.004))

SAME_DEVICE = {"device_digest": CPU.digest, "settings": {"runtime": "eager", "threads": 1}}


def make_bench(folder, top1=TOP1, **options):
    figures = {name: Published("table 1", "letters", value) for name, value in top1.items()}
    entries = make_entries(tuple(figures), **({"plan": BRIEF} | options))
    manifest = BENCH | {KEY: describe_published(figures)}
    with MeasurementCache(folder.parent / f"{folder.name}-cache.db") as cache, RunLog.create(folder, manifest) as log:
        Bench(entries, log, cache).run()
    return read_run(folder)


def on_the_same_device(evaluation, **changes):
    """Give an evaluation that was measured on the device of the bench."""
    latency_s = evaluation.measurements[0].latency_s
    measurement = make_measurement(evaluation.architecture, latency_s, **(SAME_DEVICE | changes))
    return replace(evaluation, measurements=(measurement,))


def make_search(folder, figures=FOUND, change=None, confirm=(), manifest=None, **measured):
    """Write a search; `confirm` maps trials to confirmed seconds, or what its measurement is to be beside them."""
    evaluations = [make_evaluation(trial, *figure) for trial, figure in enumerate(figures)]
    evaluations = [on_the_same_device(evaluation, **measured) for evaluation in evaluations]
    if change is not None:
        evaluations = [change(evaluation) for evaluation in evaluations]
    write_run(folder, evaluations, MANIFEST | (manifest or {}))
    with RunLog.open(folder) as log:
        for trial, latency_s in dict(confirm).items():
            again = make_confirmation(evaluations[trial].architecture, latency_s, **(SAME_DEVICE | measured))
            log.append_confirmed(trial, again)
    flush(folder)
    return read_run(folder)
