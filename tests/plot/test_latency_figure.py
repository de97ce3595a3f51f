from dataclasses import replace

import numpy as np
import pytest
from chosen_runs import make_searched, on_devices, store, texts
from matplotlib.figure import Figure
from run_samples import make_confirmation, make_evaluations, make_measurement, write_run

from nasbench.errors import DefinitionError
from nasbench.plot.latency import draw_latency, draw_panel, read_latencies
from nasbench.store.log import RunLog
from nasbench.store.parquet import read_run


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory):
    """Three members of a front, the slowest search figure of which is the fastest when it is confirmed."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    evaluations = [
        replace(one, measurements=(make_measurement(one.architecture, 0.004 + trial / 1000, verdict=verdict),))
        for trial, (one, verdict) in enumerate(zip(make_searched(3), ("ok", "noisy", "ok"), strict=True))
    ]
    evaluations = [replace(one, score=replace(one.score, value=0.5 + one.trial / 10)) for one in evaluations]
    write_run(folder, evaluations)
    with RunLog.open(folder) as log:
        for one, latency_s in zip(evaluations, (0.0041, 0.0052, 0.0035), strict=True):
            log.append_confirmed(one.trial, make_confirmation(one.architecture, latency_s))
    return read_run(folder)


def test_rows_are_sorted_by_the_confirmed_latency_with_the_search_s_above(confirmed):
    rows = read_latencies([confirmed])

    assert list(rows["trial"]) == [2, 2, 0, 0, 1, 1]
    assert list(rows["level"]) == ["screen", "confirm"] * 3
    assert list(rows["row"]) == [0, 0, 1, 1, 2, 2]


def test_boxes_hold_half_of_the_samples_and_bars_the_intervals(confirmed):
    rows = read_latencies([confirmed])
    axes = Figure().subplots()
    draw_panel(axes, rows, 1e3)

    for box, (_, row) in zip(axes.patches, rows.iterrows(), strict=True):
        samples = 1e3 * np.sort(np.asarray(row["latencies_s"])[np.asarray(row["kept"], dtype=bool)])
        assert box.get_x() == pytest.approx(np.quantile(samples, 0.25))
        assert box.get_x() + box.get_width() == pytest.approx(np.quantile(samples, 0.75))
    bars = [line.get_xdata() for line in axes.lines if line.get_linewidth() == 1.8]
    expected = 1e3 * rows[["latency_low_s", "latency_high_s"]].to_numpy(float)
    assert np.array(bars) == pytest.approx(expected)
    marks = [(line.get_marker(), line.get_xdata()[0]) for line in axes.lines if line.get_linestyle() == "None"]
    assert [at for _, at in marks] == pytest.approx(1e3 * rows["latency_s"].to_numpy(float))
    assert [mark == "D" for mark, _ in marks] == list(rows["verdict"] != "ok") and ("D" in dict(marks))


def test_samples_that_the_gates_masked_are_in_no_box(tmp_path):
    one = make_evaluations(1)[0]
    kept = (True,) * 4 + (False,) * 4
    masked = make_measurement(one.architecture, latencies_s=(1.0, 1.1, 1.2, 1.3, 9.0, 9.0, 9.0, 9.0), kept=kept)
    axes = Figure().subplots()
    draw_panel(axes, read_latencies([store(tmp_path / "run", [replace(one, measurements=(masked,))])]), 1.0)

    assert axes.patches[0].get_x() + axes.patches[0].get_width() == pytest.approx(1.225)


def test_every_device_has_a_panel_of_the_members_of_the_front(tmp_path):
    evaluations = on_devices(make_searched(20), {"phone": lambda one: 3.0})
    named = {"devices": [{"name": name, "digest": name} for name in ("cpu", "phone")]}
    run = store(tmp_path / "run", evaluations, named)
    rows = read_latencies([run])

    assert list(dict.fromkeys(rows["panel"])) == ["cpu", "phone"]
    for _, panel in rows.groupby("panel"):
        assert set(panel["trial"]) == set(run.pareto["trial"])
        assert panel["latency_s"].is_monotonic_increasing
    draw_latency([run], tmp_path / "figure.svg")
    assert {"cpu", "phone", "latency, 95 % interval"} <= set(texts(tmp_path / "figure.svg"))


@pytest.mark.parametrize("width", ["single", "double"])
def test_long_names_are_shortened_and_more_rows_than_a_page_holds_are_said(tmp_path, width):
    evaluations = [
        replace(one, published=f"a_network_of_a_very_long_name_indeed_number_{one.trial}")
        for one in make_evaluations(45)
    ]
    run = store(tmp_path / "bench", evaluations, {"kind": "bench", "objectives": []})
    draw_latency([run], tmp_path / "figure.svg", width)

    found = texts(tmp_path / "figure.svg")
    assert "the first 40 of 45 rows" in found
    names = [text for text in found if text.startswith("a_net")]
    assert len(names) == 40 == len(set(names)) and max(map(len, names)) <= 28


@pytest.mark.parametrize("evaluations", [[], make_searched(4, failing=range(4))])
def test_what_has_no_latency_is_refused(tmp_path, evaluations):
    run = store(tmp_path / "run", evaluations)

    with pytest.raises(DefinitionError, match="run: no measurement has a latency, so there is nothing to draw"):
        draw_latency([run], tmp_path / "figure.svg")


def test_a_search_whose_front_is_empty_is_refused(tmp_path):
    run = store(tmp_path / "run", make_searched(4), {"limits": {"params": 1}})

    with pytest.raises(DefinitionError, match="run: no member of the front has a latency"):
        draw_latency([run], tmp_path / "figure.svg")


def test_the_legend_has_neither_samples_nor_intervals_where_none_are_drawn(tmp_path):
    bare = {"samples": 1, "low_s": None, "high_s": None, "verdict": "table"}
    evaluations = [
        replace(one, measurements=(make_measurement(one.architecture, **bare),)) for one in make_evaluations(3)
    ]
    draw_latency([store(tmp_path / "run", evaluations)], tmp_path / "figure.svg")

    found = texts(tmp_path / "figure.svg")
    assert "another verdict than ok" in found
    assert not any("samples" in text or "95 %" in text for text in found)


def test_runs_of_one_name_in_two_folders_are_two(tmp_path):
    for place, factor in (("monday", 1), ("tuesday", 3)):
        evaluations = [
            replace(one, measurements=(make_measurement(one.architecture, 0.001 * factor * (1 + one.trial)),))
            for one in make_searched(2)
        ]
        write_run(tmp_path / place / "first", evaluations)
    runs = [read_run(tmp_path / place / "first") for place in ("monday", "tuesday")]

    rows = read_latencies(runs)

    assert rows["row"].nunique() == sum(len(run.pareto) for run in runs)
    assert set(rows["run"]) == {str(run.folder) for run in runs}
