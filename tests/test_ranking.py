"""Rank correlations against scipy's, and how they are drawn again."""

import numpy as np
import pytest
from scipy import stats

from nasbench import ranking
from nasbench.ranking import rank_correlation


@pytest.fixture
def figures():
    draw = np.random.default_rng(3)
    one = draw.uniform(1, 9, 30)
    return one, one * draw.uniform(0.4, 2.5, 30)


def test_the_correlation_and_its_interval_are_those_of_scipy(figures):
    rho, low, high = rank_correlation(*figures)

    assert rho == pytest.approx(stats.spearmanr(*figures).statistic)
    theirs = stats.bootstrap(
        figures,
        lambda a, b: stats.spearmanr(a, b).statistic,
        paired=True,
        vectorized=False,
        n_resamples=600,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert (low, high) == (pytest.approx(theirs.low, abs=0.05), pytest.approx(theirs.high, abs=0.05))


def test_too_few_networks_and_equal_figures_rank_nothing():
    assert rank_correlation(np.arange(4.0), np.arange(4.0)) is None
    assert rank_correlation(np.arange(9.0), np.ones(9)) is None


@pytest.mark.parametrize("block", [1, 7 * 30, 1999 * 30])
def test_resamples_in_blocks_are_those_drawn_at_once_bit_for_bit(figures, monkeypatch, block):
    one, other = figures
    drawn = np.random.default_rng(5).integers(0, 30, (2000, 30))
    monkeypatch.setattr(ranking, "_MOST_DRAWN", block)

    assert np.array_equal(ranking._resample(one, other, 5), ranking._spearman(one[drawn], other[drawn]))


def test_no_more_than_a_block_of_resamples_is_ranked_at_once(figures, monkeypatch):
    ranked = []
    spearman = ranking._spearman
    monkeypatch.setattr(ranking, "_MOST_DRAWN", 900)
    monkeypatch.setattr(ranking, "_spearman", lambda *tables: ranked.append(tables[0].shape) or spearman(*tables))

    rank_correlation(*figures)

    *resamples, (rows, _) = ranked
    assert rows == 1 and sum(rows for rows, _ in resamples) == 2000
    assert max(rows * networks for rows, networks in resamples) <= 900
