"""TNT against timm: parameters, MACs, and logits with its weights."""

import pytest
import torch
from families.reference import counted, counted_by_torch, published
from families.wiring import copy_in_order

from nasbench.model.build import build

IN_TIMM = {"tnt_s": "tnt_s_patch16_224", "tnt_b": "tnt_b_patch16_224"}


@pytest.mark.parametrize("name", IN_TIMM)
def test_params_and_macs_equal_those_of_timm(name, timm_model):
    model = timm_model(IN_TIMM[name])

    assert counted(name) == counted_by_torch(model, published(name).input_shape)


class Split:
    """Our network, with the one layer of queries, keys and values as the two that timm has."""

    def __init__(self, network):
        self.network = network

    def state_dict(self):
        state = {}
        for name, tensor in self.network.state_dict().items():
            if name.endswith("qkv.weight"):
                values = tensor.shape[1]
                state |= {f"{name}.qk": tensor[: 2 * values], f"{name}.v": tensor[2 * values :]}
            else:
                state[name] = tensor
        return state


@pytest.mark.parametrize("name", IN_TIMM)
def test_logits_equal_those_of_timm_with_its_weights(name, timm_model):
    model = timm_model(IN_TIMM[name], device="cpu")
    network = build(published(name)).eval()
    copy_in_order(model, Split(network))
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        torch.testing.assert_close(network(images), model(images), rtol=1e-4, atol=1e-4)
