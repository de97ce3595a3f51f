"""What a measuring process answers is checked before anything is made of it."""

import copy

import pytest

from nasbench.device.answers import check_answer, check_turns_answer, read_layers, read_side, read_turns
from nasbench.device.base import Turn
from nasbench.errors import Crashed, MeasurementError
from nasbench.layers import Layer

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
    answer = {**ANSWER, "host": {"cpu_model": "\x1b[2Jgone", "list": ["\r\nx"], "mixed": [1, "\r\nx"]}}

    assert check_answer(answer)["host"] == {"cpu_model": "[2Jgone", "list": ["x"], "mixed": [1, "x"]}


def test_what_no_record_takes_becomes_none():
    host = {"a": float("nan"), "b": [1.0, float("inf")], "c": [{"d": -float("inf")}], "e": [2**63, 2.0], "f": -(2**63)}
    answer = check_answer({**ANSWER, "host": host})

    assert answer["host"] == {"a": None, "b": [1.0, None], "c": [{"d": None}], "e": [None, 2.0], "f": None}


def test_a_sample_that_is_no_time_is_invalid():
    with pytest.raises(MeasurementError, match="positive and finite; nan came"):
        check_answer({**ANSWER, "series": {**ANSWER["series"], "seconds": [0.1, float("nan")]}})


@pytest.mark.parametrize("wrap", [lambda inner: {"a": inner}, lambda inner: [inner]])
def test_an_answer_that_is_nested_without_end_is_refused(wrap):
    host = {}
    for _ in range(500):  # json.loads reads as many
        host = {"a": wrap(host)}

    with pytest.raises(Crashed, match="more than 20 deep"):
        check_answer({**ANSWER, "host": host})


def paths(record, prefix=()):
    for key, value in record.items():
        yield (*prefix, key)
        if key in ("series", "noise"):
            yield from paths(value, (*prefix, key))


def find(record, path):
    for key in path:
        record = record[key]
    return record


IMPOSSIBLE = [
    (("build_s",), -0.1),
    (("first_call_s",), -0.1),
    (("output_error",), -1e-9),
    (("warmups_s",), [0.1, -0.1]),
    (("series", "low_s"), -0.1),
    (("series", "cpu_share"), -0.1),
    (("series", "kept_share"), -0.1),
    (("series", "kept_share"), 1.1),
    (("noise", "window_s"), 0.0),
    (("energy",), {"energy_j": -1.0, "idle_power_w": 2.0, "source": "RAPL"}),
    (("energy",), {"energy_j": 0.0, "idle_power_w": 2.0, "source": "RAPL"}),
    (("energy",), {"energy_j": 1.0, "idle_power_w": -2.0, "source": "RAPL"}),
]
"""Numbers that would win a front, or mean nothing."""


@pytest.mark.parametrize(("path", "value"), IMPOSSIBLE, ids=str)
def test_a_number_that_cannot_be_is_refused(path, value):
    answer = copy.deepcopy(ANSWER)
    find(answer, path[:-1])[path[-1]] = value

    with pytest.raises(Crashed, match="which cannot be"):
        check_answer(answer)


def test_no_energy_and_an_ordinary_one_are_taken():
    for energy_j in (None, 0.5):
        energy = {"energy_j": energy_j, "idle_power_w": None, "source": "RAPL"}
        assert check_answer({**ANSWER, "energy": energy})["energy"] == energy


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


TURNS_ANSWER = {"host": {"cpu_model": "A53"}, "noise": ANSWER["noise"], "settled": [True, False]}


def test_an_answer_of_turns_passes_with_clean_texts():
    answer = {**TURNS_ANSWER, "host": {"cpu_model": "\x1b[2Jgone"}, "output_errors": [None, 0.1]}

    assert check_turns_answer(answer, 2) == {**answer, "host": {"cpu_model": "[2Jgone"}}


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (path, wrong)
        for path in paths(TURNS_ANSWER)
        for wrong in WRONG
        if path == ("noise",) or type(wrong) is not type(find(TURNS_ANSWER, path))
    ],
    ids=str,
)
def test_an_answer_of_turns_of_another_form_is_refused(path, wrong):
    answer = copy.deepcopy(TURNS_ANSWER)
    find(answer, path[:-1])[path[-1]] = wrong

    with pytest.raises(Crashed, match="the answer"):
        check_turns_answer(answer, 2)


@pytest.mark.parametrize("path", list(paths(TURNS_ANSWER)), ids=".".join)
def test_what_an_answer_of_turns_lacks_is_named(path):
    answer = copy.deepcopy(TURNS_ANSWER)
    del find(answer, path[:-1])[path[-1]]

    with pytest.raises(Crashed, match=f"the answer has no {'.'.join(path)}"):
        check_turns_answer(answer, 2)


def test_an_answer_of_turns_speaks_of_as_many_networks_as_ran():
    with pytest.raises(Crashed, match="of 2 networks whether they settled, and 3 ran"):
        check_turns_answer(TURNS_ANSWER, 3)


TURN = {"side": 1, "seconds": [0.1], "kept": True, "inferences": 2}


def test_turns_are_read_in_the_order_that_was_asked_for():
    turns = read_turns({"turns": [TURN, {**TURN, "side": 0}]}, [1, 0])

    assert turns == [Turn(1, (0.1,), True, 2), Turn(0, (0.1,), True, 2)]


@pytest.mark.parametrize(
    "told",
    [
        *(None, 3, {}, [None], [[]], [{}], [TURN, TURN], []),
        *([{**TURN, **wrong}] for wrong in ({"side": 2}, {"side": -1}, {"side": True}, {"seconds": 3}, {"kept": 1})),
    ],
)
def test_what_are_no_turns_or_others_than_were_ordered_is_refused(told):
    with pytest.raises(Crashed, match="the answer"):
        read_turns({"turns": told}, [1])


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_turn_with_a_time_that_is_none_is_invalid(value):
    with pytest.raises(MeasurementError, match="must be positive and finite"):
        read_turns({"turns": [{**TURN, "seconds": [0.1, value]}]}, [1])


def test_a_turn_without_times_is_invalid():
    with pytest.raises(MeasurementError, match="nothing came"):
        read_turns({"turns": [{**TURN, "seconds": []}]}, [1])


@pytest.mark.parametrize("side", [2, -1, "0", True, 0.0, []])
def test_a_side_that_there_is_not_is_refused(side):
    with pytest.raises(Crashed, match="the answer's side is"):
        read_side({"side": side}, 2)


def test_a_side_is_read_where_there_is_one():
    assert [read_side({"side": 1}, 2), read_side({"turns": []}, 2)] == [1, None]


LAYERS = {
    "layers": [
        {
            "name": "a",
            "kind": "depthwise",
            "macs": 9,
            "output_shape": [1, 2],
            "seconds": 0.1,
            "low_s": 0.09,
            "high_s": None,
        }
    ],
    "latency_s": 0.2,
    "passes": 15,
}


def test_layers_are_read():
    told = read_layers(LAYERS)

    assert told.layers == (Layer("a", "depthwise", 9, (1, 2), 0.1, 0.09),)
    assert (told.latency_s, told.passes, told.macs) == (0.2, 15, 9)


@pytest.mark.parametrize(
    ("name", "value"), [("kind", "magic"), ("macs", -1), ("output_shape", [1.5]), ("seconds", -0.1), ("name", 3)]
)
def test_a_layer_that_cannot_be_is_refused(name, value):
    answer = copy.deepcopy(LAYERS)
    answer["layers"][0][name] = value

    with pytest.raises(Crashed, match=f"layers.{name}"):
        read_layers(answer)
