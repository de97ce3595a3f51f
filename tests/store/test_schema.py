import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_samples import make_architecture, make_evaluation, make_measurement

from nasbench.errors import DamagedRunError, StoreError
from nasbench.records import STATUSES, Cost, Evaluation, Score, TimingPlan
from nasbench.store.schema import (
    SCHEMA,
    check_version,
    decode_evaluation,
    decode_measurement,
    dump_json,
    encode_evaluation,
    encode_measurement,
    load_json,
)

# Hypothesis draws on the constants of the code it tests, and "$tuple" is the one key that is refused.
TEXT = st.text(max_size=12).filter(lambda text: text != "$tuple" and not any(0xD800 <= ord(c) <= 0xDFFF for c in text))
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
SECONDS = st.none() | st.floats(0, 1e3)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | NUMBER | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(TEXT, inner, max_size=3)
    ),
    max_leaves=8,
)
PLAIN_DICT = st.dictionaries(TEXT, PLAIN, max_size=4)
ARCHITECTURE = st.builds(
    make_architecture, st.integers(1, 64), st.sampled_from([1, 3, 5, 7]), st.sampled_from([32, 224])
)


@st.composite
def measurements(draw):
    count = draw(st.integers(0, 12))
    return make_measurement(
        draw(ARCHITECTURE),
        plan=TimingPlan(
            batch=draw(st.integers(1, 64)), energy=draw(st.booleans()), target_halfwidth=draw(st.floats(0, 1))
        ),
        latencies_s=tuple(draw(st.lists(NUMBER, min_size=count, max_size=count))),
        kept=tuple(draw(st.lists(st.booleans(), min_size=count, max_size=count))),
        warmups_s=tuple(draw(st.lists(NUMBER, max_size=3))),
        build_s=draw(SECONDS),
        low_s=draw(SECONDS),
        reasons=tuple(draw(st.lists(TEXT, max_size=2))),
        peak_memory_bytes=draw(st.none() | st.integers(0, 2**50)),
        output_hash=draw(st.none() | TEXT),
        settings=draw(PLAIN_DICT),
        noise=draw(PLAIN_DICT),
        process_medians_s=tuple(draw(st.lists(NUMBER, max_size=3))),
        process_samples=tuple(draw(st.lists(st.integers(0, 2**40), max_size=3))),
        output_error=draw(SECONDS),
        energy_j=draw(SECONDS),
        idle_power_w=draw(SECONDS),
        energy_source=draw(st.none() | TEXT),
        end_to_end_s=draw(SECONDS),
        reused_from=draw(st.none() | TEXT),
    )


EVALUATION = st.builds(
    Evaluation,
    trial=st.integers(0, 2**40),
    status=st.sampled_from(STATUSES),
    choices=PLAIN_DICT,
    architecture=ARCHITECTURE,
    cost=st.none() | st.builds(Cost, *[st.integers(0, 2**60)] * 4, *[st.none() | st.integers(0, 2**60)] * 2),
    score=st.none()
    | st.builds(
        Score,
        NUMBER,
        TEXT,
        TEXT,
        TEXT,
        TEXT,
        NUMBER,
        st.booleans(),
        st.lists(st.tuples(st.integers(0, 99), NUMBER), max_size=3).map(tuple),
        PLAIN_DICT,
    ),
    measurements=st.lists(measurements(), max_size=2).map(tuple),
    error=st.none() | TEXT,
    of_trial=st.none() | st.integers(0, 99),
    published=st.none() | TEXT,
    started_at=st.sampled_from(["", "2026-11-21T10:00:00+00:00", "2026-11-21T10:00:00.123456+02:00"]),
    seconds=NUMBER,
)


@settings(max_examples=150, deadline=None)
@given(EVALUATION)
def test_an_evaluation_comes_back_as_it_was(evaluation):
    back = decode_evaluation(*encode_evaluation(evaluation))

    assert back == evaluation
    assert repr(back) == repr(evaluation)  # types too: 1 is not 1.0, a tuple is no list


@settings(max_examples=50, deadline=None)
@given(measurements())
def test_a_measurement_alone_comes_back_as_it_was(measurement):
    back = decode_measurement(*encode_measurement(measurement, "it"))

    assert repr(back) == repr(measurement)


@given(PLAIN_DICT)
def test_plain_data_comes_back_with_its_tuples(data):
    assert repr(load_json(dump_json(data, "data"))) == repr(data)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "place",
    [
        lambda bad: make_evaluation(seconds=bad),
        lambda bad: make_evaluation(accuracy=bad),
        lambda bad: make_evaluation(choices={"a": (1, {"b": bad})}),
        lambda bad: replace(make_evaluation(), measurements=(make_measurement(make_architecture(), low_s=bad),)),
        lambda bad: replace(
            make_evaluation(),
            measurements=(make_measurement(make_architecture(), latencies_s=(bad,), kept=(True,)),),
        ),
    ],
)
def test_nan_and_infinity_are_refused_wherever_they_are(place, bad):
    with pytest.raises(StoreError, match=r"trial 0.* is never a figure"):
        encode_evaluation(place(bad))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"status": "fine"}, "'fine'"),
        ({"started_at": "yesterday"}, "'yesterday'"),
        ({"started_at": "2026-11-21T10:00:00"}, "time zone"),
        ({"choices": {"a": {1, 2}}}, r"trial 0\.choices\.a is of type set"),
        ({"choices": {1: 2}}, "key 1"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_named(change, text):
    with pytest.raises(StoreError, match=text):
        encode_evaluation(make_evaluation(**change))


def test_samples_that_are_no_numbers_are_refused():
    lame = make_measurement(make_architecture(), latencies_s=("fast",), kept=(True,))

    with pytest.raises(StoreError, match=r"trial 0\.measurements\[0\] has samples that are no numbers"):
        encode_evaluation(replace(make_evaluation(), measurements=(lame,)))


def test_samples_without_a_mark_each_are_refused():
    lame = make_measurement(make_architecture(), kept=(True,))

    with pytest.raises(StoreError, match="8 samples and 1 marks"):
        encode_evaluation(replace(make_evaluation(), measurements=(lame,)))


def test_a_field_that_an_older_program_did_not_write_takes_its_default():
    text, blob = encode_evaluation(make_evaluation(published=None))

    assert decode_evaluation(text.replace(',"published":null', ""), blob) == make_evaluation()


def test_what_is_no_measurement_is_damage():
    with pytest.raises(DamagedRunError, match="a stored measurement cannot be read"):
        decode_measurement("{}", b"")


def test_an_architecture_that_reads_as_another_one_is_noticed():
    text, blob = encode_evaluation(make_evaluation())

    with pytest.raises(DamagedRunError, match="was stored as"):
        decode_evaluation(text.replace('"expand":3', '"expand":4'), blob)


def test_a_newer_schema_is_refused_with_both_versions_and_an_impossible_one_is_damage():
    with pytest.raises(StoreError, match=rf"x has the schema {SCHEMA + 1}, and this nasbench reads up to {SCHEMA}"):
        check_version(SCHEMA + 1, "x")
    with pytest.raises(DamagedRunError):
        check_version(0, "x")
