import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from run_samples import MANIFEST, make_confirmation, make_evaluation, make_evaluations, write_run

from nasbench.errors import DamagedRunError, RunLockedError, RunNameError, StoreError
from nasbench.records import Score
from nasbench.store.log import RunLog
from nasbench.store.parquet import TABLES, read_run, read_table
from nasbench.store.repair import recover
from nasbench.store.schema import SCHEMA, checksum

HERE = Path(__file__).parent


def start_writer(folder, *options):
    return subprocess.Popen(
        [sys.executable, HERE / "writer.py", folder, *options], stdout=subprocess.PIPE, text=True, cwd=HERE, bufsize=1
    )


def run_script(script, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=HERE,
        timeout=60,
        **options,
    )


def as_nobody(action):
    """Run `action` in a child without root's rights and give its text or its error's."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.seteuid(65534)
            answer = str(action())
        except Exception as error:  # noqa: BLE001
            answer = f"{type(error).__name__}: {error}"
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer


def test_a_run_comes_back_as_it_was_written(tmp_path):
    evaluations = make_evaluations(300)
    write_run(tmp_path / "run", evaluations)

    with RunLog.read(tmp_path / "run") as log:
        assert log.manifest == MANIFEST
        assert log.trial_count == 300
        assert list(log.evaluations()) == [(e, {"drawn": e.trial}) for e in evaluations]
        assert log.study_state() == {"generation": 99}
        log.check()


@pytest.mark.parametrize("name", TABLES)
def test_results_without_their_log_are_not_overwritten(tmp_path, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / f"{name}.parquet").write_bytes(b"of an older run")

    with pytest.raises(RunNameError, match=rf"holds the results of a run without its log \({name}\.parquet"):
        RunLog.create(tmp_path / "run", MANIFEST)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [f"{name}.parquet"]


def test_a_closed_run_is_one_file(tmp_path):
    write_run(tmp_path / "run", make_evaluations(3))

    assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.db"]


def test_trials_come_in_the_order_of_their_numbers_however_they_were_written(tmp_path):
    write_run(tmp_path / "run", [make_evaluation(trial) for trial in (7, 2, 30, 0)])

    with RunLog.read(tmp_path / "run") as log:
        assert [evaluation.trial for evaluation, _ in log.evaluations()] == [0, 2, 7, 30]


def test_a_run_goes_on_where_it_was_left(tmp_path):
    write_run(tmp_path / "run", make_evaluations(3))

    with RunLog.open(tmp_path / "run") as log:
        log.append(make_evaluation(3), study_state={"more": (1, 2)})

    with RunLog.read(tmp_path / "run") as log:
        assert log.trial_count == 4
        assert log.study_state() == {"generation": 0, "more": (1, 2)}


def test_a_trial_is_stored_once(tmp_path):
    with RunLog.create(tmp_path / "run", MANIFEST) as log:
        log.append(make_evaluation(0))
        with pytest.raises(StoreError, match="trial 0 was not stored; there is a trial of this number already"):
            log.append(make_evaluation(0))
        log.append(make_evaluation(1))

        assert log.trial_count == 2
        assert len(list(log.evaluations())) == 2


def test_a_trial_that_cannot_be_stored_leaves_no_trace(tmp_path):
    with RunLog.create(tmp_path / "run", MANIFEST) as log:
        for bad in ({"evaluation": make_evaluation(0, accuracy=float("nan"))}, {"study_state": {"a": float("inf")}}):
            with pytest.raises(StoreError):
                log.append(**({"evaluation": make_evaluation(0)} | bad))
        assert log.trial_count == 0
        assert log.study_state() == {}


def test_a_commit_waits_for_the_disk_and_the_side_file_stays_small(tmp_path):
    with RunLog.create(tmp_path / "run", MANIFEST) as log:
        assert log._connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert log._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        for trial in range(300):
            log.append(make_evaluation(trial))
        assert (tmp_path / "run" / "run.db-wal").stat().st_size < 1_200_000


def test_a_reader_sees_what_is_stored_while_a_writer_is_at_work(tmp_path):
    with RunLog.create(tmp_path / "run", MANIFEST) as writer:
        writer.append(make_evaluation(0))
        with RunLog.read(tmp_path / "run") as reader:
            assert reader.trial_count == 1
            writer.append(make_evaluation(1))
            assert reader.trial_count == 2
            assert len(list(reader.evaluations())) == 2
            with pytest.raises(StoreError, match="opened for reading"):
                reader.append(make_evaluation(2))


def test_a_reader_that_is_still_at_work_does_not_hold_up_the_end(tmp_path):
    reading, ended, seen = threading.Event(), threading.Event(), []

    def read():
        with RunLog.read(tmp_path / "run") as reader:
            reader._connection.execute("BEGIN")
            seen.append(len(list(reader.evaluations())))
            reading.set()
            seen.append(ended.wait(60))

    with RunLog.create(tmp_path / "run", MANIFEST) as writer:
        writer.append(make_evaluation(0))
        writer._connection.execute("PRAGMA busy_timeout = 3600000")  # what waits for the reader waits for long
        thread = threading.Thread(target=read)
        thread.start()
        assert reading.wait(60)
    ended.set()
    thread.join()
    assert seen == [1, True]
    with RunLog.open(tmp_path / "run") as log:
        log.append(make_evaluation(1))
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.db"]


def test_the_second_writer_is_refused_with_who_holds_the_run(tmp_path):
    child = start_writer(tmp_path / "run")
    try:
        assert child.stdout.readline() == "ready\n"
        with pytest.raises(RunLockedError, match=rf"written by process {child.pid} on \S+ since 20"):
            RunLog.open(tmp_path / "run")
        with pytest.raises(RunNameError, match="already holds a run"):
            RunLog.create(tmp_path / "run", MANIFEST)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    RunLog.open(tmp_path / "run").close()


def test_every_acknowledged_trial_survives_kill_minus_9(tmp_path):
    folder, draw, acknowledged = tmp_path / "run", random.Random(1), 0
    for _ in range(12):
        child = start_writer(folder)
        child.stdout.readline()
        time.sleep(draw.uniform(0, 0.12))
        child.send_signal(signal.SIGKILL)
        answers = child.stdout.read().splitlines()
        child.wait()
        child.stdout.close()
        if answers and answers[-1].isdigit():
            acknowledged = max(acknowledged, int(answers[-1]) + 1)
        with RunLog.read(folder) as log:
            stored = [evaluation for evaluation, _ in log.evaluations()]
            log.check()
        assert acknowledged <= len(stored) <= acknowledged + 1
        acknowledged = len(stored)
    assert acknowledged > 20
    assert stored == [make_evaluation(trial, accuracy=1 / (2 + trial)) for trial in range(acknowledged)]
    RunLog.open(folder).close()
    assert [path.name for path in folder.iterdir()] == ["run.db"]


def test_no_parquet_file_is_damaged_by_kill_minus_9_and_no_temporary_file_stays(tmp_path, caplog):
    folder, draw = tmp_path / "run", random.Random(2)
    for _ in range(3):
        child = start_writer(folder, "flush")
        child.stdout.readline()
        child.stdout.readline()
        time.sleep(draw.uniform(0, 0.3))
        child.kill()
        child.wait()
        child.stdout.close()
        with RunLog.read(folder) as log:
            stored = log.trial_count
        for name in TABLES:
            if (folder / f"{name}.parquet").exists():
                assert read_table(folder, name).num_rows <= stored
    RunLog.open(folder).close()
    assert caplog.text == ""
    assert {path.name for path in folder.iterdir()} == {"run.db", *(f"{name}.parquet" for name in TABLES)}


@pytest.mark.parametrize("limit", [40_000, 90_000, 300_000])
def test_a_full_disk_leaves_the_last_trial_whole_or_absent(tmp_path, limit):
    script = """
        import resource, sys
        from pathlib import Path
        from run_samples import MANIFEST, make_evaluation
        from nasbench.errors import StoreError
        from nasbench.store.log import RunLog
        log = RunLog.create(Path(sys.argv[1]), MANIFEST)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
        try:
            for trial in range(5000):
                log.append(make_evaluation(trial))
        except StoreError as error:
            print(trial, error)
        log.close()
    """
    answer = run_script(script, tmp_path / "run", limit)

    count, _, text = answer.stdout.strip().partition(" ")
    assert "may be full" in text and f"trial {count} was not stored" in text and "free some space" in text, (
        answer.stderr
    )
    assert len(text.splitlines()) == 1
    with RunLog.open(tmp_path / "run") as log:
        assert [evaluation.trial for evaluation, _ in log.evaluations()] == list(range(int(count)))
        log.append(make_evaluation(int(count)))


def test_a_disk_that_is_full_from_the_start_is_said_before_the_first_trial(tmp_path):
    script = """
        import resource, sys
        from pathlib import Path
        from nasbench.errors import StoreError
        from nasbench.store.log import RunLog
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        try:
            RunLog.create(Path(sys.argv[1]), {})
        except StoreError as error:
            print(error)
    """
    answer = run_script(script, tmp_path / "run")

    assert "cannot be written" in answer.stdout, answer.stderr
    assert list((tmp_path / "run").iterdir()) == []


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "results").write_text("")

    with pytest.raises(StoreError, match="results is a file"):
        RunLog.create(tmp_path / "results", MANIFEST)
    with pytest.raises(StoreError, match="is a file"):
        RunLog.create(tmp_path / "results" / "run", MANIFEST)


def test_a_folder_that_holds_a_run_is_refused_whatever_kind_of_run_it_is(tmp_path):
    write_run(tmp_path / "run", [])

    with pytest.raises(RunNameError, match=r"already holds a run; choose another name$"):
        RunLog.create(tmp_path / "run", MANIFEST)


@pytest.mark.parametrize("name", ["a b", "ä", "x" * 65, "a:b"])
def test_a_name_that_is_no_run_name_is_refused(tmp_path, name):
    with pytest.raises(RunNameError, match="cannot be named"):
        RunLog.create(tmp_path / name, MANIFEST)


def test_a_folder_without_a_run_is_said_to_be_one(tmp_path):
    for opener in (RunLog.open, RunLog.read):
        with pytest.raises(RunNameError, match=r"holds no run: there is no run\.db"):
            opener(tmp_path)


def test_a_folder_that_cannot_be_written_is_refused_and_can_be_read():
    base = Path("/tmp") / f"nasbench-test-{os.getpid()}"
    base.mkdir(mode=0o755)
    try:
        write_run(base / "closed", make_evaluations(3))
        child = start_writer(base / "killed")
        while child.stdout.readline() != "5\n":
            pass
        child.kill()
        child.wait()
        child.stdout.close()
        for path in (base, base / "closed", base / "killed"):
            path.chmod(0o555)

        assert "cannot be written: Permission denied" in as_nobody(lambda: RunLog.create(base / "new", MANIFEST))
        assert "cannot be written: Permission denied" in as_nobody(lambda: RunLog.open(base / "closed"))
        assert as_nobody(lambda: len(list(RunLog.read(base / "closed").evaluations()))) == "3"
        assert int(as_nobody(lambda: len(list(RunLog.read(base / "killed").evaluations())))) >= 6
    finally:
        for path in (base, base / "closed", base / "killed"):
            path.chmod(0o755)
        for path in sorted(base.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        base.rmdir()


def test_a_newer_schema_is_refused_with_both_versions_and_nothing_is_changed(tmp_path):
    folder = write_run(tmp_path / "run", make_evaluations(1))
    connection = sqlite3.connect(folder / "run.db")
    connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    connection.close()
    before = (folder / "run.db").read_bytes()

    for opener in (RunLog.open, RunLog.read):
        with pytest.raises(StoreError, match=rf"has the schema {SCHEMA + 1}, and this nasbench reads up to {SCHEMA}"):
            opener(folder)
    assert (folder / "run.db").read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["run.db"]


def test_a_log_that_lost_acknowledged_trials_is_damaged_though_what_is_left_is_sound(tmp_path):
    child = start_writer(tmp_path / "run")
    while child.stdout.readline() != "9\n":
        pass
    child.kill()
    child.wait()
    child.stdout.close()
    (tmp_path / "run" / "run.db-wal").unlink()

    with pytest.raises(DamagedRunError, match=r"trials were stored and 0 are left.*nasbench repair"):
        RunLog.read(tmp_path / "run")


def test_the_store_needs_neither_torch_nor_optuna_nor_a_plot_library():
    modules = "log, parquet, repair"
    answer = run_script(f"import sys; from nasbench.store import {modules}; print(*sys.modules)")

    assert not {"torch", "optuna", "matplotlib", "pyarrow", "pandas"} & set(answer.stdout.split()), answer.stderr


def test_a_final_score_is_kept_beside_its_trial_and_survives_a_repair(tmp_path):
    score = Score(0.9, "top1", "train", "mnist5k@0", "test", 1.0)
    with RunLog.create(tmp_path / "run", {}) as log:
        log.append(make_evaluation(0))
        log.append_final(0, score)
        log.append_final(0, score)
    with RunLog.open(tmp_path / "run") as log:
        assert log.final_scores() == {0: score}
    recover(tmp_path / "run", tmp_path / "saved")
    with RunLog.read(tmp_path / "saved") as log:
        assert log.final_scores() == {0: score}


def test_a_confirmation_is_kept_beside_its_trial_and_survives_a_repair(tmp_path):
    evaluation = make_evaluation(0)
    first, second = (make_confirmation(evaluation.architecture, latency_s) for latency_s in (0.004, 0.005))
    with RunLog.create(tmp_path / "run", {}) as log:
        log.append(evaluation)
        log.append_confirmed(0, first)
        states = {log.state}
        log.append_confirmed(0, second)
        states.add(log.state)
    with RunLog.open(tmp_path / "run") as log:
        assert log.confirmed() == {0: (second,)}
        assert len(states) == 2 and log.state in states
    recover(tmp_path / "run", tmp_path / "saved")
    with RunLog.read(tmp_path / "saved") as log:
        assert log.confirmed() == {0: (second,)}


def test_confirmations_that_are_forgotten_are_gone_and_the_state_says_so(tmp_path):
    evaluations = make_evaluations(2)
    write_run(tmp_path / "run", evaluations)
    with RunLog.open(tmp_path / "run") as log:
        for evaluation in evaluations:
            log.append_confirmed(evaluation.trial, make_confirmation(evaluation.architecture))
        state = log.state
        log.forget_confirmed()

        assert log.confirmed() == {} and log.state != state
    with RunLog.read(tmp_path / "run") as log:
        log.check()
        assert log.confirmed() == {}


def test_a_confirmation_that_is_acknowledged_survives_kill_minus_9(tmp_path):
    script = """
        import os, sys
        from pathlib import Path
        from run_samples import MANIFEST, make_confirmation, make_evaluation
        from nasbench.store.log import RunLog
        log = RunLog.create(Path(sys.argv[1]), MANIFEST)
        evaluation = make_evaluation(0)
        log.append(evaluation)
        log.append_confirmed(0, make_confirmation(evaluation.architecture))
        os._exit(9)
    """
    run_script(script, tmp_path / "run")

    with RunLog.read(tmp_path / "run") as log:
        assert log.confirmed() == {0: (make_confirmation(make_evaluation(0).architecture),)}


def make_older(folder):
    """Turn a run into one that a program of schema 1 wrote: without the table of confirmed figures."""
    connection = sqlite3.connect(folder / "run.db")
    connection.execute("DROP TABLE confirmed")
    connection.execute("UPDATE about SET value = '1', crc = ? WHERE key = 'schema'", (checksum("schema", "1"),))
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()


def test_an_older_run_is_read_and_not_written_and_a_copy_of_it_goes_on(tmp_path):
    evaluations = make_evaluations(3)
    folder = write_run(tmp_path / "run", evaluations)
    make_older(folder)
    before = (folder / "run.db").read_bytes()

    with RunLog.read(folder) as log:
        assert [evaluation for evaluation, _ in log.evaluations()] == evaluations
        assert log.confirmed() == {}
        log.check()
    with pytest.raises(StoreError, match=r"has the schema 1, which this nasbench reads and does not write.*repair"):
        RunLog.open(folder)
    assert len(read_run(folder).evaluations) == 3
    assert (folder / "run.db").read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["run.db"]
    recover(folder, tmp_path / "copy")
    with RunLog.open(tmp_path / "copy") as log:
        log.append(make_evaluation(3))
