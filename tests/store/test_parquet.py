import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from run_samples import (
    MANIFEST,
    make_architecture,
    make_confirmation,
    make_evaluation,
    make_evaluations,
    make_measurement,
    write_run,
)

from nasbench.cli.front import count_verdicts, describe_fallen, front_data, front_rows
from nasbench.errors import RunNameError, StoreError
from nasbench.objectives import OBJECTIVES
from nasbench.pareto import normalized_hypervolume
from nasbench.records import STATUSES
from nasbench.space.architecture import Architecture
from nasbench.store import parquet
from nasbench.store.columns import EVALUATIONS, MEASUREMENTS, PARETO
from nasbench.store.log import RunLog
from nasbench.store.parquet import TABLES, FlushSchedule, flush, read_run, read_table
from nasbench.store.schema import SCHEMA

README = Path(__file__).parents[2] / "results" / "README.md"


def flushed(folder, evaluations, manifest=None):
    write_run(folder, evaluations, manifest)
    flush(folder)
    return folder


def test_the_figures_of_a_trial_stand_in_their_columns(tmp_path):
    evaluation = make_evaluation(4, accuracy=0.75, latency_s=0.004, params=1000, published="tiny_1.0")
    folder = flushed(tmp_path / "run", [evaluation])

    row = pd.read_parquet(folder / "evaluations.parquet").iloc[0]

    expected = {
        "run": "run",
        "trial": 4,
        "status": "complete",
        "published": "tiny_1.0",
        "feasible": True,
        "on_front": True,
        "architecture": evaluation.architecture.digest,
        "accuracy": 0.75,
        "dataset": "digits",
        "epochs": 2,
        "latency_s": evaluation.measurements[0].latency_s,
        "latency_low_s": 0.99 * 0.004,
        "latency_verdict": "ok",
        "latency_samples": 8,
        "peak_memory_bytes": 1 << 20,
        "params": 1000,
        "macs": 10_000,
        "weight_bytes": 4000,
        "duration_s": 2.25,
        "started_at": pd.Timestamp("2026-11-21T10:00:00Z"),
    }
    assert {name: row[name] for name in expected} == expected
    assert json.loads(row["choices"]) == {"stage1.out": 40}


def test_the_front_is_self_explaining(tmp_path):
    evaluations = make_evaluations(40)
    folder = flushed(tmp_path / "run", evaluations)

    front = pd.read_parquet(folder / "pareto.parquet")

    assert front["latency_s"].is_monotonic_increasing and front["accuracy"].is_monotonic_increasing
    for row in front.itertuples():
        architecture = Architecture.from_dict(json.loads(row.architecture_rows))
        assert architecture.digest == row.architecture == evaluations[row.trial].architecture.digest
    everything = pd.read_parquet(folder / "evaluations.parquet")
    assert sorted(front["trial"]) == list(everything.loc[everything["on_front"], "trial"])
    for row in everything[~everything["on_front"]].itertuples():
        assert ((front["latency_s"] <= row.latency_s) & (front["accuracy"] >= row.accuracy)).any()


def test_the_files_carry_units_meanings_and_the_manifest(tmp_path):
    folder = flushed(tmp_path / "run", make_evaluations(2))

    for name, columns in TABLES.items():
        schema = pq.read_schema(folder / f"{name}.parquet")
        assert schema.names == [column.name for column in columns]
        for column in columns:
            metadata = schema.field(column.name).metadata
            assert (metadata[b"unit"].decode(), metadata[b"description"].decode()) == (column.unit, column.about)
            assert str(schema.field(column.name).type).replace("list<element: ", "list<") == column.type
        assert json.loads(schema.metadata[b"nasbench.manifest"]) == MANIFEST
        assert schema.metadata[b"nasbench.schema"] == str(SCHEMA).encode()


