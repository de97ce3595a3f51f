"""The figure of raw samples: every row, what it rests on, and nothing left out in silence."""

import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from run_samples import make_evaluations, make_measurement, write_run

sys.path.insert(0, str(Path(__file__).parents[1] / "measure"))
from bench_device import BRIEF, make_entries, run_bench

from nasbench.plot.samples import MOST_ROWS, draw_samples
from nasbench.store.parquet import flush, read_run


def make_run(folder, **options):
    run_bench(folder, make_entries(**options))
    return read_run(folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plot") / "first"
    return make_run(folder, networks=("small", "large"), batches=(1, 8), plan=BRIEF)


def texts(path):
    return ["".join(node.itertext()) for node in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def test_every_row_has_its_name_its_figures_and_what_they_rest_on(run, tmp_path):
    draw_samples([run], tmp_path / "figure.svg")

    found = texts(tmp_path / "figure.svg")
    for label in ("small, batch 1", "small, batch 8", "large, batch 1", "large, batch 8"):
        assert label in found
    figures = [text for text in found if "processes" in text]
    assert len(figures) == 4
    assert all(" ±" in text and ("n = 228 of 3" in text or "n = 304 of 4" in text) for text in figures)


def test_the_legend_says_what_the_marks_are(run, tmp_path):
    draw_samples([run], tmp_path / "figure.svg")

    legend = {"samples (density)", "latency, 95 % interval", "median of a process", "masked sample"}
    assert legend <= set(texts(tmp_path / "figure.svg"))


def test_masked_samples_beyond_the_axis_are_counted_at_its_end(tmp_path):
    draw_samples([make_run(tmp_path / "run", networks=("small",))], tmp_path / "figure.svg")

    # an AnsweringDevice masks 4 of 80 samples, and they take half as long again
    assert "x 4 ▸" in [text.strip() for text in texts(tmp_path / "figure.svg")]


def test_a_verdict_other_than_ok_is_said(tmp_path):
    noisy = make_run(tmp_path / "run", networks=("small",), change=lambda device: setattr(device, "verdict", "noisy"))

    draw_samples([noisy], tmp_path / "figure.svg")

    assert any(text.endswith(", noisy") for text in texts(tmp_path / "figure.svg"))


def test_more_rows_than_a_figure_holds_are_said(tmp_path):
    names = tuple(f"network {index}" for index in range(MOST_ROWS + 3))

    draw_samples([make_run(tmp_path / "run", networks=names)], tmp_path / "figure.svg")

    found = texts(tmp_path / "figure.svg")
    assert f"the first {MOST_ROWS} of {MOST_ROWS + 3} rows" in found
    assert f"network {MOST_ROWS - 1}" in found and f"network {MOST_ROWS}" not in found


def test_a_run_of_an_older_program_that_kept_no_processes_can_be_drawn(tmp_path):
    reference = Path(__file__).parents[2] / "results" / "reference" / "mnist_tiny-cpu"

    draw_samples([read_run(reference)], tmp_path / "figure.svg")

    found = texts(tmp_path / "figure.svg")
    assert any(", n = " in text for text in found) and "median of a process" not in found


def test_the_estimates_of_a_race_are_no_samples(tmp_path):
    entries = [
        replace(entry, plan=replace(entry.plan, level=level))
        for entry, level in zip(make_entries(networks=("raced", "measured")), ("race", "screen"), strict=True)
    ]
    for number, entry in enumerate(entries):
        run_bench(tmp_path / str(number), [entry])

    draw_samples([read_run(tmp_path / str(number)) for number in range(2)], tmp_path / "figure.svg")

    rows = [text for text in texts(tmp_path / "figure.svg") if "raced" in text or "measured" in text]
    assert rows == ["measured"]


def test_the_measurements_of_a_search_can_be_drawn_too(tmp_path):
    evaluations = make_evaluations(3)
    write_run(tmp_path / "search", evaluations)
    flush(tmp_path / "search")

    draw_samples([read_run(tmp_path / "search")], tmp_path / "figure.svg")

    assert f"tiny/{evaluations[0].architecture.digest[:8]}" in texts(tmp_path / "figure.svg")


@pytest.mark.parametrize("suffix", [".svg", ".pdf", ".png"])
def test_the_same_run_gives_the_same_bytes(run, tmp_path, suffix):
    for name in ("a", "b"):
        draw_samples([run], tmp_path / f"{name}{suffix}")

    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize(("width", "inches"), [("single", 3.5), ("double", 7.16)])
def test_a_figure_is_as_wide_as_a_journal_column(run, tmp_path, width, inches):
    draw_samples([run], tmp_path / "figure.png", width=width)

    assert Image.open(tmp_path / "figure.png").width == pytest.approx(300 * inches, abs=1)


def test_the_legend_names_nothing_that_rows_of_a_table_do_not_have(tmp_path):
    bare = {"samples": 1, "low_s": None, "high_s": None, "verdict": "table"}
    evaluations = [
        replace(one, measurements=(make_measurement(one.architecture, **bare),)) for one in make_evaluations(3)
    ]
    write_run(tmp_path / "run", evaluations)
    flush(tmp_path / "run")
    draw_samples([read_run(tmp_path / "run")], tmp_path / "figure.svg")

    found = set(texts(tmp_path / "figure.svg"))
    assert "latency" in found
    assert not found & {"samples (density)", "latency, 95 % interval", "how many lie beyond"}
