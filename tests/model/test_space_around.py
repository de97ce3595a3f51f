"""A space around a network holds the network, and choices near those that it has."""

import random
import re
from pathlib import Path

import pytest
from exported import HOSTILE, SMALL

from nasbench.definitions import parse_definition, read_text
from nasbench.model.build import check
from nasbench.model.export import to_space
from nasbench.space.load import find_architecture, list_spaces, load_space, read_space

SPACES = [load_space(path) for path in list_spaces().values()]


def around(architecture, steps=1, root=None, name="point"):
    return read_space(parse_definition(to_space(architecture, name, steps, root), "around.yaml"))


def root_of(space):
    return parse_definition(read_text(Path(space.path)), str(space.path))


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_a_space_is_narrowed_around_any_of_its_points_and_holds_it(space):
    rng = random.Random(3)
    points = [named.architecture for named in space.architectures if named.choices][:2]
    for architecture in [*points, *(space.sample(rng)[1] for _ in range(2))]:
        near = around(architecture, root=root_of(space))

        assert near.find_architecture("point").architecture == architecture
        assert near.about.startswith("Choices of its space at most 1 step around")
        wider = {choice.name: choice for choice in space.choices}
        assert all(wider[choice.name].find(value) == value for choice in near.choices for value in _ends(choice))
        assert near.size() <= space.size()


def _ends(choice):
    return (choice.values[0], choice.values[1], choice.values[-1])


@pytest.mark.parametrize(
    "name",
    ["genet_small", "mobilenet_v3_small_0.75", "regnetx_200mf", pytest.param("van_b6", marks=pytest.mark.slow)],
)
def test_rows_are_varied_where_there_is_no_space_and_what_is_drawn_can_be_built(name):
    architecture = find_architecture(name)[1].architecture
    near = around(architecture, steps=2)

    assert near.find_architecture("point").architecture == architecture
    assert near.about.startswith("Kernels, repeats and channels at most 2 steps around")
    depths = set()
    for seed in range(5):
        drawn = near.sample(random.Random(seed))[1]
        check(drawn)
        depths.add(len(drawn.blocks))
    assert len(depths) > 1


def test_numbers_go_so_many_steps_and_words_stay():
    space, named = find_architecture("mnist_tiny_small")
    stem = {choice.name: choice.values for choice in space.choices}["stem.out"]
    near = {steps: around(named.architecture, steps, root_of(space)) for steps in (1, 2)}

    chosen = sorted(stem).index(named.choices["stem.out"])
    for steps, one in near.items():
        values = {choice.name: choice.values for choice in one.choices}
        assert sorted(values["stem.out"]) == sorted(stem)[max(0, chosen - steps) : chosen + steps + 1]
        assert values["stage0.block"] == {choice.name: choice.values for choice in space.choices}["stage0.block"]


def test_a_choice_for_every_repeat_stays_one_and_is_near_to_all_of_them():
    space, named = find_architecture("mobilenet_v2_1.0")
    values = {choice.name: choice.values for choice in around(named.architecture, 1, root_of(space)).choices}

    assert values["stage3.kernel.0"] == values["stage3.kernel.4"] == (3, 5)
    assert values["stage3.repeat"] == (3, 4, 5)
    assert values["width"] == (0.75, 1.0, 1.3)


def test_the_number_of_classes_is_that_of_the_network():
    space, _ = find_architecture("mobilenet_v2_1.0")
    architecture = space.with_classes(10).find_architecture("mobilenet_v2_1.0").architecture

    assert around(architecture, 1, root_of(space)).classes == 10


@pytest.mark.parametrize("name", [HOSTILE, "no", "1e-3", "a: {b", "- x", "&anchor", "!!python/object:os.system"])
def test_a_hostile_name_stays_a_name(name):
    name = re.sub("\ud800", "", name)
    near = around(SMALL, name=name)

    assert [named.name for named in near.architectures] == [name]
    assert near.find_architecture(name).architecture == SMALL
    assert "\n" not in near.about
