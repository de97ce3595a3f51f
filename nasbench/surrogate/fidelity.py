"""What a candidate that was ended early would have come to, by those that came to their end.

Their values after the same step, such as an epoch, tell by how much values still change and how surely: a line through
(value at the step, final value), on the scale that the objective is modelled on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nasbench.surrogate.model import ERROR, PLAIN, Values

_LEAST = 5
"""Finished candidates that a line is drawn through."""


def foresee(
    losses: Values, curves: Sequence[Mapping[int, float]], preliminary: NDArray[np.bool_], share: bool
) -> tuple[Values, Values]:
    """Put in place of preliminary losses what they are expected to come to.

    Args:
        losses: shape (rows,).
        curves: by row, the losses after steps.
        preliminary: marks the rows whose loss is the last of their curve.
        share: whether the objective is a share that is maximized.

    Returns:
        The losses, NaN where too few candidates tell, and the standard deviations of the errors, 0 for final ones.
    """
    known = np.array([*losses[np.isfinite(losses)], *(value for curve in curves for value in curve.values())])
    scale = ERROR if share and ERROR.fits(known) else PLAIN
    expected, deviation = losses.copy(), np.zeros_like(losses)
    for step in {max(curve) for curve, early in zip(curves, preliminary, strict=True) if early and curve}:
        there = np.array([step in curve for curve in curves])
        ended = np.flatnonzero(preliminary & there & [bool(curve) and max(curve) == step for curve in curves])
        final = np.flatnonzero(~preliminary & there & np.isfinite(losses))
        early = np.array([curve.get(step, np.nan) for curve in curves])
        expected[ended], deviation[ended] = np.nan, 0.0
        x, y = scale.forward(early[final]), scale.forward(losses[final])
        if len(final) < _LEAST or not float(np.ptp(x)):
            continue
        slope = max(float(np.cov(x, y)[0, 1] / x.var(ddof=1)), 0.0)
        residual = float(np.sqrt(((y - y.mean() - slope * (x - x.mean())) ** 2).sum() / (len(x) - 2)))
        distance = scale.forward(early[ended]) - x.mean()
        expected[ended] = scale.back(y.mean() + slope * distance)
        unsure = residual * np.sqrt(1 + 1 / len(x) + distance**2 / ((x - x.mean()) ** 2).sum())
        deviation[ended] = unsure / np.abs(scale.slope(expected[ended]))
    unknown = preliminary & np.array([not curve for curve in curves], dtype=bool)
    expected[unknown] = np.nan
    return expected, deviation
