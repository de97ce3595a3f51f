"""ViT, DeiT and ConViT against timm: parameters, MACs, and logits with its weights."""

import pytest
import torch
from families.reference import counted, counted_by_torch, published
from families.wiring import copy_in_order

from nasbench.model.build import build

IN_TIMM = {
    "deit_tiny": "deit_tiny_patch16_224",
    "deit_small": "deit_small_patch16_224",
    "deit_base": "deit_base_patch16_224",
    "deit_base_384": "deit_base_patch16_384",
    "vit_tiny": "vit_tiny_patch16_224",
    "vit_tiny_384": "vit_tiny_patch16_384",
    "vit_small": "vit_small_patch16_224",
    "vit_small_384": "vit_small_patch16_384",
    "vit_base": "vit_base_patch16_224",
    "vit_base_384": "vit_base_patch16_384",
    "vit_large": "vit_large_patch16_224",
    "vit_large_384": "vit_large_patch16_384",
    "convit_tiny": "convit_tiny",
    "convit_small": "convit_small",
    "convit_base": "convit_base",
}


@pytest.mark.parametrize("name", IN_TIMM)
def test_params_and_macs_equal_those_of_timm(name, timm_model):
    model = timm_model(IN_TIMM[name], num_classes=1000)

    assert counted(name) == counted_by_torch(model, published(name).input_shape)


@pytest.mark.parametrize("name", ["deit_tiny", "vit_tiny_384"])
def test_logits_equal_those_of_timm_with_its_weights(name, timm_model):
    architecture = published(name)
    model = timm_model(IN_TIMM[name], device="cpu", num_classes=1000)
    network = build(architecture).eval()
    copy_in_order(model, network)
    images = torch.randn(1, *architecture.input_shape, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        torch.testing.assert_close(network(images), model(images), rtol=1e-4, atol=1e-4)


class Reordered(torch.nn.Module):
    """A ConViT of timm whose class token comes in the order in which it is used."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def state_dict(self):
        state = self.model.state_dict()
        token = state.pop("cls_token")
        names = list(state)
        at = names.index("blocks.10.norm1.weight")
        return {name: state[name] for name in names[:at]} | {"token": token} | {n: state[n] for n in names[at:]}


def test_logits_of_convit_equal_those_of_timm_with_its_weights(timm_model):
    model = timm_model("convit_tiny", device="cpu")
    network = build(published("convit_tiny")).eval()
    copy_in_order(Reordered(model), network)
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        torch.testing.assert_close(network(images), model(images), rtol=1e-4, atol=1e-4)
