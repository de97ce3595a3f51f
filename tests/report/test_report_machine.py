"""What a page says of the machine is of the processes that measured for the run, and what failed is told too."""

import json

import pytest
from report_runs import failure, make_search, write_run
from run_samples import make_architecture, make_evaluation, make_measurement

from nasbench.report.data import make_document
from nasbench.report.document import to_json
from nasbench.store.parquet import read_run

BENCH = {"kind": "bench", "objectives": [], "space": None}


def document_of(*folders):
    return json.loads(to_json(make_document([read_run(folder) for folder in folders])))


def measured(trial, **changes):
    architecture = make_architecture(8 * (1 + trial))
    return make_evaluation(trial, architecture=architecture, measurements=(make_measurement(architecture, **changes),))


def test_what_another_run_measured_and_what_a_table_has_say_nothing_of_the_machine(tmp_path):
    noise = {"window_s": 2.0, "waiting_s": 0.4, "canary_s": [0.001, 0.002]}
    own = measured(0, noise=noise, settings={"threads": 4})
    reused = measured(
        1, noise=noise | {"canary_s": [0.5]}, reused_from="other#3", started_at="2026-11-14T10:00:00+00:00"
    )
    looked_up = measured(2, verdict="table")

    run = document_of(write_run(tmp_path / "run", [own, reused, looked_up]))["runs"][0]

    assert run["machine"]["trial"] == [0] and run["machine"]["seconds"] == [0.0]
    assert run["machine"]["readings"]["waiting"] == [pytest.approx(0.4 / 2.0 / 4)]  # of one of four threads
    assert [one["rounds_s"] for one in run["canaries"]] == [[0.001, 0.002]]


def make_bench(folder):
    """Write a bench of two networks of which one failed."""
    asked = {"device": "cpu", "runtime": "eager", "dtype": "fp32", "batch": 1, "threads": 1}
    architecture = make_architecture()
    one = make_measurement(architecture, settings={"threads": 1, "runtime": "eager"})
    good = make_evaluation(0, architecture=architecture, measurements=(one,), score=None, choices=asked, published="a")
    failed = failure(1)
    return write_run(folder, [good, make_evaluation(**{**vars_of(failed), "choices": asked, "published": "b"})], BENCH)


def vars_of(evaluation):
    return {name: getattr(evaluation, name) for name in evaluation.__dataclass_fields__}


def test_a_row_that_failed_has_the_setting_that_was_asked_for_and_stays_beside_a_search(tmp_path):
    search, bench = make_search(tmp_path / "first", 5), make_bench(tmp_path / "bench")

    alone = document_of(bench)["runs"][0]
    beside = document_of(search, bench)["runs"][1]

    assert alone["rows"]["series"]["names"] == ["bench"]
    assert beside["rows"]["trial"] == [0, 1] and [one["status"] for one in beside["failures"]] == ["crashed"]
