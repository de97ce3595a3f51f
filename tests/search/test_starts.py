"""What a search begins with: the front of an earlier run by what its networks are, then the named networks."""

import json

import pytest

from nasbench.definitions import parse_definition
from nasbench.errors import DefinitionError
from nasbench.records import TimingPlan
from nasbench.search.plan import Budget, SearchPlan
from nasbench.search.run import Search
from nasbench.search.starts import front_of, starting_points
from nasbench.space.load import read_space
from nasbench.store.log import RunLog
from nasbench.store.parquet import read_run
from tests.search.formula import SPACE, FormulaAccuracy, FormulaDevice, toy_space

PLAN = SearchPlan(("accuracy", "latency"), {}, "random", 0, TimingPlan())


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """A run of the toy space whose data had seven classes."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    with RunLog.create(folder, {"objectives": list(PLAN.objectives), "limits": {}}) as log:
        space = toy_space().with_classes(7)
        Search(space, PLAN, log, FormulaAccuracy(), [FormulaDevice()]).run(Budget(20, None))
    return read_run(folder)


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("", ""),
        ("stage0", "stage0"),
        ("expand: [2, 4]", "expand: [4, 2, 6]"),
        ("out: [4, 8, 16]", "out: [4, 8, 16, 32]"),
    ],
)
def test_a_front_fits_spaces_of_other_choices_whatever_the_classes_of_its_data(earlier, written, instead):
    space = read_space(parse_definition(SPACE.replace(written, instead) if written else SPACE, "other.yaml"))

    found = front_of(earlier.folder, space)

    decoded = [space.with_classes(7).decode_choices(choices).digest for choices in found]
    assert decoded == list(earlier.pareto["architecture"])


def test_choices_of_the_same_names_that_make_another_network_are_not_taken(earlier):
    """A stem of stride 1: every name and value is allowed, and no network is the same."""
    space = read_space(parse_definition(SPACE.replace("out: [4, 8, 16], stride: 2", "out: [4, 8, 16], stride: 1"), "o"))

    with pytest.raises(DefinitionError, match="is a point of toy"):
        front_of(earlier.folder, space)


def test_choices_are_taken_to_images_of_another_size(earlier):
    space = read_space(parse_definition(SPACE.replace("size: 16", "size: 20"), "o"))

    chosen = read_run(earlier.folder).evaluations.set_index("trial")["choices"]
    assert front_of(earlier.folder, space) == [json.loads(chosen[trial]) for trial in earlier.pareto["trial"]]


def test_an_earlier_front_comes_first_and_a_named_network_in_it_keeps_its_name():
    space = toy_space()
    named = space.architectures[0]
    other = {**named.choices, "stem.out": 16}

    starts = starting_points(space, PLAN, [other, named.choices, other])

    assert [(start.name, start.choices) for start in starts] == [(None, other), ("toy_small", named.choices)]
