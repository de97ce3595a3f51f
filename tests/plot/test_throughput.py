"""The figure of batches: what can be read off it."""

import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "measure"))
from bench_device import make_entries, run_bench

from nasbench.errors import DefinitionError
from nasbench.plot.style import LOOKS
from nasbench.plot.throughput import draw_throughput
from nasbench.store.parquet import read_run


def make_run(folder, **options):
    run_bench(folder, make_entries(**options))
    return read_run(folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plot") / "first"
    return make_run(folder, networks=("small", "large"), runtimes=("eager", "onnx"), batches=(1, 8))


def texts(path):
    return ["".join(node.itertext()) for node in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def test_axes_networks_settings_and_batches_are_named(run, tmp_path):
    draw_throughput([run], tmp_path / "figure.svg")

    found = texts(tmp_path / "figure.svg")
    for words in ("Latency of a whole batch (ms)", "Throughput (images/s)", "small", "large", "eager", "onnx"):
        assert words in found
    assert {"batch 1", "batch 8", "95 % interval"} <= set(found)


def test_one_network_is_the_title_and_the_legend_holds_what_differs(tmp_path):
    alone = make_run(tmp_path / "run", networks=("small",), runtimes=("eager", "onnx"), batches=(1, 8))

    draw_throughput([alone], tmp_path / "figure.svg")

    found = texts(tmp_path / "figure.svg")
    assert found.count("small") == 1
    assert found.index("eager") < found.index("onnx")


def test_more_networks_than_looks_are_numbered(tmp_path):
    names = tuple(f"network {index}" for index in range(len(LOOKS) + 2))

    draw_throughput([make_run(tmp_path / "run", networks=names, batches=(1, 8))], tmp_path / "figure.svg")

    found = texts(tmp_path / "figure.svg")
    assert set(names) <= set(found)
    assert {str(number) for number in range(1, len(names) + 1)} <= set(found)


def test_runs_are_told_apart(run, tmp_path):
    second = make_run(tmp_path / "second", networks=("small", "large"), runtimes=("eager", "onnx"), batches=(1, 8))

    draw_throughput([run, second], tmp_path / "figure.svg")

    assert {"first, eager", "second, onnx"} <= set(texts(tmp_path / "figure.svg"))


@pytest.mark.parametrize("suffix", [".svg", ".pdf", ".png"])
def test_the_same_run_gives_the_same_bytes(run, tmp_path, suffix):
    for name in ("a", "b"):
        draw_throughput([run], tmp_path / f"{name}{suffix}")

    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize(("width", "inches"), [("single", 3.5), ("double", 7.16)])
def test_a_figure_is_as_wide_as_a_journal_column(run, tmp_path, width, inches):
    draw_throughput([run], tmp_path / "figure.png", width=width)

    assert Image.open(tmp_path / "figure.png").width == pytest.approx(300 * inches, abs=1)


def test_a_single_point_can_be_drawn(tmp_path):
    draw_throughput([make_run(tmp_path / "run", networks=("small",))], tmp_path / "figure.svg")

    assert "small" in texts(tmp_path / "figure.svg")


def test_a_run_without_a_latency_is_said(tmp_path):
    entries = make_entries(("small",))
    entries[0] = replace(entries[0], plan=replace(entries[0].plan, level="race"))
    entries[0].device.latency_s = lambda architecture, plan: 0.01
    run_bench(tmp_path / "run", entries)

    with pytest.raises(DefinitionError, match="run: no measurement has a latency, so there is nothing to draw"):
        draw_throughput([read_run(tmp_path / "run")], tmp_path / "figure.svg")


@pytest.mark.parametrize("networks", [("small",), ("small", "large")])
def test_the_legend_has_no_interval_where_none_is_known(tmp_path, networks):
    run = make_run(tmp_path / "run", networks=networks)
    unknown = read_run(run.folder)
    vars(unknown)["measurements"] = run.measurements.assign(latency_low_s=float("nan"), latency_high_s=float("nan"))
    draw_throughput([unknown], tmp_path / "figure.svg")

    found = texts(tmp_path / "figure.svg")
    assert "95 % interval" not in found and set(networks) <= set(found)
