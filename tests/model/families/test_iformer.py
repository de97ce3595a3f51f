"""iFormer: the layouts of the authors' code, counted here by a formula, and its attention written out."""

import pytest
import torch
from families.reference import counted
from forms import randomize_norms

from nasbench.errors import BuildError
from nasbench.model.blocks.iformer import IFormerSHMA
from nasbench.model.deploy import fold
from nasbench.model.trace import make_module
from nasbench.space.kinds import make_block

# widths, expansion, convolutional blocks of three stages, attention blocks of two, their expansion
LAYOUTS = {
    "iformer_t": ((32, 64, 128, 256), 3, (2, 2, 6), (3, 2), 2),
    "iformer_s": ((32, 64, 176, 320), 4, (2, 2, 9), (3, 2), 3),
    "iformer_m": ((48, 96, 192, 384), 4, (2, 2, 9), (4, 2), 3),
    "iformer_l": ((48, 96, 256, 384), 4, (2, 2, 8), (8, 2), 3),
    "iformer_l2": ((64, 128, 256, 512), 4, (3, 3, 12), (11, 3), 3),
}


def normed(in_channels, out_channels, kernel=1):
    return kernel * kernel * in_channels * out_channels + 2 * out_channels


def conv_block(width, expand):
    return normed(1, width, 7) + normed(width, expand * width) + normed(expand * width, width)


def attention_block(width, reduce, expand):
    attention = 2 * normed(width, width // reduce) + normed(width, width) + normed(width, 2 * width)
    return normed(1, width, 3) + attention + normed(width, expand * width) + normed(expand * width, width)


@pytest.mark.parametrize("name", LAYOUTS)
def test_iformer_has_the_parameters_of_the_authors_layout(name):
    (first, second, third, fourth), expand, convs, attentions, ratio = LAYOUTS[name]
    half = first // 2
    stem = normed(3, half, 5) + normed(half, 4 * half, 5) + normed(4 * half, first)
    down = normed(first, second, 3) + normed(second, third, 3) + normed(third, fourth, 3)
    blocks = sum(depth * conv_block(width, expand) for depth, width in zip(convs, (first, second, third), strict=True))
    blocks += conv_block(third, expand)
    blocks += attentions[0] * attention_block(third, 2, ratio) + attentions[1] * attention_block(fourth, 4, ratio)

    assert counted(name)[0] == stem + down + blocks + 2 * fourth + 1000 * (fourth + 1)


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [("iformer_t", 2.9, 0.53), ("iformer_m", 8.9, 1.64), ("iformer_l2", 24.5, 4.5)],
)
def test_params_and_macs_are_those_of_the_readme(name, params, macs):
    cost = counted(name)

    assert cost[0] == pytest.approx(params * 1e6, abs=0.05e6)
    assert cost[1] == pytest.approx(macs * 1e9, rel=0.01)


def test_attention_is_modulated_by_a_gate():
    block = IFormerSHMA(8, 8, 1, kernel=3, reduce=2, expand=2, act="gelu").eval()
    images = torch.randn(2, 8, 3, 5, generator=torch.Generator().manual_seed(0))
    layer = block.attention
    queries, keys = layer.queries(images).flatten(2), layer.keys(images).flatten(2)
    both = layer.values_and_gate(images).sigmoid()
    weights = (queries.transpose(1, 2) @ keys / 4**0.5).softmax(-1)
    mixed = (both[:, :8].flatten(2) @ weights.transpose(1, 2)).reshape(images.shape)

    with torch.no_grad():
        assert torch.allclose(layer(images), layer.project(mixed * both[:, 8:]), atol=1e-5)


def test_positions_are_one_convolution_at_inference():
    block = IFormerSHMA(8, 8, 1, kernel=3, reduce=2, expand=2, act="gelu").eval()
    randomize_norms(block)

    assert isinstance(fold(block).positions, torch.nn.Conv2d)


def test_a_reduction_to_nothing_is_explained():
    with pytest.raises(BuildError, match="8 channels cannot be reduced 9 times"):
        make_module(make_block("iformer_shma", 8, 8, 1, {"reduce": 9}, "row"))
