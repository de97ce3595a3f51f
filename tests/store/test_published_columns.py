"""What papers state stands beside what was found here, as it was when the run was started."""

import json
from pathlib import Path

import pandas as pd
import pytest
from run_samples import MANIFEST, make_evaluation, write_run

from nasbench.definitions import parse_definition
from nasbench.records import Cost
from nasbench.space.load import read_space
from nasbench.store.parquet import TABLES, flush, read_run
from nasbench.store.published import KEY, Published, describe_published, read_published
from nasbench.store.repair import recover

REFERENCE = Path(__file__).parents[2] / "results" / "reference"

SPACE = """
schema: 1
name: tiny
classes: 10
input: {channels: 3, size: 32}
stem: {block: conv, out: 8, kernel: 3, stride: 2}
stages:
  - {block: mbconv, repeat: 1, out: [8, 16], kernel: 3, expand: 2, stride: 1}
head: {block: pool_linear}
architectures:
  tiny_1.0:
    choose: {stage0.out: 8}
    published:
      top1: 69.76
      params: 3.4e6
      macs: 300e6
      source: table 4
      latencies: [{ms: 1.6, device: a phone}, {ms: 0.4, device: a GPU, batch: 32}]
  tiny_2.0:
    choose: {stage0.out: 16}
    published: {top1: 71, source: figure 2}
"""

PHONE = {"device": "a phone", "ms": 1.6, "batch": 1}
FIGURES = {
    "tiny_1.0": Published("table 4", "tiny", 0.6976, 3_400_000, 300_000_000, "training", (PHONE,)),
    "tiny_2.0": Published("figure 2", "tiny", 0.71),
}
COLUMNS = [column.name for column in TABLES["evaluations"] if column.name.startswith("published_")]


def make_run(folder):
    """Write a run of two published networks and one that nobody named; the manifest has the figures of the two."""
    names = ("tiny_1.0", "tiny_2.0", None)
    evaluations = [
        make_evaluation(trial, 0.5 + trial / 10, 0.004 + trial / 1000, published=name)
        for trial, name in enumerate(names)
    ]
    write_run(folder, evaluations, MANIFEST | {KEY: describe_published(FIGURES)})
    flush(folder)
    return folder


def test_a_definition_gives_a_share_of_one_whole_counts_and_latencies_as_stated():
    first, second = (
        Published.of(named, "tiny") for named in read_space(parse_definition(SPACE, "t.yaml")).architectures
    )

    assert first == Published(
        source="table 4",
        family="tiny",
        top1=0.6976,
        params=3_400_000,
        macs=300_000_000,
        form="training",
        latencies=(PHONE, {"device": "a GPU", "ms": 0.4, "batch": 32}),
    )
    assert second == Published(source="figure 2", family="tiny", top1=0.71)


def test_figures_come_back_from_a_manifest_and_an_older_one_has_none():
    assert read_published(json.loads(json.dumps({KEY: describe_published(FIGURES)}))) == FIGURES
    assert read_published(MANIFEST) == {}


def test_a_figure_that_a_newer_program_added_is_passed_over():
    assert read_published({KEY: {"one": {"top1": 0.7, "top5": 0.9}}}) == {"one": Published(top1=0.7)}


@pytest.mark.parametrize("table", ["evaluations", "pareto"])
def test_published_figures_have_columns_of_their_own_that_are_null_for_other_networks(tmp_path, table):
    rows = pd.read_parquet(make_run(tmp_path / "run") / f"{table}.parquet").set_index("trial")

    assert rows.loc[0, ["family", *COLUMNS]].to_dict() == {
        "family": "tiny",
        "published_top1": 0.6976,
        "published_params": 3_400_000,
        "published_macs": 300_000_000,
        "published_form": "training",
        "published_latencies": '[{"device":"a phone","ms":1.6,"batch":1}]',
        "published_source": "table 4",
    }
    assert rows.loc[1, ["family", "published_top1", "published_source"]].tolist() == ["tiny", 0.71, "figure 2"]
    assert rows.loc[1, ["published_params", "published_latencies"]].isna().all()
    assert rows.loc[2, ["family", *COLUMNS]].isna().all()
    assert rows.loc[0, ["accuracy", "params"]].tolist() == [0.5, 1000]


def test_what_is_rebuilt_or_repaired_has_the_figures_of_when_the_run_was_started(tmp_path):
    folder = make_run(tmp_path / "run")
    before = (folder / "pareto.parquet").read_bytes()
    (folder / "pareto.parquet").unlink()

    read_run(folder)
    recover(folder, tmp_path / "saved")
    flush(tmp_path / "saved")

    assert (folder / "pareto.parquet").read_bytes() == before
    again = read_run(tmp_path / "saved").evaluations
    pd.testing.assert_frame_equal(again.drop(columns="run"), read_run(folder).evaluations.drop(columns="run"))
    assert again["published_top1"].notna().sum() == 2


def test_the_counts_of_the_measured_form_stand_beside_those_of_the_training_form(tmp_path):
    evaluations = [make_evaluation(0, cost=Cost(100, 1000, 50, 320, 80, 900)), make_evaluation(1)]
    rows = read_run(write_run(tmp_path / "run", evaluations)).evaluations

    columns = ["params", "deployed_params", "macs", "deployed_macs"]
    assert rows.loc[0, columns].tolist() == [100, 80, 1000, 900]
    assert rows.loc[1, ["deployed_params", "deployed_macs"]].isna().all()


@pytest.mark.parametrize("name", ["mnist_tiny-cpu", "mnist_tiny-cpu-confirmed", "runtimes-cpu"])
def test_a_run_of_before_is_read_with_nulls(name):
    run = read_run(REFERENCE / name)

    assert len(run.evaluations)
    assert run.evaluations[["family", "deployed_params", *COLUMNS]].isna().all(axis=None)