def test_only_complete_trials_within_the_limits_stand_in_the_front(tmp_path):
    best = {"accuracy": 0.99, "latency_s": 0.0001}
    lame = [
        make_evaluation(trial, status=status, **best) for trial, status in enumerate(STATUSES) if status != "complete"
    ]
    bad = make_evaluation(20, **best)
    bad = replace(bad, measurements=(replace(bad.measurements[0], verdict="invalid"),))
    unmeasured = make_evaluation(21, accuracy=0.99, measurements=())
    large = make_evaluation(22, **best, params=5_000_000)
    fine = make_evaluation(23, accuracy=0.5)
    manifest = MANIFEST | {"limits": {"params": 1e6}}
    folder = flushed(tmp_path / "run", [*lame, bad, unmeasured, large, fine], manifest)

    run = read_run(folder)

    assert list(run.pareto["trial"]) == [23]
    assert list(run.evaluations.loc[run.evaluations["feasible"], "trial"]) == [23]


def test_an_error_text_that_is_no_unicode_is_stored_with_replacements(tmp_path):
    torn = make_evaluation(0, status="crashed", error="signal \udcff 11")
    run = read_run(flushed(tmp_path / "run", [torn]))

    assert run.evaluations["error"][0] == "signal ? 11"
    with RunLog.read(tmp_path / "run") as log:
        assert next(log.evaluations())[0] == torn


def test_equal_trials_stay_in_the_front_together(tmp_path):
    folder = flushed(tmp_path / "run", [make_evaluation(trial, accuracy=0.5) for trial in range(3)])

    assert list(read_run(folder).pareto["trial"]) == [0, 1, 2]


def test_the_hypervolume_of_the_last_trial_is_that_of_the_run(tmp_path):
    evaluations = make_evaluations(30)
    limits = {"latency": 0.008}
    folder = flushed(tmp_path / "run", evaluations, MANIFEST | {"limits": limits})

    shares = read_run(folder).evaluations["hypervolume"]

    objectives = [OBJECTIVES[name] for name in MANIFEST["objectives"]]
    assert shares.is_monotonic_increasing
    assert shares.iloc[-1] == pytest.approx(normalized_hypervolume(evaluations, objectives, limits))


@pytest.mark.parametrize("status", [None, "crashed"])
def test_a_run_without_trials_and_one_of_failures_alone_are_valid_files(tmp_path, status):
    failures = [
        make_evaluation(trial, status=status, error="it crashed", cost=None, score=None, measurements=())
        for trial in range(3 if status else 0)
    ]
    run = read_run(flushed(tmp_path / "run", failures))

    assert len(run.evaluations) == len(failures)
    assert len(run.pareto) == len(run.measurements) == 0
    assert run.evaluations["accuracy"].isna().all() and run.evaluations["params"].isna().all()


def test_every_raw_sample_is_kept_and_a_duplicate_lists_none_again(tmp_path):
    first = make_evaluation(0)
    second = make_measurement(first.architecture, 0.002, samples=5, kept=(True, False, True, True, False))
    first = replace(first, measurements=(first.measurements[0], second))
    again = replace(first, trial=1, status="duplicate", of_trial=0)
    folder = flushed(tmp_path / "run", [first, again])

    table = read_run(folder).measurements

    assert list(zip(table["trial"], table["measurement"], strict=True)) == [(0, 0), (0, 1)]
    assert tuple(table["latencies_s"][1]) == second.latencies_s
    assert tuple(table["kept"][1]) == second.kept
    assert table["latency_s"][1] == second.latency_s
    assert table["plan_max_samples"][1] == 1000
    assert json.loads(table["settings"][1]) == {"threads": 1, "affinity": [1]}
    assert read_run(folder).evaluations["of_trial"].tolist() == [pd.NA, 0]


def test_an_absent_interval_is_shown_as_a_dash(tmp_path):
    evaluation = make_evaluation(0)
    bare = replace(evaluation.measurements[0], low_s=None, high_s=None)
    run = read_run(flushed(tmp_path / "run", [replace(evaluation, measurements=(bare,))]))

    columns, (row,) = front_rows(run)

    assert dict(zip(columns, row, strict=True))["95 % interval"] == "-"


def test_a_run_that_was_killed_before_its_flush_is_brought_up_to_date(tmp_path):
    folder = flushed(tmp_path / "run", make_evaluations(5))
    with RunLog.open(folder) as log:
        log.append(make_evaluation(5))

    assert len(read_run(folder).evaluations) == 6
    assert read_table(folder, "pareto").num_rows == len(read_run(folder).pareto)


