"""How latency grows with the resolution of the image, and whether it grows as the multiply-accumulates do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nasbench.records import Measurement
from nasbench.space.architecture import Architecture

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sized:
    """A network at a resolution, its latency in seconds; `side` is of its square images, in pixels."""

    network: str
    architecture: Architecture
    side: int
    macs: int
    latency_s: float
    measurement: Measurement


@dataclass(frozen=True, slots=True)
class Growth:
    """The exponents with which latency and MACs grow with the side: 2 is growth with the number of pixels.

    `low` and `high` are the 95 % interval of the latency's slope, from how far the points lie off the line; None for
    two points, which always lie on one.
    """

    network: str
    sides: tuple[int, ...]
    latency_exponent: float
    low: float | None
    high: float | None
    macs_exponent: float


def resize(architecture: Architecture, side: int) -> Architecture:
    """Give the same rows for square images of another side."""
    return replace(architecture, input_shape=(architecture.input_shape[0], side, side))


def find_growths(rows: Sequence[Sized]) -> list[Growth]:
    """Fit lines to the logarithms of latency and MACs over that of the side, for networks with two sides or more."""
    growths = []
    for name in dict.fromkeys(row.network for row in rows):
        some = sorted((row for row in rows if row.network == name), key=lambda row: row.side)
        if len(some) < 2:
            continue
        sides = np.log([row.side for row in some])
        slope, half = _fit(sides, np.log([row.latency_s for row in some]))
        macs, _ = _fit(sides, np.log([row.macs for row in some]))
        low, high = (None, None) if half is None else (slope - half, slope + half)
        growths.append(Growth(name, tuple(row.side for row in some), slope, low, high, macs))
    return growths


def _fit(x: Values, y: Values) -> tuple[float, float | None]:
    """Give the slope of the least-squares line and half its 95 % interval, None for two points."""
    from scipy import stats

    line = stats.linregress(x, y)
    return float(line.slope), float(stats.t.ppf(0.975, len(x) - 2) * line.stderr) if len(x) > 2 else None
