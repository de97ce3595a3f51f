"""What a race leaves to measure, and what of it is stored."""

import numpy as np
import pytest
from bench_device import BENCH, SCREEN, AnsweringDevice, make_network

from nasbench.errors import ShapeError
from nasbench.measure.bench import Entry
from nasbench.measure.shortlist import shortlist
from nasbench.store.log import RunLog
from nasbench.store.parquet import flush, read_run

WIDTHS = (40, 8, 24, 16, 32)


def race(folder, device, top=2):
    entries = [Entry(f"width {width}", make_network(width), device, SCREEN) for width in WIDTHS]
    with RunLog.create(folder, BENCH) as log:
        found = shortlist(entries, top, log)
    flush(folder)
    return entries, found


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    folder = tmp_path_factory.mktemp("race") / "run"
    return folder, *race(folder, AnsweringDevice())


def test_the_fastest_are_left_the_fastest_first(raced):
    _, entries, found = raced

    assert found.entries == (entries[1], entries[3])


def test_every_network_is_a_row_with_its_estimate_and_interval(raced):
    folder, _, _ = raced

    table = read_run(folder).measurements
    assert table["plan_level"].tolist() == ["race"] * 5
    for width, (_, row) in zip(WIDTHS, table.iterrows(), strict=True):
        assert row["latency_low_s"] < row["latency_s"] < row["latency_high_s"]
        assert row["latency_s"] == pytest.approx(1e-4 * width, rel=0.05)


def test_rows_say_who_is_in_and_what_it_took(raced):
    folder, _, found = raced

    with RunLog.read(folder) as log:
        rows = [evaluation for evaluation, _ in log.evaluations()]
    races = [row.measurements[0].noise["race"] for row in rows]
    assert [race["membership"] for race in races] == ["out", "in", "out", "in", "out"]
    assert sum(race["own_inferences"] for race in races) == races[0]["inferences"] == found.result.inferences
    assert [row.published for row in rows] == [f"width {width}" for width in WIDTHS]


def test_rows_say_in_a_word_whether_the_race_was_decided_and_in_a_sentence_why_it_stopped(raced):
    _, _, found = raced

    measurements = [row.measurement for row in found.rows]
    assert {measurement.stop for measurement in measurements} == {"converged"}
    assert {measurement.noise["race"]["stop"] for measurement in measurements} == {found.result.stop}


def test_a_race_that_ran_out_of_inferences_stopped_at_the_cap(tmp_path):
    device = AnsweringDevice()
    scatter = np.random.default_rng(0)
    device.latency_s = lambda architecture, plan: 1e-3 * scatter.lognormal(0, 0.1)  # all are equal

    _, found = race(tmp_path / "run", device)

    assert "the budget of" in found.result.stop
    assert {row.measurement.stop for row in found.rows} == {"cap"}


def test_every_row_took_as_long_as_the_race(raced):
    _, _, found = raced

    assert {row.evaluation.seconds for row in found.rows} == {found.result.seconds}
    assert {row.evaluation.started_at for row in found.rows} == {found.rows[0].measurement.started_at}


def test_a_network_that_fails_is_a_row_with_the_reason_and_the_others_race_on(tmp_path):
    device = AnsweringDevice()
    take_turns = device.take_turns

    def fail(architectures, plan, steer):
        for side, architecture in enumerate(architectures):
            if architecture == make_network(8):
                error = ShapeError("row 1 takes 9 channels")
                error.side = side
                raise error
        return take_turns(architectures, plan, steer)

    device.take_turns = fail

    entries, found = race(tmp_path / "run", device)

    assert found.entries == (entries[3], entries[2])
    failed = found.rows[1].evaluation
    assert (failed.status, failed.error, failed.measurements) == ("shape_error", "row 1 takes 9 channels", ())
