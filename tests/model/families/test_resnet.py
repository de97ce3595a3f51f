"""Residual networks of timm: their counts, and their logits with the same weights."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from families.reference import counted, counted_by_torch, published
from families.wiring import copy_in_order

from nasbench.model.build import build

IN_TIMM = {
    "resnet_10t": "resnet10t",
    "resnet_14t": "resnet14t",
    "resnet_18d": "resnet18d",
    "resnet_26": "resnet26",
    "resnet_26t": "resnet26t",
    "resnet_26d": "resnet26d",
    "resnet_34d": "resnet34d",
    "resnet_50d": "resnet50d",
    "resnet_101d": "resnet101d",
    "resnet_152d": "resnet152d",
    "resnet_200d": "resnet200d",
    "resnext_50d_32x4d": "resnext50d_32x4d",
    "se_resnet_50": "seresnet50",
    "se_resnet_101": "seresnet101",
    "se_resnet_152d": "seresnet152d",
    "se_resnext_26d_32x4d": "seresnext26d_32x4d",
    "se_resnext_26t_32x4d": "seresnext26t_32x4d",
    "se_resnext_50_32x4d": "seresnext50_32x4d",
    "se_resnext_101_32x4d": "seresnext101_32x4d",
    "se_resnext_101_32x8d": "seresnext101_32x8d",
    "eca_resnet_26t": "ecaresnet26t",
    "eca_resnet_50t": "ecaresnet50t",
    "eca_resnet_50d": "ecaresnet50d",
    "eca_resnet_101d": "ecaresnet101d",
    "eca_resnet_269d": "ecaresnet269d",
}
QUICK = ("resnet_10t", "resnet_50d", "se_resnet_50", "se_resnext_26t_32x4d", "eca_resnet_50d")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in IN_TIMM]
)
def test_params_and_macs_equal_those_of_timm(name, timm_model):
    assert counted(name) == counted_by_torch(timm_model(IN_TIMM[name]), published(name).input_shape)


@pytest.mark.parametrize("name", ["resnet_10t", "resnet_26d", "se_resnext_26t_32x4d", "eca_resnet_26t"])
def test_a_network_with_the_weights_of_timm_gives_its_logits(name, timm_model):
    architecture = replace(published(name), input_shape=(3, 65, 65))  # odd, so that rounding up is seen
    theirs, ours = timm_model(IN_TIMM[name], device="cpu"), build(architecture).eval()
    copy_in_order(theirs, ours)
    images = torch.randn(2, *architecture.input_shape, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("gate", ["gc", "cbam", "ge"])
def test_other_gates_stand_where_timm_puts_its_attention(gate, timm_model):
    """Global context and CBAM with the options of their papers."""
    from timm.layers import get_attn

    options = {"gc": {"fuse_add": True, "fuse_scale": False, "rd_ratio": 1 / 16}, "cbam": {"mlp_bias": True}}
    layer = partial(get_attn(gate), **options.get(gate, {"use_mlp": False}))
    architecture = replace(published(f"{gate}_resnet_50"), input_shape=(3, 64, 64))
    theirs = timm_model("resnet50", device="cpu", block_args={"attn_layer": layer})
    ours = build(architecture).eval()
    copy_in_order(theirs, ours)
    images = torch.randn(2, *architecture.input_shape, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-3, atol=1e-3)
