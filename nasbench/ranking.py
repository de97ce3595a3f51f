"""How alike two figures rank the same networks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FEWEST = 5
"""Fewer networks rank nothing."""

_RESAMPLES = 2000
_MOST_DRAWN = 1 << 20
"""Values that are ranked at once, so that the resamples of many thousand networks take no gigabytes."""

Values = NDArray[np.float64]


def rank_correlation(ones: Values, others: Values, seed: int = 0) -> tuple[float, float, float] | None:
    """Give Spearman's rank correlation and the ends of its 95 % interval, over networks drawn again.

    Args:
        ones: a figure of each network, shape (networks,).
        others: another figure of each.
        seed: of what is drawn.

    Returns:
        None for fewer than `FEWEST` networks, and where a figure is the same for all.
    """
    if len(ones) < FEWEST or np.ptp(ones) == 0 or np.ptp(others) == 0:
        return None
    low, high = np.nanquantile(_resample(ones, others, seed), [0.025, 0.975])
    return float(_spearman(ones[None], others[None])[0]), float(low), float(high)


def _resample(ones: Values, others: Values, seed: int) -> Values:
    """Give the rank correlations of networks drawn again, shape (resamples), a block of resamples at a time.

    The generator goes on where it stopped, so that blocks of any size draw the same.
    """
    draw = np.random.default_rng(seed)
    block = max(1, _MOST_DRAWN // len(ones))
    found = []
    for start in range(0, _RESAMPLES, block):
        drawn = draw.integers(0, len(ones), (min(block, _RESAMPLES - start), len(ones)))
        found.append(_spearman(ones[drawn], others[drawn]))
    return np.concatenate(found)


def _spearman(ones: Values, others: Values) -> Values:
    """Give the rank correlation of each row of two tables; NaN for one that is of one network alone."""
    from scipy.stats import rankdata

    a, b = (rankdata(table, axis=1) for table in (ones, others))
    a, b = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (a, b))
    with np.errstate(invalid="ignore"):
        found: Values = (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return found
