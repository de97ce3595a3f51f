"""MobileMamba: parameters by the layers of the authors' code, its wavelets and its scans by hand."""

from itertools import pairwise
from math import ceil

import pytest
import torch
from families.reference import counted
from forms import randomize_norms
from torch.nn import functional

from nasbench.errors import BuildError
from nasbench.model.blocks.mobilemamba import MobileMamba, _BothWaysScan, _Interaction, _WaveletConvolution
from nasbench.model.build import initialize

LAYOUTS = {
    "mobilemamba_t2": ((144, 272, 368), (1, 2, 2)),
    "mobilemamba_t4": ((176, 368, 448), (1, 2, 2)),
    "mobilemamba_s6": ((192, 384, 448), (1, 2, 2)),
    "mobilemamba_b1": ((200, 376, 448), (2, 3, 2)),
    "mobilemamba_b2": ((200, 376, 448), (2, 3, 2)),
    "mobilemamba_b4": ((200, 376, 448), (2, 3, 2)),
}
PUBLISHED_MILLIONS = {"t2": 8.8, "t4": 14.2, "s6": 15.0, "b1": 17.1, "b2": 17.1, "b4": 17.1}
SHARES = ((0.8, 0.2, 7), (0.7, 0.2, 5), (0.6, 0.3, 3))


def conv(c_in, c_out, kernel=1, groups=1):
    """Count a convolution without bias and a batch norm."""
    return c_in * c_out * kernel**2 // groups + 2 * c_out


