"""RepNeXt against a count of the layers in the authors' code."""

import pytest
from families.deployed import deployed, layers_of
from families.reference import counted, published

# suous/RepNeXt, model/repnext.py: width and depths
LAYOUTS = {
    "repnext_m0": (40, (2, 2, 9, 1)),
    "repnext_m1": (48, (3, 3, 15, 2)),
    "repnext_m2": (56, (3, 3, 15, 2)),
    "repnext_m3": (64, (3, 3, 13, 2)),
    "repnext_m4": (64, (5, 5, 25, 4)),
    "repnext_m5": (80, (7, 7, 35, 2)),
}

SMALL = 3 * 3 + 3 + 3 + 2 * 2
MEDIUM = 7 * 7 + 2 * 3 * 5 + 2 * 7 + 2 * 5


def mlp(width):
    """1x1 to twice the width and back, each with a batch norm."""
    return 4 * width**2 + 2 * (2 * width + width)


def block(width):
    """A quarter each: 3x3 branches with four biases, 7x7 branches with three, 1x11 and 11x1 with two; a batch norm."""
    return width // 4 * (SMALL + 4 + MEDIUM + 3 + 2 * 11 + 2) + 2 * width + mlp(width)


def downsampling(width):
    """Both kinds of branches on all channels, the 3x3 ones with two biases; a batch norm."""
    return width * (SMALL + 2 + MEDIUM + 3) + 2 * 2 * width + mlp(2 * width)


def params_of(width, depths):
    """Stem, stages, and a batch norm and one linear classifier; the authors train a second one as well."""
    half = width // 2
    stem = 27 * half + 2 * half + 9 * half * width + 2 * width
    stages = sum(depth * block(width * 2**stage) for stage, depth in enumerate(depths))
    return stem + stages + sum(downsampling(width * 2**stage) for stage in range(3)) + 8 * width * 1002 + 1000


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_the_training_form_has_the_parameters_of_the_authors_layers(name):
    assert counted(name)[0] == params_of(*LAYOUTS[name])


def test_the_inference_form_has_one_convolution_for_each_size():
    blocks = [block for block in published("repnext_m0").blocks if block.kind == "repnext"]
    reducing = sum(block.stride == 2 for block in blocks)
    layers = layers_of(deployed("repnext_m0"))

    # 3x3, 7x7, 1x11 and 11x1, or 3x3 and 7x7 alone; two 1x1; two of the stem
    assert layers["Conv2d"] == 2 + 6 * (len(blocks) - reducing) + 4 * reducing
    assert layers["BatchNorm2d"] == layers["BatchNorm1d"] == 0
