"""Improvements against moocore's volumes and numeric integration."""

import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from nasbench.surrogate.gain import Volume, draw_losses, draw_normal, expected_improvement, log_probability_within
from nasbench.surrogate.model import ERROR, PLAIN, Kernel, Model, Prediction


def prediction(means, deviations, scale=PLAIN):
    model = Model(Kernel(1.0, 0.0, 0.0), scale, 1e-4, None, np.zeros(1), 1.0, np.eye(1), np.zeros(1))
    return Prediction(model, np.array(means), np.array(deviations) ** 2, np.zeros((1, len(means))), 1)


def added(front, point, reference):
    inside = np.array([p for p in [*front, point] if (p < reference).all()])
    before = np.array([p for p in front if (p < reference).all()])
    whole = moocore.hypervolume(inside, ref=reference) if len(inside) else 0.0
    return whole - (moocore.hypervolume(before, ref=reference) if len(before) else 0.0)


coordinates = st.floats(0.0, 1.3, allow_nan=False)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=8),
    st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=5),
)
def test_the_gain_in_the_plane_is_what_moocore_counts(front, points):
    front, points = np.array(front), np.array(points)
    volume = Volume(front, np.zeros(2), np.ones(2), np.random.default_rng(0))

    assert volume.gain(points) == pytest.approx([added(front, point, np.ones(2)) for point in points], abs=1e-9)


def test_the_gain_of_three_objectives_ranks_points_as_moocore_does():
    rng = np.random.default_rng(0)
    front, points = rng.random((10, 3)), rng.random((40, 3)) * 0.7
    volume = Volume(front, np.zeros(3), np.ones(3), rng)
    exact = np.array([added(front, point, np.ones(3)) for point in points])

    assert stats.spearmanr(volume.gain(points), exact).statistic > 0.95


def test_with_three_objectives_going_beyond_the_best_of_one_counts():
    volume = Volume(np.array([[0.0, 0.5, 0.5]]), np.zeros(3), np.ones(3), np.random.default_rng(0))

    beyond, equal = volume.gain(np.array([[-0.1, 0.5, 0.5], [0.0, 0.5, 0.5]]))

    assert beyond > equal == 0


@pytest.mark.parametrize("objectives", [2, 3])
def test_a_point_that_was_added_adds_nothing_again(objectives):
    rng = np.random.default_rng(0)
    volume = Volume(0.2 + 0.8 * rng.random((6, objectives)), np.zeros(objectives), np.ones(objectives), rng)
    point = np.full(objectives, 0.05)

    assert volume.gain(point[None, :])[0] > 0
    volume.add(point)

    assert volume.gain(point[None, :])[0] == pytest.approx(0, abs=1e-12)


def test_expected_improvement_is_its_integral():
    def integral(mean, deviation, best):
        density = stats.norm(mean, deviation).pdf
        return integrate.quad(lambda z: max(0.0, best - z) * density(z), mean - 8 * deviation, best)[0]

    cases = [(0.0, 1.0), (0.5, 0.2), (-0.3, 0.05)]
    found = expected_improvement(prediction(*map(list, zip(*cases, strict=True))), 0.2)

    assert found == pytest.approx([integral(mean, deviation, 0.2) for mean, deviation in cases], abs=1e-6)


def test_the_probability_of_keeping_a_limit_is_the_share_of_draws_that_do():
    over = prediction([np.log(1.1), np.log(0.8)], [0.2, 0.2], ERROR)  # the logarithm of 1 + excess
    drawn = draw_losses([over], draw_normal(1, 4096, 0))[:, :, 0]

    assert np.exp(log_probability_within(over, 0.0)) == pytest.approx((drawn <= 0).mean(axis=1), abs=0.01)
