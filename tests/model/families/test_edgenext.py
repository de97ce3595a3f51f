"""EdgeNeXt: equal counts and equal logits to timm's."""

import pytest
import torch
from families.reference import counted, counted_by_torch, published
from families.wiring import copy_in_order

from nasbench.errors import BuildError
from nasbench.model.build import build
from nasbench.model.trace import make_module
from nasbench.space.kinds import make_block

NAMES = ("edgenext_xx_small", "edgenext_x_small", "edgenext_small", "edgenext_base")


class ScalesFirst:
    """A network whose layer scales come first in each block, as timm's own parameters of a block do."""

    def __init__(self, network):
        self.network = network

    def state_dict(self):
        def place(name):
            return int(name.split(".")[1]), not name.endswith(".scale")

        tensors = self.network.state_dict()
        return {name: tensors[name] for name in sorted(tensors, key=place)}


@pytest.mark.parametrize("name", NAMES)
def test_params_and_macs_equal_those_of_timm(name, timm_model):
    assert counted(name) == counted_by_torch(timm_model(name), (3, 256, 256))


def test_logits_equal_those_of_timm(timm_model):
    reference = timm_model("edgenext_xx_small", device="cpu")
    network = build(published("edgenext_xx_small")).eval()
    copy_in_order(reference, ScalesFirst(network))
    images = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        expected, actual = reference(images), network(images)

    assert expected.std() > 0.1
    assert torch.allclose(actual, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("channels", "options", "message"),
    [(20, {"heads": 8}, "8 heads do not divide 20"), (8, {"splits": 7}, "8 channels cannot be split 7 times")],
)
def test_impossible_splits_and_heads_are_explained(channels, options, message):
    with pytest.raises(BuildError, match=message):
        make_module(make_block("edgenext_sdta", channels, channels, 1, options, "row"), (channels, 8, 8))
