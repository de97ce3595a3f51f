"""PP-LCNet against the layers of the authors' code and against timm: counts, and logits with timm's weights."""

import pytest
import torch
from families.reference import counted, counted_by_torch, published
from families.wiring import copy_in_order

from nasbench.model.build import build

IN_TIMM = {
    "pp_lcnet_x0_35": "lcnet_035",
    "pp_lcnet_x0_5": "lcnet_050",
    "pp_lcnet_x0_75": "lcnet_075",
    "pp_lcnet_x1_0": "lcnet_100",
    "pp_lcnet_x1_5": "lcnet_150",
}
BY_WIDTH = {"pp_lcnet_x0_25": 0.25, "pp_lcnet_x2_0": 2.0, "pp_lcnet_x2_5": 2.5}
"""Widths that timm gives no name, and makes by the same function."""
WIDTHS = {**BY_WIDTH, **{name: int(timm_name[-3:]) / 100 for name, timm_name in IN_TIMM.items()}}

HIDDEN_BIASES = 1280
"""The last hidden layer has biases in timm, and none in the authors' code."""

# kernel, input and output channels, squeeze-and-excitation: PaddlePaddle/PaddleClas,
# ppcls/arch/backbone/legendary_models/pp_lcnet.py
ROWS = (
    (3, 16, 32, False),
    *((3, 32, 64, False), (3, 64, 64, False)),
    *((3, 64, 128, False), (3, 128, 128, False)),
    *((3, 128, 256, False), *[(5, 256, 256, False)] * 5),
    *((5, 256, 512, True), (5, 512, 512, True)),
)


def scaled(channels, width):
    """Round to a multiple of 8, at least 8, which loses at most a tenth."""
    rounded = max(8, int(channels * width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels * width else rounded


def params_of(width):
    """Stem, depthwise and pointwise convolutions with batch norms, 1x1 without bias to 1280, classifier."""
    total = (27 + 2) * scaled(16, width) + scaled(512, width) * 1280 + 1281 * 1000
    for kernel, before, behind, excite in ROWS:
        before, behind = scaled(before, width), scaled(behind, width)
        total += before * (kernel**2 + 2) + before * behind + 2 * behind
        total += 2 * before * (before // 4) + before // 4 + before if excite else 0
    return total


@pytest.mark.parametrize("name", WIDTHS)
def test_parameters_are_those_of_the_authors_layers(name):
    assert counted(name)[0] == params_of(WIDTHS[name])


@pytest.mark.parametrize("name", IN_TIMM)
def test_params_and_macs_equal_those_of_timm(name, timm_model):
    params, macs = counted_by_torch(timm_model(IN_TIMM[name]), published(name).input_shape)

    assert counted(name) == (params - HIDDEN_BIASES, macs)


@pytest.mark.usefixtures("timm_model")
@pytest.mark.parametrize("name", BY_WIDTH)
def test_other_widths_equal_those_of_the_function_in_timm(name):
    from timm.models.mobilenetv3 import _gen_lcnet

    with torch.device("meta"):
        model = _gen_lcnet("lcnet_100", BY_WIDTH[name]).eval()

    params, macs = counted_by_torch(model, published(name).input_shape)

    assert counted(name) == (params - HIDDEN_BIASES, macs)


def test_logits_equal_those_of_timm_with_its_weights(timm_model):
    architecture = published("pp_lcnet_x0_35")
    model = timm_model("lcnet_035", device="cpu")
    network = build(architecture).eval()
    model.conv_head.bias = None
    copy_in_order(model, network)
    images = torch.randn(1, *architecture.input_shape, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        torch.testing.assert_close(network(images), model(images), rtol=1e-4, atol=1e-4)
