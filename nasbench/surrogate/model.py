"""A Gaussian process over choices: what an objective will be, and how sure that is.

Its kernels count in how many parameters two candidates agree. The additive one is Bayesian ridge regression on the
categories one-hot, the pairwise one the same on all pairs of them, and the product one, exp(-decay x differences),
holds interactions of every order. Which mixture of them fits, and how noisy the objective is, is decided by the
marginal likelihood. Source: Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, algorithm 2.1 and
section 5.4.1; Duvenaud et al., Additive Gaussian Processes, 2011, arXiv:1112.4394 (kernels of interactions up to an
order).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular
from scipy.linalg.lapack import dpotrf

from nasbench.surrogate.encoding import Likeness, Rows

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Kernel:
    """A mixture; the weights add up to 1, so that a candidate is alike to itself by 1."""

    additive: float
    pairwise: float
    product: float
    decay: float = 0.0

    def of(self, likeness: Likeness) -> Rows:
        """Give the covariance of rows."""
        agree, count = likeness.total, likeness.parameters
        covariance = self.additive / count * agree
        if self.pairwise:
            pairs = (agree**2 - likeness.squares) / (count * (count - 1)) if count > 1 else agree
            covariance = covariance + self.pairwise * pairs
        if self.product:
            covariance = covariance + self.product * np.exp(self.decay * (agree - count))
        return np.asarray(covariance)


KERNELS = (
    Kernel(1.0, 0.0, 0.0),
    Kernel(0.5, 0.5, 0.0),
    Kernel(0.2, 0.8, 0.0),
    Kernel(0.4, 0.3, 0.3, 0.5),
    Kernel(0.2, 0.2, 0.6, 0.5),
    Kernel(0.0, 0.0, 1.0, 0.15),
    Kernel(0.0, 0.0, 1.0, 0.4),
    Kernel(0.0, 0.0, 1.0, 1.0),
)

_DECIDING = 200
"""Rows by which a kernel, a scale and a noise are decided on; the model itself is fitted to all."""

_ROOM = 64

NOISES = (1e-4, 3e-3, 3e-2, 0.2)
"""Variances of the noise, as shares of the variance that the choices explain."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What an objective's losses are modelled as."""

    name: str
    forward: Callable[[Values], Values]
    back: Callable[[Values], Values]
    slope: Callable[[Values], Values]
    """The derivative of `forward`."""

    def fits(self, losses: Values) -> bool:
        """Say whether all losses have a value on it."""
        with np.errstate(all="ignore"):
            return bool(np.isfinite(self.forward(losses)).all())


PLAIN = Scale("plain", lambda x: x, lambda z: z, np.ones_like)
LOG = Scale("log", np.log, lambda z: np.exp(np.minimum(z, 700.0)), lambda x: 1 / x)
ERROR = Scale(
    "log of 1 - value", lambda x: np.log1p(x), lambda z: np.expm1(np.minimum(z, 700.0)), lambda x: 1 / (1 + x)
)
"""For a share that is maximized, whose loss is -share: the logarithm of the error."""


@dataclass(frozen=True, slots=True)
class Model:
    """A fitted Gaussian process over the rows that it was fitted to."""

    kernel: Kernel
    scale: Scale
    noise: float
    hint: int | None
    """The number of the hint that the mean hangs on; None for none of them."""
    trend: Values
    """The mean, and by how much it grows with the hint."""
    variance: float
    factor: Rows
    weights: Values

    def predict(self, likeness: Likeness, hints: Rows | None = None) -> Prediction:
        """Predict rows, given how alike they are to those of the fit, shape (fitted, rows), and their hints."""
        covariance = self.kernel.of(likeness)
        explained = solve_triangular(self.factor, covariance, lower=True, check_finite=False)
        spread = np.maximum(1.0 - (explained**2).sum(axis=0), 1e-9)
        mean = _basis(covariance.shape[1], hints, self.hint) @ self.trend + covariance.T @ self.weights
        return Prediction(self, mean, spread, explained, len(explained))


@dataclass(slots=True)
class Prediction:
    """What a model says of rows, on its own scale; `spread` is the variance in units of the model's."""

    model: Model
    mean: Values
    spread: Values
    explained: Rows
    known: int
    """Rows of `explained` that count; the others are room."""

    @property
    def deviation(self) -> Values:
        """The standard deviation of the objective itself, without its noise."""
        return np.asarray(np.sqrt(self.spread * self.model.variance))

    def believe(self, row: int, likeness: Likeness) -> None:
        """Go on as if the row's value were its mean: `likeness` is that of the row to all, shape (1, rows)."""
        explained = self.explained[: self.known]
        covariance = self.model.kernel.of(likeness)[0] - explained[:, row] @ explained
        further = covariance / np.sqrt(self.spread[row] + self.model.noise)
        self.spread = np.maximum(self.spread - further**2, 1e-9)
        if self.known == len(self.explained):
            self.explained = np.concatenate([self.explained, np.empty((_ROOM, self.explained.shape[1]))])
        self.explained[self.known] = further
        self.known += 1

    def take(self, rows: NDArray[np.intp]) -> Prediction:
        """Give it for some of the rows."""
        return Prediction(self.model, self.mean[rows], self.spread[rows], self.explained[:, rows], self.known)


