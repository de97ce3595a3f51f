"""The Gaussian process against scikit-learn's, and what it makes of known functions."""

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import DotProduct
from sklearn.linear_model import Ridge
from sklearn.preprocessing import OneHotEncoder

from nasbench.surrogate.encoding import Encoding
from nasbench.surrogate.model import ERROR, LOG, PLAIN, Kernel, fit

ENCODING = Encoding({f"edge{index}": CategoricalDistribution(tuple("abcde")) for index in range(6)})


@pytest.fixture
def rows():
    return np.unique(ENCODING.draw(np.random.default_rng(1), 80), axis=0)


def effects(rows, order, seed=0):
    """Give a function of the rows with random effects of each level, and of each pair of levels for the second
    order."""
    rng = np.random.default_rng(seed)
    codes = rows.astype(int)
    main = rng.normal(size=(6, 5))
    value = sum(main[column, codes[:, column]] for column in range(6))
    if order == 2:
        pairs = rng.normal(size=(6, 6, 5, 5))
        for one in range(6):
            for other in range(one):
                value = value + pairs[one, other, codes[:, one], codes[:, other]]
    return value


def test_the_additive_kernel_is_ridge_regression_on_one_hot_choices(rows):
    values, new = effects(rows, 1), ENCODING.draw(np.random.default_rng(2), 40)
    model = fit(ENCODING.likeness(rows, rows), values, (PLAIN,))
    kernel = Kernel(1.0, 0.0, 0.0)
    covariance = kernel.of(ENCODING.likeness(rows, rows)) + model.noise * np.eye(len(rows))
    ours = kernel.of(ENCODING.likeness(new, rows)) @ np.linalg.solve(covariance, values)
    encoder = OneHotEncoder(categories=[np.arange(5.0)] * 6, sparse_output=False)

    theirs = Ridge(alpha=6 * model.noise, fit_intercept=False).fit(encoder.fit_transform(rows), values)

    assert ours == pytest.approx(theirs.predict(encoder.transform(new)), abs=1e-8)
    assert model.kernel == kernel


def test_mean_and_deviation_are_those_of_scikit_learn(rows):
    values, new = effects(rows, 1), ENCODING.draw(np.random.default_rng(2), 40)
    model = fit(ENCODING.likeness(rows, rows), values, (PLAIN,))
    assert model.kernel == Kernel(1.0, 0.0, 0.0)
    encoder = OneHotEncoder(categories=[np.arange(5.0)] * 6, sparse_output=False)
    one_hot = encoder.fit_transform(rows) / np.sqrt(6)
    theirs = GaussianProcessRegressor(DotProduct(0.0, "fixed"), alpha=model.noise, optimizer=None)

    theirs.fit(one_hot, (values - model.trend[0]) / np.sqrt(model.variance))
    mean, deviation = theirs.predict(encoder.transform(new) / np.sqrt(6), return_std=True)
    prediction = model.predict(ENCODING.likeness(rows, new))

    assert prediction.mean == pytest.approx(model.trend[0] + np.sqrt(model.variance) * mean, abs=1e-6)
    assert prediction.deviation == pytest.approx(np.sqrt(model.variance) * deviation, abs=1e-4)


def test_pairs_are_found_where_there_are_pairs():
    rows, new = ENCODING.draw(np.random.default_rng(1), 400), ENCODING.draw(np.random.default_rng(2), 200)
    model = fit(ENCODING.likeness(rows, rows), effects(rows, 2), (PLAIN,))

    error = model.predict(ENCODING.likeness(rows, new)).mean - effects(new, 2)

    assert model.kernel.pairwise + model.kernel.product > 0
    assert error.std() < 0.5 * effects(new, 2).std()


def test_a_product_is_modelled_by_its_logarithm_and_an_error_rate_by_that_of_the_error(rows):
    likeness = ENCODING.likeness(rows, rows)

    assert fit(likeness, np.exp(effects(rows, 1)), (PLAIN, LOG)).scale is LOG
    assert fit(likeness, np.exp(0.5 * effects(rows, 1) - 4) - 1, (PLAIN, ERROR)).scale is ERROR
    assert fit(likeness, effects(rows, 1), (PLAIN, LOG)).scale is PLAIN


def test_known_noise_keeps_a_bad_value_from_being_believed(rows):
    values, likeness = effects(rows, 1), ENCODING.likeness(rows, rows)
    spoilt, noise = values.copy(), np.zeros(len(rows))
    spoilt[0] += 20
    noise[0] = 20

    told = fit(likeness, spoilt, (PLAIN,), noise).predict(likeness).mean[0]
    untold = fit(likeness, spoilt, (PLAIN,)).predict(likeness).mean[0]

    assert abs(told - values[0]) < 0.5 < abs(untold - values[0])


def test_believing_a_value_is_the_same_as_fitting_it(rows):
    values, new = effects(rows, 1), ENCODING.draw(np.random.default_rng(2), 5)
    model = fit(ENCODING.likeness(rows, rows), values, (PLAIN,))
    prediction = model.predict(ENCODING.likeness(rows, new))

    for row in (3, 1):
        prediction.believe(row, ENCODING.likeness(new[[row]], new))
    both = np.concatenate([rows, new[[3, 1]]])
    inverse = np.linalg.inv(model.kernel.of(ENCODING.likeness(both, both)) + model.noise * np.eye(len(both)))
    across = model.kernel.of(ENCODING.likeness(both, new))

    assert prediction.spread == pytest.approx(1 - np.einsum("ij,ik,kj->j", across, inverse, across), abs=1e-6)


def test_values_that_are_all_equal_break_nothing(rows):
    model = fit(ENCODING.likeness(rows, rows), np.full(len(rows), 3.0), (PLAIN, LOG))

    assert model.predict(ENCODING.likeness(rows, rows)).mean == pytest.approx(
        np.log(3.0) if model.scale is LOG else 3.0
    )


def test_a_hint_that_tells_nothing_is_left_out_and_one_that_tells_is_used(rows):
    rng = np.random.default_rng(3)
    telling, other = rng.normal(size=(2, len(rows)))
    losses = 0.1 * effects(rows, 1) + 3 * telling
    likeness = ENCODING.likeness(rows, rows)

    model = fit(likeness, losses, (PLAIN,), hints=np.stack([other, telling], axis=1))

    assert model.hint == 1 and model.trend[1] == pytest.approx(3, rel=0.05)
    assert fit(likeness, losses, (PLAIN,), hints=other[:, None]).hint is None
