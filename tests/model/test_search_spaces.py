"""The definitions in `search_spaces`: their names, their points, and the example of their README."""

import re
from collections import Counter
from pathlib import Path

import pytest

from nasbench.definitions import parse_definition
from nasbench.model.cost import count
from nasbench.space.load import list_spaces, load_space, read_space

FOLDER = Path(__file__).parents[2] / "search_spaces"
SPACES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("name", SPACES)
def test_a_space_is_named_as_its_file_and_cites_its_source(name):
    space = load_space(FOLDER / f"{name}.yaml")

    assert space.name == name
    assert space.about
    assert re.search(r"arXiv:\d{4}\.\d{5}", space.source)
    assert space.architectures


def test_no_architecture_is_named_twice_over_all_spaces():
    names = Counter(named.name for space in list_spaces() for named in load_space(space).architectures)

    assert [name for name, times in names.items() if times > 1] == []


@pytest.mark.parametrize("name", SPACES)
def test_every_point_of_a_space_is_found_again_in_it(name):
    space = load_space(FOLDER / f"{name}.yaml")
    for named in space.architectures:
        if named.choices is not None:
            assert space.decode_choices(space.encode(named.architecture)) == named.architecture, named.name


def test_the_example_in_the_readme_is_what_it_says():
    text = re.search(r"```yaml\n(.*?)```", (FOLDER / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    space = read_space(parse_definition(text, "README.md"))
    (example,) = space.architectures
    cost = count(example.architecture)

    assert cost.params == pytest.approx(example.published["params"], rel=0.01)
    assert cost.macs == pytest.approx(example.published["macs"], rel=0.01)
