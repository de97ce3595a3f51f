"""Correlations against scipy's, on figures whose order is known."""

import numpy as np
import pytest
from scipy import stats
from study_rows import point

from nasbench.errors import DefinitionError
from nasbench.studies.correlation import FIGURES, correlate


def points(count=40, seed=0):
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        macs = int(rng.integers(10**6, 10**9))
        traffic = int(macs * rng.uniform(0.2, 1.0))
        params = int(rng.integers(10**5, 10**7))
        figures = {"deployed_macs": macs, "traffic": traffic, "deployed_params": params}
        found.append(point(len(found) + 1, traffic / 1e9, **figures))
    return found


def test_the_figure_that_latency_follows_ranks_best():
    found = correlate(points())

    assert found[0].figure == "traffic"
    assert (found[0].spearman, found[0].kendall) == (1.0, 1.0)
    assert found[0].pearson_log == pytest.approx(1.0)
    assert [one.spearman for one in found] == sorted((one.spearman for one in found), reverse=True)
    assert {one.figure for one in found} == set(FIGURES)


def test_correlations_are_scipys():
    some = points()
    latencies = [one.latency_s for one in some]
    for one in correlate(some):
        figures = [point.figure(one.figure) for point in some]
        assert one.spearman == pytest.approx(stats.spearmanr(figures, latencies).statistic)
        assert one.kendall == pytest.approx(stats.kendalltau(figures, latencies).statistic)
        assert one.pearson_log == pytest.approx(stats.pearsonr(np.log(figures), np.log(latencies)).statistic)


def test_the_interval_holds_what_many_other_networks_would_give():
    """Networks drawn again and again from one population: nearly all intervals hold the population's correlation."""
    population = points(20_000)
    truth = stats.spearmanr([one.figure("macs") for one in population], [one.latency_s for one in population]).statistic
    held = 0
    for seed in range(1, 41):
        (one,) = (one for one in correlate(points(60, seed)) if one.figure == "macs")
        held += one.low <= truth <= one.high

    assert held >= 34  # 38 of 40 are expected, and the bootstrap of a rank correlation is a little narrow


def test_a_network_that_was_not_counted_is_left_out_of_that_figure_alone():
    found = {one.figure: one.networks for one in correlate([*points(), point(99, 0.5, traffic=None)])}

    assert (found["traffic"], found["macs"]) == (40, 41)


def test_few_networks_rank_nothing():
    with pytest.raises(DefinitionError, match="4 networks rank nothing; 5"):
        correlate(points(4))


def test_the_same_seed_gives_the_same_interval():
    assert correlate(points(), 3) == correlate(points(), 3) != correlate(points(), 4)


def test_a_figure_that_is_equal_for_all_ranks_nothing():
    found = correlate([point(number, number / 100, deployed_params=7) for number in range(1, 9)])

    assert {one.figure for one in found} == set(FIGURES) - {"params"}
