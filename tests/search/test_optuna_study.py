"""A run as a study of Optuna holds what the parquet files hold."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))
from run_samples import MANIFEST, make_evaluations, write_run

from nasbench.errors import DefinitionError
from nasbench.search.optuna_study import build_storage
from nasbench.store.parquet import flush, read_run

SPACE = """
schema: 1
name: tiny
about: a few
source: nobody
input: {channels: 3, size: 32}
classes: 10
stem: {block: conv, out: [8, 16, 24], kernel: 3, stride: 2, act: relu}
stages:
  - {block: conv, repeat: 1, out: {from: 8, to: 64, step: 8}, kernel: 3, act: relu}
head: {block: pool_linear}
"""


def store(folder, evaluations, manifest=None):
    write_run(folder, evaluations, MANIFEST | {"definition": SPACE} | (manifest or {}))
    flush(folder)
    return read_run(folder)


@pytest.fixture
def run(tmp_path):
    evaluations = [
        replace(one, choices={"stem.out": 8 * (1 + one.trial % 3), "stage0.out": 8 * (1 + one.trial % 8)})
        for one in make_evaluations(12)
    ]
    evaluations[3] = replace(evaluations[3], status="crashed", error="it crashed", measurements=(), score=None)
    evaluations[5] = replace(evaluations[5], status="pruned", score=replace(evaluations[5].score, finished=False))
    return store(tmp_path / "first", evaluations, {"limits": {"latency": 0.005}})


def load(storage, name="first"):
    return optuna.load_study(study_name=name, storage=storage)


def test_every_trial_has_the_choices_the_values_and_the_state_of_its_row(run):
    study = load(build_storage([run]))

    states = {"complete": "COMPLETE", "crashed": "FAIL", "pruned": "PRUNED"}
    assert study.metric_names == ["accuracy", "latency"]
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    for trial, (_, row) in zip(study.trials, run.evaluations.iterrows(), strict=True):
        assert trial.number == row["trial"] and trial.params == json.loads(row["choices"])
        assert trial.state.name == states[row["status"]]
        if row["status"] == "complete":
            assert trial.values == [row["accuracy"], row["latency_s"]]
            assert trial.user_attrs["latency_high_s"] == row["latency_high_s"]
        assert trial.user_attrs["architecture"] == row["architecture"]
        assert (trial.datetime_complete - trial.datetime_start).total_seconds() == pytest.approx(row["duration_s"])
    assert study.trials[3].user_attrs["error"] == "it crashed"


def test_a_duplicate_is_as_good_as_the_trial_that_it_repeats(tmp_path):
    first, failed = make_evaluations(2)
    failed = replace(failed, status="crashed", error="it crashed", measurements=(), score=None)
    again = [replace(one, trial=2 + one.trial, status="duplicate", of_trial=one.trial) for one in (first, failed)]
    again = [replace(one, measurements=(), score=None, error=None) for one in again]
    study = load(build_storage([store(tmp_path / "first", [first, failed, *again])]))

    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", "COMPLETE", "FAIL"]
    assert study.trials[2].values == study.trials[0].values


def test_the_best_trials_are_the_front_and_constraints_say_who_keeps_the_limits(run):
    study = load(build_storage([run]))

    for trial, (_, row) in zip(study.trials, run.evaluations.iterrows(), strict=True):
        if row["status"] == "complete":
            beyond = trial.user_attrs["beyond_latency"]
            assert beyond == pytest.approx(row["latency_s"] - 0.005) and (beyond <= 0) == row["feasible"]
            assert list(trial.constraints.values()) == [beyond]
    assert {trial.number for trial in study.best_trials} == set(run.pareto["trial"])


def test_epochs_are_intermediate_values(run):
    trial = load(build_storage([run])).trials[0]

    assert trial.intermediate_values == {1: trial.values[0] / 2, 2: trial.values[0]}


def test_choices_are_drawn_from_what_the_definition_says(run):
    distributions = load(build_storage([run])).trials[0].distributions

    assert distributions["stem.out"] == optuna.distributions.CategoricalDistribution((8, 16, 24))
    assert distributions["stage0.out"] == optuna.distributions.IntDistribution(8, 64, step=8)


@pytest.mark.parametrize("definition", [None, "schema: 99", SPACE.replace("[8, 16, 24]", "[32, 40]")])
def test_without_a_definition_that_fits_the_values_tried_stand_for_it(tmp_path, definition):
    evaluations = [replace(one, choices={"stem.out": 8 * (1 + one.trial % 3)}) for one in make_evaluations(6)]
    trials = load(build_storage([store(tmp_path / "first", evaluations, {"definition": definition})])).trials

    assert trials[0].distributions == {"stem.out": optuna.distributions.CategoricalDistribution((8, 16, 24))}


def test_several_runs_are_several_studies_and_a_bench_is_none(run, tmp_path):
    names = optuna.get_all_study_names(build_storage([run, store(tmp_path / "empty", [])]))
    assert sorted(names) == ["empty", "first"]

    with pytest.raises(DefinitionError, match="bench is a bench, which has no objectives"):
        build_storage([store(tmp_path / "bench", [], {"kind": "bench", "objectives": []})])


def test_a_run_that_is_named_twice_is_refused(run):
    again = replace(run, folder=run.folder / ".." / run.folder.name)

    with pytest.raises(DefinitionError, match="first is named twice; a run is one study, so name it once"):
        build_storage([run, again])
