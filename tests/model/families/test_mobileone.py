"""MobileOne against timm, in both its forms."""

import pytest
import torch
from families.deployed import counted_deployed, deployed, layers_of
from families.reference import counted, counted_by_torch, published
from families.wiring import copy_in_order
from forms import relative_difference

from nasbench.model.build import build
from nasbench.model.deploy import deploy

NAMES = [f"mobileone_s{index}" for index in range(5)]


@pytest.mark.parametrize("name", NAMES)
def test_the_training_form_counts_as_timm_has_it(name, timm_model):
    assert counted(name) == counted_by_torch(timm_model(name), (3, 224, 224))


def test_timm_counts_the_same_parameters_once_merged(timm_model):
    from timm.utils import reparameterize_model

    merged = reparameterize_model(timm_model("mobileone_s0", device="cpu"))

    assert counted_deployed("mobileone_s0")[0] == sum(parameter.numel() for parameter in merged.parameters())


def test_the_inference_form_has_one_convolution_where_the_training_form_has_ten():
    layers = layers_of(deployed("mobileone_s0"))

    assert layers["Conv2d"] == 1 + 2 * 21
    assert layers["BatchNorm2d"] == 0


def test_logits_are_those_of_timm_in_both_forms(timm_model):
    theirs = timm_model("mobileone_s0", device="cpu")
    ours = build(published("mobileone_s0")).eval()
    copy_in_order(theirs, ours)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        expected = theirs(images)
        assert relative_difference(ours(images), expected) < 1e-5
        assert relative_difference(deploy(ours)(images), expected) < 1e-4
