"""The figures of studies: what can be read off them, and that they are drawn alike twice."""

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).parents[1] / "studies"))
from study_rows import PEAK, compared, efficiency, findings
from written import write, write_all

from nasbench.cli.plot import STUDIES
from nasbench.errors import DefinitionError
from nasbench.layers import DEPTHWISE, OTHER
from nasbench.plot.efficiency import draw_waterline
from nasbench.plot.resolution import check_networks
from nasbench.plot.studies import FIGURES, draw_study, study_figures
from nasbench.store.found import read_found
from nasbench.studies.guidelines import Finding


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return write_all(tmp_path_factory.mktemp("study"))


def texts(path):
    return ["".join(node.itertext()) for node in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("width", ["single", "double"])
def test_a_figure_is_drawn_byte_for_byte_alike_and_says_the_device(study, tmp_path, name, width):
    for out in ("a.svg", "b.svg"):
        draw_study(name, study, tmp_path / out, width)

    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    found = texts(tmp_path / "a.svg")
    title = "here, eager, fp32, 1 thread" if FIGURES[name].of_device else "Mean of 3 runs a sampler"
    assert any(text.startswith(title) for text in found)
    assert any("interval" in text or "waterline" in text for text in found)


@pytest.mark.parametrize("name", FIGURES)
def test_a_format_that_is_not_there_is_refused(study, tmp_path, name):
    with pytest.raises(DefinitionError, match=r"\.pdf, \.png, \.svg"):
        draw_study(name, study, tmp_path / "figure.gif")


def test_a_folder_offers_what_it_has_the_tables_of(study, tmp_path):
    assert study_figures(study) == list(FIGURES) == list(STUDIES)
    write(tmp_path, "efficiencies")
    assert study_figures(tmp_path) == ["efficiency"]
    assert study_figures(tmp_path / "nowhere") == []


def test_guidelines_show_ratios_and_verdicts(study, tmp_path):
    draw_study("guidelines", study, tmp_path / "figure.svg")

    found = texts(tmp_path / "figure.svg")
    assert {"1.50", "0.70", "1.00", "supported", "contradicted", "no difference", "95 % interval"} <= set(found)
    assert any(text.startswith("G1: equal channel widths") for text in found)


@pytest.mark.parametrize(
    ("verdict", "comparison", "reason"),
    [("undecided", compared(None, "undecided"), "the machine is not fit"), ("failed", None, "it ran out of memory")],
)
def test_a_variant_without_a_ratio_says_why(tmp_path, verdict, comparison, reason):
    one = findings()[0]
    write(tmp_path, "guidelines", [Finding(one.guideline, one.variant, verdict, comparison, reason)])
    draw_study("guidelines", tmp_path, tmp_path / "a.svg")

    assert f"not measured: {reason}" in texts(tmp_path / "a.svg")


def test_the_area_of_a_layer_is_its_time(study):
    networks, layers = read_found(study, "efficiencies"), read_found(study, "layers")
    axes = Figure().subplots()
    draw_waterline(axes, networks.set_index("network").loc["net"], layers)

    # millions of MACs times picoseconds are microseconds
    areas = [bar.get_width() * bar.get_height() / 1e6 for bar in axes.patches]
    times = {layer.kind: layer.seconds for layer in efficiency().layers.layers}
    water_ps = 1e12 / PEAK
    cut = 1000 / 1e6 * 12 * water_ps / 1e6  # the depthwise layer is higher than the panel
    assert areas == pytest.approx([0.0008, cut, times[OTHER]])
    assert f"{(times[DEPTHWISE] - cut) / 0.0015:.1%} cut off" in axes.get_title("left")


def test_the_gap_names_networks_and_parts_of_the_peak(study, tmp_path):
    draw_study("efficiency", study, tmp_path / "figure.svg")

    assert {"net", "other", "peak", "MACs (millions)", "Latency (ms)"} <= set(texts(tmp_path / "figure.svg"))


def test_growth_stands_in_the_legend(study, tmp_path):
    draw_study("resolution", study, tmp_path / "figure.svg")

    assert "net: side^2.00 (2.00 to 2.00), MACs side^2.00" in texts(tmp_path / "figure.svg")


def test_more_networks_than_looks_are_refused():
    with pytest.raises(DefinitionError, match="8 networks are too many"):
        check_networks([str(number) for number in range(8)])
