"""The search, with formulas in the place of training and timing."""

import itertools

import numpy as np
import pytest

from nasbench import pareto
from nasbench.definitions import parse_definition
from nasbench.errors import Crashed, DefinitionError, DeviceError, SearchError
from nasbench.objectives import OBJECTIVES
from nasbench.records import TimingPlan
from nasbench.search.plan import Budget, SearchPlan
from nasbench.search.run import Search
from nasbench.search.samplers import SAMPLERS
from nasbench.search.starts import check_limits
from nasbench.space.load import read_space
from nasbench.store.log import RunLog
from nasbench.store.parquet import read_run
from nasbench.surrogate.sampler import CURVES, PRELIMINARY
from tests.search.formula import SPACE, FormulaAccuracy, FormulaDevice, toy_space

ALL = [name for name in SAMPLERS if name != "gp"]


def plan(**changes):
    given = {
        "objectives": ("accuracy", "latency"),
        "limits": {},
        "sampler": "random",
        "seed": 0,
        "timing": TimingPlan(),
    }
    return SearchPlan(**{**given, **changes})


def manifest(of):
    return {"objectives": list(of.objectives), "limits": dict(of.limits)}


def run_search(folder, of, trials, accuracy=None, device=None, space=None):
    accuracy, device = accuracy or FormulaAccuracy(), device or FormulaDevice()
    log = RunLog.open(folder) if (folder / "run.db").exists() else RunLog.create(folder, manifest(of))
    with log:
        search = Search(space or toy_space(), of, log, accuracy, [device])
        search.run(Budget(trials, None))
    return search


def stored(folder):
    with RunLog.read(folder) as log:
        return [evaluation for evaluation, _ in log.evaluations()]


@pytest.mark.parametrize("sampler", ALL)
def test_the_same_seed_gives_the_same_candidates_and_another_seed_others(tmp_path, sampler):
    runs = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run_search(tmp_path / name, plan(sampler=sampler, seed=seed, warm_start=False), 25)
        runs[name] = [evaluation.architecture.digest for evaluation in stored(tmp_path / name)]

    assert runs["a"] == runs["b"] != runs["c"]


@pytest.mark.parametrize("sampler", ALL)
def test_a_run_in_pieces_visits_the_same_candidates_as_one_in_one_go(tmp_path, sampler):
    whole, pieces = plan(sampler=sampler, seed=3), plan(sampler=sampler, seed=3)
    run_search(tmp_path / "whole", whole, 45)
    for trials in (1, 7, 22, 23, 45):
        run_search(tmp_path / "pieces", pieces, trials)

    assert [(e.trial, e.choices, e.status) for e in stored(tmp_path / "whole")] == [
        (e.trial, e.choices, e.status) for e in stored(tmp_path / "pieces")
    ]


def test_a_run_of_the_gaussian_process_in_pieces_visits_the_same_candidates(tmp_path):
    for trials in (11, 12):
        run_search(tmp_path / "pieces", plan(sampler="gp"), trials)
    run_search(tmp_path / "whole", plan(sampler="gp"), 12)

    assert [e.choices for e in stored(tmp_path / "pieces")] == [e.choices for e in stored(tmp_path / "whole")]


def test_no_network_is_evaluated_twice(tmp_path):
    accuracy, device = FormulaAccuracy(), FormulaDevice()
    run_search(tmp_path / "run", plan(sampler="nsga2"), 60, accuracy, device)
    evaluations = stored(tmp_path / "run")

    assert len(set(device.calls)) == len(device.calls) == 60
    assert len(set(accuracy.calls)) == len(accuracy.calls)
    for evaluation in evaluations:
        if evaluation.status == "duplicate":
            assert evaluations[evaluation.of_trial].architecture == evaluation.architecture


def test_the_published_points_come_first_unless_they_are_switched_off(tmp_path):
    run_search(tmp_path / "on", plan(), 5)
    run_search(tmp_path / "off", plan(warm_start=False), 5)

    assert stored(tmp_path / "on")[0].published == "toy_small"
    assert all(evaluation.published is None for evaluation in stored(tmp_path / "off"))


