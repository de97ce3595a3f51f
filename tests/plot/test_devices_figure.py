import random
from dataclasses import replace

import numpy as np
import pytest
from chosen_runs import make_searched, on_devices, store, texts
from matplotlib.figure import Figure
from run_samples import make_confirmation, make_evaluations, make_measurement
from scipy import stats

from nasbench.errors import DefinitionError
from nasbench.plot.devices import correlate, draw_devices, draw_pair, find_pairs
from nasbench.store.log import RunLog
from nasbench.store.parquet import read_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    draw = random.Random(0)
    factors = {"phone": lambda one: 3 * draw.uniform(0.8, 1.2), "board": lambda one: 20 * draw.uniform(0.4, 2.5)}
    evaluations = on_devices(make_evaluations(30), factors)
    named = {"devices": [{"name": name, "digest": name} for name in ("cpu", "phone", "board")]}
    return store(tmp_path_factory.mktemp("runs") / "run", evaluations, named)


def test_every_two_devices_are_a_pair_of_the_networks_that_both_measured(run):
    pairs = find_pairs([run])

    assert [(pair.across, pair.upwards) for pair in pairs] == [("cpu", "phone"), ("cpu", "board"), ("phone", "board")]
    stored = run.evaluations.set_index("architecture")
    for pair in pairs:
        assert len(pair.networks) == 30
        for side, device in (("x", pair.across), ("y", pair.upwards)):
            expected = stored.loc[pair.networks["architecture"], f"latency_s@{device}"]
            assert pair.networks[f"latency_s_{side}"].to_numpy(float) == pytest.approx(expected.to_numpy(float))


def test_two_devices_correlate_by_the_latencies_of_the_networks_of_both(run):
    pair = find_pairs([run])[1]
    stored = run.evaluations.set_index("architecture")
    one, other = (stored[f"latency_s@{name}"].to_numpy(float) for name in (pair.across, pair.upwards))

    rho, low, high = correlate(pair)
    assert rho == pytest.approx(stats.spearmanr(one, other).statistic)
    assert low < rho < high


def test_points_stand_at_the_latencies_between_their_intervals_beside_the_median_ratio(run):
    pair = find_pairs([run])[0]
    axes = Figure().subplots()
    draw_pair(axes, pair)

    points = next(line for line in axes.lines if line.get_marker() == "o")
    one, other = (1e3 * pair.networks[f"latency_s_{side}"].to_numpy(float) for side in "xy")
    assert points.get_xdata() == pytest.approx(one) and points.get_ydata() == pytest.approx(other)
    across, upwards = (np.array(lines.get_segments()) for lines in axes.containers[0][2])
    stored = run.evaluations.set_index("architecture").loc[pair.networks["architecture"]]
    for drawn, device in ((across[:, :, 0], "cpu"), (upwards[:, :, 1], "phone")):
        ends = stored[[f"latency_low_s@{device}", f"latency_high_s@{device}"]].to_numpy(float)
        assert drawn == pytest.approx(1e3 * ends)
    equal, ratio = (line.get_ydata() / line.get_xdata() for line in axes.lines[-2:])
    assert equal == pytest.approx(1.0) and ratio == pytest.approx(np.median(other / one))


def test_runs_of_the_same_networks_on_two_devices_are_a_pair(tmp_path):
    evaluations = make_evaluations(8)
    slower = [
        replace(
            one,
            measurements=(make_measurement(one.architecture, 2 * one.measurements[0].latency_s, device="phone"),),
        )
        for one in evaluations
    ]
    runs = [store(tmp_path / "one", evaluations), store(tmp_path / "other", slower[2:])]
    (pair,) = find_pairs(runs)

    assert (pair.across, pair.upwards, len(pair.networks)) == ("cpu", "phone", 6)
    assert pair.ratio == pytest.approx(2.0, rel=1e-3)


def test_two_runs_of_one_device_are_told_apart_by_their_names(tmp_path):
    (pair,) = find_pairs([store(tmp_path / name, make_evaluations(6)) for name in ("monday", "today")])

    assert (pair.across, pair.upwards) == ("monday", "today")


def test_what_the_search_measured_counts_and_not_what_was_confirmed(tmp_path):
    evaluations = on_devices(make_searched(6), {"phone": lambda one: 2.0})
    named = {"devices": [{"name": name, "digest": name} for name in ("cpu", "phone")]}
    run = store(tmp_path / "run", evaluations, named)
    with RunLog.open(run.folder) as log:
        log.append_confirmed(5, make_confirmation(evaluations[5].architecture, 0.9))
    (pair,) = find_pairs([read_run(run.folder)])

    assert len(pair.networks) == 6 and pair.ratio == pytest.approx(2.0, rel=1e-3)


def test_too_few_networks_are_drawn_and_not_ranked(tmp_path):
    evaluations = on_devices(make_evaluations(4), {"phone": lambda one: 2.0})
    run = store(tmp_path / "run", evaluations)
    draw_devices([run], tmp_path / "figure.svg", "single")

    found = texts(tmp_path / "figure.svg")
    assert "4 networks, median ratio 2" in found and "too few to rank" in found


def test_thousands_of_points_are_a_picture(run):
    import pandas as pd

    pair = find_pairs([run])[0]
    many = replace(pair, networks=pd.concat([pair.networks] * 50, ignore_index=True))
    axes = Figure().subplots()
    draw_pair(axes, many)

    assert all(line.get_rasterized() for line in axes.lines if line.get_marker() == "o")


def test_one_device_alone_and_networks_that_no_two_share_are_refused(tmp_path):
    one, other = make_evaluations(2)
    elsewhere = replace(other, measurements=(make_measurement(other.architecture, device="phone"),))
    runs = [store(tmp_path / "one", [one]), store(tmp_path / "other", [elsewhere])]

    with pytest.raises(DefinitionError, match="one: all is measured on cpu; --kind devices draws one device against"):
        draw_devices(runs[:1], tmp_path / "figure.svg")
    with pytest.raises(DefinitionError, match="no two of cpu; phone measured the same network"):
        draw_devices(runs, tmp_path / "figure.svg")
    with pytest.raises(DefinitionError, match="empty: no measurement has a latency"):
        draw_devices([store(tmp_path / "empty", [])], tmp_path / "figure.svg")


def test_runs_without_a_usable_verdict_are_refused(tmp_path):
    evaluations = [
        replace(one, measurements=(make_measurement(one.architecture, verdict="invalid"),))
        for one in make_evaluations(3)
    ]

    with pytest.raises(DefinitionError, match=r"run: the verdict of every measurement is invalid or failed, so there"):
        draw_devices([store(tmp_path / "run", evaluations)], tmp_path / "figure.svg")
