"""The inference form computes what the training form does in evaluation mode."""

from itertools import pairwise

import pytest
import torch
from block_rows import ROWS, input_of, name_of, shape_of
from forms import randomize_norms, relative_difference
from torch import nn

from nasbench.model.build import Network, build, initialize
from nasbench.model.deploy import deploy
from nasbench.model.trace import make_module
from nasbench.space.load import find_architecture


@pytest.mark.parametrize("block", ROWS, ids=name_of)
def test_a_deployed_block_equals_its_training_form(block):
    network = Network([make_module(block, shape_of(block))])
    initialize(network, seed=2)
    randomize_norms(network)

    with torch.no_grad():
        expected = network.eval()(input_of(block))
        actual = deploy(network)(input_of(block))

    expected, actual = ((flow,) if isinstance(flow, torch.Tensor) else flow for flow in (expected, actual))
    assert all(relative_difference(*pair) < 1e-4 for pair in zip(actual, expected, strict=True))


@pytest.mark.parametrize("block", ROWS, ids=name_of)
def test_no_batch_norm_is_left_behind_a_convolution(block):
    network = deploy(Network([make_module(block, shape_of(block))]))

    pairs = [pair for module in network.modules() if isinstance(module, nn.Sequential) for pair in pairwise(module)]
    assert not [pair for pair in pairs if isinstance(pair[0], nn.Conv2d) and isinstance(pair[1], nn.BatchNorm2d)]


@pytest.mark.parametrize(
    "name", ["mobilenet_v3_small_0.75", "nasbench201_best", "shufflenet_v2_0.5", "regnety_200mf", "resnet_18"]
)
def test_a_deployed_network_equals_its_training_form(name):
    architecture = find_architecture(name)[1].architecture
    network = build(architecture, seed=4)
    randomize_norms(network)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        expected = network.eval()(images)
        actual = deploy(network)(images)

    assert relative_difference(actual, expected) < 1e-4


def test_deploying_leaves_the_network_as_it_was():
    network = build(find_architecture("nasbench201_best")[1].architecture)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    deployed = deploy(network)

    assert network.training
    assert not network.deployed
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert deployed.deployed
    assert not deployed.training
    assert not any(parameter.requires_grad for parameter in deployed.parameters())


class ParallelConvolutions(nn.Module):
    """Two branches of convolution and batch norm that are one convolution at inference."""

    def __init__(self):
        super().__init__()
        self.left = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4))
        self.right = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4))

    def forward(self, images):
        return self.left(images) + self.right(images)

    def deploy(self):
        merged = nn.Conv2d(4, 4, 3, padding=1)
        sides = [nn.utils.fusion.fuse_conv_bn_eval(*side) for side in (self.left, self.right)]
        merged.weight.copy_(sum(side.weight for side in sides))
        merged.bias.copy_(sum(side.bias for side in sides))
        return merged


def test_a_block_that_can_merge_its_branches_is_asked_to():
    network = Network([nn.Sequential(ParallelConvolutions(), nn.ReLU())])
    randomize_norms(network)
    images = torch.randn(2, 4, 8, 8)

    deployed = deploy(network)

    assert not any(isinstance(module, ParallelConvolutions) for module in deployed.modules())
    with torch.no_grad():
        assert relative_difference(deployed(images), network.eval()(images)) < 1e-4
