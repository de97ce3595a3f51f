"""The figure of published architectures: the papers' accuracies against what was measured here."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "measure"))
from bench_device import BENCH, BRIEF, CPU, SCREEN, make_entries

from nasbench.errors import BuildError, DefinitionError
from nasbench.measure.bench import Bench
from nasbench.measure.cache import MeasurementCache
from nasbench.plot.published import MOST_PANELS, _read_panels, draw_published, suits_published
from nasbench.plot.style import LOOKS
from nasbench.store.log import RunLog
from nasbench.store.parquet import read_run
from nasbench.store.published import KEY, Published, describe_published

# The n-th network is 8 (n + 1) wide and so the n-th fastest: c is slower and worse than b, and e has no accuracy.
TOP1 = {"a": 0.60, "b": 0.75, "c": 0.70, "d": 0.80, "e": None}


def stated(top1=TOP1, family="letters"):
    return {name: Published("table 1", family, value) for name, value in top1.items()}


def make_run(folder, figures=None, change=None, **options):
    figures = figures or stated()
    entries = make_entries(tuple(figures), change=change, **({"plan": BRIEF} | options))
    manifest = BENCH | {KEY: describe_published(figures)}
    with MeasurementCache(folder.parent / f"{folder.name}-cache.db") as cache, RunLog.create(folder, manifest) as log:
        Bench(entries, log, cache).run()
    return read_run(folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("plot") / "first")


def texts(path):
    return ["".join(node.itertext()) for node in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def drawn(runs, tmp_path, **options):
    draw_published(runs, tmp_path / "figure.svg", **options)
    return texts(tmp_path / "figure.svg")


def fronts(*runs):
    return [list(panel.members) for panel in _read_panels(runs)]


def test_the_axes_say_whose_figures_they_are_and_the_title_what_was_measured_on(run, tmp_path):
    found = drawn([run], tmp_path)

    assert {"Latency, as measured here (ms)", "Top-1 as published (%)"} <= set(found)
    assert "cpu: eager, fp32, batch 1, threads 1, level confirm" in found
    assert "4 networks; not drawn: 1 without a published top-1" in found


def test_the_front_is_that_of_the_two_figures_and_its_members_alone_are_named(run, tmp_path):
    assert fronts(run) == [["a", "b", "d"]]

    found = drawn([run], tmp_path)
    assert {"a", "b", "d"} <= set(found)
    assert "c" not in found and "e" not in found


def test_points_stand_at_the_medians_in_ms_and_at_percent(run):
    (panel,) = _read_panels([run])
    latency, top1 = panel.places

    # an AnsweringDevice takes 0.1 ms a channel
    assert latency == pytest.approx([0.8, 1.6, 2.4, 3.2], rel=0.03)
    assert top1.tolist() == pytest.approx([60, 75, 70, 80])


@pytest.mark.parametrize(
    ("count", "width", "numbered"), [(8, "double", False), (9, "double", True), (3, "single", True)]
)
def test_many_members_and_those_of_a_single_column_are_numbered_and_named_below(tmp_path, count, width, numbered):
    figures = stated({f"network_{index}": 0.6 + index / 100 for index in range(count)})

    found = drawn([make_run(tmp_path / "run", figures)], tmp_path, width=width)

    key = [text for text in found if "network_" in text]
    numbers = [f"{number}" for number in range(1, count + 1)]
    assert [text.split() for text in key] == [
        [number, name] if numbered else [name] for number, name in zip(numbers, figures, strict=True)
    ]
    assert not numbered or set(numbers) <= set(found)


def test_families_have_looks_and_the_rest_of_many_are_counted(tmp_path):
    families = [f"family_{index:02}" for index in range(len(LOOKS) + 3)]
    # the later ones are slower and worse, so the first alone are on the front
    figures = {name: Published("table 1", name, 0.8 - index / 100) for index, name in enumerate(families)}
    figures |= {"nameless": Published("a card", None, 0.3)}

    found = drawn([make_run(tmp_path / "run", figures)], tmp_path)

    assert set(families[: len(LOOKS)]) <= set(found)
    assert "3 other families or no family" in found
    assert not set(families[len(LOOKS) :]) & set(found)


def test_the_families_of_the_front_come_first(tmp_path):
    figures = {"best": Published("t", "one", 0.9)} | {
        f"worse_{index}": Published("t", "many", 0.5) for index in range(4)
    }

    found = drawn([make_run(tmp_path / "run", figures)], tmp_path)

    assert found.index("one") < found.index("many")


def test_a_verdict_other_than_ok_is_open_and_counted_and_an_invalid_latency_is_not_drawn(tmp_path):
    def disturb(device):
        take = device.take

        def answer(architecture, plan):
            verdicts = {8: "noisy", 16: "invalid"}
            found = take(architecture, plan)
            return replace(found, verdict=verdicts.get(architecture.blocks[0].out_channels, "ok"))

        device.take = answer

    run = make_run(tmp_path / "run", change=disturb, plan=SCREEN)

    found = drawn([run], tmp_path)
    assert fronts(run) == [["a", "c", "d"]]
    assert "not ok: 1 noisy" in found
    assert "3 networks; not drawn: 1 without a published top-1, 1 invalid" in found


def test_what_failed_is_counted(tmp_path):
    def fail(device):
        take = device.take

        def answer(architecture, plan):
            if architecture.blocks[0].out_channels == 32:
                raise BuildError("no kernel for it")
            return take(architecture, plan)

        device.take = answer

    run = make_run(tmp_path / "run", change=fail, plan=SCREEN)

    assert "3 networks; not drawn: 1 without a published top-1, 1 failed" in drawn([run], tmp_path)


def test_an_interval_of_one_process_is_called_so(run, tmp_path):
    screened = make_run(tmp_path / "run", plan=SCREEN)

    assert "95 % interval" in drawn([run], tmp_path)
    assert "95 % interval, in the process at screen" in drawn([screened], tmp_path)


def test_every_setting_is_a_panel_with_a_front_of_its_own(tmp_path):
    run = make_run(tmp_path / "run", runtimes=("eager", "onnx"), batches=(1, 8))

    found = drawn([run], tmp_path)

    assert fronts(run) == [["a", "b", "d"]] * 4
    for setting in ("eager, fp32, batch 1", "eager, fp32, batch 8", "onnx, fp32, batch 1", "onnx, fp32, batch 8"):
        assert f"cpu: {setting}, threads 1, level confirm" in found
    assert "Latency of a batch of 8, as measured here (ms)" in found


def test_accuracies_over_different_numbers_of_classes_share_no_front(tmp_path):
    figures = stated({"a": 0.60, "b": 0.95, "c": 0.70, "d": 0.80})
    run = make_run(tmp_path / "run", figures)
    run.evaluations.loc[run.evaluations["published"] == "b", "classes"] = 1000

    assert fronts(run) == [["a", "c", "d"], ["b"]]
    found = drawn([run], tmp_path)
    assert "10 classes: 3 networks" in found and "1,000 classes: 1 network" in found


def test_what_no_panel_is_for_is_counted_above_one_of_its_setting(tmp_path):
    other = make_run(tmp_path / "run")
    other.evaluations.loc[other.evaluations["published"] == "e", "classes"] = 1000

    assert "4 networks; not drawn: 1 without a published top-1" in drawn([other], tmp_path)


def test_runs_are_drawn_together_and_definitions_of_a_device_that_differ_apart(run, tmp_path):
    more = make_run(tmp_path / "more", stated({"f": 0.85}))
    other = make_run(tmp_path / "other", stated({"g": 0.9}), change=redefine)

    # f is as wide as a, and the best of all
    assert [front[-1] for front in fronts(run, more)] == ["f"]
    assert len(fronts(run, other)) == 2
    assert sum("device definition" in text for text in drawn([run, other], tmp_path)) == 2


def redefine(device):
    device.spec = replace(CPU, memory_limit_bytes=CPU.memory_limit_bytes + 1)


def test_two_machines_share_no_front(run, tmp_path):
    elsewhere = make_run(tmp_path / "elsewhere")
    elsewhere.measurements["host"] = [json.dumps({"host": "another"})] * len(elsewhere.measurements)

    with pytest.raises(DefinitionError, match="latencies of two machines make no front; draw them apart"):
        draw_published([run, elsewhere], tmp_path / "figure.svg")


def test_the_estimates_of_a_race_are_not_drawn(tmp_path):
    run = make_run(tmp_path / "run")
    run.measurements.loc[run.measurements["trial"] == 0, "plan_level"] = "race"

    assert fronts(run) == [["b", "d"]]


def test_a_figure_suits_three_networks_and_no_more_panels_than_it_holds(run, tmp_path):
    two = make_run(tmp_path / "two", stated({"a": 0.6, "b": 0.7, "c": None}))
    batches = tuple(range(1, MOST_PANELS + 2))
    many = make_run(tmp_path / "many", batches=batches, plan=SCREEN)

    assert [suits_published([one]) for one in (run, two, many)] == [True, False, False]
    with pytest.raises(DefinitionError, match=f"{len(batches)} settings .* a figure holds {MOST_PANELS}"):
        draw_published([many], tmp_path / "figure.svg")


def test_a_run_that_stored_nothing_published_is_said(tmp_path):
    reference = Path(__file__).parents[2] / "results" / "reference" / "runtimes-cpu"

    with pytest.raises(DefinitionError, match="runtimes-cpu: no network has both a sound latency and a published"):
        draw_published([read_run(reference)], tmp_path / "figure.svg")


def test_one_point_is_a_figure_too(tmp_path):
    found = drawn([make_run(tmp_path / "run", stated({"alone": 0.7}))], tmp_path)

    assert "alone" in found and "1 network" in found


@pytest.mark.parametrize("suffix", [".svg", ".pdf", ".png"])
def test_the_same_run_gives_the_same_bytes(run, tmp_path, suffix):
    for name in ("a", "b"):
        draw_published([run], tmp_path / f"{name}{suffix}")

    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize(("width", "inches"), [("single", 3.5), ("double", 7.16)])
def test_a_figure_is_as_wide_as_a_journal_column(run, tmp_path, width, inches):
    draw_published([run], tmp_path / "figure.png", width=width)

    assert Image.open(tmp_path / "figure.png").width == pytest.approx(300 * inches, abs=1)


def test_the_legend_has_no_interval_where_none_is_known(run, tmp_path):
    unknown = read_run(run.folder)
    vars(unknown)["measurements"] = run.measurements.assign(latency_low_s=float("nan"), latency_high_s=float("nan"))

    assert not any("95 % interval" in text for text in drawn([unknown], tmp_path))
