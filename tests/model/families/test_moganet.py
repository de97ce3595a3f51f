"""MogaNet against the arithmetic of the authors' code; their counts of params and MACs are rounded."""

from itertools import pairwise

import pytest
from families.reference import counted

from nasbench.errors import BuildError
from nasbench.model.trace import make_module
from nasbench.space.kinds import make_block

WIDTHS_AND_DEPTHS = {  # Westlake-AI/MogaNet, models/moganet.py, arch_zoo
    "moganet_xtiny": ((32, 64, 96, 192), (3, 3, 10, 2)),
    "moganet_tiny": ((32, 64, 128, 256), (3, 3, 12, 2)),
    "moganet_small": ((64, 128, 320, 512), (2, 3, 12, 2)),
    "moganet_base": ((64, 160, 320, 512), (4, 6, 22, 3)),
    "moganet_large": ((64, 160, 320, 640), (4, 6, 44, 4)),
    "moganet_xlarge": ((96, 192, 480, 960), (6, 6, 44, 4)),
}


def params_of_block(width, ratio):
    hidden = ratio * width
    norms_and_scales = 2 * 2 * width + 2 * width
    aggregation = 4 * (width * width + width) + width
    depthwise = width * 26 + width * 3 // 8 * 26 + width // 2 * 50
    perceptron = (width * hidden + hidden) + 10 * hidden + (hidden + 1) + hidden + (hidden * width + width)
    return norms_and_scales + aggregation + depthwise + perceptron


@pytest.mark.parametrize("name", WIDTHS_AND_DEPTHS)
def test_a_moganet_has_the_params_of_the_authors_code(name):
    widths, depths = WIDTHS_AND_DEPTHS[name]
    half = widths[0] // 2
    params = (27 * half + 3 * half) + (9 * half * widths[0] + 3 * widths[0])  # the stem
    params += sum(9 * before * after + 3 * after for before, after in pairwise(widths))
    params += sum(
        depth * params_of_block(width, ratio) + 2 * width
        for width, depth, ratio in zip(widths, depths, (8, 8, 4, 4), strict=True)
    )
    params += widths[-1] * 1000 + 1000

    assert counted(name)[0] == params


def test_channels_that_cannot_be_split_are_explained():
    with pytest.raises(BuildError, match="12 channels cannot be split 1 : 3 : 4"):
        make_module(make_block("moga", 12, 12, 1, {}, "row"))
