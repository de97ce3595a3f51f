"""Blocks of different families in one network: what is sampled builds, runs, deploys and exports."""

import random

import pytest
import torch
from exported import run_in_onnxruntime
from forms import randomize_norms, relative_difference

from nasbench.model.build import build
from nasbench.model.deploy import deploy
from nasbench.space.load import list_spaces, load_space

SPACE = load_space(list_spaces()["hybrid_mnist"])


def sample(count, seed):
    rng = random.Random(seed)
    return [SPACE.sample(rng)[1] for _ in range(count)]


def draw(architecture, seed):
    network = build(architecture, seed=seed)
    randomize_norms(network, seed)
    return network, torch.randn(1, *architecture.input_shape, generator=torch.Generator().manual_seed(seed))


def test_a_hundred_hybrids_build_run_and_deploy_equally():
    for seed, architecture in enumerate(sample(100, seed=5)):
        network, images = draw(architecture, seed)

        with torch.no_grad():
            expected = network.eval()(images)
            actual = deploy(network)(images)

        assert expected.shape == (1, 10), architecture
        assert expected.isfinite().all(), architecture
        assert relative_difference(actual, expected) < 1e-3, architecture


def test_every_block_of_the_space_is_among_the_hundred():
    offered = {str(value) for choice in SPACE.choices if choice.name.endswith(".block") for value in choice.values}

    assert offered <= {block.kind for architecture in sample(100, seed=5) for block in architecture.blocks}


def test_most_hybrids_mix_families():
    mixed = [len({block.kind for block in architecture.blocks[1:-1]}) > 1 for architecture in sample(100, seed=5)]

    assert sum(mixed) > 80


@pytest.mark.slow
@pytest.mark.parametrize("index", range(5))
def test_a_hybrid_gives_equal_logits_in_onnxruntime(index, tmp_path):
    architecture = sample(5, seed=6)[index]
    network, images = draw(architecture, index)
    network = deploy(network)

    logits = run_in_onnxruntime(network, images, tmp_path / "network.onnx")

    assert relative_difference(logits, network(images)) < 1e-3
