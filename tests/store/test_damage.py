"""Flip bits and cut files: what is read is what was written, or an error."""

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from run_samples import MANIFEST, make_confirmation, make_evaluations, write_run

from nasbench.cli.ls import ls
from nasbench.errors import DamagedRunError, StoreError
from nasbench.store.log import RunLog
from nasbench.store.parquet import TABLES, flush, read_run, read_table
from nasbench.store.repair import recover

TRIALS = 12


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    evaluations = make_evaluations(TRIALS)
    folder = write_run(tmp_path_factory.mktemp("damage") / "run", evaluations)
    with RunLog.open(folder) as log:
        for evaluation in evaluations:
            log.append_confirmed(evaluation.trial, make_confirmation(evaluation.architecture))
    flush(folder)
    return folder


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A run whose last trials are in the side file, as a kill leaves them."""
    folder = tmp_path_factory.mktemp("damage") / "killed"
    script = f"""
import os
from pathlib import Path
from run_samples import MANIFEST, make_evaluations
from nasbench.store.log import RunLog
log = RunLog.create(Path({str(folder)!r}), MANIFEST)
for evaluation in make_evaluations({TRIALS}):
    log.append(evaluation, {{"drawn": evaluation.trial}}, {{"generation": evaluation.trial // 3}})
os._exit(9)
"""
    subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parent, check=False)
    assert (folder / "run.db-wal").stat().st_size > 10_000
    return folder


def contents(folder):
    with RunLog.read(folder) as log:
        return log.manifest, list(log.evaluations()), log.study_state(), log.confirmed()


def damaged_copies(folder, target, name, step):
    """Give copies of a run with one bit of one file flipped, every `step` bytes."""
    original = (folder / name).read_bytes()
    for position in range(0, len(original), step):
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder, target)
        data = bytearray(original)
        data[position] ^= 1 << (position % 8)
        (target / name).write_bytes(data)
        yield position, data


@pytest.mark.parametrize(("fixture", "name"), [("closed", "run.db"), ("killed", "run.db-wal")])
def test_a_flipped_bit_in_the_log_is_an_error_or_has_no_effect(request, tmp_path, fixture, name):
    folder = request.getfixturevalue(fixture)
    truth, found = contents(folder), 0
    step = (folder / name).stat().st_size // 200
    for _, data in damaged_copies(folder, tmp_path / "run", name, step):
        try:
            assert contents(tmp_path / "run") == truth
        except StoreError as error:
            assert len(str(error).splitlines()) == 1
            found += 1
        assert (tmp_path / "run" / name).read_bytes() == data, "reading changed a damaged file"
    assert found > 10


@pytest.mark.parametrize(("fixture", "name"), [("closed", "run.db"), ("killed", "run.db-wal")])
def test_a_log_that_was_cut_is_an_error_and_is_left_as_it_is(request, tmp_path, fixture, name):
    folder = request.getfixturevalue(fixture)
    size = (folder / name).stat().st_size
    for length in range(0, size - 1, size // 30):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        shutil.copytree(folder, tmp_path / "run")
        cut = (folder / name).read_bytes()[:length]
        (tmp_path / "run" / name).write_bytes(cut)

        with pytest.raises(DamagedRunError, match=r"run\.db is damaged.*nasbench repair"):
            RunLog.open(tmp_path / "run")
        assert (tmp_path / "run" / name).read_bytes() == cut


@pytest.mark.parametrize("fixture", ["closed", "killed"])
def test_repair_saves_what_is_readable_and_nothing_else(request, tmp_path, fixture):
    folder = request.getfixturevalue(fixture)
    manifest, truth, _, confirmed = contents(folder)
    name = "run.db" if fixture == "closed" else "run.db-wal"
    least = TRIALS
    step = (folder / name).stat().st_size // 6
    for position, _ in damaged_copies(folder, tmp_path / "run", name, step):
        out = tmp_path / f"saved{position}"
        answer = recover(tmp_path / "run", out)
        saved = contents(out)
        assert saved[0] == manifest
        assert [row for row in truth if row in saved[1]] == saved[1]
        assert answer.saved == len(saved[1])
        assert saved[3].items() <= confirmed.items()
        if answer.lost is not None:
            assert answer.saved + answer.lost == TRIALS
        least = min(least, answer.saved)
    assert least >= (TRIALS - 4 if fixture == "closed" else 0)


def test_repair_reads_a_log_whose_first_page_is_gone(closed, tmp_path):
    shutil.copytree(closed, tmp_path / "run")
    with (tmp_path / "run" / "run.db").open("r+b") as file:
        file.write(b"\xff" * 4096)
    (tmp_path / "run" / "pareto.parquet").unlink()

    answer = recover(tmp_path / "run", tmp_path / "saved")

    assert (answer.saved, answer.lost) == (TRIALS, 0)
    assert contents(tmp_path / "saved") == contents(closed)


def test_repair_saves_the_head_of_a_log_that_was_cut(closed, tmp_path):
    shutil.copytree(closed, tmp_path / "run")
    data = (closed / "run.db").read_bytes()
    (tmp_path / "run" / "run.db").write_bytes(data[: len(data) * 3 // 4 // 4096 * 4096])

    answer = recover(tmp_path / "run", tmp_path / "saved")

    assert 0 < answer.saved < TRIALS
    assert answer.saved + answer.lost == TRIALS
    assert contents(tmp_path / "saved")[1] == contents(closed)[1][: answer.saved]


def test_repair_says_when_nothing_is_readable(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.db").write_bytes(b"\0" * 50_000)

    with pytest.raises(DamagedRunError, match="beyond repair"):
        recover(tmp_path / "run", tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_repair_keeps_off_a_run_that_is_being_written(tmp_path):
    with RunLog.create(tmp_path / "run", MANIFEST), pytest.raises(StoreError, match="is being written by process"):
        recover(tmp_path / "run", tmp_path / "saved")


def test_a_flipped_bit_in_a_parquet_file_is_found_wherever_it_is(closed, tmp_path):
    for name in TABLES:
        data = bytearray((closed / f"{name}.parquet").read_bytes())
        for position in range(0, len(data), 97):
            data[position] ^= 1 << (position % 8)
            (tmp_path / f"{name}.parquet").write_bytes(data)
            with pytest.raises(DamagedRunError, match=rf"{name}\.parquet is damaged.*no run\.db to rebuild"):
                read_table(tmp_path, name)
            data[position] ^= 1 << (position % 8)


def test_a_damaged_parquet_file_is_named_and_rebuilt_from_the_log(closed, tmp_path, caplog):
    shutil.copytree(closed, tmp_path / "run")
    path = tmp_path / "run" / "pareto.parquet"
    path.write_bytes(path.read_bytes()[:1000])

    with caplog.at_level(logging.WARNING, "nasbench.store"):
        table = read_table(tmp_path / "run", "pareto")

    assert table.equals(read_table(closed, "pareto"))
    assert "pareto.parquet is damaged: its end is missing; rebuilt it from run.db" in caplog.text
    assert path.read_bytes() == (closed / "pareto.parquet").read_bytes()


def test_a_damaged_run_is_a_warning_of_ls_and_does_not_hide_the_others(closed, tmp_path, monkeypatch, capsys):
    shutil.copytree(closed, tmp_path / "results" / "fine")
    (tmp_path / "results" / "bad").mkdir()
    (tmp_path / "results" / "bad" / "run.db").write_bytes(b"\0" * 50_000)
    monkeypatch.chdir(tmp_path)

    ls("runs", json_output=True)

    said = capsys.readouterr()
    (row,) = json.loads(said.out)["runs"]
    assert (row["run"], row["trials"], row["sampler"]) == ("results/fine", TRIALS, None)
    assert said.err.startswith("warning: results/bad/run.db is damaged") and len(said.err.splitlines()) == 1


def test_parquet_files_serve_when_the_log_is_damaged_and_that_is_said(closed, tmp_path, caplog):
    shutil.copytree(closed, tmp_path / "run")
    (tmp_path / "run" / "run.db").write_bytes(b"\0" * 50_000)

    run = read_run(tmp_path / "run")

    assert len(run.evaluations) == TRIALS
    assert "run.db is damaged" in caplog.text
