"""ConvNeXt, ConvNeXt V2 and InceptionNeXt against timm."""

import pytest
import torch
from families.reference import counted, counted_by_torch, published
from families.wiring import copy_in_order

from nasbench.errors import BuildError
from nasbench.model.build import build
from nasbench.model.deploy import deploy
from nasbench.model.trace import make_module
from nasbench.space.kinds import make_block

IN_TIMM = {
    **{f"convnext_{size}": f"convnext_{size}" for size in ("atto", "femto", "pico", "nano", "tiny", "small", "base")},
    **{f"convnext_{size}": f"convnext_{size}" for size in ("large", "xlarge")},
    **{f"convnext_v2_{size}": f"convnextv2_{size}" for size in ("atto", "femto", "pico", "nano", "tiny", "base")},
    **{f"convnext_v2_{size}": f"convnextv2_{size}" for size in ("large", "huge")},
    **{f"inceptionnext_{size}": f"inception_next_{size}" for size in ("atto", "tiny", "small", "base")},
    "inceptionnext_base_384": "inception_next_base",
}


@pytest.mark.parametrize("name", list(IN_TIMM))
def test_convnexts_count_as_in_timm(name, timm_model):
    assert counted(name) == counted_by_torch(timm_model(IN_TIMM[name]), published(name).input_shape)


class ScalesLast:
    """A model of timm whose layer scales stand behind the other weights of their block, as they do here."""

    def __init__(self, model):
        self.model = model

    def state_dict(self):
        """List the weights; those of a block have the block's name in common."""
        weights = self.model.state_dict()
        ends = {name.removesuffix("gamma"): None for name in weights if name.endswith(".gamma")}
        for name in weights:
            block = next((prefix for prefix in ends if name.startswith(prefix)), None)
            if block is not None:
                ends[block] = name
        gammas = {last: f"{block}gamma" for block, last in ends.items()}
        ordered = {}
        for name in weights:
            if not name.endswith(".gamma"):
                ordered[name] = weights[name]
            if name in gammas:
                ordered[gammas[name]] = weights[gammas[name]]
        return ordered


@pytest.mark.parametrize("name", ["convnext_atto", "convnext_v2_atto", "inceptionnext_atto"])
def test_a_convnext_with_the_weights_of_timms_gives_its_logits(name, timm_model):
    theirs, ours = timm_model(IN_TIMM[name], device="cpu"), build(published(name)).eval()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))

    copy_in_order(ScalesLast(theirs), ours)

    with torch.no_grad():
        expected = theirs(images)
        assert torch.allclose(ours(images), expected, rtol=1e-4, atol=1e-4 * expected.abs().max())
        assert torch.allclose(deploy(ours)(images), expected, rtol=1e-3, atol=1e-4 * expected.abs().max())


def test_a_response_norm_starts_as_the_identity_and_weighs_channels_by_their_norms():
    block = build(published("convnext_v2_atto")).blocks[1]
    norm = block[-1].branch[4]
    images = torch.randn(1, 160, 4, 4)

    assert torch.equal(norm(images), images)
    norm.scale.data.fill_(1.0)
    lengths = images.square().sum((2, 3), keepdim=True).sqrt()
    assert torch.allclose(norm(images), images + images * lengths / lengths.mean(), atol=1e-5)


def test_three_shares_that_do_not_fit_and_a_group_width_that_does_not_divide_are_explained():
    with pytest.raises(BuildError, match=r"three times 6 channels \(share 0.4\) do not fit into 16"):
        make_module(make_block("metanext", 16, 16, 1, {"share": 0.4}, "row"))
    with pytest.raises(BuildError, match="the 20 input channels are no multiple of the group width 8"):
        make_module(make_block("convfirst", 20, 20, 1, {}, "row"))


def test_a_convfirst_block_has_the_weights_of_the_authors():
    """andravin/spio, scripts/profile_block.py: 64 channels in groups of 8, three batch norms, no biases."""
    block = make_module(make_block("convfirst", 64, 64, 1, {}, "row"))

    weights = 64 * 8 * 3**2 + 2 * 64 * 256
    assert sum(parameter.numel() for parameter in block.parameters()) == weights + 2 * (64 + 256 + 64)
