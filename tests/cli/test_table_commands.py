"""Searching, comparing samplers and making tables, on a table of all 15,625 cells with figures by formula."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import nasbench
from nasbench.space.kinds.nasbench201 import NB201_OPERATIONS
from nasbench.space.nasbench201 import COUNT, architecture_of_index

_WORTH = dict(zip(NB201_OPERATIONS, (0.0, 1.5, 3.0, 5.0, 1.0), strict=True))
_COST_MS = dict(zip(NB201_OPERATIONS, (0.0, 0.2, 2.0, 5.0, 1.0), strict=True))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Write a table where each edge adds to accuracy and latency; seven entries are faults near zero."""
    cells = [list(architecture_of_index(index).values()) for index in range(COUNT)]
    worth = np.array([sum(_WORTH[operation] for operation in cell) for cell in cells])
    latency_ms = np.array([5 + sum(_COST_MS[operation] for operation in cell) for cell in cells])
    latency_ms[::2500] = 0.01
    path = tmp_path_factory.mktemp("table") / "cells.csv"
    frame = pd.DataFrame({"index": range(COUNT), "acc": 60 + worth, "board_ms": latency_ms})
    frame.to_csv(path, index=False)
    return path


def searched(table, *words):
    tables = ("--accuracy", f"table:{table}#acc", "--device", f"table:{table}#board_ms")
    return ("search", "nasbench201", *tables, "--no-warm-start", *words)


def test_a_search_on_tables_measures_nothing_and_every_row_says_so(here, table):
    done = here(*searched(table, "--sampler", "surrogate", "--trials", 30, "--run", "results/t"), check=0)

    rows = pd.read_parquet(here.folder / "results/t/evaluations.parquet")
    whole = rows[rows["status"] == "complete"]
    assert set(whole["latency_verdict"]) == set(whole["accuracy_method"]) == set(whole["runtime"]) == {"table"}
    assert set(whole["device"]) == {"board_ms"} and (whole["latency_s"] >= 0.005).all()
    assert (here.folder / "results/t/front.png").is_file()
    assert "confirming" not in done.stderr and "board_ms from a table" in done.stderr
    assert "7 of 15,625 entries are below" in done.stderr


def test_a_search_on_a_table_goes_on_from_another_folder(here, table, monkeypatch):
    here(*searched(table, "--trials", 5, "--run", here.folder / "results/t"), check=0)
    (here.folder / "elsewhere").mkdir()
    monkeypatch.chdir(here.folder / "elsewhere")

    here("search", "--resume", here.folder / "results/t", "--trials", 8, check=0)

    rows = pd.read_parquet(here.folder / "results/t/evaluations.parquet")
    assert (rows["status"] != "duplicate").sum() == 8


def test_a_search_ends_when_its_front_is_flat(here, table):
    words = ("--sampler", "surrogate", "--stop-when-flat", 12, "--run", "results/t")
    done = here(*searched(table, *words), check=0)

    rows = pd.read_parquet(here.folder / "results/t/evaluations.parquet")
    grown = rows["hypervolume"].diff().fillna(1.0) / rows["hypervolume"]
    assert "ended early: the last 12 evaluated candidates added less than 0.1% each" in done.stderr
    assert 20 < len(rows) < 300 and (grown.tail(12) < 0.001).all()


def test_a_search_begins_with_the_front_of_an_earlier_run(here, table):
    here(*searched(table, "--trials", 25, "--run", "results/first"), check=0)
    first = pd.read_parquet(here.folder / "results/first/pareto.parquet")

    words = ("--start-from", "results/first", "--seed", 5, "--trials")
    here(*searched(table, *words, len(first), "--run", "results/second"), check=0)
    (here.folder / "results/first").rename(here.folder / "results/gone")
    here("search", "--resume", "results/second", "--trials", len(first) + 2, check=0)

    rows = pd.read_parquet(here.folder / "results/second/evaluations.parquet")
    assert set(rows["architecture"][: len(first)]) == set(first["architecture"])
    assert (rows["status"] != "duplicate").sum() == len(first) + 2
    wrong = here("search", "mnist_tiny", "--start-from", "results/second", "--trials", 2, check=2)
    assert "none of the" in wrong.stderr and "is a point of mnist_tiny" in wrong.stderr


def test_an_earlier_front_is_placed_in_a_space_of_fewer_choices(here, table):
    """A choice that is fixed in the new space, or was in the old one, is no reason to take another network."""
    whole = (Path(nasbench.__file__).parents[1] / "search_spaces/nasbench201.yaml").read_text()
    few = re.sub(r"edge_0_1: \[.*?\]", "edge_0_1: [nor_conv_3x3, skip_connect]", whole)
    assert few != whole
    (here.folder / "few.yaml").write_text(few)
    here(*searched(table, "--trials", 30, "--run", "results/first"), check=0)
    front = set(pd.read_parquet(here.folder / "results/first/pareto.parquet")["architecture"])

    tables = ("--accuracy", f"table:{table}#acc", "--device", f"table:{table}#board_ms")
    words = ("--no-warm-start", "--start-from", "results/first", "--trials", 3, "--run", "results/second")
    here("search", "few.yaml", *tables, *words, check=0)

    rows = pd.read_parquet(here.folder / "results/second/evaluations.parquet")
    assert rows["architecture"][0] in front


