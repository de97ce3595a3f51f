"""MobileOne against timm, and its inference form against figures of other projects."""

import pytest
import torch
from deployed import counted_deployed, deployed, layers_of
from forms import relative_difference
from reference import counted, counted_by_torch, published
from wiring import copy_in_order

from nasbench.model.build import build
from nasbench.model.deploy import deploy

NAMES = [f"mobileone_s{index}" for index in range(5)]

# in millions, of the inference form: open-mmlab/mmpretrain, configs/mobileone/README.md
INFERENCE = {
    "mobileone_s0": (2.08, 270),
    "mobileone_s1": (4.76, 820),
    "mobileone_s2": (7.81, 1300),
    "mobileone_s3": (10.08, 1890),
    "mobileone_s4": (14.84, 2980),
}


@pytest.mark.parametrize("name", NAMES)
def test_the_training_form_counts_as_timm_has_it(name, timm_model):
    assert counted(name) == counted_by_torch(timm_model(name), (3, 224, 224))


@pytest.mark.parametrize("name", NAMES)
def test_the_inference_form_counts_as_published(name):
    params, macs = counted_deployed(name)

    assert params / 1e6 == pytest.approx(INFERENCE[name][0], abs=0.005)
    assert macs / 1e6 == pytest.approx(INFERENCE[name][1], abs=10)  # cut off, not rounded, to 10 million


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
