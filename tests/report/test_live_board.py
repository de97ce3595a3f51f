"""What the live view serves while a run cannot be read, when its search was killed, and how often it looks."""

import json

import pytest
from report_runs import make_search, search_evaluations
from run_samples import MANIFEST, make_confirmation

from nasbench.report import live
from nasbench.report.live import _Board, _measured_cpus
from nasbench.store.log import RunLog
from nasbench.store.parquet import flush


@pytest.fixture
def looks(monkeypatch):
    """Count the looks at a run; each fails with what is put in."""
    seen = []

    def look(folder, final):
        seen.append(final)
        raise KeyError("a column")

    monkeypatch.setattr(live, "_look", look)
    return seen


def test_a_fault_of_any_kind_is_told_and_not_met_again_at_once(tmp_path, looks):
    board = _Board(tmp_path)

    told = [json.loads(board.news()) for _ in range(5)]

    assert looks == [False] and board.page() == b""
    assert told[-1] == {"version": 0, "ended": False, "last": False, "problem": "KeyError: 'a column'"}


def test_an_end_that_cannot_be_read_is_not_called_its_last_state(tmp_path, looks):
    board = _Board(tmp_path)
    board.news()
    board.ended = True

    told = json.loads(board.news())

    assert looks == [False, True] and told["ended"] and not told["last"] and "KeyError" in told["problem"]


def test_the_end_is_told_with_the_last_document_alone(tmp_path, monkeypatch):
    """The search ends while the run is looked at: what was read may lack its last trials."""
    board = _Board(tmp_path)

    def look(folder, final):
        board.ended = True
        return b"{}", b"page"

    monkeypatch.setattr(live, "_look", look)

    assert not json.loads(board.news())["ended"]
    assert json.loads(board.news()) == {"version": 2, "ended": True, "last": True, "problem": ""}
    assert board.settle()


def trials_of(board):
    return len(json.loads(board.document())["runs"][0]["rows"]["trial"])


def test_what_came_after_the_last_flush_is_there_when_a_search_was_killed(tmp_path):
    folder = tmp_path / "run"
    evaluations = search_evaluations(5)
    with RunLog.create(folder, MANIFEST) as log:
        for evaluation in evaluations[:3]:
            log.append(evaluation)
        flush(log)
        for evaluation in evaluations[3:]:
            log.append(evaluation)
    board = _Board(folder)
    board.ended = True

    assert json.loads(board.news())["last"] and trials_of(board) == 5

    with RunLog.open(folder) as log:
        log.append_confirmed(0, make_confirmation(evaluations[0].architecture))
        flush(log)
    (folder / "run.db").unlink()
    board.news()
    alone = _Board(folder)
    alone.ended = True
    assert json.loads(alone.news())["last"] and trials_of(alone) == 5


def test_a_search_that_was_killed_before_its_first_flush_has_a_last_state(tmp_path):
    folder = make_search(tmp_path / "run", 4)
    for path in folder.glob("*.parquet"):
        path.unlink()
    board = _Board(folder)
    board.ended = True

    assert json.loads(board.news())["last"] and trials_of(board) == 4


@pytest.mark.parametrize(
    ("fingerprint", "cores"),
    [
        (None, set()),
        ({"cpus": [2, 3], "software": {"torch": "2"}, "protocol": 1}, {2, 3}),
        ({"cpu": {"cpus": [2]}, "cpu-onnx": {"cpus": [4, 5]}, "protocol": 1}, {2, 4, 5}),
    ],
)
def test_the_cores_of_every_device_are_kept_off(fingerprint, cores):
    assert _measured_cpus({"fingerprint": fingerprint}) == cores
