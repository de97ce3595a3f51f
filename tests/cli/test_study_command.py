"""`nasbench study` as a user types it: what lands in the folder, what is refused, what is left out and said."""

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "studies"))
from study_rows import compared

from nasbench.studies.guidelines import check_guidelines, guidelines

REFERENCE = Path(__file__).parents[2] / "results" / "reference" / "published-cpu-onnx"


def test_guidelines_are_compared_stored_and_drawn(here, monkeypatch):
    def compare(device, first, second, plan, *, names, **options):
        assert (device.spec.name, plan.level) == ("cpu", "confirm")
        return compared(1.2, names=names)

    monkeypatch.setattr(check_guidelines, "__kwdefaults__", {**check_guidelines.__kwdefaults__, "comparing": compare})

    done = here("study", "guidelines", "--run", "results/g", check=0)

    stored = pd.read_parquet(here.folder / "results/g/guidelines.parquet")
    assert stored["variant"].tolist() == [variant.name for one in guidelines() for variant in one.slower]
    assert set(stored["verdict"]) == {"supported"}
    assert (here.folder / "results/g/guidelines.png").stat().st_size > 10_000
    assert "1.20 (1.18 to 1.22)" in done.stdout and "supported" in done.stdout
    assert "wrote results/g/: guidelines.parquet, guidelines.png" in done.stdout


@pytest.mark.slow
def test_stored_benches_are_correlated_and_nothing_is_measured(here):
    said = json.loads(here("study", "correlation", "--from", REFERENCE, "--run", "c", "--json", check=0).stdout)

    found = {row["figure"]: row for row in said["correlations"]}
    points = pd.read_parquet(here.folder / "c/points.parquet")
    assert found["macs"]["spearman"] == pytest.approx(points["macs"].corr(points["latency_s"], method="spearman"))
    assert found["macs"]["networks"] == len(points) > 200
    assert (here.folder / "c/correlation.png").is_file()


@pytest.mark.slow
def test_a_study_of_two_small_networks_measures_and_stores(here):
    """A real one: two networks at two sizes, and the same ones' efficiency."""
    words = ["mnist_tiny_small", "mnist_tiny_large", "--threads", "1"]
    done = here("study", "resolution", *words, "--sides", "28, 56", "--run", "r", check=0)

    sizes = pd.read_parquet(here.folder / "r/resolutions.parquet")
    assert sorted(zip(sizes["network"], sizes["side"], strict=True)) == [
        (name, side) for name in ("mnist_tiny_large", "mnist_tiny_small") for side in (28, 56)
    ]
    assert {"evaluations.parquet", "growths.parquet", "resolution.png"} <= {
        path.name for path in (here.folder / "r").iterdir()
    }
    assert "latency grows as side to the" in done.stdout


@pytest.mark.slow
def test_efficiency_sets_networks_against_the_peak(here):
    trial = REFERENCE.parent / "mnist_tiny-cpu-confirmed#3"
    done = here("study", "efficiency", "mnist_tiny_small", "mobilenet_v2_1.0", trial, "--run", "e", check=0)

    networks = pd.read_parquet(here.folder / "e/efficiencies.parquet")
    layers = pd.read_parquet(here.folder / "e/layers.parquet")
    assert networks["network"].tolist() == ["mnist_tiny_small", "mobilenet_v2_1.0", "mnist_tiny-cpu-confirmed#3"]
    assert (networks["peak_macs_per_s"] > 1e9).all()
    by_network = layers.groupby("network")["macs"].sum()
    assert by_network.to_dict() == dict(zip(networks["network"], networks["macs"], strict=True))
    assert "of the peak" in done.stdout
    assert {"efficiency-gap.png", "waterline.png"} <= {path.name for path in (here.folder / "e").iterdir()}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["resolution", "--sides", "224"], "growth needs two sides"),
        (["resolution", "--sides", "96,x"], "whole numbers from 8 to 4096"),
        (["resolution", "resnet_99"], "resnet_99"),
        (["correlation", "resnet_18", "--level", "best"], "level"),
        (["correlation", "resnet_18", "resnet_34"], "2 networks rank nothing"),
        (["correlation", "resnet_18", "--from", "a"], "leave out networks"),
        (["correlation", "--from", "nowhere"], "nowhere"),
        (["guidelines", "--device", "moon"], "moon"),
        (["efficiency", "--threads", "4096"], "--threads 4096"),
        (["efficiency", "torchvision.models:resnet18"], "has no rows"),
        (["efficiency", "nowhere#3"], "nowhere"),
    ],
)
def test_what_cannot_be_is_refused_with_one_line_and_2(here, words, told):
    done = here("study", *words, check=2)

    assert told in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not (here.folder / "results").exists()


def test_a_folder_that_is_taken_is_not_overwritten(here):
    (here.folder / "taken").mkdir()
    (here.folder / "taken/mine.txt").write_text("mine")

    done = here("study", "guidelines", "--run", "taken", check=2)

    assert "taken is there already" in done.stderr


def test_a_search_has_no_rows_to_correlate(here):
    done = here("study", "correlation", "--from", REFERENCE.parent / "mnist_tiny-cpu", check=2)

    assert "is no bench" in done.stderr
