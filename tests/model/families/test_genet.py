"""GENet against timm: parameters, MACs, and logits with its weights."""

from dataclasses import replace

import pytest
import torch
from families.reference import counted, counted_by_torch, published
from families.wiring import copy_in_order

from nasbench.model.build import build

IN_TIMM = {"genet_small": "gernet_s", "genet_normal": "gernet_m", "genet_large": "gernet_l"}


@pytest.mark.parametrize("name", IN_TIMM)
def test_params_and_macs_equal_those_of_timm(name, timm_model):
    assert counted(name) == counted_by_torch(timm_model(IN_TIMM[name]), published(name).input_shape)


def test_logits_equal_those_of_timm_with_its_weights(timm_model):
    architecture = replace(published("genet_small"), input_shape=(3, 65, 65))  # odd, so that rounding up is seen
    theirs, ours = timm_model("gernet_s", device="cpu"), build(architecture).eval()
    for block in [module for module in theirs.modules() if getattr(module, "shortcut", None) is not None]:
        block._modules["shortcut"] = block._modules.pop("shortcut")  # behind the branch, as ours has it
    copy_in_order(theirs, ours)
    images = torch.randn(2, *architecture.input_shape, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-3, atol=1e-3)
