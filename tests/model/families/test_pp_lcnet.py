"""PP-LCNet against timm: parameters, MACs, and logits with its weights."""

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


@pytest.mark.parametrize("name", IN_TIMM)
def test_params_and_macs_equal_those_of_timm(name, timm_model):
    assert counted(name) == counted_by_torch(timm_model(IN_TIMM[name]), published(name).input_shape)


@pytest.mark.usefixtures("timm_model")
@pytest.mark.parametrize("name", BY_WIDTH)
def test_other_widths_equal_those_of_the_function_in_timm(name):
    from timm.models.mobilenetv3 import _gen_lcnet

    with torch.device("meta"):
        model = _gen_lcnet("lcnet_100", BY_WIDTH[name]).eval()

    assert counted(name) == counted_by_torch(model, published(name).input_shape)


def test_logits_equal_those_of_timm_with_its_weights(timm_model):
    architecture = published("pp_lcnet_x0_35")
    model = timm_model("lcnet_035", device="cpu")
    network = build(architecture).eval()
    copy_in_order(model, network)
    images = torch.randn(1, *architecture.input_shape, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        torch.testing.assert_close(network(images), model(images), rtol=1e-4, atol=1e-4)
