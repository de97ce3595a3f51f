"""The sampler in plain Optuna studies: it finds what is best, and copes with what studies do."""

import itertools
import math
import statistics
import zlib

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import TrialState

from nasbench.surrogate.sampler import HINTS, STANDS_IN, SurrogateSampler

NAMES = [f"c{index}" for index in range(6)]
OPTIMUM = {name: index % 4 for index, name in enumerate(NAMES)}


def miss(trial):
    """Count choices that are not the best, neighbours costing further."""
    chosen = [trial.suggest_categorical(name, [0, 1, 2, 3]) for name in NAMES]
    wrong = [value != OPTIMUM[name] for name, value in zip(NAMES, chosen, strict=True)]
    return sum(wrong) + 0.5 * sum(a and b for a, b in itertools.pairwise(wrong))


def study_of(objective, trials, directions=("minimize",), **options):
    study = optuna.create_study(sampler=SurrogateSampler(seed=options.pop("seed", 0), **options), directions=directions)
    study.optimize(objective, trials)
    return study


def test_it_finds_the_best_of_4096_and_repeats_nothing():
    found = study_of(miss, 45)

    assert found.best_value == 0
    params = [tuple(trial.params.values()) for trial in found.trials]
    assert len(set(params)) == len(params)


def test_random_search_does_not():
    """The test above would show nothing on a problem that anyone solves."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(miss, 45)

    assert study.best_value > 0


def test_the_same_seed_gives_the_same_trials_and_another_gives_others():
    runs = [[trial.params for trial in study_of(miss, 30, seed=seed).trials] for seed in (1, 1, 2)]

    assert runs[0] == runs[1] != runs[2]


def test_it_goes_on_in_another_process_as_if_nothing_had_been():
    whole = study_of(miss, 32)
    pieces = study_of(miss, 27)
    pieces.sampler = SurrogateSampler(seed=0)
    pieces.optimize(miss, 5)

    assert [t.params for t in whole.trials] == [t.params for t in pieces.trials]


def test_a_proposal_does_not_hang_on_when_it_is_asked_where_several_are_planned_at_once():
    space = {name: CategoricalDistribution((0, 1, 2, 3)) for name in NAMES}
    before = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    before.optimize(miss, 207)

    def run(stop):
        study = optuna.create_study(sampler=SurrogateSampler(seed=0, search_space=space))
        study.add_trials(before.trials)
        study.optimize(miss, stop - 207)
        study.sampler = SurrogateSampler(seed=0, search_space=space)
        study.optimize(miss, 226 - stop)
        return [trial.params for trial in study.trials]

    assert run(208) == run(211) == run(222)


@pytest.mark.parametrize("seed", range(3))
def test_starting_points_keep_away_from_those_under_way(seed):
    space = {name: CategoricalDistribution((0, 1)) for name in "abcd"}
    study = optuna.create_study(sampler=SurrogateSampler(seed=seed, search_space=space, lag=8))
    asked = []
    for _ in range(8):  # none is told
        trial = study.ask()
        asked.append(tuple(trial.suggest_categorical(name, (0, 1)) for name in space))

    assert len(set(asked)) == 8
    assert any(sum(a != b for a, b in zip(asked[0], one, strict=True)) == 4 for one in asked[1:3])


def test_two_objectives_that_pull_apart_give_a_front_of_both_ends():
    def both(trial):
        chosen = [trial.suggest_categorical(name, [0, 1, 2, 3]) for name in NAMES]
        return sum(chosen), sum((3 - value) ** 2 for value in chosen)

    found = study_of(both, 60, ("minimize", "minimize"))
    first = [trial.values[0] for trial in found.best_trials]

    assert min(first) == 0 and max(first) == 18
    assert len({trial.values[0] for trial in found.best_trials}) >= 12


def test_three_objectives_one_of_them_maximized():
    def three(trial):
        a, b, c = (trial.suggest_int(name, 0, 10) for name in "abc")
        return (a - 2) ** 2 + b, (c - 7) ** 2 + b, 1 / (1 + b + abs(a - 2) + abs(c - 7))

    found = study_of(three, 60, ("minimize", "minimize", "maximize"))

    assert [tuple(trial.values) for trial in found.best_trials] == [(0, 0, 1)]


def test_what_breaks_a_constraint_is_left():
    def constrained(trial):
        value = miss(trial)
        trial.set_constraint("first", float(trial.params["c0"] == 0) - 0.5)
        return value

    found = study_of(constrained, 50)
    kept = [t for t in found.trials if all(v <= 0 for v in t.constraints.values())]

    assert min(t.value for t in kept) == 1  # the best without c0 = 0
    assert sum(t.params["c0"] == 0 for t in found.trials[25:]) <= 3


def test_what_fails_is_left():
    def broken(trial):
        value = miss(trial) + zlib.crc32(str(trial.params).encode()) % 1000 / 1000
        if trial.params["c1"] == 2:
            raise optuna.TrialPruned if trial.number % 2 else RuntimeError("crashed")
        return value

    study = optuna.create_study(sampler=SurrogateSampler(seed=0))
    study.optimize(broken, 45, catch=RuntimeError)

    assert study.best_value < 1
    assert sum(trial.state != TrialState.COMPLETE for trial in study.trials[25:]) <= 2


def test_choices_that_exist_only_beside_others():
    def conditional(trial):
        if trial.suggest_categorical("kind", ["plain", "deep"]) == "plain":
            return 5 + trial.suggest_int("width", 0, 4)
        return abs(trial.suggest_int("layers", 1, 9) - 6) + abs(trial.suggest_int("heads", 1, 9) - 3)

    found = study_of(conditional, 45)

    assert found.best_value == 0
    assert all(set(t.params) in ({"kind", "width"}, {"kind", "layers", "heads"}) for t in found.trials)


def test_trials_under_way_are_not_proposed_again_and_several_can_be_asked_for():
    study = study_of(miss, 25)

    asked = [study.ask({name: CategoricalDistribution((0, 1, 2, 3)) for name in NAMES}) for _ in range(12)]

    assert len({tuple(trial.params.items()) for trial in asked}) == 12
    told = {tuple(trial.params.items()) for trial in study.trials[:25]}
    assert not told & {tuple(trial.params.items()) for trial in asked}


def test_a_small_space_can_be_emptied():
    space = {"a": IntDistribution(0, 2), "b": CategoricalDistribution(("x", "y"))}
    study = optuna.create_study(sampler=SurrogateSampler(seed=0, startup_trials=4, search_space=space))

    study.optimize(lambda t: t.suggest_int("a", 0, 2) + (t.suggest_categorical("b", ["x", "y"]) == "x"), 12)

    assert len({tuple(trial.params.items()) for trial in study.trials}) == 6


def test_values_that_stand_in_for_unknown_ones_are_not_learned():
    """Trials that a limit stopped have no accuracy; what is told in its place is no reason to avoid their like."""

    def run(told):
        def both(trial):
            cost = miss(trial)
            unknown = trial.params["c5"] == OPTIMUM["c5"] and trial.number < 25
            if unknown and told:
                trial.set_user_attr(STANDS_IN, [0])
            return (50.0 if unknown else cost), 1.0

        return study_of(both, 50, ("minimize", "minimize"))

    late = {told: [t.params["c5"] == OPTIMUM["c5"] for t in run(told).trials[25:]] for told in (True, False)}

    assert sum(late[True]) > sum(late[False])


@pytest.mark.parametrize("startup", [6, 30])
def test_it_begins_with_points_far_apart(startup):
    space = {name: CategoricalDistribution((0, 1, 2, 3)) for name in NAMES}
    study = optuna.create_study(sampler=SurrogateSampler(seed=0, startup_trials=startup, search_space=space))

    study.optimize(miss, 4)
    rows = [list(trial.params.values()) for trial in study.trials]

    for one, other in itertools.combinations(rows, 2):
        assert sum(a == b for a, b in zip(one, other, strict=True)) <= 1


def test_grids_of_numbers_are_not_proposed_twice():
    """Sums of steps differ in their last bits from what divisions give; 0.1 x 3 is the classic."""

    def objective(trial):
        return (trial.suggest_int("a", 0, 10) - 3) ** 2 + trial.suggest_float("b", 0.1, 0.5, step=0.1)

    found = study_of(objective, 55, startup_trials=5)

    assert len({(t.params["a"], round(t.params["b"], 6)) for t in found.trials}) == 55


def test_parameters_that_appear_late_and_in_a_batch():
    def objective(trial):
        value = trial.suggest_int("a", 0, 30) + trial.suggest_categorical("b", [3, 1, 2])
        return value + (trial.suggest_float("late", 0.0, 1.0) if trial.number > 204 else 0)

    assert len(study_of(objective, 212).trials) == 212


def test_several_threads_lose_nothing():
    study = optuna.create_study(sampler=SurrogateSampler(seed=0))
    study.optimize(miss, 60, n_jobs=4)

    params = [tuple(trial.params.values()) for trial in study.trials]
    assert len(params) == 60 and len(set(params)) >= 55


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_losses_of_any_size(scale):
    def both(trial):
        return scale * (1 + miss(trial)), scale * (1 + trial.params["c0"])

    found = study_of(both, 40, ("minimize", "minimize"))

    assert min(trial.values[0] for trial in found.trials) <= 2.6 * scale


def test_where_nothing_keeps_the_limit_it_goes_where_that_is_missed_least():
    def constrained(trial):
        value = miss(trial)
        trial.set_constraint("tight", value - 0.5)
        return float(trial.params["c0"])

    found = study_of(constrained, 45)

    assert min(t.constraints["tight"] for t in found.trials) == -0.5


def test_what_is_counted_beforehand_is_taken_as_a_hint():
    """A loss grows with what is counted, and noise hides that; the count itself has none."""

    def mean_count_of_the_proposed(hinted, seed):
        counts = []

        def value(trial):
            chosen = [trial.suggest_categorical(f"c{n}", [1, 2, 3, 5, 7, 11]) for n in range(6)]
            counts.append(math.log(math.prod(chosen)))
            if hinted:
                trial.set_user_attr(HINTS, [math.prod(chosen)])
            return counts[-1] + 3 * (zlib.crc32(repr(chosen).encode()) / 2**32 - 0.5)

        study_of(value, 26, seed=seed)
        return statistics.mean(counts[20:])

    told, untold = ([mean_count_of_the_proposed(hinted, seed) for seed in range(4)] for hinted in (True, False))

    assert statistics.mean(told) < statistics.mean(untold) - 0.5, (told, untold)
