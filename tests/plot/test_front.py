import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from run_samples import MANIFEST, make_confirmation, make_evaluation, make_evaluations, write_run

from nasbench.errors import DefinitionError, StoreError
from nasbench.objectives import OBJECTIVES
from nasbench.plot import front
from nasbench.plot.axes import make_axis
from nasbench.plot.front import draw_front
from nasbench.plot.style import LOOKS
from nasbench.store.log import RunLog
from nasbench.store.parquet import flush, read_run

OBJECTIVES_3 = ["accuracy", "latency", "params"]


def make_run(folder, evaluations, manifest=None):
    write_run(folder, evaluations, manifest)
    flush(folder)
    return read_run(folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    evaluations = make_evaluations(40)
    evaluations[3] = replace(evaluations[3], published="tiny_1.0")
    evaluations[7] = replace(evaluations[7], status="crashed", error="it crashed", measurements=())
    return make_run(tmp_path_factory.mktemp("plot") / "first", evaluations, MANIFEST | {"objectives": OBJECTIVES_3})


def texts(path):
    return " | ".join(
        "".join(node.itertext()) for node in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")
    )


def test_text_in_an_svg_is_text(run, tmp_path):
    draw_front([run], tmp_path / "front.svg")

    found = texts(tmp_path / "front.svg")
    for words in ("Latency (ms)", "Top-1 accuracy (%)", "Trials", "Hypervolume", "first: 40 trials", "tiny_1.0"):
        assert words in found


@pytest.mark.parametrize("suffix", [".svg", ".pdf", ".png"])
def test_the_same_run_gives_the_same_bytes(run, tmp_path, suffix):
    for name in ("a", "b"):
        draw_front([run], tmp_path / f"{name}{suffix}")

    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_fonts_in_a_pdf_are_truetype_and_no_time_is_in_it(run, tmp_path):
    draw_front([run], tmp_path / "front.pdf")

    data = (tmp_path / "front.pdf").read_bytes()
    assert data.startswith(b"%PDF") and b"/Type3" not in data and b"CreationDate" not in data


@pytest.mark.parametrize(("width", "inches"), [("single", 3.5), ("double", 7.16)])
def test_a_figure_is_as_wide_as_a_journal_column(run, tmp_path, width, inches):
    draw_front([run], tmp_path / "front.png", width=width)

    assert Image.open(tmp_path / "front.png").width == pytest.approx(300 * inches, abs=1)


@pytest.mark.parametrize(
    ("x", "y", "across", "upwards"),
    [
        (None, None, "Latency (ms)", "Top-1 accuracy (%)"),
        ("params", None, "Parameters (thousands)", "Top-1 accuracy (%)"),
        ("latency", "params", "Latency (ms)", "Parameters (thousands)"),
        ("accuracy", None, "Top-1 accuracy (%)", "Latency (ms)"),
    ],
)
def test_any_pair_of_objectives_can_be_drawn(run, tmp_path, x, y, across, upwards):
    draw_front([run], tmp_path / "front.svg", x=x, y=y)

    found = texts(tmp_path / "front.svg")
    assert across in found and upwards in found


def test_runs_are_drawn_together_under_one_reference(run, tmp_path):
    second = make_run(tmp_path / "second", make_evaluations(20, seed=5), MANIFEST | {"objectives": OBJECTIVES_3})

    draw_front([run, second], tmp_path / "front.svg")

    found = texts(tmp_path / "front.svg")
    assert "first: 40 trials" in found and "second: 20 trials" in found and "same box for all runs" in found


def test_verdicts_other_than_ok_are_counted_in_the_legend(tmp_path):
    evaluation = make_evaluation(0)
    noisy = replace(evaluation, measurements=(replace(evaluation.measurements[0], verdict="noisy"),))

    draw_front([make_run(tmp_path / "run", [noisy])], tmp_path / "front.svg")

    assert "run: 1 trial, 1 on the front (1 noisy)" in texts(tmp_path / "front.svg")


@pytest.fixture
def confirmed(tmp_path):
    """Three members; the first is slower than the search found, so that it falls off, and the others are ties."""
    latencies_s = {0: 0.009, 1: 0.0051, 2: 0.005}
    evaluations = [make_evaluation(trial, 0.5 + trial / 10, 0.004 + trial / 1000) for trial in latencies_s]
    write_run(tmp_path / "run", evaluations)
    with RunLog.open(tmp_path / "run") as log:
        for evaluation in evaluations:
            latency_s = latencies_s[evaluation.trial]
            log.append_confirmed(evaluation.trial, make_confirmation(evaluation.architecture, latency_s))
    return read_run(tmp_path / "run")


def test_a_confirmed_front_says_so_and_shows_what_fell_off(confirmed, tmp_path):
    draw_front([confirmed], tmp_path / "front.svg")

    found = texts(tmp_path / "front.svg")
    assert "run: 3 trials, 2 on the confirmed front" in found
    assert "fell off when it was confirmed" in found and "as the search measured it, in one process" in found


def test_the_front_stands_at_the_confirmed_latencies_and_trials_where_the_search_found_them(confirmed):
    series = front._series(confirmed, LOOKS[0], OBJECTIVES["latency"], OBJECTIVES["accuracy"])

    stored = confirmed.pareto.set_index("trial")
    for frame, trials in ((series.front, [1, 2]), (series.fallen, [0])):
        assert sorted(frame["trial"]) == trials
        for row in frame.itertuples():
            assert row.latency_s == stored.loc[row.trial, "confirmed_latency_s"]
            assert row.latency_high_s == stored.loc[row.trial, "confirmed_high_s"]
    assert list(series.feasible["latency_s"]) == list(confirmed.evaluations["latency_s"])


def test_a_confirmation_that_decides_nothing_leaves_a_member_where_the_search_found_it(confirmed):
    with RunLog.open(confirmed.folder) as log:
        throttled = replace(log.confirmed()[0][0], verdict="throttled")
        log.append_confirmed(0, throttled)
    run = read_run(confirmed.folder)
    placed = front._series(run, LOOKS[0], OBJECTIVES["latency"], OBJECTIVES["accuracy"]).placed

    assert placed["latency_s"][0] == run.evaluations["latency_s"][0]
    assert run.pareto["confirmed_latency_s"][0] == pytest.approx(throttled.latency_s)


def test_a_run_without_objectives_has_no_front_to_draw(tmp_path):
    runs = [make_run(tmp_path / name, make_evaluations(2), {"kind": "bench"}) for name in ("a", "b")]

    with pytest.raises(DefinitionError, match="a has 0 objectives; a front needs 2"):
        draw_front(runs, tmp_path / "front.svg")


def test_a_front_of_two_other_figures_is_the_same_whether_it_was_confirmed_or_not(confirmed):
    run = replace(confirmed, manifest=confirmed.manifest | {"objectives": OBJECTIVES_3})
    series = front._series(run, LOOKS[0], OBJECTIVES["params"], OBJECTIVES["accuracy"])

    assert list(series.front["trial"]) == [2] and not len(series.fallen)


@pytest.mark.parametrize("evaluations", [[], [make_evaluation(0)], [make_evaluation(0, status="pruned")]])
def test_runs_with_next_to_nothing_can_be_drawn(tmp_path, evaluations):
    draw_front([make_run(tmp_path / "run", evaluations)], tmp_path / "front.svg")

    feasible = [e for e in evaluations if e.status == "complete"]
    assert ("no feasible trial" in texts(tmp_path / "front.svg")) == (not feasible)


def other_device(evaluation):
    return replace(evaluation, measurements=(replace(evaluation.measurements[0], device="phone"),))


def other_dataset(evaluation):
    return replace(evaluation, score=replace(evaluation.score, dataset="cifar10"))


@pytest.mark.parametrize(
    ("change", "objectives", "text"),
    [
        (other_device, OBJECTIVES_3, "differ in device cannot share axes: first has cpu; second has phone"),
        (other_dataset, OBJECTIVES_3, "differ in dataset cannot share axes: first has digits; second has cifar10"),
        (lambda e: e, ["accuracy", "latency"], "differ in objectives .*second has accuracy, latency"),
    ],
)
def test_runs_that_cannot_share_axes_are_refused_with_the_field(run, tmp_path, change, objectives, text):
    second = make_run(tmp_path / "second", [change(make_evaluation(0))], MANIFEST | {"objectives": objectives})

    with pytest.raises(DefinitionError, match=text):
        draw_front([run, second], tmp_path / "front.svg")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"out": "front.jpg"}, r"'\.jpg'; a figure is one of \.pdf, \.png, \.svg"),
        ({"out": "front"}, r"\.pdf, \.png, \.svg"),
        ({"width": "triple"}, "single or double"),
        ({"x": "latencey"}, "Did you mean 'latency'"),
        ({"x": "macs"}, "no objective of first is named 'macs'"),
        ({"x": "params", "y": "params"}, "both axes would show params"),
    ],
)
def test_what_cannot_be_drawn_is_said(run, tmp_path, options, text):
    out = tmp_path / options.pop("out", "front.svg")

    with pytest.raises(DefinitionError, match=text):
        draw_front([run], out, **options)
    assert not list(tmp_path.iterdir())


