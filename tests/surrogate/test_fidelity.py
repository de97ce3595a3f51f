"""What candidates that were ended early would have come to, against least squares by scipy."""

import numpy as np
import optuna
import pytest
from scipy import stats

from nasbench.surrogate.fidelity import foresee
from nasbench.surrogate.sampler import CURVES, PRELIMINARY, SurrogateSampler


def test_what_was_ended_early_is_foreseen_by_the_line_through_what_came_to_its_end():
    rng = np.random.default_rng(0)
    early = rng.random(12)
    final = 0.5 * early - 1.0 + rng.normal(0, 0.05, 12)
    losses, preliminary = np.append(final, [0.3, 0.9]), np.arange(14) >= 12
    curves = [{2: float(x)} for x in (*early, 0.3, 0.9)]

    expected, deviation = foresee(losses, curves, preliminary, False)

    line = stats.linregress(early, final)
    assert expected[12:] == pytest.approx(line.intercept + line.slope * np.array([0.3, 0.9]))
    residuals = final - line.intercept - line.slope * early
    spread = np.sqrt((residuals**2).sum() / 10)
    far = (np.array([0.3, 0.9]) - early.mean()) ** 2 / ((early - early.mean()) ** 2).sum()
    assert deviation[12:] == pytest.approx(spread * np.sqrt(1 + 1 / 12 + far))
    assert expected[:12] == pytest.approx(final) and not deviation[:12].any()


def test_the_error_of_an_accuracy_is_foreseen_on_its_logarithm():
    """Errors that halve between the step and the end."""
    errors = np.array([0.4, 0.3, 0.2, 0.1, 0.05, 0.6])
    losses = np.append(errors[:5] / 2 - 1, errors[5] - 1)
    curves = [{1: error - 1} for error in errors]

    expected, _ = foresee(losses, curves, np.arange(6) == 5, True)

    assert expected[5] == pytest.approx(0.6 / 2 - 1)


def test_a_loss_that_is_unknown_changes_nothing_for_the_others():
    errors = np.array([0.4, 0.3, 0.2, 0.1, 0.05, 0.6])
    losses = np.append(errors / 2 - 1, np.nan)
    losses[5] = errors[5] - 1
    curves = [*({1: error - 1} for error in errors), {}]

    expected, _ = foresee(losses, curves, np.arange(7) == 5, True)

    assert expected[5] == pytest.approx(0.6 / 2 - 1) and np.isnan(expected[6])


@pytest.mark.parametrize("curves", [[{1: 0.1 * n} for n in range(5)], [{}] * 5])
def test_too_few_that_came_to_their_end_tell_nothing(curves):
    expected, deviation = foresee(np.arange(5.0), curves, np.arange(5) == 4, False)

    assert np.isnan(expected[4]) and list(expected[:4]) == [0, 1, 2, 3] and not deviation.any()


def test_early_values_are_not_taken_for_final_ones():
    """Where c is `late`, trials are ended at a value that would be the best of all and was to become mediocre."""

    def value(trial):
        kind = trial.suggest_categorical("c", ["late", "a", "b", "d"])
        final = 0.1 * sum(trial.suggest_categorical(f"x{n}", [0, 1, 2, 3]) for n in range(4))
        early = final + 1.0
        trial.set_user_attr(CURVES, {"0": [[1, early]]})
        if kind == "late" and marked:
            trial.set_user_attr(PRELIMINARY, [0])
        return early if kind == "late" else final

    late = {}
    for marked in (True, False):
        study = optuna.create_study(sampler=SurrogateSampler(seed=0), direction="maximize")
        study.optimize(value, 45)
        late[marked] = sum(trial.params["c"] == "late" for trial in study.trials[20:])

    assert late[True] < 12 < 20 < late[False], late