@pytest.mark.parametrize("name", TABLES)
def test_one_file_that_a_kill_left_behind_the_others_is_brought_up_to_date(tmp_path, name):
    folder = flushed(tmp_path / "run", make_evaluations(5))
    old = (folder / f"{name}.parquet").read_bytes()
    with RunLog.open(folder) as log:
        log.append(make_evaluation(5, accuracy=0.99, latency_s=0.0001, params=1))
    flush(folder)
    new = (folder / f"{name}.parquet").read_bytes()
    (folder / f"{name}.parquet").write_bytes(old)

    run = read_run(folder)

    assert list(run.pareto["trial"]) == [5]
    assert (folder / f"{name}.parquet").read_bytes() == new != old


def test_a_final_score_that_a_kill_kept_out_of_the_files_is_read(tmp_path):
    evaluation = make_evaluation(0)
    folder = flushed(tmp_path / "run", [evaluation])
    with RunLog.open(folder) as log:
        log.append_final(0, replace(evaluation.score, value=0.25))

    assert list(read_run(folder).pareto["final_accuracy"]) == [0.25]


def confirmed(folder, latencies_s):
    """A run of two members of a front, confirmed at the latencies given; None for one that failed."""
    evaluations = [make_evaluation(0, 0.5, 0.004, params=1), make_evaluation(1, 0.6, 0.005, params=1)]
    flushed(folder, evaluations)
    with RunLog.open(folder) as log:
        for evaluation, latency_s in zip(evaluations, latencies_s, strict=True):
            measurement = make_confirmation(evaluation.architecture, latency_s or 1.0)
            if latency_s is None:
                measurement = replace(
                    measurement, latencies_s=(), kept=(), process_medians_s=(), low_s=None, high_s=None
                )
                measurement = replace(measurement, verdict="failed", reasons=("it crashed",))
            log.append_confirmed(evaluation.trial, measurement)
    return read_run(folder)


def test_confirmed_figures_stand_beside_those_of_the_search(tmp_path):
    run = confirmed(tmp_path / "run", (0.0041, 0.0052))

    row = run.pareto.iloc[1]
    medians = [0.0052 * factor for factor in (0.99, 1.0, 1.01)]
    expected = {
        "trial": 1,
        "latency_verdict": "ok",
        "confirmed_latency_s": np.exp(np.mean(np.log(medians))),
        "confirmed_low_s": 0.985 * 0.0052,
        "confirmed_high_s": 1.015 * 0.0052,
        "confirmed_verdict": "ok",
        "confirmed_processes": 3,
        "confirmed_on_front": True,
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected)
    assert row["latency_s"] == make_evaluation(1, latency_s=0.005).measurements[0].latency_s
    assert pd.isna(row["dominated_by"]) and list(row["tied_with"]) == []


def test_a_member_that_fell_off_stays_as_a_row_that_says_why(tmp_path):
    run = confirmed(tmp_path / "run", (0.0060, 0.0052))

    assert list(run.pareto["confirmed_on_front"]) == [False, True]
    assert run.pareto["dominated_by"].tolist() == [1, pd.NA]
    assert describe_fallen(run) == {0: f"trial 0 fell off: {run.pareto['fell_off'][0]}"}
    columns, rows = front_rows(run)
    assert [row[columns.index("front")] for row in rows] == ["fell off", "stays"]


def test_members_that_cannot_be_told_apart_are_ties(tmp_path):
    run = confirmed(tmp_path / "run", (0.00505, 0.005))

    assert [list(tied) for tied in run.pareto["tied_with"]] == [[1], [0]]
    columns, rows = front_rows(run)
    assert [row[columns.index("front")] for row in rows] == ["stays, as fast as 1", "stays, as fast as 0"]


def test_the_verdicts_under_the_table_are_those_that_its_latencies_rest_on(tmp_path):
    assert count_verdicts(confirmed(tmp_path / "run", (0.004, None))) == "2 rows: 1 ok, 1 failed"
    plain = read_run(flushed(tmp_path / "plain", [make_evaluation(0)]))
    assert count_verdicts(plain) == "1 row: 1 ok"