BESIDE = """\
  toy_beside:
    table:
      stem: {block: conv, out: 12, stride: 2}
      stages: [{block: mbconv, repeat: 2, out: 20, kernel: 7, expand: 3, stride: 2}]
"""


@pytest.mark.parametrize("sampler", ALL)
def test_a_named_network_beside_the_space_is_evaluated_and_no_sampler_learns_from_it(tmp_path, sampler):
    space = read_space(parse_definition(SPACE + BESIDE, "toy.yaml"))
    beside = space.find_architecture("toy_beside").architecture
    search = run_search(tmp_path / "run", plan(sampler=sampler, seed=4), 30, space=space)
    first, second, *others = stored(tmp_path / "run")

    assert (first.published, second.published) == ("toy_small", "toy_beside")
    assert (second.architecture, second.choices, second.status) == (beside, {}, "complete")
    assert second.score is not None and second.measurements
    assert all(evaluation.choices for evaluation in others)
    learnt = [trial.params for trial in search._study._study.get_trials() if trial.values is not None]
    assert len(learnt) >= 25 and {} not in learnt


@pytest.mark.parametrize("pieces", [(1, 20), (2, 20), (3, 20)])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_ended_beside_a_network_beside_the_space_goes_on_as_if_it_had_not(tmp_path, pieces, workers):
    space = read_space(parse_definition(SPACE + BESIDE, "toy.yaml"))
    of = plan(sampler="tpe", seed=3, workers=workers)
    run_search(tmp_path / "whole", of, 20, space=space)
    for trials in pieces:
        run_search(tmp_path / "pieces", of, trials, space=space)

    assert [e.architecture for e in stored(tmp_path / "whole")] == [e.architecture for e in stored(tmp_path / "pieces")]


def test_a_network_beside_the_space_is_on_the_front_by_its_name(tmp_path):
    space = read_space(parse_definition(SPACE + BESIDE, "toy.yaml"))
    run_search(tmp_path / "run", plan(objectives=("accuracy", "params")), 2, space=space)
    run = read_run(tmp_path / "run")

    assert "toy_beside" in set(run.pareto["published"])
    assert run.pareto.set_index("published").loc["toy_beside", "choices"] == "{}"


def test_a_published_point_beyond_a_limit_on_params_is_left_out(tmp_path):
    from nasbench.model.cost import count

    params = count(toy_space().architectures[0].architecture).params
    run_search(tmp_path / "run", plan(limits={"params": params + 300.0}), 3)
    assert stored(tmp_path / "run")[0].published == "toy_small"

    run_search(tmp_path / "below", plan(limits={"params": params - 1.0}), 1)
    assert stored(tmp_path / "below")[0].published is None


def test_limits_that_no_sampled_candidate_meets_are_refused_with_the_smallest_seen():
    message = r"none of 200 architectures sampled from toy meets --max params=100; the smallest seen: \d+ params"
    with pytest.raises(DefinitionError, match=message):
        check_limits(toy_space(), plan(limits={"params": 100.0}))
    check_limits(toy_space(), plan(limits={"params": 10_000.0}))


def test_a_limit_on_params_keeps_candidates_from_being_built_measured_or_trained(tmp_path):
    accuracy, device = FormulaAccuracy(), FormulaDevice()
    run_search(tmp_path / "run", plan(limits={"params": 4000.0}), 15, accuracy, device)
    evaluations = stored(tmp_path / "run")
    out = [e for e in evaluations if e.status == "infeasible"]

    assert out and all(e.cost.params > 4000 and not e.measurements and e.score is None for e in out)
    assert all(e.cost.params <= 4000 for e in evaluations if e.status in ("complete", "pruned"))
    assert len(device.calls) == 15


def test_a_limit_on_latency_keeps_candidates_from_being_trained(tmp_path):
    accuracy, device = FormulaAccuracy(), FormulaDevice()
    search = run_search(tmp_path / "run", plan(limits={"latency": 5e-4}), 30, accuracy, device)
    slow = [e for e in stored(tmp_path / "run") if e.status == "infeasible"]

    assert slow and all(e.measurements and e.score is None for e in slow)
    assert "latency is" in slow[0].error and "the limit is 500 us" in slow[0].error
    assert len(accuracy.calls) == 30 - len(slow)
    assert all(e.measurements[0].latency_s <= 5e-4 for e in search.front.members)


