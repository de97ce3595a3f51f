"""What is a network's own and what is its round's: log time = network + round + scatter, fitted without heed to spikes.

Median polish gives a start that spikes do not move. It may rest where a shift of all late rounds is taken for one of
the networks that ran in them; so Huber's estimate of all effects at once follows, which has one solution only.

Sources: Tukey, Exploratory data analysis, 1977, chapter 11 (median polish); Huber and Ronchetti, Robust statistics,
2009, section 7.8 (regression by modified residuals).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

ROUND_SPREAD = 0.2
"""How much rounds may differ, as the standard deviation of their effects: so much that it hardly holds them together,
and that networks which never ran in one round are known to be incomparable."""

_POLISHES = 4
_STEPS = 20

_HUBER = 1.345
_HUBER_EFFICIENCY = 0.95
"""What beyond 1.345 scatters counts no more than that; for normal scatter 5 % of the samples are lost by it."""

_CLIP = 2.5
_CLIPPED_VARIANCE = 0.9775
"""Variance of a standard normal value that is clipped at 2.5."""

_NORMAL_MAD = 1.4826

_RESOLUTION = 1e-6
"""No value is taken for surer than this, as a share of it."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Effects of networks, NaN for those without a value, and how sure they are.

    `covariance` is that of the effects, infinite on the diagonal for those without a value. `scatter` is the standard
    deviation of one value, `freedom` its degrees of freedom.
    """

    effects: Values
    covariance: Values
    scatter: float
    freedom: int

    def errors_between(self) -> Values:
        """Give the standard error of the difference of each pair of networks."""
        own = np.diag(self.covariance)
        return np.sqrt(np.maximum(0.0, own[:, None] + own[None, :] - 2 * self.covariance))

    def errors(self) -> Values:
        """Give the standard error of each effect against the mean of all that have one."""
        errors = np.full(len(self.effects), math.inf)
        known = np.flatnonzero(np.isfinite(self.effects))
        centre = np.eye(len(known)) - 1 / len(known)
        errors[known] = np.sqrt(np.diag(centre @ self.covariance[np.ix_(known, known)] @ centre))
        return errors


def fit(values: Values) -> Fit:
    """Fit a table of log times, one row a network and one column a round, NaN where a network did not run.

    Effects compare within one table only.
    """
    ran = np.isfinite(values)
    networks, rounds = _polish(values)
    design = _Design(values, _scatter(values - rounds)[0])
    networks, rounds = design.solve(networks, rounds)
    scatter, freedom = _scatter(values - rounds)
    # A network that scatters more than others does so for itself; and of three values two may be spikes.
    spreads = np.nan_to_num(_NORMAL_MAD * _medians(np.abs(values - networks[:, None] - rounds), axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        extra = np.where(ran.any(axis=1), np.maximum(0.0, spreads**2 - scatter**2) / ran.sum(axis=1), math.inf)
    covariance = (scatter**2 * design.inverse() + np.diag(extra)) / _HUBER_EFFICIENCY
    return Fit(np.where(ran.any(axis=1), networks, math.nan), covariance, scatter, freedom)


class _Design:
    """The normal equations of a table: one unknown a network and one a round, those of rounds held loosely to zero.

    The networks' part is diagonal and eliminated, so that what is inverted is as large as there are rounds.
    """

    def __init__(self, values: Values, scatter: float) -> None:
        self._ran = np.isfinite(values)
        self._values = np.where(self._ran, values, 0.0)
        self._reach = _HUBER * scatter
        # Without a value there is nothing to solve for; 1 keeps the matrix regular.
        self._counts = np.maximum(1, self._ran.sum(axis=1))
        self._shares = self._ran / self._counts[:, None]
        hold = (scatter / ROUND_SPREAD) ** 2
        self._inverse = np.linalg.inv(np.diag(self._ran.sum(axis=0) + hold) - self._ran.T @ self._shares)

    def inverse(self) -> Values:
        """Give the covariance of the networks' effects for a scatter of one."""
        covariance: Values = np.diag(1 / self._counts) + self._shares @ self._inverse @ self._shares.T
        return covariance

    def solve(self, networks: Values, rounds: Values) -> tuple[Values, Values]:
        """Give Huber's estimate of the effects of networks and rounds, from a start that is not far off."""
        networks = np.nan_to_num(networks)
        for _ in range(_STEPS):
            fitted = networks[:, None] + rounds
            drawn_in = self._ran * (fitted + np.clip(self._values - fitted, -self._reach, self._reach))
            sums = drawn_in.sum(axis=1)
            rounds = self._inverse @ (drawn_in.sum(axis=0) - sums @ self._shares)
            networks = sums / self._counts - self._shares @ rounds
        return networks, rounds


def _polish(values: Values) -> tuple[Values, Values]:
    """Give the effects of networks and of rounds, by medians in turns; the median of the latter is zero."""
    rounds = np.zeros(values.shape[1])
    for _ in range(_POLISHES):
        networks = _medians(values - rounds, axis=1)
        rounds = np.nan_to_num(_medians(values - networks[:, None], axis=0))
        rounds -= np.median(rounds)
    return networks, rounds


def _scatter(own: Values) -> tuple[float, int]:
    """Give the standard deviation of one value, and its degrees of freedom, from values without their rounds' effects.

    It rests on what changed from one value of a network to its next, as those changes are in the middle.
    """
    ran = np.isfinite(own)
    changes = np.concatenate([np.diff(row[one]) for row, one in zip(own, ran, strict=True)])
    freedom = len(changes) - int(ran.any(axis=0).sum()) + 1
    if freedom < 1:
        return 1.0, 1  # nobody ran twice: a value may be off by anything
    rough = _NORMAL_MAD * float(np.median(np.abs(changes)))
    clipped = np.clip(changes, -_CLIP * rough, _CLIP * rough)
    return max(_RESOLUTION, math.sqrt(float(np.sum(clipped**2)) / freedom / _CLIPPED_VARIANCE / 2)), freedom


def _medians(values: Values, axis: int) -> Values:
    """Give medians of what is not NaN, NaN where there is nothing; `np.nanmedian` takes ten times as long."""
    ordered = np.moveaxis(np.sort(values, axis=axis), axis, 0)  # NaN last
    counts = np.isfinite(ordered).sum(axis=0)
    lanes = np.arange(len(counts))
    medians: Values = (ordered[np.maximum(0, counts - 1) // 2, lanes] + ordered[counts // 2 * (counts > 0), lanes]) / 2
    return medians
