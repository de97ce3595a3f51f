"""EfficientVMamba: parameters by the layers of the authors' code, MACs as they count them, and a block by hand."""

from math import ceil

import pytest
import torch
from families.reference import counted
from forms import randomize_norms
from torch.nn import functional

from nasbench.model.blocks.efficientvmamba import EfficientVisualStateSpace, PatchMerge, _AtrousScan
from nasbench.model.build import initialize

WIDTHS = {"efficientvmamba_t": 48, "efficientvmamba_s": 64, "efficientvmamba_b": 96}
DEPTHS = {"efficientvmamba_t": (2, 2, 4, 2), "efficientvmamba_s": (2, 2, 4, 2), "efficientvmamba_b": (2, 2, 9, 2)}
STATE = 16


def params_of_visual_state_space(c):
    inner, rank, squeezed = 2 * c, ceil(c / 16), int(c * 0.125)
    scan = 4 * (inner * (rank + 2 * STATE) + inner * rank + inner + inner * STATE + inner)
    atrous = c * 2 * inner + 9 * inner + inner + scan + 2 * inner + inner * c
    convolve = 9 * c + c + 2 * c + c * c + c
    gate = 2 * c + c * squeezed + squeezed + squeezed * c + c
    return 2 * c + atrous + convolve + gate


def params_of_inverted_residual(c):
    hidden, squeezed = 4 * c, 4 * c // 8
    excite = hidden * squeezed + squeezed + squeezed * hidden + hidden
    return c * hidden + 2 * hidden + 9 * hidden + 2 * hidden + excite + hidden * c + 2 * c


@pytest.mark.parametrize("name", WIDTHS)
def test_params_are_those_of_the_layers_of_the_authors(name):
    widths = [WIDTHS[name] * 2**stage for stage in range(4)]
    params = 3 * 16 * widths[0] + widths[0] + 2 * widths[0]
    for stage, (width, depth) in enumerate(zip(widths, DEPTHS[name], strict=True)):
        block = params_of_visual_state_space if stage < 2 else params_of_inverted_residual
        params += depth * block(width)
    params += sum(2 * 4 * width + 4 * width * 2 * width for width in widths[:3])
    params += 2 * widths[3] + widths[3] * 1000 + 1000

    assert counted(name)[0] == params
    assert params // 10**6 == {"efficientvmamba_t": 6, "efficientvmamba_s": 11, "efficientvmamba_b": 33}[name]


@pytest.mark.parametrize(
    ("name", "giga"), [("efficientvmamba_t", 0.8), ("efficientvmamba_s", 1.3), ("efficientvmamba_b", 4.0)]
)
def test_macs_are_the_published_ones_where_a_scan_counts_as_the_authors_count_it(name, giga):
    macs = counted(name)[1]
    for stage in range(2):
        positions, channels = (56 // 2**stage) ** 2, 2 * WIDTHS[name] * 2**stage
        ours, theirs = channels * STATE, 9 * channels * STATE + channels
        macs += DEPTHS[name][stage] * positions * (theirs - ours)

    assert round(macs / 1e9, 1) == giga


def scanned_before(row, column, size):
    """Give the pixels that a pixel can depend on: those of its parities, up to it in the order of their scan."""
    same = [(r, c) for r in range(row % 2, size, 2) for c in range(column % 2, size, 2)]
    if row % 2 == 0:
        return {(r, c) for r, c in same if (r, c) <= (row, column)}
    return {(r, c) for r, c in same if (c, r) <= (column, row)}


@pytest.mark.parametrize("size", [4, 5])
def test_even_rows_are_scanned_by_rows_and_odd_ones_by_columns_each_parity_for_itself(size):
    scan = _AtrousScan(4, 8, kernel=1, state=3).double()
    initialize(scan, seed=1)
    images = torch.randn(1, 4, size, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    images.requires_grad_()
    outputs = scan(images)

    for row in range(size):
        for column in range(size):
            (gradient,) = torch.autograd.grad(outputs[0, :, row, column].sum(), images, retain_graph=True)
            reached = {tuple(pixel.tolist()) for pixel in gradient[0].abs().sum(0).nonzero()}
            assert reached == scanned_before(row, column, size), (row, column)


def by_hand(block, images):
    """Compute a block on (1, C, H, W) channels last, and its scans pixel by pixel."""
    atrous, scan, gates = block.scan, block.scan.scan, block.gate.gate
    normed = functional.layer_norm(images.permute(0, 2, 3, 1), [images.shape[1]], block.norm.weight, block.norm.bias)
    flow, mask = (normed @ atrous.enter.weight[:, :, 0, 0].T).chunk(2, dim=3)
    flow = functional.silu(atrous.mix(flow.permute(0, 3, 1, 2)))[0].permute(1, 2, 0)
    rows, columns = flow.shape[:2]
    flow = functional.pad(flow, (0, 0, 0, columns % 2, 0, rows % 2))  # what is filled in moves the states, too
    scanned = torch.zeros_like(flow)
    for group, (down, right) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        pixels = [(row, column) for row in range(down, len(flow), 2) for column in range(right, flow.shape[1], 2)]
        state = torch.zeros(flow.shape[2], scan.state)
        for row, column in sorted(pixels, key=lambda pixel: pixel if down == 0 else pixel[::-1]):
            value = flow[row, column]
            narrow, write, read = (scan.select[group] @ value).split([scan.rank, scan.state, scan.state])
            step = functional.softplus(scan.widen[group] @ narrow + scan.bias[group])[:, None]
            state = (-step * scan.log_rates[group].exp()).exp() * state + step * value[:, None] * write
            scanned[row, column] = state @ read + scan.skip[group] * value
    scanned = scanned[:rows, :columns]
    scanned = functional.layer_norm(scanned, scanned.shape[2:], atrous.norm.weight, atrous.norm.bias)
    scanned = (scanned * functional.silu(mask)) @ atrous.leave.weight[:, :, 0, 0].T
    output = images.permute(0, 2, 3, 1)
    for branch in (scanned, block.convolve(normed.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)):
        mean = functional.layer_norm(branch, branch.shape[3:], block.gate.norm.weight, block.gate.norm.bias).mean(
            (1, 2)
        )
        output = output + branch * torch.sigmoid(gates[2](functional.gelu(gates[0](mean))))
    return output.permute(0, 3, 1, 2)


@pytest.mark.parametrize("size", [4, 7])
def test_a_block_computes_what_its_parts_do_by_hand(size):
    block = EfficientVisualStateSpace(16, 16, 1, kernel=3, state=3, expand=1.5, squeeze=0.25)
    initialize(block, seed=1)
    randomize_norms(block)
    torch.nn.init.normal_(block.gate.gate[2].weight, generator=torch.Generator().manual_seed(2))
    images = torch.randn(1, 16, size, size, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        torch.testing.assert_close(block.eval()(images), by_hand(block, images), rtol=1e-4, atol=1e-5)


def test_patches_at_the_border_are_filled_with_zeros():
    merge = PatchMerge(2, 3, 2)
    images = torch.randn(1, 2, 5, 3, generator=torch.Generator().manual_seed(1))
    filled = torch.zeros(1, 2, 6, 4)
    filled[:, :, :5, :3] = images

    assert merge(images).shape == (1, 3, 3, 2)
    torch.testing.assert_close(merge(images), merge(filled))
