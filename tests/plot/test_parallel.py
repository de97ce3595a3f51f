from dataclasses import replace

import numpy as np
import pytest
from chosen_runs import make_searched, store, texts
from matplotlib.figure import Figure
from run_samples import make_confirmation, write_run

from nasbench.errors import DefinitionError
from nasbench.plot import parallel
from nasbench.plot.parallel import draw_lines, draw_parallel
from nasbench.store.log import RunLog
from nasbench.store.parquet import read_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return store(tmp_path_factory.mktemp("searches") / "one", make_searched(40, failing=(5,)))


def uprights(run, names):
    trials = parallel._find_trials(run)
    return trials, [
        *(parallel._choice_axis(name, trials) for name in names),
        *(parallel._objective_axis(objective, trials) for objective in run.objectives),
    ]


def test_a_line_crosses_each_axis_at_the_value_of_its_trial(run):
    trials, axes = uprights(run, ["stem.out", "stage1.expand"])
    width, expand, accuracy = axes[:3]

    chosen = list(trials["chosen"])
    assert list(width.heights) == [{8: 0, 16: 0.5, 32: 1}[one["stem.out"]] for one in chosen]
    assert [height < 0 for height in expand.heights] == ["stage1.expand" not in one for one in chosen]
    values = trials["accuracy"].to_numpy(float)
    assert accuracy.heights == pytest.approx((values - values.min()) / (values.max() - values.min()))
    assert [words for _, words in expand.ticks] == ["none", "2", "4"]


def test_failed_trials_have_no_line_and_members_of_the_front_are_marked(run):
    trials, axes = uprights(run, ["stem.out"])
    panel = Figure().subplots()
    draw_lines(panel, axes, trials["member"].to_numpy(bool))

    marked = [line for line in panel.lines if line.get_marker() == "o"]
    assert len(marked) == len(run.pareto) and len(marked) + len(panel.collections[0].get_paths()) == 39


def test_the_bars_of_members_are_the_intervals_of_their_latencies(run):
    trials, axes = uprights(run, [])
    panel = Figure().subplots()
    draw_lines(panel, axes, trials["member"].to_numpy(bool))

    low, high = (trials[name].to_numpy(float) for name in ("latency_low_s", "latency_high_s"))
    expected = (np.stack([low, high], axis=1) - low.min()) / (high.max() - low.min())
    bars = np.array(panel.collections[1].get_segments())[:, :, 1]
    assert bars == pytest.approx(expected[trials["member"].to_numpy(bool)])


def test_a_confirmed_member_stands_at_its_confirmed_latency(tmp_path):
    evaluations = make_searched(12)
    write_run(tmp_path / "run", evaluations)
    with RunLog.open(tmp_path / "run") as log:
        for one in evaluations:
            log.append_confirmed(one.trial, make_confirmation(one.architecture, 0.02))
    trials = parallel._find_trials(read_run(tmp_path / "run"))

    assert trials.loc[trials["member"], "latency_s"].to_numpy(float) == pytest.approx(0.02, rel=1e-3)
    assert (trials.loc[~trials["member"], "latency_s"] < 0.01).all()


def test_what_has_too_many_choices_shows_the_most_important_in_the_order_of_the_space(run, tmp_path):
    names, left_out, ranked = parallel._choose(run, parallel._find_trials(run), 2)

    assert left_out == 2 and ranked and names[0] == "stem.out" and names[1].startswith("stage1.")
    draw_parallel([run], tmp_path / "figure.svg", "single")
    assert any("39 of 40 trials are feasible" in text for text in texts(tmp_path / "figure.svg"))


def test_thousands_of_lines_are_a_picture(tmp_path):
    count = 5000
    heights = np.random.default_rng(0).random(count)
    axes = [parallel.Upright(name, heights, [], True) for name in "ab"]
    panel = Figure().subplots()
    draw_lines(panel, axes, np.arange(count) < 5)

    assert panel.collections[0].get_rasterized()


@pytest.mark.parametrize("evaluations", [[], make_searched(12, failing=range(12))])
def test_a_run_without_a_feasible_trial_says_so(tmp_path, evaluations):
    draw_parallel([store(tmp_path / "run", evaluations)], tmp_path / "figure.svg")

    assert "no feasible trial" in texts(tmp_path / "figure.svg")


def test_one_search_is_drawn(run, tmp_path):
    with pytest.raises(DefinitionError, match="--kind parallel draws one search; 2 runs were given"):
        draw_parallel([run, run], tmp_path / "figure.svg")


def test_feasible_trials_without_choices_are_counted_and_not_drawn(tmp_path):
    evaluations = make_searched(12)
    best = replace(evaluations[3], choices={}, score=replace(evaluations[3].score, value=0.99))
    draw_parallel([store(tmp_path / "run", [*evaluations[:3], best, *evaluations[4:]])], tmp_path / "figure.svg")

    found = texts(tmp_path / "figure.svg")
    assert "run: 12 of 12 trials are feasible; 1 without choices not drawn" in found
    members = len(read_run(tmp_path / "run").pareto)
    assert f"on the front ({members}, {members - 1} drawn)" in found


def test_a_run_whose_feasible_trials_have_no_choices_says_so(tmp_path):
    evaluations = [replace(one, choices={}) for one in make_searched(3)]
    draw_parallel([store(tmp_path / "run", evaluations)], tmp_path / "figure.svg")

    found = texts(tmp_path / "figure.svg")
    assert "no feasible trial has choices" in found and "no feasible trial" not in found
    assert "run: 3 of 3 trials are feasible; 3 without choices not drawn" in found


def test_equal_values_of_different_types_are_one_place(tmp_path):
    evaluations = [
        replace(one, choices={"scale": value}) for one, value in zip(make_searched(3), (1, 1.0, 2), strict=True)
    ]
    trials, (scale, *_) = uprights(store(tmp_path / "run", evaluations), ["scale"])

    assert dict(zip(trials["trial"], scale.heights, strict=True)) == {0: 0.0, 1: 0.0, 2: 1.0}


def test_choices_left_out_by_too_few_trials_are_not_called_less_important(tmp_path):
    evaluations = [
        replace(one, choices={f"stage{at}.out": 8 * (1 + (one.trial + at) % 3) for at in range(7)})
        for one in make_searched(9)
    ]
    draw_parallel([store(tmp_path / "run", evaluations)], tmp_path / "figure.svg", "single")

    assert "3 choices not drawn" in texts(tmp_path / "figure.svg")
