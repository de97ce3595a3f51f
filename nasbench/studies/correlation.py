"""How well what is counted ranks what is measured: params, MACs, activations and memory traffic against latency.

Sources: Chao et al., HarDNet, 2019, arXiv:1909.00948 (memory traffic as convolutional input and output, CIO); Vasu et
al., MobileOne, 2022, arXiv:2206.04040 (the question, asked of parameters and FLOPs); Radosavovic et al., Designing
Network Design Spaces, 2020, arXiv:2003.13678 (activations).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasbench.errors import DefinitionError
from nasbench.ranking import FEWEST, rank_correlation
from nasbench.records import Cost

FIGURES = {
    "params": "deployed_params",
    "macs": "deployed_macs",
    "activations": "deployed_activations",
    "traffic": "traffic",
    "weight_bytes": "weight_bytes",
}
"""What is held against latency, and the field of a `Cost` that it is: all are of the form that is measured."""


Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Point:
    """A network with what it takes and its latency on the device, with the interval of that in seconds."""

    network: str
    family: str | None
    architecture: str
    cost: Cost
    latency_s: float
    low_s: float | None
    high_s: float | None
    verdict: str

    def figure(self, name: str) -> float:
        """Give one of `FIGURES`; NaN where it was not counted."""
        value = getattr(self.cost, FIGURES[name])
        return float("nan") if value is None else float(value)


@dataclass(frozen=True, slots=True)
class Correlation:
    """How a figure and latency go together over so many networks.

    `spearman` and `kendall` (tau-b) look at ranks, `pearson_log` at logarithms. `low` and `high` hold Spearman's with
    95 % over networks drawn again with replacement: they say what other networks of this kind might have given.
    """

    figure: str
    networks: int
    spearman: float
    low: float
    high: float
    kendall: float
    pearson_log: float


def check_enough(networks: int) -> None:
    """Refuse fewer networks than `FEWEST`; raises DefinitionError."""
    if networks < FEWEST:
        raise DefinitionError(f"{networks} networks rank nothing; {FEWEST} with a latency are needed")


def correlate(points: Sequence[Point], seed: int = 0) -> list[Correlation]:
    """Correlate every figure with latency, the one that ranks best first; what is equal for all ranks nothing.

    Raises:
        DefinitionError: there are fewer than `FEWEST` networks.
    """
    check_enough(len(points))
    found = [_correlate(name, points, seed) for name in FIGURES]
    return sorted((one for one in found if one is not None), key=lambda one: -one.spearman)


def _correlate(name: str, points: Sequence[Point], seed: int) -> Correlation | None:
    from scipy import stats

    figures = np.asarray([point.figure(name) for point in points])
    latencies = np.asarray([point.latency_s for point in points])
    known = np.isfinite(figures) & (figures > 0)
    figures, latencies = figures[known], latencies[known]
    if (ranked := rank_correlation(figures, latencies, seed)) is None:
        return None
    spearman, low, high = ranked
    return Correlation(
        figure=name,
        networks=len(figures),
        spearman=spearman,
        low=low,
        high=high,
        kendall=float(stats.kendalltau(figures, latencies).statistic),
        pearson_log=float(np.corrcoef(np.log(figures), np.log(latencies))[0, 1]),
    )
