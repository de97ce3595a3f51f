"""Found and published networks together: what is a row, what is on the joint front, and how it is drawn."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from bench_device import CPU, SCREEN
from mixtures import FOUND, REFERENCE, make_bench, make_search
from run_samples import make_evaluations, make_measurement

from nasbench.errors import DefinitionError
from nasbench.plot.networks import describe_undrawn, read_networks
from nasbench.plot.published import _STARS, _read_panels, draw_published
from nasbench.store.parquet import read_run


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return make_bench(tmp_path_factory.mktemp("networks") / "bench")


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    return make_search(tmp_path_factory.mktemp("networks") / "search")


def drawn(runs, tmp_path, **options):
    draw_published(runs, tmp_path / "figure.svg", **options)
    tree = ElementTree.parse(tmp_path / "figure.svg")
    return ["".join(node.itertext()) for node in tree.iter("{http://www.w3.org/2000/svg}text")]


def fronts(*runs):
    return [list(panel.members) for panel in _read_panels(runs)]


def name_of(run, trial):
    return f"tiny/{run.evaluations['architecture'][trial][:8]}"


def dominated(point, points):
    return any(
        other[0] <= point[0] and other[1] >= point[1] and (other[0] < point[0] or other[1] > point[1])
        for other in points
    )


def test_found_and_published_make_one_front_and_its_members_are_named(bench, search, tmp_path):
    assert fronts(bench, search) == [[name_of(search, 0), "b", "d", name_of(search, 2)]]

    found = drawn([bench, search], tmp_path)
    assert {name_of(search, 0), "b", "d", name_of(search, 2)} <= set(found)
    assert name_of(search, 1) not in found and "a" not in found
    assert "3 found and 4 published networks; not drawn: 1 without a published top-1" in found


def test_the_joint_front_is_that_of_brute_force(bench, tmp_path):
    figures = [(e.score.value, e.measurements[0].latency_s) for e in make_evaluations(40, seed=2)]
    figures = [(accuracy, latency_s / 3) for accuracy, latency_s in figures]
    rows = read_networks([bench, make_search(tmp_path / "search", figures)])

    points = rows[rows["left_out"].isna()]
    places = list(zip(points["latency_s"], points["top1"], strict=True))
    assert list(points["on_front"]) == [not dominated(place, places) for place in places]
    assert set(points.loc[points["on_front"], "kind"]) == {"found", "published"}
    assert not rows.loc[rows["left_out"].notna(), "on_front"].any()


def test_the_figure_says_whose_accuracy_a_point_has(bench, search, tmp_path):
    found = drawn([bench, search], tmp_path)

    assert "found by search: accuracy on digits, validation, as the search estimated it" in found
    assert "all others, published: top-1 as its source states" in found
    assert "Top-1 accuracy (%)" in found and "Top-1 as published (%)" not in found
    assert "Latency, as measured here (ms)" in found


def test_a_search_alone_speaks_of_nothing_published(search, tmp_path):
    found = drawn([search], tmp_path)

    assert "Top-1 accuracy (%)" in found and "3 found networks" in found
    assert not any("published" in text or "source" in text for text in found)


def test_accuracies_of_another_metric_and_of_no_data_set_are_said(bench, tmp_path):
    def custom(evaluation):
        return replace(evaluation, score=replace(evaluation.score, metric="custom", dataset="", split=""))

    found = drawn([bench, make_search(tmp_path / "search", change=custom)], tmp_path)

    assert "found by search: accuracy (its metric: custom), as the search estimated it" in found


def test_the_title_says_which_levels_a_front_holds(bench, search, tmp_path):
    assert "cpu: eager, fp32, batch 1, threads 1, levels confirm and screen" in drawn([bench, search], tmp_path)
    assert "cpu: eager, fp32, batch 1, threads 1, level screen" in drawn([search], tmp_path)


def test_a_trial_stands_at_its_confirmed_latency_where_confirming_decided(tmp_path):
    run = make_search(tmp_path / "search", confirm={0: 0.0008, 2: 0.0041})
    rows = read_networks([run]).set_index("trial")

    members = run.pareto.set_index("trial")
    for trial in (0, 2):
        assert rows["latency_s"][trial] == members["confirmed_latency_s"][trial]
        assert rows["latency_low_s"][trial] == members["confirmed_low_s"][trial]
        assert rows["latency_high_s"][trial] == members["confirmed_high_s"][trial]
    assert rows["latency_s"][1] == run.evaluations["latency_s"][1]
    assert list(rows["level"]) == ["confirm", "screen", "confirm"]


def test_a_confirmation_that_decides_nothing_leaves_a_trial_where_the_search_found_it(tmp_path):
    run = make_search(tmp_path / "search", confirm={0: 0.0008}, verdict="throttled")

    assert list(read_networks([run])["latency_s"]) == list(run.evaluations["latency_s"])


@pytest.mark.parametrize("name", ["mnist_tiny-cpu", "mnist_tiny-cpu-confirmed"])
def test_stored_searches_give_every_feasible_trial_where_they_place_it(name):
    run = read_run(REFERENCE / name)
    rows = read_networks([run])

    points = rows[rows["left_out"].isna()].set_index("trial")
    feasible = run.evaluations[run.evaluations["feasible"]].set_index("trial")
    confirmed = run.pareto.set_index("trial")["confirmed_latency_s"].dropna()
    assert list(points.index) == list(feasible.index)
    assert dict(points["latency_s"]) == dict(feasible["latency_s"]) | dict(confirmed)
    assert dict(points["top1"]) == dict(feasible["accuracy"])
    assert set(points["runtime"]) == {"eager"} and set(points["threads"]) == {1}


def test_ten_classes_and_a_thousand_are_two_panels_of_one_figure(tmp_path):
    runs = [read_run(REFERENCE / name) for name in ("mnist_tiny-cpu-confirmed", "published-cpu-onnx")]

    found = drawn(runs, tmp_path)
    assert "10 classes: 14 found networks; not drawn: 4 pruned" in found
    assert "1,000 classes: 221 networks of 40 families; not drawn: 23 without a published top-1" in found
    assert sum("Latency" in text for text in found) == 1  # the axis is shared
    mnist, imagenet = fronts(*runs)
    assert {"mnist_tiny_small", "mnist_tiny_large"} <= set(mnist)
    assert fronts(runs[1]) == [imagenet]


def test_trials_that_are_no_figure_are_left_out_with_the_reason(bench, tmp_path):
    statuses = {0: "pruned", 1: "infeasible", 2: "crashed", 3: "duplicate"}

    def end(evaluation):
        status = statuses.get(evaluation.trial, "complete")
        measured = () if status in ("crashed", "duplicate") else evaluation.measurements
        return replace(evaluation, status=status, measurements=measured, of_trial=4 if status == "duplicate" else None)

    run = make_search(tmp_path / "search", [*FOUND, (0.5, 0.002), (0.6, 0.001), (0.7, 0.9)], end)
    run.evaluations.loc[run.evaluations["trial"] == 5, "feasible"] = False
    rows = read_networks([run])

    reasons = dict(zip(rows["trial"], rows["left_out"].fillna(""), strict=True))
    assert reasons == {0: "pruned", 1: "infeasible", 2: "failed", 4: "", 5: "infeasible"}
    title = "1 found and 4 published networks; not drawn: 1 without a published top-1, 2 infeasible, 1 pruned, 1 failed"
    assert title in drawn([bench, run], tmp_path)


def test_a_search_on_several_devices_has_a_point_on_each(tmp_path):
    def measure_twice(evaluation):
        on = [
            make_measurement(evaluation.architecture, latency_s, device=device, device_digest=CPU.digest)
            for device, latency_s in (("cpu", 0.002), ("phone", 0.02))
        ]
        return replace(evaluation, measurements=tuple(on))

    manifest = {
        "objectives": ["accuracy", "latency@cpu", "latency@phone"],
        "devices": [{"name": name, "digest": CPU.digest} for name in ("cpu", "phone")],
    }
    run = make_search(tmp_path / "search", change=measure_twice, manifest=manifest)
    rows = read_networks([run])

    for device in ("cpu", "phone"):
        stored = run.evaluations[f"latency_s@{device}"]
        assert list(rows.loc[rows["device"] == device, "latency_s"]) == list(stored)
    assert dict(rows.groupby("device")["panel"].first()) == {"cpu": 0, "phone": 1}


def test_a_search_that_measured_nothing_is_told_and_not_drawn(bench, tmp_path):
    run = make_search(
        tmp_path / "search",
        change=lambda evaluation: replace(evaluation, measurements=()),
        manifest={"objectives": ["accuracy", "params"]},
    )

    assert describe_undrawn(read_networks([bench, run])) == ["nothing of search is drawn: 3 without a latency"]
    with pytest.raises(DefinitionError, match="search: no feasible trial has both a sound latency and an accuracy"):
        draw_published([run], tmp_path / "figure.svg")


def test_a_starting_point_is_found_and_keeps_its_name(bench, tmp_path):
    def start_from(evaluation):
        return replace(evaluation, published="d") if evaluation.trial == 2 else evaluation

    run = make_search(tmp_path / "search", change=start_from)
    rows = read_networks([run])

    assert rows.loc[2, ["network", "kind", "top1"]].tolist() == ["d", "found", 0.85]
    assert fronts(bench, run) == [[name_of(run, 0), "b", "d", "d (found)"]]


def test_what_was_screened_and_confirmed_stands_once_at_the_confirmed(bench, tmp_path):
    screened = make_bench(tmp_path / "screened", {"a": 0.6, "f": 0.5}, plan=SCREEN)
    rows = read_networks([screened, bench])

    assert rows[["network", "level", "left_out"]].fillna("").to_numpy().tolist()[:2] == [
        ["a", "screen", "confirmed too"],
        ["f", "screen", ""],
    ]
    assert fronts(screened, bench) == [["a", "b", "d"]]


def test_a_search_on_another_machine_shares_no_front(bench, tmp_path):
    run = make_search(tmp_path / "search", host={"host": "another"})

    with pytest.raises(DefinitionError, match=r"cpu was another machine .* two machines make no front; draw them"):
        draw_published([bench, run], tmp_path / "figure.svg")
    assert not (tmp_path / "figure.svg").exists()


def test_searches_on_different_data_share_no_front(search, tmp_path):
    def on_cifar(evaluation):
        return replace(evaluation, score=replace(evaluation.score, dataset="cifar10"))

    other = make_search(tmp_path / "other", change=on_cifar)

    with pytest.raises(DefinitionError, match="differ in dataset make no front together: search has digits; other has"):
        draw_published([search, other], tmp_path / "figure.svg")


def test_searches_are_told_apart_and_too_many_are_refused(search, tmp_path):
    others = [make_search(tmp_path / str(number) / "search") for number in range(len(_STARS))]

    found = drawn([search, *others[:-1]], tmp_path)
    assert len({text for text in found if text.startswith("found by")}) == len(_STARS)
    with pytest.raises(DefinitionError, match=f"{len(_STARS) + 1} searches are too many .* tells {len(_STARS)} apart"):
        draw_published([search, *others], tmp_path / "figure.svg")


@pytest.mark.parametrize("suffix", [".svg", ".pdf", ".png"])
@pytest.mark.parametrize("width", ["single", "double"])
def test_the_same_mixture_gives_the_same_bytes(bench, search, tmp_path, suffix, width):
    for name in ("a", "b"):
        draw_published([bench, search], tmp_path / f"{name}{suffix}", width)

    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_a_network_of_a_race_alone_is_left_out(tmp_path):
    run = make_bench(tmp_path / "run")
    run.measurements.loc[run.measurements["trial"] == 0, "plan_level"] = "race"

    rows = read_networks([run])
    assert rows["left_out"].fillna("").tolist() == ["raced alone", "", "", "", "without a published top-1"]
    assert json.loads(rows["choices"][0])["device"] == "cpu"
