"""EfficientFormer against timm: counts, and logits with the same weights."""

import pytest
import torch
from families.reference import counted, counted_by_torch, published
from families.wiring import copy_in_order

from nasbench.model.build import build


@pytest.mark.parametrize("name", ["efficientformer_l1", "efficientformer_l3", "efficientformer_l7"])
def test_an_efficientformer_counts_as_in_timm(name, timm_model):
    assert counted(name) == counted_by_torch(timm_model(name), (3, 224, 224))


@pytest.mark.parametrize("name", ["efficientformer_l1", "efficientformer_l3"])
def test_an_efficientformer_gives_the_logits_of_timm(name, timm_model):
    theirs = timm_model(name, device="cpu")
    for module in theirs.modules():
        if hasattr(module, "attention_bias_idxs"):
            module._non_persistent_buffers_set.add("attention_bias_idxs")  # an index and no weight
    ours = build(published(name)).eval()
    copy_in_order(theirs, ours)
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        assert torch.allclose(ours(images), theirs(images), rtol=1e-3, atol=1e-4)
