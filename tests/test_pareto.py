import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench.objectives import OBJECTIVES
from nasbench.pareto import (
    FrontTracker,
    beats,
    confirmed_front,
    hypervolume,
    hypervolume_curve,
    non_dominated,
    normalize,
    rank,
    reference_losses,
)
from nasbench.records import Cost, Evaluation, Measurement, Score, TimingPlan
from nasbench.space.architecture import Architecture

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


NETWORK = Architecture((1, 8, 8), 10, ())
WITH_PARAMS = [OBJECTIVES[name] for name in ("accuracy", "latency", "params")]


def member(trial, accuracy, params=1):
    return Evaluation(
        trial,
        "complete",
        {},
        NETWORK,
        cost=Cost(params, 1, 1, 1),
        score=Score(accuracy, "top1", "formula", "none", "val", 0.0),
    )


def confirmation(low_s, high_s, verdict="ok"):
    samples = () if low_s is None else (low_s, high_s)
    return Measurement(
        architecture=NETWORK.digest,
        device="d",
        device_digest="0",
        plan=TimingPlan(level="confirm"),
        latencies_s=samples,
        kept=(True,) * len(samples),
        warmups_s=(),
        first_call_s=None,
        build_s=None,
        low_s=low_s,
        high_s=high_s,
        verdict=verdict,
        reasons=(),
        stop="converged",
        peak_memory_bytes=None,
        output_hash=None,
        process_medians_s=samples,
    )


def decide(members, confirmed, objectives, limits):
    """Decide a front on one device."""
    return confirmed_front(members, {trial: (one,) for trial, one in confirmed.items()}, objectives, limits)


@st.composite
def fronts(draw):
    """Members with small whole numbers for everything, so that equal values and touching intervals are common."""
    count = draw(st.integers(0, 9))
    members = [member(t, draw(st.integers(0, 3)) / 4, draw(st.integers(1, 3))) for t in range(count)]
    confirmed = {}
    for one in members:
        kind = draw(st.sampled_from(["known", "known", "known", "failed", "absent"]))
        low = draw(st.integers(1, 8))
        if kind == "known":
            confirmed[one.trial] = confirmation(float(low), float(low + draw(st.integers(0, 3))))
        elif kind == "failed":
            confirmed[one.trial] = confirmation(None, None, "failed")
    return members, confirmed, draw(st.sampled_from([{}, {"latency": 4.0}]))


@given(fronts())
def test_a_member_falls_off_exactly_when_one_is_faster_outside_the_intervals_and_nowhere_worse(front):
    members, confirmed, limits = front
    known = [m for m in members if m.trial in confirmed and confirmed[m.trial].low_s is not None]

    standings = decide(members, confirmed, WITH_PARAMS, limits)

    assert set(standings) == set(confirmed)
    for one in known:
        own = confirmed[one.trial]
        beaten = any(
            confirmed[other.trial].high_s < own.low_s
            and other.score.value >= one.score.value
            and other.cost.params <= one.cost.params
            for other in known
        )
        within = own.low_s <= limits.get("latency", float("inf"))
        assert standings[one.trial].on_front == (within and not beaten)


@given(fronts())
def test_what_beats_a_fallen_member_stands_on_the_confirmed_front(front):
    members, confirmed, limits = front

    standings = decide(members, confirmed, WITH_PARAMS, limits)

    for trial, standing in standings.items():
        if standing.dominated_by is not None:
            winner = confirmed[standing.dominated_by]
            assert standings[standing.dominated_by].on_front
            assert winner.high_s < confirmed[trial].low_s
            assert f"trial {standing.dominated_by} " in standing.reason
        assert bool(standing.reason) == (standing.on_front is False)


@given(fronts())
def test_members_of_the_confirmed_front_whose_intervals_overlap_are_tied_with_each_other(front):
    members, confirmed, limits = front

    standings = decide(members, confirmed, WITH_PARAMS, limits)

    stay = [trial for trial, standing in standings.items() if standing.on_front]
    for a, b in itertools.permutations(stay, 2):
        overlap = max(confirmed[a].low_s, confirmed[b].low_s) <= min(confirmed[a].high_s, confirmed[b].high_s)
        assert (b in standings[a].tied_with) == overlap


@given(points(low=1, high=12), st.data())
def test_to_beat_outside_the_intervals_is_a_strict_partial_order(others, data):
    low = np.asarray(data.draw(st.lists(st.integers(1, 6), min_size=len(others), max_size=len(others))), dtype=float)
    wins = beats(others, low, low + 1)

    assert not np.diagonal(wins).any()
    assert not (wins & wins.T).any()
    assert ((wins.astype(int) @ wins.astype(int) == 0) | wins).all()


def test_a_member_that_fell_off_says_to_what_and_by_how_much():
    members = [member(7, 0.9), member(12, 0.8)]
    confirmed = {7: confirmation(1.00, 1.02), 12: confirmation(1.04, 1.06)}

    standing = decide(members, confirmed, WITH_PARAMS, {})[12]

    assert standing.reason == "trial 7 has higher accuracy, the same params and is faster by 1.9 to 5.7 %"


def test_a_member_beyond_the_limit_falls_off_only_when_its_whole_interval_is():
    members = [member(1, 0.9), member(2, 0.8)]
    confirmed = {1: confirmation(0.0051, 0.0052), 2: confirmation(0.0049, 0.0052)}

    standings = decide(members, confirmed, WITH_PARAMS, {"latency": 0.005})

    assert standings[1].reason == "its latency is 5.1 ms to 5.2 ms; the limit is 5 ms"
    assert standings[2].on_front


def test_latency_alone_leaves_the_fastest_and_what_cannot_be_told_from_it():
    members = [member(trial, 0.5) for trial in range(3)]
    confirmed = {0: confirmation(1.0, 1.2), 1: confirmation(1.1, 1.3), 2: confirmation(1.25, 1.4)}

    standings = decide(members, confirmed, [OBJECTIVES["latency"]], {})

    assert [standings[trial].on_front for trial in range(3)] == [True, True, False]
    assert standings[2].reason.startswith("trial 0 is faster by")


@pytest.mark.parametrize(
    ("verdict", "decides"),
    [("ok", True), ("noisy", True), ("throttled", False), ("drift", False), ("invalid", False), ("failed", False)],
)
def test_a_confirmation_decides_only_when_its_verdict_is_ok_or_noisy(verdict, decides):
    members = [member(0, 0.9), member(1, 0.5)]
    confirmed = {0: confirmation(1.0, 1.1, verdict), 1: confirmation(2.0, 2.1)}

    standings = decide(members, confirmed, WITH_PARAMS, {})

    assert standings[0].on_front is (True if decides else None)
    assert standings[1].on_front is not decides


def test_a_member_that_failed_when_it_was_confirmed_neither_falls_off_nor_beats_another():
    members = [member(0, 0.9), member(1, 0.5)]
    confirmed = {0: confirmation(None, None, "failed"), 1: confirmation(1.0, 1.1)}

    standings = decide(members, confirmed, WITH_PARAMS, {})

    assert standings[0].on_front is None
    assert standings[1].on_front is True
