"""SHViT against timm: parameters, MACs, and logits with its weights."""

import pytest
import torch
from families.deployed import deployed, layers_of
from families.reference import counted, counted_by_torch, published
from families.wiring import copy_in_order
from forms import relative_difference

from nasbench.errors import BuildError
from nasbench.model.build import build
from nasbench.model.cost import count
from nasbench.model.deploy import deploy
from nasbench.model.trace import make_module
from nasbench.space.kinds import make_block

NAMES = ("shvit_s1", "shvit_s2", "shvit_s3", "shvit_s4")


@pytest.mark.parametrize("name", NAMES)
def test_params_and_macs_equal_those_of_timm(name, timm_model):
    assert counted(name) == counted_by_torch(timm_model(name), published(name).input_shape)


@pytest.mark.parametrize("name", ["shvit_s1", "shvit_s2"])
def test_logits_equal_those_of_timm_in_both_forms(name, timm_model):
    architecture = published(name)
    model = timm_model(name, device="cpu")
    network = build(architecture).eval()
    copy_in_order(model, network)
    images = torch.randn(1, *architecture.input_shape, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        expected = model(images)
        assert relative_difference(network(images), expected) < 1e-5
        assert relative_difference(deploy(network)(images), expected) < 1e-4


def test_the_inference_form_has_as_many_weights_as_the_fused_model_of_timm(timm_model):
    fused = timm_model("shvit_s1", device="cpu").fuse()
    cost = count(published("shvit_s1"))

    assert cost.deployed_params == sum(parameter.numel() for parameter in fused.parameters())
    assert layers_of(deployed("shvit_s1"))["BatchNorm2d"] == layers_of(deployed("shvit_s1"))["BatchNorm1d"] == 0


def test_channels_that_do_not_attend_reach_the_projection_as_they_are():
    attention = make_module(make_block("shvit", 16, 16, 1, {"partial": 4}, "row")).eval()[1].branch
    images = torch.randn(2, 16, 6, 6, generator=torch.Generator().manual_seed(1))
    seen = []
    attention.project.register_forward_pre_hook(lambda module, given: seen.append(given[0].clone()))

    with torch.no_grad():
        attention(images)

    assert torch.equal(seen[0][:, 4:], images[:, 4:])
    assert not torch.allclose(seen[0][:, :4], images[:, :4])


def test_more_attending_channels_than_there_are_is_told():
    with pytest.raises(BuildError, match="17 channels cannot attend where there are 16"):
        make_module(make_block("shvit", 16, 16, 1, {"partial": 17}, "row"))
