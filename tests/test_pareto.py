import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench.objectives import OBJECTIVES
from nasbench.pareto import (
    FrontTracker,
    hypervolume,
    hypervolume_curve,
    non_dominated,
    normalize,
    rank,
    reference_losses,
)

COORDINATE = st.one_of(st.integers(0, 6).map(float), st.floats(0, 6, allow_nan=False, width=32))


def points(low=0, high=25):
    return st.integers(1, 4).flatmap(
        lambda m: st.lists(st.lists(COORDINATE, min_size=m, max_size=m), min_size=low, max_size=high).map(
            lambda rows: np.asarray(rows, dtype=float).reshape(len(rows), m)
        )
    )


def dominates(a, b):
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


@given(points())
def test_the_front_is_what_comparing_every_pair_gives(losses):
    expected = [not any(dominates(other, one) for other in losses) for one in losses]

    assert non_dominated(losses).tolist() == expected


@given(points())
def test_layers_are_fronts_taken_off_one_after_the_other(losses):
    left, layers, layer = list(range(len(losses))), [0] * len(losses), 0
    while left:
        front = [i for i in left if not any(dominates(losses[j], losses[i]) for j in left)]
        for i in front:
            layers[i] = layer
        left, layer = [i for i in left if i not in front], layer + 1

    assert rank(losses).tolist() == layers


@given(st.lists(st.tuples(*[st.integers(0, 5)] * 3), min_size=0, max_size=12))
def test_the_hypervolume_is_the_number_of_unit_cubes_that_are_dominated(corners):
    cubes = np.stack(np.meshgrid(*[np.arange(5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    expected = sum(any(all(np.asarray(c) <= cube) for c in corners) for cube in cubes)

    assert hypervolume(np.asarray(corners, dtype=float).reshape(-1, 3), [5, 5, 5]) == pytest.approx(expected)


@given(points(low=1))
def test_the_tracker_gives_after_each_point_what_a_fresh_count_gives(losses):
    reference = np.full(losses.shape[1], 5.0)
    tracker, last = FrontTracker(reference), 0.0
    for count, point in enumerate(losses, start=1):
        now = tracker.add(point)
        assert now == pytest.approx(hypervolume(losses[:count], reference), rel=1e-9, abs=1e-9)
        assert now >= last
        last = now
    inside = losses[(losses < reference).all(axis=1)]
    assert sorted(map(tuple, tracker.front)) == sorted(set(map(tuple, inside[non_dominated(inside)])))


def test_the_tracker_keeps_the_front_alone():
    draw = np.random.default_rng(0)
    tracker = FrontTracker([1.0, 1.0])
    for point in draw.random((3000, 2)):
        tracker.add(point)

    assert len(tracker.front) < 60


def test_equal_points_stay_in_the_front_together():
    assert non_dominated([[1, 2], [1, 2], [2, 1], [2, 2]]).tolist() == [True, True, True, False]


@pytest.mark.parametrize("bad", [[[1.0, float("nan")]], [[float("inf"), 1.0]], [1.0, 2.0], np.empty((3, 0))])
def test_what_is_no_table_of_finite_losses_is_refused(bad):
    with pytest.raises(ValueError, match="losses"):
        non_dominated(bad)


def test_a_run_is_scaled_between_the_best_conceivable_point_and_its_reference():
    objectives = [OBJECTIVES["accuracy"], OBJECTIVES["latency"]]
    losses = np.asarray([[-0.8, 0.002], [-0.9, 0.004]])

    free = reference_losses(objectives, {}, losses)
    limited = reference_losses(objectives, {"latency": 0.008}, losses)

    assert free == pytest.approx(np.asarray([0.0, 0.0044]))
    assert limited.tolist() == [0.0, 0.008]
    scaled = normalize(losses, objectives, limited)
    assert scaled == pytest.approx(np.asarray([[0.2, 0.25], [0.1, 0.5]]))
    assert hypervolume(scaled, [1, 1]) == pytest.approx(0.75 * 0.8 + 0.5 * 0.1)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1e3), st.floats(0, 1e9)), min_size=1, max_size=20))
def test_a_normalized_hypervolume_is_a_share(rows):
    objectives = [OBJECTIVES["accuracy"], OBJECTIVES["latency"], OBJECTIVES["params"]]
    losses = np.asarray(rows) * [-1, 1, 1]
    scaled = normalize(losses, objectives, reference_losses(objectives, {}, losses))
    curve = hypervolume_curve(scaled, [True] * len(rows))

    assert (np.diff(curve) >= 0).all()
    assert 0 <= curve[-1] <= 1 + 1e-9


def test_a_trial_that_is_not_feasible_repeats_the_value_before_it():
    assert hypervolume_curve([[0.5, 0.5]], [False, True, False]).tolist() == [0.0, 0.25, 0.25]