def nearest_16(count):
    return min((count // 16 * 16, count // 16 * 16 + 16), key=lambda multiple: (abs(count - multiple), -multiple))


def split_of(c, scanned, convolved):
    first = nearest_16(int(scanned * c))
    return first, min(int(convolved * c), c - first)


def params_of_feed_forward(c):
    return conv(c, 2 * c) + conv(2 * c, c)


def params_of_block(c, scanned, convolved, kernel):
    first, second = split_of(c, scanned, convolved)
    inner, rank = 2 * first, ceil(first / 16)
    scan = 2 * (inner * (rank + 2) + inner * rank + inner + inner + inner)
    scan += conv(first, 2 * inner) + 9 * inner + inner + 2 * inner + conv(inner, first) + first
    wavelets = 4 * first * kernel**2 + 4 * first
    local = conv(second, second, kernel, second) + conv(second, second, 1, second)
    return 2 * (conv(c, c, 3, c) + params_of_feed_forward(c)) + scan + wavelets + local + conv(c, c)


def params_of_merge(c_in, c_out):
    hidden = 4 * c_in
    excite = hidden * c_in + c_in + c_in * hidden + hidden
    around = sum(conv(c, c, 3, c) + params_of_feed_forward(c) for c in (c_in, c_out))
    return around + conv(c_in, hidden) + conv(hidden, hidden, 3, hidden) + excite + conv(hidden, c_out)


@pytest.mark.parametrize("name", LAYOUTS)
def test_params_are_those_of_the_layers_of_the_authors(name):
    widths, depths = LAYOUTS[name]
    stem = (3, widths[0] // 8, widths[0] // 4, widths[0] // 2, widths[0])
    params = sum(conv(*pair, 3) for pair in pairwise(stem))
    filters = 0
    for width, depth, (scanned, convolved, kernel) in zip(widths, depths, SHARES, strict=True):
        params += depth * params_of_block(width, scanned, convolved, kernel)
        filters += depth * 2 * 16 * split_of(width, scanned, convolved)[0]
    params += params_of_merge(*widths[:2]) + params_of_merge(*widths[1:])
    params += 2 * widths[2] + widths[2] * 1000 + 1000

    assert counted(name)[0] == params
    # the authors count the constant filters of the wavelets, too
    assert round((params + filters) / 1e6, 1) == PUBLISHED_MILLIONS[name[-2:]]


@pytest.mark.parametrize(
    ("name", "millions"), [("mobilemamba_t2", 255), ("mobilemamba_s6", 652), ("mobilemamba_b4", 4313)]
)
def test_macs_lack_the_norms_and_most_of_the_scans_that_the_authors_count(name, millions):
    assert 0.985 < counted(name)[1] / 1e6 / millions < 1


def test_scanned_channels_are_rounded_to_the_nearest_multiple_of_16_and_up_from_the_middle():
    def sizes(channels):
        return _Interaction(channels, kernel=3, scanned=0.8, convolved=0.2, state=1, expand=2).sizes

    assert sizes(144) == [112, 28, 4]
    assert sizes(176) == [144, 32, 0]
    assert sizes(190) == [160, 30, 0]
    with pytest.raises(BuildError, match="16 of 15 channels cannot be scanned"):
        sizes(15)


def drawn(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def bands_by_hand(images):
    """Give sums and differences over rows and columns of pairs of pixels, halved."""
    top, bottom = images[:, :, ::2], images[:, :, 1::2]
    bands = []
    for over_columns in (lambda left, right: left + right, lambda left, right: left - right):
        for rows in (top + bottom, top - bottom):
            bands.append(over_columns(rows[..., ::2], rows[..., 1::2]) / 2)
    return bands


@pytest.mark.parametrize(("height", "width"), [(6, 8), (5, 7)])
def test_each_band_is_convolved_for_itself_and_the_bands_make_an_image_again(height, width):
    wavelets = _WaveletConvolution(3, 3)
    initialize(wavelets, seed=1)
    images = drawn(2, 3, height, width)
    filled = functional.pad(images, (0, width % 2, 0, height % 2))

    with torch.no_grad():
        expected = torch.zeros_like(filled)
        for number, (band, over_columns, over_rows) in enumerate(
            zip(bands_by_hand(filled), (1, 1, -1, -1), (1, -1, 1, -1), strict=True)
        ):
            mixed = 0.1 * functional.conv2d(band, wavelets.convolve[0].weight[number::4], padding=1, groups=3) / 2
            expected[:, :, ::2, ::2] += mixed
            expected[:, :, ::2, 1::2] += over_columns * mixed
            expected[:, :, 1::2, ::2] += over_rows * mixed
            expected[:, :, 1::2, 1::2] += over_columns * over_rows * mixed

        torch.testing.assert_close(wavelets(images), expected[:, :, :height, :width])


def test_bands_that_are_left_alone_give_the_image_back():
    wavelets = _WaveletConvolution(3, 3)
    with torch.no_grad():
        wavelets.convolve[0].weight.zero_()[:, :, 1, 1] = 10.0
    images = drawn(1, 3, 5, 8)

    torch.testing.assert_close(wavelets(images), images)


def test_positions_are_scanned_from_the_first_and_from_the_last():
    module = _BothWaysScan(6, 8, 2)
    initialize(module, seed=1)
    randomize_norms(module)
    module.eval()
    images, scan = drawn(1, 6, 3, 4), module.scan

    with torch.no_grad():
        flow, mask = module.enter(images).chunk(2, dim=1)
        pixels = functional.silu(module.mix(flow))[0].flatten(1).T
        scanned = torch.zeros_like(pixels)
        for group, order in enumerate((range(12), reversed(range(12)))):
            state = torch.zeros(8, 2)
            for position in order:
                value = pixels[position]
                narrow, write, read = (scan.select[group] @ value).split([1, 2, 2])
                step = functional.softplus(scan.widen[group] @ narrow + scan.bias[group])[:, None]
                state = (-step * scan.log_rates[group].exp()).exp() * state + step * value[:, None] * write
                scanned[position] += state @ read + scan.skip[group] * value
        scanned = functional.layer_norm(scanned, [8], module.norm.weight, module.norm.bias).T.reshape(1, 8, 3, 4)

        torch.testing.assert_close(module(images), module.leave(scanned * functional.silu(mask)), rtol=1e-4, atol=1e-5)


def test_each_part_and_the_whole_block_add_their_input_and_the_last_channels_are_mixed_alone():
    block = MobileMamba(40, 40, 1, kernel=5, scanned=0.4, convolved=0.3, state=1, expand=2, mlp=2)
    initialize(block, seed=1)
    randomize_norms(block)
    block.eval()
    images = drawn(1, 40, 5, 6)

    with torch.no_grad():
        flow = images
        for layer in block.layers:
            if isinstance(layer.branch, _Interaction):
                parts = layer.branch
                scanned, convolved, kept = flow[:, :16], flow[:, 16:28], flow[:, 28:]
                joined = torch.cat(
                    (parts.scan(scanned) + parts.wavelets(scanned), parts.convolve(convolved), kept), dim=1
                )
                flow = flow + parts.mix(joined)
            else:
                flow = flow + layer.branch(flow)

        torch.testing.assert_close(block(images), images + flow)
