"""Which choices matter for an objective: the share of its variance that each choice explains, with its uncertainty."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench.objectives import MEASURED, Objective
from nasbench.pareto import UNUSABLE_VERDICTS
from nasbench.space.architecture import Scalar

if TYPE_CHECKING:
    import pandas as pd

FEWEST_TRIALS = 10
"""With fewer trials nothing is said."""

_TREES = 128
_MOST_DRAWN = 1000
"""Trials that a tree is grown on at most, so that ten thousand trials take seconds; the interval is that of so many."""

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Importance:
    """How much of an objective's variance one choice explains by itself, 0 to 1, with a 95 % interval.

    The shares of all choices sum to less than 1: the rest is what several choices do together, noise, and, where many
    choices matter a little each, what trees of so few trials do not tell apart.
    """

    choice: str
    share: float
    low: float
    high: float


def find_importances(
    choices: Sequence[Mapping[str, Scalar]], values: Sequence[float], *, seed: int = 0
) -> list[Importance]:
    """Give the choices with the share of the values' variance that each explains, the largest first.

    A functional ANOVA of regression trees: each tree is grown on trials drawn again with replacement, and over its
    leaves the variance of its answers, all values of all choices being equally likely, is taken apart exactly. A share
    is the mean over the trees, and its interval holds what 95 % of them say. A choice that a trial does not have, since
    another one removed it, has no effect there: each tree sees a value drawn for it.

    Source: Hutter, Hoos and Leyton-Brown, An Efficient Approach for Assessing Hyperparameter Importance, ICML 2014,
    https://proceedings.mlr.press/v32/hutter14.html, section 3 (main effects). Differs: absent choices as said above,
    and trees of at most 1000 drawn trials.

    Args:
        choices: one mapping a trial, by the choices' names; a choice may be absent of some.
        values: one a trial, finite, in any unit.
        seed: of the draws; equal input and seed give equal shares.

    Returns:
        A row a choice of which at least two values were tried. Nothing for fewer than 10 trials, or when all values
        are equal.

    Raises:
        ValueError: there are not as many values as trials, or one is not finite.
    """
    found = np.asarray(values, dtype=np.float64)
    if found.shape != (len(choices),):
        raise ValueError(f"{len(choices)} trials have values of the shape {found.shape}; one a trial is needed")
    if not np.isfinite(found).all():
        raise ValueError("values hold NaN or infinity; a failed trial has no value")
    levels = _find_levels(choices)
    if len(found) < FEWEST_TRIALS or np.ptp(found) == 0 or not levels:
        return []
    codes = np.array([[_code(trial, name, known) for name, known in levels.items()] for trial in choices])
    features = [_make_features(known) for known in levels.values()]
    draw = np.random.default_rng(seed)
    found = (found - found.mean()) / found.std()  # a tree takes the variance of microseconds, 1e-12, for none
    shares = np.array([_grow_and_divide(codes, found, features, draw) for _ in range(_TREES)])
    low, high = np.quantile(shares, [0.025, 0.975], axis=0)
    rows = [
        Importance(name, float(shares[:, at].mean()), float(low[at]), float(high[at])) for at, name in enumerate(levels)
    ]
    return sorted(rows, key=lambda row: (-row.share, row.choice))


def trials_with(evaluations: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """Give the trials of `evaluations.parquet` that say how choices lead to an objective, with the `chosen` of each.

    Left out are duplicates, networks that no choices of the space stand for, what is unknown or not measured properly,
    and, for an accuracy, an estimate that ended early.
    """
    known = evaluations[objective.column].notna() & (evaluations["status"] != "duplicate")
    if objective.figure == "accuracy":
        known &= evaluations["status"].isin(("complete", "infeasible"))
    if objective.figure in MEASURED:
        verdict = f"latency_verdict@{objective.device}" if objective.device else "latency_verdict"
        known &= ~evaluations[verdict].isin(UNUSABLE_VERDICTS)
    trials = evaluations[known]
    chosen: list[Any] = [json.loads(text) if isinstance(text, str) else {} for text in trials["choices"]]
    return trials.assign(chosen=chosen)[np.array([bool(one) for one in chosen], dtype=bool)]


def objective_importances(evaluations: pd.DataFrame, objective: Objective, *, seed: int = 0) -> list[Importance]:
    """Give what `find_importances` finds in the trials of a run's `evaluations.parquet` for one objective."""
    trials = trials_with(evaluations, objective)
    values = trials[objective.column].to_numpy(dtype=np.float64)
    return find_importances(list(trials["chosen"]), values.tolist(), seed=seed)


