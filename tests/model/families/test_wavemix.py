"""WaveMix against the authors' exact counts and the arithmetic of their code; its transform against the definition."""

import pytest
import torch
from families.reference import counted
from torch.nn.functional import avg_pool2d

from nasbench.errors import BuildError, ShapeError
from nasbench.model.blocks.wavemix import Haar
from nasbench.model.trace import make_module, trace_row
from nasbench.space.kinds import make_block


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("wavemix_lite_8_10", 3566),
        ("wavemix_lite_8_5", 7156),
        ("wavemix_lite_32_7", 37058),
        ("wavemix_lite_64_6", 520106),
    ],
)
def test_a_small_wavemix_has_the_params_of_the_authors_table(name, params):
    assert counted(name)[0] == params


def params_of_block(width, levels):
    params = width * width // 4 + width // 4
    for level in range(levels):
        inputs = width if level == levels - 1 else width + width // 2
        outputs = width if level == 0 else width // 2
        params += (inputs * 2 * width + 2 * width) + (2 * width * width + width)
        params += (16 * width * outputs + outputs) + 2 * outputs
    return params


@pytest.mark.parametrize(
    ("name", "width", "levels"),
    [("wavemix_192_16", 192, 3), ("wavemix_256_16", 256, 3), ("wavemix_lite_192_16", 192, 1)],
)
def test_a_large_wavemix_has_the_params_of_the_authors_code(name, width, levels):
    half, quarter = width // 2, width // 4
    stem = (27 * quarter + quarter) + (9 * quarter * half + half) + (16 * half * width + 3 * width)

    assert counted(name)[0] == stem + 16 * params_of_block(width, levels) + 1000 * width + 1000


def test_the_transform_gives_means_and_differences_of_squares_of_four():
    square = torch.tensor([[1.0, 2.0], [4.0, 8.0]])

    bands = Haar(1)(square[None, None]).flatten().tolist()

    assert bands == [(1 + 2 + 4 + 8) / 2, (1 + 2 - 4 - 8) / 2, (1 - 2 + 4 - 8) / 2, (1 - 2 - 4 + 8) / 2]


def test_the_transform_keeps_the_energy_of_an_image():
    images = torch.randn(2, 3, 8, 6, generator=torch.Generator().manual_seed(1))

    assert torch.allclose(Haar(3)(images).square().sum(), images.square().sum())


def test_a_lower_level_transforms_the_means_of_the_level_above():
    module = make_module(make_block("wavemix", 8, 8, 1, {"levels": 2}, "row")).eval()
    bands = []
    module.mixers[1].register_forward_pre_hook(lambda _, inputs: bands.append(inputs[0]))
    images = torch.randn(2, 8, 16, 8, generator=torch.Generator().manual_seed(1))

    module(images)

    # each level doubles a mean
    assert torch.allclose(bands[0][:, ::4], 4 * avg_pool2d(module.reduce(images), 4), atol=1e-5)


def test_impossible_numbers_are_explained():
    with pytest.raises(BuildError, match="10 channels cannot be reduced to a quarter"):
        make_module(make_block("wavemix", 10, 10, 1, {}, "row"))
    with pytest.raises(ShapeError, match="28 x 28 positions cannot be halved 3 times"):
        trace_row(make_block("wavemix", 8, 8, 1, {"levels": 3}, "row"), (8, 28, 28))