def test_a_crashing_candidate_becomes_a_row_and_the_search_goes_on(tmp_path):
    run_search(tmp_path / "run", plan(), 12, FormulaAccuracy(broken=(3, 4)))
    failed = [e for e in stored(tmp_path / "run") if e.status == "crashed"]

    assert len(failed) == 2 and failed[0].error == "the child died of SIGSEGV"
    assert failed[0].score is None and failed[0].measurements


def test_when_everything_fails_the_search_ends_and_says_why(tmp_path):
    with pytest.raises(SearchError, match=r"all first 8 candidates failed; the last: the child died of SIGSEGV"):
        run_search(tmp_path / "run", plan(), 40, FormulaAccuracy(broken=range(100)))
    assert len(stored(tmp_path / "run")) >= 8


def test_a_device_that_is_gone_ends_the_search_and_the_run_can_go_on(tmp_path):
    class Leaving(FormulaDevice):
        def take(self, architecture, plan):
            if len(self.calls) == 4:
                raise DeviceError("device 'formula' is gone")
            return super().take(architecture, plan)

    with pytest.raises(DeviceError, match="is gone"):
        run_search(tmp_path / "run", plan(seed=5), 9, device=Leaving())
    run_search(tmp_path / "run", plan(seed=5), 9)
    run_search(tmp_path / "whole", plan(seed=5), 9)

    assert [e.choices for e in stored(tmp_path / "run")] == [e.choices for e in stored(tmp_path / "whole")]


def test_a_search_in_an_exhausted_space_ends(tmp_path):
    of = plan(early_stop=False)
    points = {toy_space().decode_choices(c).digest for c in _all_choices(toy_space())}
    with RunLog.create(tmp_path / "run", manifest(of)) as log:
        search = Search(toy_space(), of, log, FormulaAccuracy(), [FormulaDevice()])
        ended = search.run(Budget(10_000, None))
    found = {e.architecture.digest for e in stored(tmp_path / "run")}

    assert ended == "the last 500 proposals of random were duplicates or beyond the limits"
    assert found <= points and len(found) > 0.9 * len(points)


def test_a_grid_visits_every_point_once_and_ends(tmp_path):
    points = {toy_space().decode_choices(c).digest for c in _all_choices(toy_space())}
    search = run_search(tmp_path / "run", plan(sampler="grid", early_stop=False), 10_000)

    assert {e.architecture.digest for e in stored(tmp_path / "run")} == points
    assert search.evaluated == len(points)


def _all_choices(space):
    values = {choice.name: list(choice.values) for choice in space.choices}
    for made in itertools.product(*values.values()):
        chosen = dict(zip(values, made, strict=True))
        used = {}
        space.decode(lambda choice, chosen=chosen, used=used: used.setdefault(choice.name, chosen[choice.name]))
        yield used


def test_the_front_and_hypervolume_shown_are_those_stored_and_those_of_a_brute_force(tmp_path):
    search = run_search(tmp_path / "run", plan(sampler="tpe"), 40)
    run = read_run(tmp_path / "run")
    complete = [e for e in stored(tmp_path / "run") if e.status == "complete"]
    losses = np.array([[-e.score.value, e.measurements[0].latency_s] for e in complete])
    front = {
        e.trial
        for e, own in zip(complete, losses, strict=True)
        if not any((other <= own).all() and (other < own).any() for other in losses)
    }

    assert {e.trial for e in search.front.members} == front == set(run.pareto["trial"])
    assert search.front.hypervolume == pytest.approx(run.evaluations["hypervolume"].iloc[-1])
    assert search.front.hypervolume == pytest.approx(
        pareto.normalized_hypervolume(complete, [OBJECTIVES["accuracy"], OBJECTIVES["latency"]], {})
    )