def fit(
    likeness: Likeness,
    losses: Values,
    scales: tuple[Scale, ...],
    noise: Values | None = None,
    like: Model | None = None,
    hints: Rows | None = None,
) -> Model:
    """Fit the kernel, scale and noise that explain some losses best; there is one loss at least.

    Args:
        likeness: of the rows among themselves.
        losses: one a row.
        scales: to choose from; those that do not fit are left out.
        noise: the known standard deviation of each loss, 0 where it is not known.
        like: an earlier model, whose kernel, scale and noise are taken over if the losses have a value on the scale.
        hints: numbers, shape (rows, hints), with one of which the objective may grow or shrink.
    """
    noise = np.zeros_like(losses) if noise is None else noise
    hints = np.empty((len(losses), 0)) if hints is None else hints
    if like is not None and like.scale.fits(losses):
        return _best_of([(like.kernel, like.scale, like.noise)], likeness, losses, noise, hints)
    fitting = [scale for scale in scales if scale.fits(losses)]
    options = list(itertools.product(KERNELS, fitting, NOISES))
    if len(losses) > _DECIDING:
        some = np.linspace(0, len(losses) - 1, _DECIDING).astype(np.intp)
        chosen = _best_of(options, likeness.among(some), losses[some], noise[some], hints[some])
        options = [(chosen.kernel, chosen.scale, chosen.noise)]
    return _best_of(options, likeness, losses, noise, hints)


def _basis(rows: int, hints: Rows | None, hint: int | None) -> Rows:
    """Give what the mean is made of, shape (rows, 1 or 2)."""
    ones = np.ones(rows)
    return np.stack([ones] if hint is None or hints is None else [ones, hints[:, hint]], axis=1)


def _best_of(
    options: Sequence[tuple[Kernel, Scale, float]],
    likeness: Likeness,
    losses: Values,
    noise: Values,
    hints: Rows,
) -> Model:
    """Fit all options, without a hint and with each, and give the one of the largest marginal likelihood of the losses.

    A hint has to earn the coefficient that it takes, as in Schwarz, Estimating the Dimension of a Model, 1978,
    doi:10.1214/aos/1176344136.
    """
    found: list[tuple[float, Model]] = []
    differing = np.flatnonzero(np.ptp(hints, axis=0) > 0).tolist() if len(losses) > 2 else []
    bases = [(hint, _basis(len(losses), hints, hint)) for hint in (None, *differing)]
    for kernel, of_kernel in itertools.groupby(options, key=lambda option: option[0]):
        covariance = kernel.of(likeness)
        for _, scale, share in of_kernel:
            values, slopes = scale.forward(losses), scale.slope(losses)
            center, unit = float(values.mean()), float(values.std()) or max(abs(float(values[0])), 1.0) * 1e-6
            factor = _factor(covariance, share + (noise * slopes / unit) ** 2)
            if factor is None:
                continue
            for hint, basis in bases:
                score, trend, variance, weights = _solve(factor, (values - center) / unit, basis)
                score += float(np.log(np.maximum(np.abs(slopes) / unit, 1e-300)).sum())
                score -= 0.5 * (len(trend) - 1) * float(np.log(len(losses)))
                trend = trend * unit + center * (np.arange(len(trend)) == 0)
                model = Model(kernel, scale, share, hint, trend, variance * unit**2, factor, weights * unit)
                found.append((score, model))
    return max(found, key=lambda one: one[0])[1]


def _factor(covariance: Rows, diagonal: Values) -> Rows | None:
    """Give the lower triangle whose square is the noisy covariance; None where there is none."""
    noisy = covariance.copy()
    noisy[np.diag_indices_from(noisy)] += diagonal
    factor, failed = dpotrf(noisy, lower=1, clean=1)
    return None if failed else np.asarray(factor)


def _solve(factor: Rows, values: Values, basis: Rows) -> tuple[float, Values, float, Values]:
    """Give the log marginal likelihood, the coefficients of the mean, the variance and the weights."""
    count = len(values)
    solved = cho_solve((factor, True), np.column_stack([values, basis]), check_finite=False)
    trend = np.linalg.lstsq(basis.T @ solved[:, 1:], basis.T @ solved[:, 0], rcond=None)[0]
    weights = solved[:, 0] - solved[:, 1:] @ trend
    variance = max(float((values - basis @ trend) @ weights) / count, 1e-9)
    score = -0.5 * count * np.log(variance) - float(np.log(np.diag(factor)).sum())
    return float(score), trend, variance, weights
