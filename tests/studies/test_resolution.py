"""Growth with the side: exact for a power law, and with an interval that holds the truth for a noisy one."""

import numpy as np
import pytest
from study_rows import NETWORK, sized

from nasbench.model.cost import count
from nasbench.studies.resolution import find_growths, resize

SIDES = (96, 128, 160, 192, 224)


def test_a_power_law_is_found():
    rows = [sized(side, 1e-6 * side**1.7, 100 * side**2) for side in SIDES]

    (growth,) = find_growths(rows)

    assert growth.sides == SIDES
    assert growth.latency_exponent == pytest.approx(1.7)
    assert growth.macs_exponent == pytest.approx(2.0)
    assert growth.low <= growth.latency_exponent <= growth.high


def test_the_interval_holds_the_exponent_of_noisy_latencies():
    held = 0
    for seed in range(200):
        noise = np.random.default_rng(seed).normal(0, 0.05, len(SIDES))
        rows = [sized(s, 1e-6 * s**1.7 * np.exp(n), s**2) for s, n in zip(SIDES, noise, strict=True)]
        (growth,) = find_growths(rows)
        held += growth.low <= 1.7 <= growth.high

    assert 180 <= held <= 198  # 190 are expected


def test_two_sides_have_no_interval_and_one_has_no_growth():
    rows = [sized(96, 0.1, 96**2), sized(192, 0.4, 192**2), sized(96, 0.1, 1, name="alone")]

    (growth,) = find_growths(rows)

    assert (growth.network, growth.low, growth.high) == ("net", None, None)
    assert growth.latency_exponent == pytest.approx(2.0)


def test_a_resized_network_keeps_its_rows():
    larger = resize(NETWORK, 64)

    assert larger.blocks == NETWORK.blocks and larger.input_shape == (3, 64, 64)
    assert count(larger).params == count(NETWORK).params
