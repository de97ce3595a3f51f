from dataclasses import replace

import moocore
import numpy as np
import pytest
from chosen_runs import make_searched, store, texts
from matplotlib.figure import Figure

from nasbench.errors import DefinitionError
from nasbench.plot.curves import find_curves
from nasbench.plot.hypervolume import _choose_unit, draw_curves, draw_hypervolume


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searches")
    return [store(folder / "one", make_searched(30, 1, failing=(3, 11))), store(folder / "other", make_searched(20, 2))]


def count_again(runs, which="latency_s"):
    """The shares of README's box, with the largest costs of all runs, by moocore alone."""
    feasible = [run.evaluations[run.evaluations["status"] == "complete"] for run in runs]
    most = [1.1 * max(float(frame[cost].max()) for frame in feasible) for cost in ("latency_s", "params")]
    shares = []
    for run in runs:
        mine, points = [], np.empty((0, 3))
        for _, trial in run.evaluations.iterrows():
            if trial["status"] == "complete":
                point = [1 - trial["accuracy"], trial[which] / most[0], trial["params"] / most[1]]
                points = np.vstack([points, point])
            inside = points[(points < 1).all(axis=1)]
            mine.append(float(moocore.hypervolume(inside, ref=[1, 1, 1])) if len(inside) else 0.0)
        shares.append(mine)
    return shares


def test_lines_are_the_shares_of_one_box_and_bands_those_of_the_ends_of_intervals(runs):
    axes = Figure().subplots()
    draw_curves(axes, find_curves(runs), 1.0)

    lines = [line for line in axes.lines if line.get_linestyle() != "None"]
    for line, expected in zip(lines, count_again(runs), strict=True):
        assert line.get_xdata() == pytest.approx(np.arange(1, len(expected) + 1))
        assert line.get_ydata() == pytest.approx(expected)
    for name, which in (("low", "latency_high_s"), ("high", "latency_low_s")):
        for curve, expected in zip(find_curves(runs), count_again(runs, which), strict=True):
            assert getattr(curve, name) == pytest.approx(expected)


def test_marks_are_the_trials_better_than_all_before_and_ticks_those_that_failed(runs):
    axes = Figure().subplots()
    draw_curves(axes, find_curves(runs), 1.0)

    marks = [line for line in axes.lines if line.get_linestyle() == "None"]
    for line, expected in zip(marks, count_again(runs), strict=True):
        rises = [n for n, share in enumerate(expected, 1) if share > max([0, *expected[: n - 1]])]
        assert list(line.get_xdata()) == rises
    ticks = [segment[0][0] for collection in axes.collections[1::2] for segment in collection.get_segments()]
    assert ticks == [4, 12]  # trials 3 and 11, counted from 1


def test_time_runs_from_the_start_of_the_first_trial_to_the_end_of_each(runs):
    curves = find_curves(runs, over_time=True)

    for curve, expected in zip(curves, count_again(runs), strict=True):
        assert curve.places == pytest.approx([60 * trial + 2.25 for trial in range(len(expected))])
        assert curve.shares == pytest.approx(expected)


def test_trials_that_ran_at_a_time_count_when_they_end(tmp_path):
    first, second = make_searched(2)
    at = "2026-11-21T10:00:00+00:00"
    run = store(tmp_path / "run", [replace(first, started_at=at, seconds=90.0), replace(second, started_at=at)])
    curve = find_curves([run], over_time=True)[0]

    assert list(curve.places) == [2.25, 90.0]
    assert curve.shares[1] == pytest.approx(count_again([run])[0][1]) and 0 < curve.shares[0] < curve.shares[1]


@pytest.mark.parametrize("width", ["single", "double"])
def test_runs_their_trials_and_failures_stand_in_the_legend(runs, tmp_path, width):
    draw_hypervolume(runs, tmp_path / "figure.svg", width)

    found = set(texts(tmp_path / "figure.svg"))
    assert {"one: 30 trials, 2 failed", "other: 20 trials", "a trial that failed", "Time of the search (min)"} <= found
    assert any(text.startswith("latencies at the ends of their 95 % intervals") for text in found)


def test_runs_in_other_boxes_are_refused_with_the_field(runs, tmp_path):
    other = store(tmp_path / "two", make_searched(3), {"objectives": ["accuracy", "latency"]})

    with pytest.raises(DefinitionError, match="differ in objectives cannot share axes"):
        draw_hypervolume([*runs, other], tmp_path / "figure.svg")


@pytest.mark.parametrize("evaluations", [[], make_searched(3, failing=(0, 1, 2)), make_searched(1)])
def test_runs_with_next_to_nothing_can_be_drawn(tmp_path, evaluations):
    draw_hypervolume([store(tmp_path / "run", evaluations)], tmp_path / "figure.svg")

    assert ("no trial" in texts(tmp_path / "figure.svg")) == (not evaluations)


def test_a_trial_whose_time_is_unknown_does_not_choose_the_unit(runs):
    curve = find_curves(runs[:1], over_time=True)[0]
    unknown = replace(curve, places=np.append(curve.places[:-1], np.nan))

    assert _choose_unit([curve])[0] == _choose_unit([unknown])[0] == "min"
    assert _choose_unit([replace(curve, places=np.full(2, np.nan))])[0] == "s"
