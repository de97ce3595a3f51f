"""Choices as rows and back, and how alike rows are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from nasbench.surrogate.encoding import ABSENT, Encoding

DISTRIBUTIONS = {
    "kernel": CategoricalDistribution((3, 5, 7)),
    "act": CategoricalDistribution(("relu", "silu", None)),
    "depth": IntDistribution(1, 9, step=2),
    "width": IntDistribution(8, 512, log=True),
    "ratio": FloatDistribution(0.25, 1.0, step=0.25),
    "rate": FloatDistribution(1e-4, 1.0, log=True),
}


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "kernel": st.sampled_from((3, 5, 7)),
            "act": st.sampled_from(("relu", "silu", None)),
            "depth": st.sampled_from((1, 3, 5, 7, 9)),
            "width": st.integers(8, 512),
            "ratio": st.sampled_from((0.25, 0.5, 0.75, 1.0)),
            "rate": st.floats(1e-4, 1.0),
        },
    )
)
def test_what_is_encoded_comes_back(choices):
    encoding = Encoding(DISTRIBUTIONS)

    (row,) = encoding.encode([choices])
    back = encoding.decode(row)

    assert set(back) == set(choices)
    for name, value in choices.items():
        assert back[name] == pytest.approx(value) if name == "rate" else back[name] == value


def test_every_drawn_row_is_allowed_by_the_distributions():
    encoding = Encoding(DISTRIBUTIONS)

    for row in encoding.draw(np.random.default_rng(0), 200):
        for name, value in encoding.decode(row).items():
            distribution = DISTRIBUTIONS[name]
            assert distribution._contains(distribution.to_internal_repr(value)), name


def test_a_number_that_can_only_be_one_has_one_level():
    encoding = Encoding({"depth": IntDistribution(4, 4)})

    assert encoding.decode(encoding.draw(np.random.default_rng(0), 1)[0]) == {"depth": 4}


def test_likeness_counts_agreements_and_both_absent_agree():
    encoding = Encoding({name: DISTRIBUTIONS[name] for name in ("kernel", "act", "depth")})
    rows = encoding.encode([{"kernel": 3, "depth": 1}, {"kernel": 3, "act": "relu", "depth": 1}, {"kernel": 5}])

    likeness = encoding.likeness(rows, rows)

    assert likeness.total.diagonal() == pytest.approx([3, 3, 3])
    assert likeness.total[0, 1] == pytest.approx(2)  # the kernel and the depth
    assert likeness.total[0, 2] == pytest.approx(1)  # neither has an activation
    assert likeness.total[1, 2] == pytest.approx(0)
    assert (rows == ABSENT).sum() == 3


def test_numbers_are_the_more_alike_the_closer_they_are():
    encoding = Encoding({"depth": DISTRIBUTIONS["depth"]})
    rows = encoding.encode([{"depth": depth} for depth in (1, 3, 9)])

    total = encoding.likeness(rows, rows).total

    assert 1 > total[0, 1] > total[0, 2] > 0