def test_a_figure_that_cannot_be_written_is_said(run, tmp_path):
    (tmp_path / "figures").write_text("")

    with pytest.raises(StoreError, match="cannot be written"):
        draw_front([run], tmp_path / "figures" / "front.svg")


@pytest.mark.parametrize(
    ("objective", "values", "label", "scale"),
    [
        ("latency", [0.004, 0.009, 0.2], "Latency (ms)", 1e3),
        ("latency", [4e-6, 9e-5], "Latency (µs)", 1e6),
        ("latency", [], "Latency (s)", 1),
        ("params", [3e6, 5e6], "Parameters (millions)", 1e-6),
        ("memory", [2**21], "Memory (MiB)", 2**-20),
        ("energy", [0.002, 0.03], "Energy (mJ)", 1e3),
        ("accuracy", [0.5], "Top-1 accuracy (%)", 100),
    ],
)
def test_an_axis_takes_the_unit_that_fits(objective, values, label, scale):
    axis = make_axis(OBJECTIVES[objective], values)

    assert (axis.label, axis.scale) == (label, pytest.approx(scale))


def test_plots_need_no_model_and_no_global_state(tmp_path):
    code = "import nasbench.plot.front, sys; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parent)

    assert not {"torch", "optuna", "matplotlib", "matplotlib.pyplot"} & set(answer.stdout.split())
