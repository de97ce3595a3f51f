"""EfficientNet and EfficientNet-Lite against timm: parameters, MACs, and logits with its weights."""

import pytest
import torch
from families.reference import counted, counted_by_torch, published
from families.wiring import copy_in_order

from nasbench.model.build import build

NAMES = [*(f"efficientnet_b{number}" for number in range(8)), *(f"efficientnet_lite{number}" for number in range(5))]
"""All of the space, which timm calls the same."""


@pytest.mark.parametrize("name", NAMES)
def test_params_and_macs_equal_those_of_timm(name, timm_model):
    assert counted(name) == counted_by_torch(timm_model(name), published(name).input_shape)


def test_logits_equal_those_of_timm_with_its_weights(timm_model):
    architecture = published("efficientnet_b0")
    model = timm_model("efficientnet_b0", device="cpu")
    network = build(architecture).eval()
    copy_in_order(model, network)
    images = torch.randn(1, *architecture.input_shape, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        torch.testing.assert_close(network(images), model(images), rtol=1e-4, atol=1e-4)
