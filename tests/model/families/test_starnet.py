"""StarNet against timm and the authors' figures."""

import pytest
import torch
from families.deployed import deployed, layers_of
from families.reference import counted, counted_by_torch, published
from families.wiring import copy_in_order
from forms import relative_difference

from nasbench.model.build import build
from nasbench.model.trace import make_module
from nasbench.space.kinds import make_block

NAMES = [f"starnet_s{size}" for size in ("050", "100", "150", "1", "2", "3", "4")]

# ma-xu/Rewrite-the-Stars, imagenet/README.md: millions of parameters
PUBLISHED = {"starnet_s1": 2.9, "starnet_s2": 3.7, "starnet_s3": 5.8, "starnet_s4": 7.5}


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_those_of_timm(name, timm_model):
    assert counted(name) == counted_by_torch(timm_model(name), (3, 224, 224))


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_parameters_are_as_published(name):
    assert counted(name)[0] / 1e6 == pytest.approx(PUBLISHED[name], abs=0.05)


def test_the_inference_form_has_no_batch_norm():
    layers = layers_of(deployed("starnet_s1"))

    assert layers["BatchNorm2d"] == layers["BatchNorm1d"] == 0


def test_logits_are_those_of_timm(timm_model):
    theirs = timm_model("starnet_s050", device="cpu")
    ours = build(published("starnet_s050")).eval()
    copy_in_order(theirs, ours)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        assert relative_difference(ours(images), theirs(images)) < 1e-5


def test_the_star_multiplies_and_the_other_mix_adds():
    images = torch.randn(2, 8, 6, 6)
    star, addition = (make_module(make_block("star", 8, 8, 1, {"mix": mix}, "row")) for mix in ("multiply", "add"))
    addition.load_state_dict(star.state_dict())
    for block in (star, addition):
        block.eval()
        torch.nn.init.zeros_(block.right.weight)
        torch.nn.init.zeros_(block.right.bias)

    with torch.no_grad():
        multiplied = star.behind(star.project(torch.zeros(2, 32, 6, 6)))
        added = addition.behind(addition.project(addition.act(addition.left(addition.before(images)))))

        assert torch.allclose(star(images), images + multiplied, atol=1e-6)
        assert torch.allclose(addition(images), images + added, atol=1e-6)
