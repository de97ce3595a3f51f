"""Choices as rows of numbers, and how alike two rows are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

Rows = NDArray[np.float64]

ABSENT = -1.0
"""The code of a parameter that does not exist beside the others."""

_REACH = 0.3
"""Two numbers that are this share of their range apart are alike by exp(-1/2)."""

_FINEST = 32
"""Values of a number that a candidate is moved to; of a finer range so many are listed, and all are drawn."""

_DIGITS = 9
"""Decimals of a code that tell two apart: the same value comes out of different sums."""


class Encoding:
    """How the parameters of a study are written as numbers.

    A row has one code a parameter: the place of a category among its choices, or the place of a number between its
    bounds, 0 to 1, on the scale it is sampled on.
    """

    def __init__(self, distributions: Mapping[str, BaseDistribution]) -> None:
        self.distributions = dict(distributions)
        self.names = list(self.distributions)
        self._column = {name: index for index, name in enumerate(self.names)}
        kinds = [isinstance(one, CategoricalDistribution) for one in self.distributions.values()]
        self._categories = np.flatnonzero(kinds)
        self._numbers = np.flatnonzero(np.logical_not(kinds))
        self.levels = [_levels(one) for one in self.distributions.values()]
        """By parameter, the codes that a candidate may be moved to."""
        self._width = [len(self.levels[index]) + 1 for index in self._categories]

    def __len__(self) -> int:
        return len(self.names)

    def encode(self, many: Iterable[Mapping[str, Any]]) -> Rows:
        """Write choices as rows, shape (choices, parameters).

        Raises:
            KeyError: a parameter is unknown.
            ValueError: a category is unknown.
        """
        chosen = list(many)
        rows = np.full((len(chosen), len(self)), ABSENT)
        for row, choices in zip(rows, chosen, strict=True):
            for name, value in choices.items():
                row[self._column[name]] = _code(self.distributions[name], value)
        return rows

    def decode(self, row: Rows) -> dict[str, Any]:
        """Read a row; what is absent in it is left out."""
        return {
            name: _value(self.distributions[name], code)
            for name, code in zip(self.names, row, strict=True)
            if code != ABSENT
        }

    def draw(self, rng: np.random.Generator, count: int) -> Rows:
        """Draw rows, each code uniformly; every parameter is there."""
        rows = np.empty((count, len(self)))
        for column, (distribution, levels) in enumerate(zip(self.distributions.values(), self.levels, strict=True)):
            if _count(distribution) == len(levels):
                rows[:, column] = rng.choice(levels, size=count)
            else:
                rows[:, column] = [_code(distribution, _value(distribution, place)) for place in rng.random(count)]
        return rows

    def keys(self, rows: Rows) -> list[bytes]:
        """Give what is equal for rows that stand for the same values."""
        rounded = np.round(rows, _DIGITS) + 0.0  # which turns -0.0 into 0.0
        return [row.tobytes() for row in rounded]

    def likeness(self, first: Rows, second: Rows) -> Likeness:
        """Compare each row of the first with each of the second.

        In one parameter, two rows are alike by 1 if both have the same category or both lack it, by 0 if they differ,
        and by something between for numbers.
        """
        total = self._one_hot(first) @ self._one_hot(second).T
        squares = total.copy()
        for column in self._numbers:
            one, other = first[:, column][:, None], second[:, column][None, :]
            absent, away = one == ABSENT, other == ABSENT
            near = np.exp(-0.5 * ((one - other) / _REACH) ** 2)
            alike = np.where(absent | away, (absent & away).astype(np.float64), near)
            total += alike
            squares += alike**2
        return Likeness(total, squares, len(self))

    def _one_hot(self, rows: Rows) -> Rows:
        blocks = [
            rows[:, column][:, None] == np.arange(-1, width - 1)[None, :]
            for column, width in zip(self._categories, self._width, strict=True)
        ]
        return np.concatenate(blocks, axis=1).astype(np.float64) if blocks else np.zeros((len(rows), 0))


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike rows are: the sum over the parameters and the sum of squares, each shape (first, second)."""

    total: Rows
    squares: Rows
    parameters: int

    def take(self, first: Sequence[int] | NDArray[Any]) -> Likeness:
        """Give it for some of the first rows."""
        return Likeness(self.total[first], self.squares[first], self.parameters)

    def among(self, rows: Sequence[int] | NDArray[Any]) -> Likeness:
        """Give it for some rows among themselves."""
        return Likeness(self.total[rows][:, rows], self.squares[rows][:, rows], self.parameters)


def _count(distribution: BaseDistribution) -> int | None:
    """Count the values; None where there is no end of them."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution), "Optuna has no others"
    if distribution.step is None:
        return 1 if distribution.single() else None
    return int((distribution.high - distribution.low) / distribution.step + 1e-9) + 1


def _levels(distribution: BaseDistribution) -> Rows:
    count = _count(distribution)
    if isinstance(distribution, CategoricalDistribution):
        return np.arange(len(distribution.choices), dtype=np.float64)
    assert isinstance(distribution, IntDistribution | FloatDistribution), "Optuna has no others"
    if count is not None and count <= _FINEST:
        step = distribution.step or 0
        return np.array([_code(distribution, distribution.low + index * step) for index in range(count)])
    places = [_code(distribution, _value(distribution, place)) for place in np.linspace(0.0, 1.0, _FINEST)]
    return np.unique(np.round(places, _DIGITS + 3))


def _code(distribution: BaseDistribution, value: Any) -> float:
    if isinstance(distribution, CategoricalDistribution):
        return float(distribution.to_internal_repr(value))
    assert isinstance(distribution, IntDistribution | FloatDistribution), "Optuna has no others"
    low, high, at = float(distribution.low), float(distribution.high), float(value)
    if distribution.log:
        low, high, at = np.log(low), np.log(high), np.log(at)
    return 0.0 if high == low else (at - low) / (high - low)


def _value(distribution: BaseDistribution, code: float) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[round(code)]
    assert isinstance(distribution, IntDistribution | FloatDistribution), "Optuna has no others"
    low, high = float(distribution.low), float(distribution.high)
    if distribution.log:
        at = float(np.exp(np.log(low) + code * (np.log(high) - np.log(low))))
    else:
        at = low + code * (high - low)
    if distribution.step is not None:
        at = low + round((at - low) / distribution.step) * distribution.step
    at = min(max(at, low), high)
    return round(at) if isinstance(distribution, IntDistribution) else at
