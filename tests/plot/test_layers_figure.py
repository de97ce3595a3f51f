import sys
from pathlib import Path

import numpy as np
import pytest
from chosen_runs import make_searched, store, texts
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).parents[1] / "studies"))
from written import LAYERS, write_all

from nasbench.plot.layers import draw_layers, draw_network, explain_no_layers
from nasbench.store.found import read_found


@pytest.fixture(scope="module")
def layers(tmp_path_factory):
    return read_found(write_all(tmp_path_factory.mktemp("study")), "layers")


def test_bars_are_the_times_of_layers_and_the_line_their_sum_so_far(layers):
    figure = Figure()
    axes = figure.subplots()
    draw_network(axes, layers)

    times = [row.layer.seconds for row in LAYERS]
    shown = {bar.get_x() + bar.get_width() / 2: bar.get_height() for bar in axes.patches}
    assert shown == {number + 1: pytest.approx(1e3 * time) for number, time in enumerate(times)}
    spent = figure.axes[1].lines[0].get_ydata()
    assert spent == pytest.approx([0, *(100 * sum(times[: n + 1]) / sum(times) for n in range(len(times)))])


def test_whiskers_hold_half_of_the_inferences(layers):
    axes = Figure().subplots()
    low_s, high_s = [0.9 * time for time in layers["duration_s"]], [1.3 * time for time in layers["duration_s"]]
    draw_network(axes, layers.assign(duration_low_s=low_s, duration_high_s=high_s))

    whiskers = np.array(axes.collections[0].get_segments())[:, :, 1]
    assert whiskers == pytest.approx(1e3 * np.stack([low_s, high_s], axis=1))


def test_more_networks_than_a_page_holds_are_said(layers, tmp_path):
    import pandas as pd

    many = pd.concat([layers.assign(network=f"net{number}") for number in range(10)], ignore_index=True)
    draw_layers(many, "here", tmp_path / "figure.svg")

    found = texts(tmp_path / "figure.svg")
    assert "here; 8 of 10 networks" in found
    assert sum(text.startswith("net") for text in found) == 8


def test_a_run_without_times_of_layers_is_told_how_to_measure_them(tmp_path):
    search = store(tmp_path / "search", make_searched(3))
    bench = store(tmp_path / "bench", [], {"kind": "bench", "objectives": []})

    first = search.pareto["trial"].iloc[0]
    assert str(explain_no_layers(search.folder)).endswith(f"nasbench study efficiency {search.folder}#{first}")
    assert str(explain_no_layers(bench.folder)).endswith("nasbench study efficiency NETWORK")
    assert "RUN#TRIAL" in str(explain_no_layers(tmp_path / "nowhere"))
