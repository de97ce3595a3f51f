"""AFFNet against the arithmetic of the authors' code, and its filter against torch's Fourier transform."""

import pytest
import torch
from families.reference import counted

from nasbench.errors import BuildError
from nasbench.model.blocks.affnet import FrequencyFilter
from nasbench.model.build import initialize
from nasbench.model.trace import make_module
from nasbench.space.kinds import make_block
from nasbench.space.stack import make_divisible


def make_filter(channels, grid):
    module = FrequencyFilter(channels, 2, "relu", grid)
    initialize(module, seed=1)
    return module


@pytest.mark.parametrize("grid", [(8, 8), (6, 9), (5, 7), (1, 1), (2, 12)])
def test_the_matrices_transform_as_torch_does(grid):
    images = torch.randn(2, 4, *grid, generator=torch.Generator().manual_seed(1))
    module = make_filter(4, grid)

    spectrum = module.transform(images)

    assert torch.allclose(spectrum, torch.view_as_real(torch.fft.rfft2(images, norm="ortho")).movedim(4, 2), atol=1e-5)
    assert torch.allclose(module.invert(spectrum), images, atol=1e-5)


def test_an_unsymmetric_spectrum_is_inverted_as_torch_does():
    parts = torch.randn(2, 4, 6, 5, 2, generator=torch.Generator().manual_seed(1))
    expected = torch.fft.irfft2(torch.view_as_complex(parts), s=(6, 8), norm="ortho")

    assert torch.allclose(make_filter(4, (6, 8)).invert(parts.movedim(4, 2)), expected, atol=1e-5)


def test_a_filter_computes_with_complex_numbers():
    images = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(1))
    module = make_filter(4, (6, 6))
    spectrum = torch.fft.rfft2(images, norm="ortho")
    mask = spectrum
    for index, layer in enumerate((module.mask[0], module.mask[2])):
        weight = torch.complex(*layer.weight).unflatten(0, (2, 2))
        mask = torch.einsum("ngihw,goi->ngohw", mask.unflatten(1, (2, 2)), weight).flatten(1, 2)
        mask = mask + torch.complex(*layer.bias)[:, None, None]
        if index == 0:
            mask = torch.complex(mask.real.relu(), mask.imag.relu())
    mask = torch.complex(*(torch.nn.functional.softshrink(part, 0.01) for part in (mask.real, mask.imag)))

    expected = images + torch.fft.irfft2(spectrum * mask, s=(6, 6), norm="ortho")

    assert torch.allclose(module(images), expected, atol=1e-5)


def inverted_residual(width, out, expand):
    hidden = make_divisible(width * expand)
    return width * hidden + 2 * hidden + 9 * hidden + 2 * hidden + hidden * out + 2 * out


def filtered(width, depth):
    mask = 2 * (2 * width * width // 8 + 2 * width)
    block = 2 * width + inverted_residual(width, width, 2) + 2 * width + mask
    return depth * block + 2 * width + (width * width + 2 * width) + (2 * width * width + 2 * width)


@pytest.mark.parametrize(
    ("name", "widths", "expand", "last"),
    [
        ("affnet_et", (32, 48, 64, 104, 144), 2, 576),
        ("affnet_t", (32, 48, 96, 160, 192), 4, 768),
        ("affnet", (32, 64, 128, 256, 320), 4, 960),
    ],
)
def test_an_affnet_has_the_params_of_the_authors_code(name, widths, expand, last):
    first, second, third, fourth, fifth = widths
    params = 27 * 16 + 2 * 16 + inverted_residual(16, first, expand) + inverted_residual(first, second, expand)
    params += 2 * inverted_residual(second, second, expand)
    for before, width, depth in ((second, third, 2), (third, fourth, 4), (fourth, fifth, 3)):
        params += inverted_residual(before, width, expand) + filtered(width, depth)
    params += fifth * last + 2 * last + last * 1000 + 1000

    assert counted(name)[0] == params


def test_groups_that_do_not_divide_are_explained():
    with pytest.raises(BuildError, match="8 groups do not divide the 12 channels of a mask"):
        make_module(make_block("aff", 12, 12, 1, {}, "row"), (12, 8, 8))
