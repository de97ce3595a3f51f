"""MambaOut against timm: counts, and logits with the same weights."""

import pytest
import torch
from families.reference import counted, counted_by_torch, published
from families.wiring import copy_in_order

from nasbench.errors import BuildError
from nasbench.model.build import build
from nasbench.model.trace import make_module
from nasbench.space.kinds import make_block


@pytest.mark.parametrize("size", ["femto", "kobe", "tiny", "small", "base"])
def test_a_mambaout_counts_as_in_timm(size, timm_model):
    name = f"mambaout_{size}"

    assert counted(name) == counted_by_torch(timm_model(name), (3, 224, 224))


def test_a_mambaout_gives_the_logits_of_timm(timm_model):
    theirs = timm_model("mambaout_femto", device="cpu")
    ours = build(published("mambaout_femto")).eval()
    copy_in_order(theirs, ours)
    images = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        assert torch.allclose(ours(images), theirs(images), rtol=1e-3, atol=1e-4)


def test_a_share_above_the_expansion_is_explained():
    with pytest.raises(BuildError, match="24 of 16 values cannot pass a convolution"):
        make_module(make_block("gated_cnn", 8, 8, 1, {"expand": 2, "share": 3}, "row"))
