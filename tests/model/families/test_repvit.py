"""RepViT against timm, with one classifier."""

import pytest
import torch
from families.deployed import deployed, layers_of
from families.reference import counted, counted_by_torch, published
from families.wiring import copy_in_order
from forms import relative_difference

from nasbench.model.build import build
from nasbench.model.deploy import deploy

NAMES = [f"repvit_{size}" for size in ("m0_9", "m1_0", "m1_1", "m1_5", "m2_3", "m1", "m2", "m3")]


@pytest.mark.parametrize("name", NAMES)
def test_the_training_form_counts_as_timm_has_it(name, timm_model):
    assert counted(name) == counted_by_torch(timm_model(name, distillation=False), (3, 224, 224))


def test_m0_6_counts_as_timm_would_have_it(timm_model):
    from timm.models.repvit import RepVit

    with torch.device("meta"):
        theirs = RepVit(embed_dim=(40, 80, 160, 320), depth=(1, 1, 8, 1), distillation=False).eval()

    assert counted("repvit_m0_6") == counted_by_torch(theirs, (3, 224, 224))


@pytest.mark.parametrize("name", ["repvit_m0_9", "repvit_m1"])
def test_the_inference_form_has_one_convolution_for_the_branches_of_a_block(name):
    architecture = published(name)
    blocks = [block for block in architecture.blocks if block.kind == "repvit"]
    squeezed = sum("se" in dict(block.options) for block in blocks)
    reducing = sum(block.stride == 2 for block in blocks)
    layers = layers_of(deployed(name))

    assert layers["Conv2d"] == 2 + 3 * len(blocks) + reducing + 2 * squeezed
    assert layers["BatchNorm2d"] == layers["BatchNorm1d"] == 0


@pytest.mark.parametrize("name", ["repvit_m0_9", "repvit_m1"])
def test_logits_are_those_of_timm_in_both_forms(name, timm_model):
    theirs = timm_model(name, device="cpu", distillation=False)
    ours = build(published(name)).eval()
    copy_in_order(theirs, ours)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        expected = theirs(images)
        assert relative_difference(ours(images), expected) < 1e-5
        assert relative_difference(deploy(ours)(images), expected) < 1e-4
