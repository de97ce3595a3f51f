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
    mean: float
    variance: float
    factor: Rows
    weights: Values

    def predict(self, likeness: Likeness) -> Prediction:
        """Predict rows, given how alike they are to those of the fit; shape (fitted, rows)."""
        covariance = self.kernel.of(likeness)
        explained = solve_triangular(self.factor, covariance, lower=True, check_finite=False)
        spread = np.maximum(1.0 - (explained**2).sum(axis=0), 1e-9)
        return Prediction(self, self.mean + covariance.T @ self.weights, spread, explained)


@dataclass(slots=True)
class Prediction:
    """What a model says of rows, on its own scale; `spread` is the variance in units of the model's."""

    model: Model
    mean: Values
    spread: Values
    explained: Rows

    @property
    def deviation(self) -> Values:
        """The standard deviation of the objective itself, without its noise."""
        return np.asarray(np.sqrt(self.spread * self.model.variance))

    def believe(self, row: int, likeness: Likeness) -> None:
        """Go on as if the row's value were its mean: `likeness` is that of the row to all, shape (1, rows)."""
        covariance = self.model.kernel.of(likeness)[0] - self.explained[:, row] @ self.explained
        further = covariance / np.sqrt(self.spread[row] + self.model.noise)
        self.spread = np.maximum(self.spread - further**2, 1e-9)
        self.explained = np.vstack([self.explained, further])

    def take(self, rows: NDArray[np.intp]) -> Prediction:
        """Give it for some of the rows."""
        return Prediction(self.model, self.mean[rows], self.spread[rows], self.explained[:, rows])


def fit(likeness: Likeness, losses: Values, scales: tuple[Scale, ...], noise: Values | None = None) -> Model:
    """Fit the kernel, scale and noise that explain some losses best; there is one loss at least.

    Args:
        likeness: of the rows among themselves.
        losses: one a row.
        scales: to choose from; those that do not fit are left out.
        noise: the known standard deviation of each loss, 0 where it is not known.
    """
    noise = np.zeros_like(losses) if noise is None else noise
    fitting = [scale for scale in scales if scale.fits(losses)]
    options = list(itertools.product(KERNELS, fitting, NOISES))
    if len(losses) > _DECIDING:
        some = np.linspace(0, len(losses) - 1, _DECIDING).astype(np.intp)
        chosen = _best_of(options, likeness.among(some), losses[some], noise[some])
        options = [(chosen.kernel, chosen.scale, chosen.noise)]
    return _best_of(options, likeness, losses, noise)


def _best_of(
    options: Sequence[tuple[Kernel, Scale, float]], likeness: Likeness, losses: Values, noise: Values
) -> Model:
    """Fit all options, and give the one of the largest marginal likelihood of the losses themselves."""
    found: list[tuple[float, Model]] = []
    for kernel, of_kernel in itertools.groupby(options, key=lambda option: option[0]):
        covariance = kernel.of(likeness)
        for _, scale, share in of_kernel:
            values, slopes = scale.forward(losses), scale.slope(losses)
            center, unit = float(values.mean()), float(values.std()) or max(abs(float(values[0])), 1.0) * 1e-6
            solved = _solve(covariance, (values - center) / unit, share + (noise * slopes / unit) ** 2)
            if solved is not None:
                score, mean, variance, factor, weights = solved
                score += float(np.log(np.maximum(np.abs(slopes) / unit, 1e-300)).sum())
                model = Model(kernel, scale, share, center + mean * unit, variance * unit**2, factor, weights * unit)
                found.append((score, model))
    return max(found, key=lambda one: one[0])[1]


def _solve(covariance: Rows, values: Values, diagonal: Values) -> tuple[float, float, float, Rows, Values] | None:
    """Give the log marginal likelihood, mean, variance, factor and weights; None where there is no factor."""
    noisy = covariance.copy()
    noisy[np.diag_indices_from(noisy)] += diagonal
    factor, failed = dpotrf(noisy, lower=1, clean=1)
    if failed:
        return None
    count = len(values)
    sides = np.stack([values, np.ones(count)], axis=1)
    solved = cho_solve((factor, True), sides, check_finite=False)
    mean = float(solved[:, 0].sum() / solved[:, 1].sum())
    weights = solved[:, 0] - mean * solved[:, 1]
    variance = max(float((values - mean) @ weights) / count, 1e-9)
    score = -0.5 * count * np.log(variance) - float(np.log(np.diag(factor)).sum())
    return float(score), mean, variance, factor, weights
