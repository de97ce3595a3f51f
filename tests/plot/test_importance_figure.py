import numpy as np
import pytest
from chosen_runs import make_searched, store, texts
from matplotlib.figure import Figure
from run_samples import make_evaluations

from nasbench.errors import DefinitionError
from nasbench.importance import Importance
from nasbench.plot.importance import draw_importance, draw_importances


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return store(tmp_path_factory.mktemp("searches") / "one", make_searched(60, failing=(5,)))


def test_bars_are_shares_and_whiskers_their_intervals():
    axes = Figure().subplots()
    draw_importances(axes, [Importance("stem.out", 0.6, 0.4, 0.7), Importance("stage1.kernel", 0.1, 0.0, 0.3)])

    assert [bar.get_width() for bar in axes.patches] == pytest.approx([60, 10])
    whiskers = axes.containers[1][2][0].get_segments()
    assert np.array(whiskers)[:, :, 0] == pytest.approx(np.array([[40, 70], [0, 30]]))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["stem.out", "stage1.kernel"]


def test_many_choices_are_cut_to_the_most_important_and_long_names_lose_their_middle():
    axes = Figure().subplots()
    name = "a.very.long.name.of.a.choice.in.stage.7.kernel"
    draw_importances(axes, [Importance(name, 0.5, 0.4, 0.6), *(Importance(f"c{n}", 0.1, 0, 0.2) for n in range(20))])

    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert len(labels) == 15 and len(labels[0]) == 28
    assert labels[0].startswith("a.very.long") and labels[0].endswith("7.kernel")


@pytest.mark.parametrize("width", ["single", "double"])
def test_every_objective_has_a_panel_with_its_number_of_trials(run, tmp_path, width):
    draw_importance([run], tmp_path / "figure.svg", width)

    found = texts(tmp_path / "figure.svg")
    assert {"Top-1 accuracy, 59 trials", "Latency, 59 trials", "Parameters, 60 trials"} <= set(found)
    assert found.count("stem.out") == 3 and "95 % interval over trials" in found


def test_the_choice_that_was_built_in_stands_at_the_top(run, tmp_path):
    draw_importance([run], tmp_path / "figure.svg", "single")

    found = [text for text in texts(tmp_path / "figure.svg") if text.startswith("st")]
    assert found[0] == "stem.out" and found[4] == "stage1.kernel"  # of accuracy, and of latency


@pytest.mark.parametrize("evaluations", [[], make_evaluations(5), make_searched(12, failing=range(12))])
def test_where_nothing_can_be_said_that_is_said(tmp_path, evaluations):
    run = store(tmp_path / "run", evaluations, {"objectives": ["accuracy", "latency"]})
    draw_importance([run], tmp_path / "figure.svg")

    assert texts(tmp_path / "figure.svg").count("nothing can be said:") == 2


def test_one_search_is_drawn_at_a_time(run, tmp_path):
    bench = store(tmp_path / "bench", [], {"kind": "bench", "objectives": []})

    with pytest.raises(DefinitionError, match="--kind importance draws one search; 2 runs were given"):
        draw_importance([run, run], tmp_path / "figure.svg")
    with pytest.raises(DefinitionError, match="bench is a bench, which has no objectives; --kind importance is for"):
        draw_importance([bench], tmp_path / "figure.svg")
