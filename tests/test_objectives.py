import pytest

from nasbench.errors import DefinitionError
from nasbench.objectives import OBJECTIVES

VALUES = {"accuracy": 0.93, "latency": 0.0042, "params": 5.5e6, "macs": 217e6, "memory": 64 * 2**20, "energy": 0.0123}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_limit_can_be_written_as_the_figure_is_shown(name):
    objective = OBJECTIVES[name]

    assert objective.parse(objective.show(VALUES[name])) == pytest.approx(VALUES[name], rel=5e-3)


@pytest.mark.parametrize(
    ("joules", "shown"),
    [(2.5, "2.5 J"), (0.0123, "12.3 mJ"), (4e-5, "40 uJ"), (3e-8, "30 nJ"), (None, "-"), (float("nan"), "-")],
)
def test_an_energy_is_shown_with_the_unit_that_fits(joules, shown):
    assert OBJECTIVES["energy"].show(joules) == shown


def test_an_energy_without_a_unit_is_refused():
    with pytest.raises(DefinitionError, match=r"'5' is not an energy; write for example 500uJ, 5mJ or 1\.5J"):
        OBJECTIVES["energy"].parse("5")
