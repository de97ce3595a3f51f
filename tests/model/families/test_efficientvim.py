"""EfficientViM against timm: parameters, MACs, and logits with its weights."""

import pytest
import torch
from families.reference import counted, counted_by_torch, published
from families.wiring import copy_in_order

from nasbench.model.build import build

NAMES = ("efficientvim_m1", "efficientvim_m2", "efficientvim_m3", "efficientvim_m4")

SHARES_AND_BIASES = 4 + 3 * 1000
"""What the fusion of hidden states has in timm, and one linear layer on all of them does not need."""


@pytest.mark.parametrize("name", NAMES)
def test_params_and_macs_equal_those_of_timm_but_for_the_fusion(name, timm_model):
    params, macs = counted_by_torch(timm_model(name), published(name).input_shape)

    assert counted(name) == (params - SHARES_AND_BIASES, macs)


class Reordered:
    """The layers of timm's model before its classifiers, in the order in which they are used."""

    def __init__(self, model):
        self.model = model

    def state_dict(self):
        state = {}

        def add(name):
            state.update(
                {f"{name}.{key}": tensor for key, tensor in self.model.get_submodule(name).state_dict().items()}
            )

        add("patch_embed")
        for index, stage in enumerate(self.model.stages):
            for number, block in enumerate(stage.blocks):
                prefix = f"stages.{index}.blocks.{number}"
                shares = [block.alpha.detach()[i] for i in range(4)]
                state |= {f"{prefix}.alpha.1": shares[1], f"{prefix}.alpha.0": shares[0]}
                add(f"{prefix}.dwconv1")
                add(f"{prefix}.norm")
                add(f"{prefix}.mixer")
                state[f"{prefix}.alpha.2"] = shares[2]
                add(f"{prefix}.dwconv2")
                state[f"{prefix}.alpha.3"] = shares[3]
                add(f"{prefix}.ffn")
            add(f"norm.{index}")
            if stage.downsample is not None:
                for layers in ("dwconv1", "conv", "dwconv2"):
                    add(f"stages.{index}.downsample.{layers}")
        add("norm.3")
        return state


class WithoutClassifier:
    def __init__(self, network):
        self.network = network

    def state_dict(self):
        state = self.network.state_dict()
        return {name: tensor for name, tensor in state.items() if ".linear." not in name}


@pytest.mark.parametrize("name", ["efficientvim_m1", "efficientvim_m4"])
def test_logits_equal_those_of_timm_with_its_weights(name, timm_model):
    architecture = published(name)
    model = timm_model(name, device="cpu")
    network = build(architecture).eval()
    copy_in_order(Reordered(model), WithoutClassifier(network))
    images = torch.randn(1, *architecture.input_shape, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        model.weights.copy_(torch.tensor([0.5, -1.0, 0.25, 1.0]))
        for number, head in enumerate(model.heads):
            head.bias.fill_(number)
        shares = model.weights.softmax(0)
        linear = network.blocks[-1].linear
        linear.weight.copy_(torch.cat([s * head.weight for s, head in zip(shares, model.heads, strict=True)], dim=1))
        linear.bias.copy_(sum(s * head.bias for s, head in zip(shares, model.heads, strict=True)))
        torch.testing.assert_close(network(images), model(images), rtol=1e-4, atol=1e-4)
