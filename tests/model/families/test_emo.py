"""EMO and EMOv2: the layouts of the authors' code, counted here by a formula, and attention over windows.

The READMEs cut parameters after one digit, and count MACs with fvcore, which counts norms as well.
"""

import pytest
import torch
from families.reference import counted

from nasbench.errors import BuildError
from nasbench.model.blocks.emo import attend_in_windows
from nasbench.model.trace import make_module
from nasbench.space.kinds import make_block

# depths, widths, expansions, from zhangzjn/EMO, model/emo.py, and zhangzjn/EMOv2, model/lib_emo/emo2.py
EMO = {
    "emo_1m": ((2, 2, 8, 3), (32, 48, 80, 168), (2, 2.5, 3, 3.5)),
    "emo_2m": ((3, 3, 9, 3), (32, 48, 120, 200), (2, 2.5, 3, 3.5)),
    "emo_5m": ((3, 3, 9, 3), (48, 72, 160, 288), (2, 3, 4, 4)),
    "emo_6m": ((3, 3, 9, 3), (48, 72, 160, 320), (2, 3, 4, 5)),
}
EMO_V2 = {
    "emov2_1m": ((2, 2, 8, 3), (32, 48, 80, 180), (2, 2.5, 3, 3.5)),
    "emov2_2m": ((3, 3, 9, 3), (32, 48, 120, 200), (2, 2.5, 3, 3.5)),
    "emov2_5m": ((3, 3, 9, 3), (48, 72, 160, 288), (2, 3, 4, 4)),
    "emov2_5m_512": ((3, 3, 9, 3), (48, 72, 160, 288), (2, 3, 4, 4)),
    "emov2_20m": ((3, 3, 13, 3), (64, 128, 320, 448), (2, 3, 4, 4)),
    "emov2_50m": ((5, 8, 20, 7), (64, 128, 384, 512), (2, 3, 4, 4)),
}
CUT = {"emo_1m": 1.3, "emo_2m": 2.3, "emo_5m": 5.1, "emo_6m": 6.1, "emov2_1m": 1.4, "emov2_2m": 2.3, "emov2_5m": 5.1}


def block_params(channels, out, expand, kernel, *, attends, scaled):
    hidden = int(channels * expand)
    paired = 2 * channels * (channels + 1) if attends else 0
    local = kernel * kernel * hidden + 2 * hidden
    return 2 * channels + paired + hidden * (channels + 1) + local + hidden * out + (out if scaled else 0)


def stage_params(depths, widths, expansions, kernels, stem, *, scaled):
    total, channels = 0, stem
    for index, (depth, width, expand, kernel) in enumerate(zip(depths, widths, expansions, kernels, strict=True)):
        total += block_params(channels, width, 2 * expand, kernel, attends=False, scaled=scaled)
        total += (depth - 1) * block_params(width, width, expand, kernel, attends=index > 1, scaled=scaled)
        channels = width
    return total + 2 * channels + 1000 * (channels + 1)


@pytest.mark.parametrize("name", EMO)
def test_emo_has_the_parameters_of_the_authors_layout(name):
    stem = (27 * 24 + 24 + 48) + (9 * 24 + 48) + 2 * (24 * 24 + 24) + 24 * 24

    assert counted(name)[0] == stem + stage_params(*EMO[name], (3, 3, 5, 5), 24, scaled=False)


@pytest.mark.parametrize("name", EMO_V2)
def test_emov2_has_the_parameters_of_the_authors_layout(name):
    width = EMO_V2[name][1][0] // 2
    stem = (27 * width + width + 2 * width) + (9 * width + 2 * width) + width * width

    assert counted(name)[0] == stem + stage_params(*EMO_V2[name], (5, 5, 5, 5), width, scaled=True)


@pytest.mark.parametrize("name", CUT)
def test_parameters_are_those_of_the_readmes_cut_after_one_digit(name):
    assert int(counted(name)[0] / 1e5) / 10 == CUT[name]


@pytest.mark.parametrize("spread", [True, False])
def test_windows_are_full_attention_with_all_other_positions_masked(spread):
    heads, window, height, width = 2, 3, 6, 9
    generator = torch.Generator().manual_seed(0)
    paired = torch.randn(2, 16, height, width, generator=generator)
    values = torch.randn(2, 12, height, width, generator=generator)
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None]
    if spread:
        names = (rows % (height // window)) * 100 + columns % (width // window)
    else:
        names = (rows // window) * 100 + columns // window
    same = names.flatten()[:, None] == names.flatten()[None]

    def split(images, groups):
        return images.flatten(2).unflatten(1, (groups, -1)).transpose(2, 3)

    queries, keys = split(paired, 2 * heads).split(heads, dim=1)
    scores = (queries @ keys.transpose(2, 3) / 4**0.5).masked_fill(~same, -torch.inf)
    expected = (scores.softmax(-1) @ split(values, heads)).transpose(2, 3).reshape(values.shape)

    assert torch.allclose(attend_in_windows(paired, values, heads, window, spread=spread), expected, atol=1e-5)


def test_heads_that_do_not_divide_are_explained():
    with pytest.raises(BuildError, match="width 20 do not divide 32 channels"):
        make_module(make_block("irmb", 32, 32, 1, {"attention": True}, "row"))