def order_values(values: Iterable[Scalar]) -> list[Scalar]:
    """Give the different values of a choice in order: numbers by size, then texts, of which `true` is one."""
    tried = {key_of(value): value for value in values}
    return [tried[key] for key in sorted(tried)]


def _find_levels(choices: Sequence[Mapping[str, Scalar]]) -> dict[str, list[Scalar]]:
    """Give the values of each choice that were tried, in order, for those with at least two."""
    names = dict.fromkeys(name for trial in choices for name in trial)
    levels = {name: order_values(trial[name] for trial in choices if name in trial) for name in names}
    return {name: values for name, values in levels.items() if len(values) > 1}


def key_of(value: Scalar) -> tuple[bool, float, str]:
    """Give what a value is told from others and sorted by, which is the same for 1 and 1.0."""
    is_text = isinstance(value, (str, bool))
    return is_text, 0.0 if is_text else float(value), str(value) if is_text else ""


def _code(trial: Mapping[str, Scalar], name: str, known: Sequence[Scalar]) -> int:
    """Give the place of a trial's value among those that are known, -1 when it has none."""
    return [key_of(value) for value in known].index(key_of(trial[name])) if name in trial else -1


def _make_features(known: Sequence[Scalar]) -> Values:
    """Give what a tree sees of each value, shape (values, features): the rank of numbers, one column for each text."""
    if any(isinstance(value, (str, bool)) for value in known):
        return np.eye(len(known))
    return np.arange(len(known), dtype=np.float64)[:, None]


def _grow_and_divide(
    codes: NDArray[np.int64], values: Values, features: Sequence[Values], draw: np.random.Generator
) -> Values:
    """Grow a tree on trials drawn again, and give the share of its variance that each choice explains."""
    from sklearn.tree import DecisionTreeRegressor

    rows = draw.integers(len(values), size=min(len(values), _MOST_DRAWN))
    drawn = codes[rows]
    for at, known in enumerate(features):
        absent = drawn[:, at] < 0
        drawn[absent, at] = draw.integers(len(known), size=int(absent.sum()))
    seen = np.hstack([known[drawn[:, at]] for at, known in enumerate(features)])
    tree = DecisionTreeRegressor(random_state=int(draw.integers(2**31))).fit(seen, values[rows])
    return _divide(tree.tree_, features)


def _divide(tree: Any, features: Sequence[Values]) -> Values:
    """Give the share of a tree's variance that each choice explains by itself, over all values of all choices."""
    owner = [(at, column) for at, known in enumerate(features) for column in range(known.shape[1])]
    ends = np.cumsum([len(known) for known in features])
    spans = [slice(end - len(known), end) for end, known in zip(ends, features, strict=True)]
    reached: Mask = np.ones((tree.node_count, ends[-1]), dtype=bool)  # a column for each value of each choice
    children = zip(tree.children_left, tree.children_right, tree.feature, tree.threshold, strict=True)
    for node, (left, right, feature, threshold) in enumerate(children):  # a parent stands before its children
        if left == right:
            continue
        at, column = owner[feature]
        goes_left = features[at][:, column] <= threshold
        reached[left], reached[right] = reached[node], reached[node]
        reached[left, spans[at]] &= goes_left
        reached[right, spans[at]] &= ~goes_left
    leaves = tree.children_left == tree.children_right
    answers = tree.value[leaves, 0, 0]
    masks = [reached[leaves, span] for span in spans]
    sides = np.array([mask.mean(axis=1) for mask in masks])
    volumes = sides.prod(axis=0)
    mean = float(volumes @ answers)
    total = float(volumes @ (answers - mean) ** 2)
    if total <= 0:
        return np.zeros(len(features))
    effects = [(answers * volumes / side) @ mask - mean for side, mask in zip(sides, masks, strict=True)]
    return np.array([float(np.mean(effect**2)) for effect in effects]) / total
