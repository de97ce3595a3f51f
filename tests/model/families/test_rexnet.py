"""ReXNet against timm: parameters, MACs, and logits with its weights; ReXNet-lite against the authors' arithmetic."""

from dataclasses import replace

import pytest
import torch
from families.reference import counted, counted_by_torch, published
from families.wiring import copy_in_order

from nasbench.model.build import build
from nasbench.model.trace import make_module
from nasbench.space.kinds import make_block
from nasbench.space.stack import make_divisible

IN_TIMM = {
    f"rexnet{suffix}_{width}": f"rexnet{suffix}_{width.replace('.', '')}0"
    for suffix in ("", "r")
    for width in ("1.0", "1.3", "1.5", "2.0", "3.0")
}


@pytest.mark.parametrize("name", IN_TIMM)
def test_params_and_macs_equal_those_of_timm(name, timm_model):
    assert counted(name) == counted_by_torch(timm_model(IN_TIMM[name]), published(name).input_shape)


@pytest.mark.parametrize("name", ["rexnet_1.0", "rexnetr_1.3"])
def test_logits_equal_those_of_timm_with_its_weights(name, timm_model):
    architecture = replace(published(name), input_shape=(3, 97, 97))  # odd, so that rounding up is seen
    theirs, ours = timm_model(IN_TIMM[name], device="cpu"), build(architecture).eval()
    copy_in_order(theirs, ours)
    images = torch.randn(2, *architecture.input_shape, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("width", [1.0, 1.3, 1.5, 2.0])
def test_a_lite_rexnet_has_the_params_of_the_authors_code(width):
    """One bias less for each of the 1,024 hidden channels of the head, in front of a batch norm."""
    growing = [make_divisible(round((16 + 164 / 15 * layer) * width)) for layer in range(16)]
    channels, last = [make_divisible(round(32 * width)), *growing], int(1280 * width)
    params = 27 * channels[0] + 2 * channels[0]
    for layer, (before, after) in enumerate(zip(channels, growing, strict=False)):
        hidden = before * (6 if layer else 1)
        params += (before * hidden + 2 * hidden if layer else 0) + 11 * hidden + hidden * after + 2 * after
    params += growing[-1] * last + 2 * last + last * 1024 + 2 * 1024 + 1024 * 1000 + 1000

    assert counted(f"rexnet_lite_{width}")[0] == params


@pytest.mark.parametrize(("out_channels", "added"), [(8, 6), (6, 6), (5, 0)])
def test_the_input_is_added_to_as_many_channels_where_none_is_lost(out_channels, added):
    module = make_module(make_block("rexnet", 6, out_channels, 1, {}, "row")).eval()
    images = torch.randn(2, 6, 8, 8, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        difference = module(images) - module.branch(images)

    assert torch.allclose(difference[:, :added], images[:, :added], atol=1e-6)
    assert not difference[:, added:].any()