def test_hopeless_candidates_are_ended_early_and_never_stand_on_the_front(tmp_path):
    search = run_search(tmp_path / "run", plan(seed=4), 80)
    evaluations = stored(tmp_path / "run")
    pruned = [e for e in evaluations if e.status == "pruned"]

    assert len(pruned) > 5 and all(len(e.score.curve) < 3 for e in pruned)
    assert not {e.trial for e in pruned} & {e.trial for e in search.front.members}
    run_search(tmp_path / "off", plan(seed=4, early_stop=False), 80)
    assert not [e for e in stored(tmp_path / "off") if e.status == "pruned"]


def test_the_surrogate_is_told_which_accuracies_are_those_of_candidates_ended_early(tmp_path):
    run_search(tmp_path / "run", plan(seed=4, sampler="surrogate"), 40)

    with RunLog.read(tmp_path / "run") as log:
        told = {evaluation.trial: (evaluation, state) for evaluation, state in log.evaluations()}
    pruned = [state for evaluation, state in told.values() if evaluation.status == "pruned"]
    complete = [(e, state) for e, state in told.values() if e.status == "complete"]
    assert pruned and all(state[PRELIMINARY] == [0] and state[CURVES]["0"] for state in pruned)
    assert all(PRELIMINARY not in state for _, state in complete)
    assert all(state[CURVES] == {"0": [list(point) for point in e.score.curve]} for e, state in complete)


def test_no_member_of_the_true_front_is_ended_early_when_early_values_rank_as_final_ones(tmp_path):
    search = run_search(tmp_path / "run", plan(seed=4), 80)
    full = run_search(tmp_path / "off", plan(seed=4, early_stop=False), 80)

    assert {e.trial for e in search.front.members} == {e.trial for e in full.front.members}


@pytest.mark.parametrize(
    "objectives", [("accuracy",), ("params", "accuracy"), ("accuracy", "latency", "params", "memory")]
)
def test_any_number_of_objectives_can_be_searched(tmp_path, objectives):
    search = run_search(tmp_path / "run", plan(objectives=objectives, sampler="nsga3"), 30)

    assert search.front.members and 0 < search.front.hypervolume <= 1
    assert set(read_run(tmp_path / "run").pareto["trial"]) == {e.trial for e in search.front.members}


def test_the_front_is_scored_on_the_test_split_only_when_asked_and_once(tmp_path):
    accuracy = FormulaAccuracy()
    of = plan()
    with RunLog.create(tmp_path / "run", manifest(of)) as log:
        search = Search(toy_space(), of, log, accuracy, [FormulaDevice()])
        search.run(Budget(10, None))
        assert not log.final_scores()
        said = []
        search.score_front(said.append)
        search.score_front(said.append)

    front = read_run(tmp_path / "run").pareto
    assert len(said) == len(front)
    assert np.allclose(front["final_accuracy"], front["accuracy"] - 0.01)


def test_a_repaired_run_with_a_gap_goes_on_with_new_numbers(tmp_path):
    run_search(tmp_path / "run", plan(), 12)
    with RunLog.read(tmp_path / "run") as whole, RunLog.create(tmp_path / "gap", manifest(plan())) as log:
        for evaluation, state in whole.evaluations():
            if evaluation.trial != 5:
                log.append(evaluation, state, whole.study_state())
    run_search(tmp_path / "gap", plan(), 14)
    numbers = [evaluation.trial for evaluation in stored(tmp_path / "gap")]

    assert 5 not in numbers and numbers == sorted(set(numbers))
    assert [e.choices for e in stored(tmp_path / "gap")][:11] == [
        e.choices for e in stored(tmp_path / "run") if e.trial != 5
    ][:11]


def test_a_final_score_that_fails_leaves_the_others(tmp_path):
    class Failing(FormulaAccuracy):
        def final(self, architecture):
            if not self.failed:
                self.failed = True
                raise Crashed("the child died")
            return super().final(architecture)

        failed = False

    of, said = plan(), []
    with RunLog.create(tmp_path / "run", manifest(of)) as log:
        search = Search(toy_space(), of, log, Failing(), [FormulaDevice()])
        search.run(Budget(10, None))
        search.score_front(said.append)
        assert len(log.final_scores()) == len(search.front.members) - 1
    assert any("has no final score: the child died" in line for line in said)
