"""Mobile-Former: the layouts of the authors' code, counted here by a formula, and the table of their README.

Their MACs lie about as far above ours as batch norms and dynamic ReLUs have elements, which we do not count.
"""

import pytest
import torch
from families.reference import counted

from nasbench.errors import BuildError
from nasbench.model.blocks.mobileformer import _DynamicReLU
from nasbench.model.trace import make_module
from nasbench.space.kinds import make_block

# (stride, width, expansion): 0 for the lite block, then `down` where the stride is 2
FULL = ((1, 2), (2, 6), (1, 0), (2, 6), (1, 0), (2, 6), (1, 4), (1, 6), (1, 6), (2, 6), (1, 6), (1, 6))
# name: stem, widths, expansions of the first blocks, hidden layer, width of a token, tokens, groups; README's params
LAYOUTS = {
    "mobileformer_508m": (24, (24, 40, 40, 72, 72, 128, 128, 176, 176, 240, 240, 240), (3, 3), 1920, 192, 6, 1, 14.0),
    "mobileformer_294m": (16, (16, 24, 24, 48, 48, 96, 96, 128, 128, 192, 192, 192), (4, 4), 1920, 192, 6, 1, 11.4),
    "mobileformer_214m": (12, (12, 20, 20, 40, 40, 80, 80, 112, 112, 160, 160, 160), (3, 4), 1600, 192, 6, 1, 9.4),
    "mobileformer_151m": (12, (12, 16, 16, 32, 32, 64, 64, 88, 88, 128, 128, 128), (3, 3), 1280, 192, 6, 1, 7.6),
    "mobileformer_96m": (12, (12, 16, 32, 32, 64, 64, 88, 128, 128), (3,), 1280, 128, 4, 1, 4.6),
    "mobileformer_52m": (8, (12, 12, 24, 24, 48, 48, 64, 96, 96), (3, 3), 1024, 128, 3, 1, 3.5),
    "mobileformer_26m": (8, (12, 12, 24, 24, 48, 48, 64, 96, 96), (3, 3), 1024, 128, 3, 4, 3.2),
}
STEPS = {
    "mobileformer_96m": ((1, 2), (2, 6), (2, 6), (1, 0), (2, 6), (1, 4), (1, 6), (2, 6), (1, 6)),
    "mobileformer_52m": ((2, 3), (1, 0), (2, 6), (1, 0), (2, 6), (1, 4), (1, 6), (2, 6), (1, 6)),
}
STEPS["mobileformer_26m"] = STEPS["mobileformer_52m"]


def normed(in_channels, out_channels, kernel=1, groups=1):
    return kernel * kernel * in_channels * out_channels // groups + 2 * out_channels


def linear(inputs, outputs):
    return inputs * outputs + outputs


def dynamic_relu(channels, token):
    return linear(token, token // 4) + linear(token // 4, 2 * channels)


def look_at_images(channels, token):
    return 2 * linear(token, channels) + linear(channels, token) + 2 * token


def bridges(channels, out, token):
    between = 2 * linear(token, token) + linear(token, 2 * token) + linear(2 * token, token) + 4 * token
    return look_at_images(channels, token) + between + 2 * linear(token, out)


def block(channels, out, expand, token, groups):
    hidden = channels * expand
    images = normed(channels, hidden, groups=groups) + normed(1, hidden, 3) + normed(hidden, out, groups=groups)
    return images + 2 * dynamic_relu(hidden, token) + bridges(channels, out, token)


def down(channels, out, expand, token, groups):
    first, second = channels * expand, out * 4
    images = normed(1, first, 3) + normed(1, second, 3)
    images += normed(first, out, groups=groups) + normed(second, out, groups=groups)
    return images + dynamic_relu(first, token) + dynamic_relu(second, token) + bridges(channels, out, token)


@pytest.mark.parametrize("name", LAYOUTS)
def test_mobileformer_has_the_parameters_of_the_authors_layout(name):
    stem, widths, early, hidden, token, tokens, groups, _ = LAYOUTS[name]
    early = list(early)
    total, channels = normed(3, stem, 3) + tokens * token, stem
    for index, (width, (stride, expand)) in enumerate(zip(widths, STEPS.get(name, FULL), strict=True)):
        if index == 0:
            total += normed(1, channels * expand, 3) + normed(channels * expand, width, groups=groups)
        else:
            kind = down if stride == 2 else block
            total += kind(channels, width, expand or early.pop(0), token, groups)
        channels = width
    total += look_at_images(channels, token) + normed(channels, 6 * channels, groups=groups)
    total += linear(6 * channels + token, hidden) + 2 * hidden + linear(hidden, 1000)

    assert counted(name)[0] == total


@pytest.mark.parametrize("name", LAYOUTS)
def test_params_are_those_of_the_readme_and_macs_a_little_lower(name):
    params, macs = counted(name)
    published = float(name.rpartition("_")[2][:-1]) * 1e6

    assert round(params / 1e6, 1) == LAYOUTS[name][-1]
    assert 0.9 * published < macs < published


def test_a_dynamic_relu_without_weights_is_a_relu():
    activation = _DynamicReLU(4, 8)
    for parameter in activation.parameters():
        torch.nn.init.zeros_(parameter)
    images = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0))

    assert torch.equal(activation(images, torch.randn(2, 3, 8)), images.relu())


def test_heads_that_do_not_divide_are_explained():
    with pytest.raises(BuildError, match="3 heads do not divide 16 channels of the images"):
        make_module(make_block("mobileformer_block", 16, 16, 1, {"heads": 3}, "row"), ((16, 8, 8), (4, 16)))
