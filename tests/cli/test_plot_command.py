"""`nasbench plot` of searches and benches together, and its tables."""

import sys
from pathlib import Path

import pytest

from nasbench.cli.plot import KINDS, STUDIES

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
FOUND, PUBLISHED = REFERENCE / "mnist_tiny-cpu-confirmed", REFERENCE / "published-cpu-onnx"


def test_a_search_and_a_bench_are_drawn_together_and_the_front_is_told(here):
    said = here("plot", FOUND, PUBLISHED, check=0)

    lines = said.stdout.splitlines()
    assert lines[0] == "wrote published.png" and (here.folder / "published.png").stat().st_size > 1000
    assert sum(line.startswith("mnist_tiny") and " found " in line for line in lines) == 8
    assert sum(line.startswith("repvit_m") and " published " in line for line in lines) == 2
    assert not said.stderr


@pytest.mark.parametrize(("runs", "suffix"), [((FOUND, PUBLISHED), "md"), ((PUBLISHED,), "csv")])
def test_a_table_is_written_beside_the_figure(here, runs, suffix):
    said = here("plot", *runs, "--table", f"tables/both.{suffix}", check=0)

    assert said.stdout == f"wrote published.png\nwrote tables/both.{suffix}\n"
    assert "efficientnet" in (here.folder / f"tables/both.{suffix}").read_text()


def test_a_run_of_which_nothing_is_drawn_is_told(here):
    said = here("plot", FOUND, REFERENCE / "runtimes-cpu", check=0)

    assert said.stderr == "warning: nothing of runtimes-cpu is drawn: 10 without a published top-1\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--table", "both.txt"), "both.txt ends in '.txt'; a table is one of .csv, .md, .tex"),
        (
            ("--table", "both.md", "--kind", "samples"),
            "--table holds what --kind published draws, and --kind is samples",
        ),
        (("--kind", "throughput"), "is a search; --kind throughput needs a bench"),
        (("--kind", "front"), "is a bench, which has no front"),
        (("--x", "latency"), "--x and --y choose the axes of a front; those of published are fixed"),
    ],
)
def test_what_cannot_be_drawn_of_both_is_said_and_nothing_written(here, words, message):
    before = set(here.folder.iterdir())
    said = here("plot", FOUND, PUBLISHED, *words, check=2)

    assert message in said.stderr and len(said.stderr.splitlines()) == 1
    assert set(here.folder.iterdir()) == before


@pytest.mark.parametrize(
    ("kind", "run"),
    [
        ("hypervolume", FOUND),
        ("parallel", FOUND),
        ("latency", REFERENCE / "runtimes-cpu"),
        ("devices", REFERENCE / "runtimes-cpu"),
    ],
)
def test_a_kind_is_drawn_into_a_file_of_its_name(here, kind, run):
    assert here("plot", run, "--kind", kind, check=0).stdout == f"wrote {kind}.png\n"
    assert (here.folder / f"{kind}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("run", "kind", "message"),
    [
        (PUBLISHED, "hypervolume", "is a bench, which has no objectives; --kind hypervolume is for searches"),
        (PUBLISHED, "devices", "all is measured on cpu-onnx; --kind devices draws one device against another"),
        (FOUND, "layers", "has no layers.parquet: a search or a bench stores no times of layers. Measure them of"),
        (PUBLISHED, "layers", "nasbench study efficiency affnet_et"),
        (FOUND, "hypervolumes", "Did you mean 'hypervolume'"),
    ],
)
def test_what_a_run_does_not_hold_is_said_in_one_line(here, run, kind, message):
    said = here("plot", run, "--kind", kind, check=2)

    assert message in said.stderr and len(said.stderr.splitlines()) == 1


def test_help_says_what_every_kind_shows(here):
    lines = here("plot", "--help", check=0).stdout.splitlines()

    for name, about in (KINDS | STUDIES).items():
        assert any(line.split() == [name, *about.split()] for line in lines)


@pytest.fixture
def study(tmp_path):
    sys.path.insert(0, str(Path(__file__).parents[1] / "studies"))
    from written import write_all

    return write_all(tmp_path / "study")


def test_a_study_is_drawn_again_in_another_form(here, study):
    assert here("plot", study, "--out", "figure.pdf", "--width", "single", check=0).stdout == "wrote figure.pdf\n"
    assert here("plot", study, "--kind", "waterline", check=0).stdout == "wrote waterline.png\n"

    assert (here.folder / "figure.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--x", "latency"], "--x, --y and --table are for runs"),
        (["study", "--kind", "guidelines"], "draws one study; 2 folders"),
    ],
)
def test_what_a_study_has_not_is_refused(here, study, words, told):
    assert told in here("plot", "study", *words, check=2).stderr
