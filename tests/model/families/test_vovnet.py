"""VoVNet against timm, and the slim one against the authors' table of layers."""

import pytest
import torch
from families.reference import counted, counted_by_torch, published
from families.wiring import copy_in_order

from nasbench.model.build import build

IN_TIMM = {
    "vovnet_39": "vovnet39a",
    "vovnet_57": "vovnet57a",
    "ese_vovnet_19b_slim_dw": "ese_vovnet19b_slim_dw",
    "ese_vovnet_19b_dw": "ese_vovnet19b_dw",
    "ese_vovnet_19b_slim": "ese_vovnet19b_slim",
    "ese_vovnet_39b": "ese_vovnet39b",
    "ese_vovnet_57b": "ese_vovnet57b",
    "ese_vovnet_99b": "ese_vovnet99b",
}


@pytest.mark.parametrize("name", list(IN_TIMM))
def test_vovnets_count_as_in_timm(name, timm_model):
    assert counted(name) == counted_by_torch(timm_model(IN_TIMM[name]), published(name).input_shape)


def test_the_vovnet_that_timm_lays_out_but_does_not_name_counts_as_there(timm_model):
    theirs = timm_model("ese_vovnet39b", layer_per_block=3, block_per_stage=[1, 1, 1, 1])

    assert counted("ese_vovnet_19b") == counted_by_torch(theirs, (3, 224, 224))


def test_the_slim_vovnet_counts_as_the_authors_layers_do():
    """stigma0617/VoVNet.pytorch, models_vovnet/vovnet.py: one block of five layers in each of four stages."""
    params = macs = 0
    rows = [(3, 64, 3, 112), (64, 64, 3, 112), (64, 128, 3, 56)]
    channels = 128
    for width, out, size in ((64, 128, 56), (80, 256, 28), (96, 384, 14), (112, 512, 7)):
        rows += [(channels, width, 3, size), *[(width, width, 3, size)] * 4, (channels + 5 * width, out, 1, size)]
        channels = out
    for channels, out, kernel, size in rows:
        params += channels * out * kernel**2 + 2 * out
        macs += channels * out * kernel**2 * size**2

    assert counted("vovnet_27_slim") == (params + 512 * 1000 + 1000, macs + 512 * 1000)


@pytest.mark.parametrize("name", ["ese_vovnet_19b_slim_dw", "ese_vovnet_39b"])
def test_a_vovnet_with_the_weights_of_timms_gives_its_logits(name, timm_model):
    theirs, ours = timm_model(IN_TIMM[name], device="cpu"), build(published(name)).eval()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))

    copy_in_order(theirs, ours)

    with torch.no_grad():
        assert torch.allclose(ours(images), theirs(images), rtol=1e-4, atol=1e-4)
