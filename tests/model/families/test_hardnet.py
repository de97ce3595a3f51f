"""HarDNet against the arithmetic of the authors' network: PingoLH/Pytorch-HarDNet, hardnet.py."""

import pytest
import torch
from families.reference import counted

from nasbench.model.trace import make_module
from nasbench.space.kinds import make_block

STEMS = {39: (24, 48), 68: (32, 64), 85: (48, 96)}
MULTIPLIERS = {39: 1.6, 68: 1.7, 85: 1.7}
# growth, layers, output channels, whether the image is halved behind it
BLOCKS = {
    39: [(16, 4, 96, 1), (20, 16, 320, 1), (64, 8, 640, 1), (160, 4, 1024, 0)],
    68: [(14, 8, 128, 1), (16, 16, 256, 0), (20, 16, 320, 1), (40, 16, 640, 1), (160, 4, 1024, 0)],
    85: [
        (24, 8, 192, 1),
        (24, 16, 256, 0),
        (28, 16, 320, 1),
        (36, 16, 480, 0),
        (48, 16, 720, 1),
        (256, 4, 1280, 0),
    ],
}


class Sum:
    """Parameters and MACs of the layers of a network, without making them."""

    def __init__(self, size):
        self.size, self.params, self.macs = size, 0, 0

    def convolve(self, channels, out, kernel, stride=1, groups=1):
        """Count a convolution and its batch norm."""
        self.size = -(-self.size // stride)
        weights = kernel**2 * channels // groups * out
        self.params += weights + 2 * out
        self.macs += weights * self.size**2


def connect(layer, base, growth, multiplier):
    """Give a layer's output channels, input channels and what it takes, by the authors' recursion."""
    if layer == 0:
        return base, 0, []
    width, taken = growth, []
    for power in range(10):
        if layer % 2**power == 0:
            taken.append(layer - 2**power)
            width = width * multiplier if power else width
    return int(int(width + 1) / 2) * 2, sum(connect(k, base, growth, multiplier)[0] for k in taken), taken


def count_by_hand(depth, depthwise):
    total = Sum(224)
    first, channels = STEMS[depth]
    total.convolve(3, first, 3, stride=2)
    total.convolve(first, channels, 1 if depthwise else 3)
    halve(total, channels, depthwise)
    for growth, layers, out, halved in BLOCKS[depth]:
        joined = 0
        for layer in range(1, layers + 1):
            width, taken, _ = connect(layer, channels, growth, MULTIPLIERS[depth])
            total.convolve(taken, width, 1 if depthwise else 3)
            if depthwise:
                total.convolve(width, width, 3, groups=width)
            joined += width if layer % 2 or layer == layers else 0
        total.convolve(joined, out, 1)
        channels = out
        if halved:
            halve(total, channels, depthwise)
    return total.params + channels * 1000 + 1000, total.macs + channels * 1000


def halve(total, channels, depthwise):
    if depthwise:
        total.convolve(channels, channels, 3, stride=2, groups=channels)
    else:
        total.size //= 2


@pytest.mark.parametrize(
    ("name", "depth", "depthwise"),
    [("hardnet_39ds", 39, True), ("hardnet_68", 68, False), ("hardnet_68ds", 68, True), ("hardnet_85", 85, False)],
)
def test_hardnets_count_as_the_authors_layers_do(name, depth, depthwise):
    assert counted(name) == count_by_hand(depth, depthwise)


@pytest.mark.parametrize(
    ("name", "millions"), [("hardnet_39ds", 3.5), ("hardnet_68ds", 4.2), ("hardnet_68", 17.6), ("hardnet_85", 36.7)]
)
def test_hardnets_have_the_parameters_of_the_authors_readme(name, millions):
    assert round(counted(name)[0] / 1e6, 1) == millions


def test_a_layer_takes_those_a_power_of_2_before_it_and_the_odd_ones_and_the_last_go_out():
    block = make_module(make_block("hard_block", 1, 12, 1, {"layers": 4, "growth": 2, "multiplier": 2.0}, "row"))
    widths = [layer[0].out_channels for layer in block.layers]
    for layer, width in zip(block.layers, widths, strict=True):
        # the mean of what it takes, and 1
        layer.forward = lambda images, width=width: (images.mean(1, keepdim=True) + 1).expand(-1, width, -1, -1)

    output = block(torch.zeros(1, 1, 1, 1)).flatten()

    assert widths == [2, 4, 2, 8]
    # layer 2 takes layer 1 and the input, layer 3 takes layer 2, layer 4 takes layers 3 and 2 and the input
    second = (2 * 1 + 0) / 3 + 1
    third = second + 1
    fourth = (2 * third + 4 * second + 0) / 7 + 1
    assert torch.allclose(output, torch.tensor([1.0] * 2 + [third] * 2 + [fourth] * 8))
