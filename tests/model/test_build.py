"""From rows to networks."""

import random
from dataclasses import replace

import pytest
import torch

from nasbench.errors import BuildError, ShapeError
from nasbench.model.build import build, check, trace_shapes
from nasbench.model.cost import count
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block
from nasbench.space.load import find_architecture, list_spaces, load_space


def rows(*blocks, shape=(3, 16, 16), classes=10):
    made = (make_block(kind, before, after, stride, options, "row") for kind, before, after, stride, options in blocks)
    return Architecture(shape, classes, tuple(made))


SMALL = rows(
    ("conv", 3, 16, 2, {}),
    ("mbconv", 16, 24, 2, {"se": 0.25}),
    ("shuffle_v2", 24, 24, 1, {}),
    ("pool_linear", 24, 10, 1, {}),
)


def test_the_same_seed_gives_the_same_weights_and_another_one_others():
    first, again, other = (build(SMALL, seed).state_dict() for seed in (7, 7, 8))

    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_building_leaves_the_global_random_state_alone():
    before = torch.random.get_rng_state()

    build(SMALL, 3)

    assert torch.equal(torch.random.get_rng_state(), before)


def test_every_weight_of_a_built_network_is_finite_and_on_the_cpu():
    for name, tensor in build(SMALL).state_dict().items():
        assert tensor.device.type == "cpu", name
        assert bool(torch.isfinite(tensor.float()).all()), name


def test_the_traced_shapes_are_those_of_a_forward_pass():
    network = build(SMALL)
    images = torch.randn(2, 3, 16, 16)
    seen = []
    for block in network.blocks:
        images = block(images)
        seen.append(tuple(images.shape[1:]))

    assert trace_shapes(SMALL) == tuple(seen)
    assert seen[-1] == (10,)


@pytest.mark.parametrize(
    ("architecture", "error", "message"),
    [
        (
            rows(("conv", 3, 16, 1, {}), ("mbconv", 24, 24, 1, {}), ("pool_linear", 24, 10, 1, {})),
            ShapeError,
            r"row 2 of 3 \(mbconv 24->24, stride 1\): it takes 24 channels and gets 16 \(shape 16x16x16\)",
        ),
        (
            rows(("conv", 3, 116, 1, {}), ("shuffle_v2", 116, 232, 1, {}), ("pool_linear", 232, 10, 1, {})),
            ShapeError,
            r"row 2 of 3 \(shuffle_v2 116->232, stride 1\): stride 1 passes half",
        ),
        (
            rows(("conv", 3, 30, 1, {"groups": 4}), ("pool_linear", 30, 10, 1, {})),
            BuildError,
            r"row 1 of 2 \(conv 3->30, stride 1, groups 4\): 4 groups do not divide",
        ),
        (
            rows(("nb201_reduction", 3, 8, 2, {}), ("pool_linear", 8, 10, 1, {}), shape=(3, 15, 15)),
            ShapeError,
            r"row 1 of 2 \(nb201_reduction 3->8, stride 2\): it does not accept the shape 3x15x15",
        ),
        (
            rows(("pool_linear", 3, 10, 1, {}), ("conv", 10, 10, 1, {})),
            ShapeError,
            r"row 2 of 2 .*: it takes images and gets classes \(shape 10\)",
        ),
        (rows(("conv", 3, 10, 1, {})), ShapeError, "ends in the shape 10x16x16 and not in 10 classes"),
        (rows(), ShapeError, "ends in the shape 3x16x16"),
    ],
)
def test_a_row_that_does_not_fit_is_named(architecture, error, message):
    for attempt in (check, build):
        with pytest.raises(error, match=message):
            attempt(architecture)


def test_an_untrained_deep_network_stays_within_half_precision():
    architecture = find_architecture("resnet_152")[1].architecture
    network = build(replace(architecture, input_shape=(3, 64, 64))).eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for block in network.blocks:
            images = block(images)
            assert images.abs().max() < 65504 / 10


@pytest.mark.parametrize("name", list_spaces())
def test_candidates_of_every_space_build_and_answer(name):
    space = load_space(name)
    rng = random.Random(1)
    built = 0
    for _ in range(100):
        architecture = space.sample(rng)[1]
        channels, size, _ = architecture.input_shape
        small = replace(architecture, input_shape=(channels, min(size, 64), min(size, 64)))
        try:
            affordable = count(small).params < 30e6
        except BuildError as error:
            assert name == "resnet", error  # 32 groups of 16 channels, as its definition says
            continue
        if affordable:
            network = build(small, seed=1).eval()
            with torch.no_grad():
                output = network(torch.randn(2, *small.input_shape))
            assert output.shape == (2, architecture.classes)
            assert bool(torch.isfinite(output).all())
            built += 1
        if built == 2:
            return
    raise AssertionError("hardly any candidate of this space is small")