def test_samplers_are_compared_on_the_true_front(here, table):
    words = ("--device", f"table:{table}#board_ms", "--sampler", "surrogate,random", "--seeds", 3, "--trials", 40)
    done = here("bench-search", "nasbench201", "--accuracy", f"table:{table}#acc", *words, "--run", "b", check=0)

    standings = pd.read_parquet(here.folder / "b/standings.parquet")
    steps = pd.read_parquet(here.folder / "b/steps.parquet")
    assert standings["sampler"].tolist() == ["surrogate", "random"]
    assert standings["gap"].iloc[0] < 0.5 * standings["gap"].iloc[1]
    assert len(steps) == 2 * 3 * 40 and (steps.groupby(["sampler", "seed"])["gap"].diff().dropna() <= 0).all()
    assert (here.folder / "b/samplers.png").stat().st_size > 10_000
    assert "hypervolume not found after 40" in done.stdout and "15,618 networks" in done.stdout
    here("plot", "b", "--out", "again.svg", check=0)


def test_the_regret_of_one_objective_is_what_is_missing_of_the_best(here, table):
    words = ("--sampler", "random", "--seeds", 2, "--trials", 10, "--json", "--run", "b")
    said = json.loads(here("bench-search", "nasbench201", "--accuracy", f"table:{table}#acc", *words, check=0).stdout)

    steps = pd.read_parquet(here.folder / "b/steps.parquet")
    assert said["samplers"][0]["gap"] == pytest.approx(steps[steps["evaluations"] == 10]["gap"].mean())
    worths = pd.read_csv(table)["acc"]
    assert {round(100 * gap, 6) for gap in steps["gap"]} <= {round(worths.max() - worth, 6) for worth in worths}


@pytest.mark.slow
def test_several_runs_at_a_time_give_what_one_after_the_other_does(nasbench, table):
    tables = ("--accuracy", f"table:{table}#acc", "--device", f"table:{table}#board_ms")
    for workers in (1, 2):
        words = ("--sampler", "random", "--seeds", 2, "--trials", 10, "--run", f"b{workers}", "--workers", workers)
        nasbench("bench-search", "nasbench201", *tables, *words, check=0)

    one, two = (pd.read_parquet(nasbench.folder / f"b{workers}/steps.parquet") for workers in (1, 2))
    assert one.drop(columns="proposing_s").equals(two.drop(columns="proposing_s"))


def test_a_run_becomes_a_table_that_another_search_replays(here, table):
    here(*searched(table, "--sampler", "random", "--trials", 12, "--run", "first"), check=0)

    made = here("table", "make", "first", "--out", "own.parquet", check=0)
    own = ("--accuracy", "table:own.parquet#accuracy", "--device", "table:own.parquet#latency_s")
    here(
        "search",
        "nasbench201",
        *own,
        "--sampler",
        "random",
        "--no-warm-start",
        "--run",
        "again",
        "--trials",
        12,
        check=0,
    )

    first, again = (pd.read_parquet(here.folder / name / "evaluations.parquet") for name in ("first", "again"))
    rows = pd.read_parquet(here.folder / "own.parquet")
    assert "wrote own.parquet: 12 networks" in made.stdout
    assert {"edge_0_1", "edge_2_3", "accuracy", "latency_s", "params", "macs"} <= set(rows.columns)
    for column in ("architecture", "accuracy", "latency_s", "on_front", "hypervolume"):
        assert first[column].tolist() == again[column].tolist(), column


def test_what_does_not_go_together_is_refused(here, table):
    reference = f"table:{table}#acc"
    cases = [
        (("search", "nasbench201", "--accuracy", reference, "--epochs", 2), "--epochs has no effect on an accuracy"),
        (("search", "nasbench201", "--accuracy", "table:nothing"), "write table:FILE#COLUMN"),
        (("bench-search", "nasbench201"), "what is to be found? Give --accuracy"),
        (("bench-search", "nasbench201", "--accuracy", reference, "--sampler", "tpee"), "Did you mean 'tpe'?"),
        (("table", "make", "nowhere", "--out", "t.csv"), "nowhere"),
        (("search", "mnist_tiny", "--device", f"table:{table}#board_ms"), "does not say which networks of mnist_tiny"),
    ]
    for words, said in cases:
        done = here(*words)
        assert done.returncode == 2 and said in done.stderr, (words, done.stderr)
        assert done.stderr.count("\n") == 1


def test_a_port_for_a_live_view_that_nobody_asked_for_is_refused(here, table):
    done = here(*searched(table, "--live-port", 8080), check=2)

    assert done.stderr.strip() == "error: --live-port is the port of the live view; give --live too"
