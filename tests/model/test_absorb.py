"""Batch norms become part of convolutions in any network, and only where nothing else sees what lies between."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nasbench.model.absorb import absorb_norms, find_norms

IMAGES = (3, 8, 8)


class Branches(nn.Module):
    """A convolution whose output goes two ways, one of which is a norm."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, images):
        features = self.conv(images)
        return self.norm(features) + features


class Tells(Branches):
    """Puts out what lies between as well."""

    def forward(self, images):
        features = self.conv(images)
        return self.norm(features), features


class NormTwice(Branches):
    def __init__(self):
        super().__init__()
        self.other = nn.Conv2d(3, 4, 3)

    def forward(self, images):
        return self.norm(self.conv(images)) + self.norm(self.other(images))


class ConvTwice(Branches):
    def __init__(self):
        super().__init__()
        self.other = nn.BatchNorm2d(4)

    def forward(self, images):
        return self.norm(self.conv(images)) + self.other(self.conv(images * 2))


class TwoNames(nn.Module):
    """Holds a convolution under two names, and uses it by the second."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.layers = nn.Sequential(self.conv)

    def forward(self, images):
        return self.norm(self.layers(images))


class Standardized(nn.Conv2d):
    """Changes its weights before it uses them."""

    def forward(self, images):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return F.conv2d(images, weight, self.bias)


class OutOfOrder(nn.Module):
    """Calls its modules in another order than it holds them, behind a condition that no tracer of programs follows."""

    def __init__(self):
        super().__init__()
        self.norm, self.head = nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1)
        self.unused, self.stem = nn.BatchNorm2d(4), nn.Conv2d(3, 4, 3, padding=1, groups=1, bias=False)

    def forward(self, images):
        features = self.norm(self.stem(images)) if images.shape[-1] > 4 else images
        return self.head(features.relu())


def drawn(network):
    """Give a network in evaluation mode whose norms do something."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 2.0, generator=generator)
            for tensor in (module.running_mean, module.weight.data, module.bias.data):
                tensor.normal_(1.0, 0.3, generator=generator)
    return network.eval()


def absorbed(network):
    """Give the names that were found, and what the network puts out before and after."""
    images = torch.randn((2, *IMAGES), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = network(images)
        found = find_norms(copy.deepcopy(network).to("meta"), IMAGES)
        absorb_norms(network, found)
        return found, before, network(images)


def test_a_norm_behind_a_convolution_is_found_by_what_flows_and_the_output_stays():
    network = drawn(OutOfOrder())

    found, before, after = absorbed(network)

    assert found == [("stem", "norm")]
    assert isinstance(network.norm, nn.Identity) and isinstance(network.unused, nn.BatchNorm2d)
    assert torch.allclose(before, after, atol=1e-5)


@pytest.mark.parametrize("kind", [Branches, Tells, NormTwice, ConvTwice])
def test_a_norm_stays_where_something_else_sees_its_input_or_shares_it(kind):
    found, _, _ = absorbed(drawn(kind()))

    assert found == []


def test_a_convolution_with_two_names_keeps_its_norm_since_only_one_of_them_would_change():
    found, before, after = absorbed(drawn(TwoNames()))

    assert found == []
    assert torch.equal(before, after)


def test_a_convolution_that_changes_its_weights_keeps_its_norm():
    network = drawn(nn.Sequential(Standardized(3, 4, 3), nn.BatchNorm2d(4)))

    assert absorbed(network)[0] == []


def test_a_norm_that_may_do_more_than_torchs_own_stays():
    class More(nn.BatchNorm2d):
        def forward(self, images):
            return super().forward(images).relu()

    network = drawn(nn.Sequential(nn.Conv2d(3, 4, 3), More(4)))

    found, before, after = absorbed(network)

    assert found == [("0", "1")]
    assert isinstance(network[1], More)
    assert torch.equal(before, after)


def test_norms_without_weights_are_absorbed_too():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4, affine=False))
    network[1].running_mean.fill_(0.5)
    network[1].running_var.fill_(4.0)

    found, before, after = absorbed(network.eval())

    assert found == [("0", "1")]
    assert torch.allclose(before, after, atol=1e-5)
