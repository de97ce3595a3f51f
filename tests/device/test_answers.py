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


@pytest.mark.parametrize("path", list(paths(ANSWER)), ids=".".join)
@pytest.mark.parametrize("value", [..., "nonsense", {"a": 1}, [None], True], ids=str)
def test_what_is_missing_or_of_another_kind_is_refused(path, value):
    answer = copy.deepcopy(ANSWER)
    record = answer
    for key in path[:-1]:
        record = record[key]
    right = record.pop(path[-1])
    if value is not ...:
        if type(value) is type(right) and path[-1] not in ("series", "noise"):
            pytest.skip("it is of the right kind")
        record[path[-1]] = value

    with pytest.raises(Crashed, match=path[-1] if value is ... else "answer"):
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
