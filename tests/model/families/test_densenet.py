"""DenseNet against timm."""

import pytest
import torch
from families.reference import counted, counted_by_torch, published
from families.wiring import copy_in_order

from nasbench.model.build import build

LAYERS = {
    "densenet_121": (6, 12, 24, 16),
    "densenet_161": (6, 12, 36, 24),
    "densenet_169": (6, 12, 32, 32),
    "densenet_201": (6, 12, 48, 32),
    "densenet_264": (6, 12, 64, 48),  # timm has it only with another stem and growth rate
}


@pytest.mark.parametrize("name", list(LAYERS))
def test_densenets_count_as_in_timm(name, timm_model):
    growth = 48 if name == "densenet_161" else 32
    theirs = timm_model("densenet121", growth_rate=growth, block_config=LAYERS[name])

    assert counted(name) == counted_by_torch(theirs, (3, 224, 224))


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "densenet_264"])
def test_densenets_count_as_those_of_timm_that_bear_the_name(name, timm_model):
    assert counted(name) == counted_by_torch(timm_model(name.replace("_", "")), (3, 224, 224))


def test_a_densenet_with_the_weights_of_timms_gives_its_logits(timm_model):
    theirs, ours = timm_model("densenet121", device="cpu"), build(published("densenet_121")).eval()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))

    copy_in_order(theirs, ours)

    with torch.no_grad():
        assert torch.allclose(ours(images), theirs(images), rtol=1e-4, atol=1e-4)