@pytest.fixture
def reused(tmp_path):
    """Two members whose latencies another run has measured, one of which was confirmed here."""
    evaluations = [make_evaluation(0, 0.5, 0.004, params=1), make_evaluation(1, 0.6, 0.005, params=1)]
    evaluations = [
        replace(one, measurements=(replace(one.measurements[0], reused_from="first at noon"),)) for one in evaluations
    ]
    write_run(tmp_path / "run", evaluations)
    with RunLog.open(tmp_path / "run") as log:
        log.append_confirmed(0, make_confirmation(evaluations[0].architecture))
    return read_run(tmp_path / "run")


def test_latencies_that_another_run_measured_are_marked_and_counted(reused):
    columns, rows = front_rows(reused)

    assert [row[columns.index("in the search")].endswith(", reused") for row in rows] == [True, True]
    assert count_verdicts(reused) == "2 rows: 2 ok; 1 reused (--fresh measures again)"


def test_a_front_as_data_has_the_confirmed_figures_where_there_are_some(reused):
    first, second = json.loads(json.dumps(front_data(reused)))

    assert (first["trial"], first["confirmed"], first["reused_from"]) == (0, True, None)
    assert first["latency_s"] == reused.pareto["confirmed_latency_s"][0] and first["high_s"] == 1.015 * 0.004
    assert (second["trial"], second["confirmed"], second["reused_from"]) == (1, False, "first at noon")
    assert second["latency_s"] == reused.pareto["latency_s"][1] and second["verdict"] == "ok"
    assert second["accuracy"] == 0.6


def test_what_fell_off_is_no_part_of_a_front_as_data(tmp_path):
    run = confirmed(tmp_path / "run", (0.0060, 0.0052))

    assert [member["trial"] for member in front_data(run)] == [1]


def test_a_front_of_which_nothing_could_be_confirmed_is_shown_as_the_search_found_it(tmp_path):
    run = confirmed(tmp_path / "run", (None, None))

    assert "latency" in front_rows(run)[0] and count_verdicts(run) == "2 rows: 2 ok"
    assert not any(member["confirmed"] for member in front_data(run))


def test_a_confirmation_is_listed_after_the_measurements_of_its_trial(tmp_path):
    table = confirmed(tmp_path / "run", (0.004, 0.005)).measurements

    rows = zip(table["trial"], table["measurement"], table["plan_level"], strict=True)
    assert list(rows) == [(0, 0, "screen"), (0, 1, "confirm"), (1, 0, "screen"), (1, 1, "confirm")]
    assert [len(medians) for medians in table["process_medians_s"]] == [0, 3, 0, 3]
    assert list(table["process_samples"][1]) == [4, 4, 4]


def test_a_confirmation_that_a_kill_kept_out_of_the_files_is_read(tmp_path):
    confirmed(tmp_path / "run", (0.004, 0.005))
    with RunLog.open(tmp_path / "run") as log:
        log.append_confirmed(0, make_confirmation(make_evaluation(0).architecture, 0.0045))

    assert read_run(tmp_path / "run").pareto["confirmed_latency_s"][0] == pytest.approx(0.0045, rel=1e-3)


def test_files_of_an_older_program_are_read_with_nulls_for_what_it_did_not_store(tmp_path):
    folder = flushed(tmp_path / "run", make_evaluations(5))
    (folder / "run.db").unlink()
    for name in TABLES:
        table = pq.read_table(folder / f"{name}.parquet")
        new = ("reused_from", "threads", "process_medians_s", "tied_with", "confirmed_on_front")
        table = table.drop_columns([column for column in new if column in table.column_names])
        parquet.write_table(
            folder / f"{name}.parquet",
            table.replace_schema_metadata({**table.schema.metadata, b"nasbench.schema": b"1"}),
        )

    run = read_run(folder)

    assert list(run.pareto.columns) == [column.name for column in PARETO]
    assert list(run.measurements.columns) == [column.name for column in MEASUREMENTS]
    assert run.pareto["latency_s"].notna().all() and run.pareto["confirmed_on_front"].isna().all()


def test_files_of_the_state_of_the_log_are_read_as_they_are(tmp_path):
    folder = flushed(tmp_path / "run", make_evaluations(3))
    written = [(folder / f"{name}.parquet").stat().st_ino for name in TABLES]

    read_run(folder)

    assert [(folder / f"{name}.parquet").stat().st_ino for name in TABLES] == written


