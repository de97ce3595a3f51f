"""What a measuring process answers is checked before anything is made of it."""

import copy

import pytest

from nasbench.device.answers import check_answer, read_turn
from nasbench.errors import Crashed

ANSWER = {
    "build_s": 0.1,
    "first_call_s": 0.2,
    "output_hash": "abc",
    "output_error": None,
    "warmups_s": [0.1, 0.1],
    "settled": True,
    "inner_loops": 1,
    "series": {
        "seconds": [0.1, 0.2],
        "kept": [True, False],
        "low_s": None,
        "high_s": 0.2,
        "stop": "cap",
        "cpu_share": 1.0,
        "kept_share": 0.5,
        "gate_failed": False,
    },
    "noise": {
        "window_s": 1.0,
        "frequencies_hz": [],
        "pressure_us": None,
        "waiting_s": 0.0,
        "steal_s": None,
        "throttled_us": 3,
        "thermal_events": None,
    },
    "peak_memory_bytes": 5,
    "memory_method": "so",
    "energy": None,
    "environment": {},
    "affinity": [0],
    "host": {"cpu_model": "A53"},
}


def test_an_answer_of_the_right_form_passes():
    assert check_answer(ANSWER) == ANSWER


def test_texts_lose_what_steers_a_terminal():
    answer = {**ANSWER, "host": {"cpu_model": "\x1b[2Jgone", "list": ["\r\nx"]}}

    assert check_answer(answer)["host"] == {"cpu_model": "[2Jgone", "list": ["x"]}


def paths(record, prefix=()):
    for key, value in record.items():
        yield (*prefix, key)
        if key in ("series", "noise"):
            yield from paths(value, (*prefix, key))


def find(record, path):
    for key in path:
        record = record[key]
    return record


WRONG = ["nonsense", {"a": 1}, [None], True]
"""Each is of the right kind for some fields, and of another for the rest; the mapping lacks what a record needs."""

CASES = [
    (path, wrong)
    for path in paths(ANSWER)
    for wrong in WRONG
    if path in (("series",), ("noise",)) or type(wrong) is not type(find(ANSWER, path))
]


@pytest.mark.parametrize(("path", "wrong"), CASES, ids=str)
def test_what_is_of_another_kind_is_refused(path, wrong):
    answer = copy.deepcopy(ANSWER)
    find(answer, path[:-1])[path[-1]] = wrong

    with pytest.raises(Crashed, match="the answer"):
        check_answer(answer)


@pytest.mark.parametrize("path", list(paths(ANSWER)), ids=".".join)
def test_what_is_missing_is_refused_by_name(path):
    answer = copy.deepcopy(ANSWER)
    del find(answer, path[:-1])[path[-1]]

    with pytest.raises(Crashed, match=f"the answer has no {'.'.join(path)}"):
        check_answer(answer)


def test_a_mark_for_every_sample_is_needed():
    with pytest.raises(Crashed, match="another number of samples than of marks"):
        check_answer({**ANSWER, "series": {**ANSWER["series"], "kept": [True]}})


TURN = {"side": 1, "seconds": [0.1], "kept": True, "inferences": 2}


def test_a_turn_is_read():
    turn = read_turn(TURN, 2)

    assert (turn.side, turn.seconds, turn.kept, turn.inferences) == (1, (0.1,), True, 2)


@pytest.mark.parametrize(
    "told", [None, [], {}, {**TURN, "side": 2}, {**TURN, "side": -1}, {**TURN, "seconds": 3}, {**TURN, "kept": 1}]
)
def test_what_is_no_turn_is_refused(told):
    with pytest.raises(Crashed):
        read_turn(told, 2)
