"""UniRepLKNet against a count of the layers in the authors' code."""

import pytest
import torch
from families.deployed import deployed, layers_of
from families.reference import counted, published
from forms import randomize_norms, relative_difference

from nasbench.model.build import Network, initialize
from nasbench.model.deploy import deploy
from nasbench.model.trace import make_module
from nasbench.space.kinds import make_block

SHORT, LONG = (2, 2, 6, 2), (3, 3, 27, 3)

# AILab-CVC/UniRepLKNet, unireplknet.py: width, depths and every how many blocks of the third stage are large
LAYOUTS = {
    "unireplknet_a": (40, SHORT, 1),
    "unireplknet_f": (48, SHORT, 1),
    "unireplknet_p": (64, SHORT, 1),
    "unireplknet_n": (80, (2, 2, 8, 2), 1),
    "unireplknet_t": (80, (3, 3, 18, 3), 2),
    "unireplknet_s": (96, LONG, 3),
    "unireplknet_s_384": (96, LONG, 3),
    "unireplknet_b": (128, LONG, 3),
    "unireplknet_l": (192, LONG, 3),
    "unireplknet_xl": (256, LONG, 3),
}

LARGE = (13**2 + 2) + sum(kernel**2 + 2 for kernel in (5, 7, 3, 3, 3))
"""A 13x13 kernel and its five dilated branches, each with a batch norm, for one channel."""


def block(width, large):
    """Depthwise and batch norm; squeeze to a quarter and back; 1x1, response norm, 1x1, batch norm; layer scale."""
    quarter = width // 4
    squeeze = 2 * width * quarter + quarter + width
    feed_forward = 8 * width**2 + 4 * width + 2 * 4 * width + 2 * width
    return width * ((LARGE if large else 3**2) + 2) + squeeze + feed_forward + width


def reducing(before, behind):
    """3x3 with a bias, and a layer norm."""
    return 9 * before * behind + 3 * behind


def params_of(width, depths, every):
    """Stem, stages, and a layer norm and linear classifier."""
    total = reducing(3, width // 2) + reducing(width // 2, width) + 8 * width * 1002 + 1000
    for stage, depth in enumerate(depths):
        channels = width * 2**stage
        total += reducing(channels // 2, channels) if stage else 0
        total += sum(block(channels, stage > 0 and (stage != 2 or layer % every == 0)) for layer in range(depth))
    return total


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_the_training_form_has_the_parameters_of_the_authors_layers(name):
    assert counted(name)[0] == params_of(*LAYOUTS[name])


def test_the_inference_form_has_one_convolution_for_the_branches_of_a_block():
    blocks = [block for block in published("unireplknet_t").blocks if block.kind == "unireplknet"]
    layers = layers_of(deployed("unireplknet_t"))

    # depthwise, two to squeeze and excite, two 1x1; one before each stage and two in the stem
    assert layers["Conv2d"] == 5 * len(blocks) + 3 + 2
    assert layers["BatchNorm2d"] == layers["LayerScale"] == 0


def test_the_shift_of_the_response_norm_is_merged():
    block = make_module(make_block("unireplknet", 8, 8, 1, {"kernel": 13}, "row"))
    network = Network([block])
    initialize(network, seed=1)
    randomize_norms(network)
    norm = block.branch[-1][0]
    torch.nn.init.normal_(norm.scale)
    torch.nn.init.normal_(norm.shift)
    images = torch.randn(2, 8, 20, 20)

    with torch.no_grad():
        expected, merged = network.eval()(images), deploy(network)

        assert relative_difference(merged(images), expected) < 1e-5
    assert not [name for name, _ in merged.named_parameters() if name.endswith("shift")]