def test_a_running_search_is_read_as_of_its_last_flush(tmp_path):
    with RunLog.create(tmp_path / "run", MANIFEST) as log:
        log.append(make_evaluation(0))
        flush(log)
        log.append(make_evaluation(1))

        assert len(read_run(tmp_path / "run").evaluations) == 1


def test_equal_runs_give_equal_bytes_and_no_temporary_file_is_left(tmp_path):
    folders = [flushed(tmp_path / place / "run", make_evaluations(9)) for place in ("a", "b")]

    for name in TABLES:
        first, second = ((folder / f"{name}.parquet").read_bytes() for folder in folders)
        assert first == second
    assert {path.name for path in folders[0].iterdir()} == {"run.db", *(f"{name}.parquet" for name in TABLES)}


def test_a_flush_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    folder = flushed(tmp_path / "run", make_evaluations(2))
    before = (folder / "pareto.parquet").read_bytes()

    def refuse(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(StoreError, match="cannot be written: No space left on device"):
            flush(folder)
    assert (folder / "pareto.parquet").read_bytes() == before
    assert not list(folder.glob(".*"))


def test_a_newer_file_is_refused_with_both_versions(tmp_path, monkeypatch):
    write_run(tmp_path / "run", make_evaluations(2))
    monkeypatch.setattr(parquet, "SCHEMA", SCHEMA + 1)
    flush(tmp_path / "run")

    with pytest.raises(StoreError, match=rf"has the schema {SCHEMA + 1}, and this nasbench reads up to {SCHEMA}"):
        read_table(tmp_path / "run", "pareto")


def test_a_folder_without_a_run_is_said_to_be_one(tmp_path):
    with pytest.raises(RunNameError, match=r"holds no run: there is neither evaluations\.parquet nor run\.db"):
        read_run(tmp_path)


def test_three_objectives_and_none_are_both_fine(tmp_path):
    three = read_run(
        flushed(tmp_path / "three", make_evaluations(30), {"objectives": ["accuracy", "latency", "params"]})
    )
    none = read_run(flushed(tmp_path / "none", make_evaluations(3), {"seed": 1}))

    values = three.evaluations[["accuracy", "latency_s", "params"]].to_numpy(float) * [-1, 1, 1]
    beaten = [any((other <= one).all() and (other < one).any() for other in values) for one in values]
    assert three.evaluations["on_front"].tolist() == list(np.logical_not(beaten))
    assert len(none.pareto) == 0 and len(none.measurements) == 3
    assert none.evaluations["feasible"].isna().all() and none.evaluations["hypervolume"].isna().all()


def readme_table(heading):
    section = README.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in section.splitlines() if line.startswith("| `")]
    return [(name.strip("`"), *rest) for name, *rest in rows]


@pytest.mark.parametrize(
    ("heading", "columns"),
    [
        ("evaluations.parquet", EVALUATIONS),
        ("pareto.parquet", PARETO[len(EVALUATIONS) :]),
        ("measurements.parquet", MEASUREMENTS),
    ],
)
def test_the_readme_shows_the_columns_that_are_stored(heading, columns):
    assert readme_table(heading) == [(c.name, c.type, c.unit, c.about) for c in columns]


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_flushing_takes_a_fiftieth_of_the_time_at_most_however_long_a_flush_takes():
    clock = Clock()
    schedule, flushes = FlushSchedule(clock), []
    for trial in range(20_000):
        clock.now += 0.01
        if schedule.is_due():
            before = clock.now
            schedule.run(lambda rows=trial: setattr(clock, "now", clock.now + rows * 1e-4))
            flushes.append(clock.now - before)

    assert len(flushes) > 2
    assert sum(flushes) < 0.03 * clock.now


def test_a_quick_flush_is_due_every_ten_seconds():
    clock = Clock()
    schedule, due = FlushSchedule(clock), []
    for second in range(1, 41):
        clock.now += 1
        if schedule.is_due():
            schedule.run(lambda: None)
            due.append(second)

    assert due == [10, 20, 30, 40]


def test_an_architecture_of_another_size_keeps_its_shape(tmp_path):
    folder = flushed(tmp_path / "run", [make_evaluation(0, architecture=make_architecture(size=224))])

    assert list(pd.read_parquet(folder / "evaluations.parquet")["input_shape"][0]) == [3, 224, 224]
