"""PoolFormer and the MetaFormer baselines against timm, and each token mixer against another form of itself."""

import pytest
import torch
from exported import run_in_onnxruntime
from families.reference import counted, counted_by_torch, published
from families.wiring import copy_in_order
from forms import randomize_norms
from torch import nn
from torch.nn import functional

from nasbench.errors import BuildError
from nasbench.model.blocks.token_mixers import LinearAttentionMixer, RandomMixer, RetentionMixer, StateSpaceMixer
from nasbench.model.build import build, initialize
from nasbench.model.deploy import deploy
from nasbench.model.trace import make_module, trace_row
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block
from nasbench.space.kinds.mixers import MIXER

SIZES = ("s12", "s24", "s36", "m36", "m48")
IN_TIMM = {
    **{f"poolformer_{size}": f"poolformer_{size}" for size in SIZES},
    **{f"poolformer_v2_{size}": f"poolformerv2_{size}" for size in SIZES},
    **{f"{family}_{size}": f"{family}_{size}" for family in ("convformer", "caformer") for size in ("s18", "s36")},
    **{f"{family}_{size}": f"{family}_{size}" for family in ("convformer", "caformer") for size in ("m36", "b36")},
    "caformer_s18_384": "caformer_s18",
    "convformer_s18_384": "convformer_s18",
}


def draw_images(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


SMALLEST = ("poolformer_s12", "poolformer_v2_s12", "convformer_s18", "caformer_s18", "caformer_s18_384")


@pytest.mark.parametrize(
    "name", [*SMALLEST, *(pytest.param(name, marks=pytest.mark.points) for name in IN_TIMM if name not in SMALLEST)]
)
def test_metaformers_count_as_in_timm(name, timm_model):
    assert counted(name) == counted_by_torch(timm_model(IN_TIMM[name]), published(name).input_shape)


def logits_of_poolformer(model, images):
    """Give the logits of timm's PoolFormer, but its last norm before the average, as in the authors' code."""
    features = model.forward_features(images)
    norm, classifier = model.head.norm, model.head.fc
    normed = functional.group_norm(features, 1, norm.weight, norm.bias)
    return classifier(normed.mean((2, 3)))


def test_a_poolformer_with_the_weights_of_timms_gives_its_logits(timm_model):
    theirs, ours = timm_model("poolformer_s12", device="cpu"), build(published("poolformer_s12")).eval()
    copy_in_order(theirs, ours)
    images = draw_images(2, 3, 64, 96)

    with torch.no_grad():
        expected = logits_of_poolformer(theirs, images)
        torch.testing.assert_close(ours(images), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
        torch.testing.assert_close(deploy(ours)(images), expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("name", "theirs", "options"),
    [
        ("poolformer_v2_s12", "poolformerv2_s12", {}),
        ("identityformer_s12", "poolformerv2_s12", {"token_mixers": nn.Identity}),
        ("convformer_s18", "convformer_s18", {}),
        ("caformer_s18", "caformer_s18", {}),
    ],
)
def test_a_metaformer_with_the_weights_of_timms_gives_its_logits(name, theirs, options, timm_model):
    model, ours = timm_model(theirs, device="cpu", **options), build(published(name)).eval()
    copy_in_order(model, ours)
    images = draw_images(2, 3, 64, 96)

    with torch.no_grad():
        expected = model(images)
        limit = 1e-4 * float(expected.abs().max())
        torch.testing.assert_close(ours(images), expected, rtol=1e-4, atol=limit)
        torch.testing.assert_close(deploy(ours)(images), expected, rtol=1e-3, atol=limit)


@pytest.mark.parametrize("size", ("s12", "m36"))
def test_a_network_that_mixes_nothing_or_at_random_has_the_parameters_of_one_that_pools(size):
    pooling, identity, random = (
        counted(f"{name}_{size}") for name in ("poolformer_v2", "identityformer", "randformer")
    )
    _, _, repeats, last = (blocks * int(size[1:]) // 12 for blocks in (2, 2, 6, 2))
    third, fourth = (320, 512) if size.startswith("s") else (384, 768)

    assert identity == pooling
    assert random[0] == pooling[0]
    assert random[1] - pooling[1] == repeats * 196**2 * third + last * 49**2 * fourth


def drawn(mixer, seed=0):
    """Draw weights that are large enough for differences to be seen."""
    initialize(mixer, seed)
    for name in ("qkv", "project", "split"):
        if hasattr(mixer, name):
            layer = getattr(mixer, name)
            layer.weight.data.normal_(0, layer.in_features**-0.5, generator=torch.Generator().manual_seed(seed))
            if layer.bias is not None:
                layer.bias.data.normal_(0, 0.3, generator=torch.Generator().manual_seed(seed))
    return mixer.eval()


def heads_of(mixer, images):
    """Give queries, keys and values as (3, N, heads, L, width)."""
    tokens = images.flatten(2).transpose(1, 2)
    parts = (tokens @ mixer.qkv.weight.T).chunk(3, dim=2)
    return [part.reshape(*part.shape[:2], mixer.heads, -1).transpose(1, 2) for part in parts]


def joined(mixer, heads, images):
    """Project what comes from (N, heads, L, width) to images."""
    tokens = heads.transpose(1, 2).flatten(2) @ mixer.project.weight.T + mixer.project.bias
    return tokens.transpose(1, 2).reshape(images.shape)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 7), (12, 12), (7, 29), (56, 56)])
def test_retention_in_chunks_is_the_recurrence_over_single_positions(height, width):
    mixer = drawn(RetentionMixer(24, 8, height * width, bias=True))
    images = draw_images(2, 24, height, width)
    queries, keys, values = heads_of(mixer, images)
    kept = torch.tensor([1 - 1 / 32, 1 - 1 / 64, 1 - 1 / 128]).reshape(3, 1, 1)

    state, outputs = torch.zeros(2, 3, 8, 8), []
    for step in range(height * width):
        state = kept * state + keys[:, :, step, :, None] * values[:, :, step, None]
        outputs.append((queries[:, :, step, None] / 8**0.5 @ state)[:, :, 0])
    retained = torch.stack(outputs, dim=2)
    centred = retained - retained.mean(3, keepdim=True)
    normed = centred / (centred.square().mean(3, keepdim=True) + 1e-5).sqrt()

    with torch.no_grad():
        torch.testing.assert_close(mixer(images), joined(mixer, normed, images), rtol=1e-3, atol=1e-3)


def test_a_position_retains_nothing_of_later_ones():
    mixer = drawn(RetentionMixer(16, 8, 200, bias=True))
    images = draw_images(1, 16, 10, 20)
    changed = images.clone()
    changed[:, :, 7, 3] += 1

    with torch.no_grad():
        differs = (mixer(changed) - mixer(images)).abs().amax(1).flatten() > 1e-6

    assert not differs[: 7 * 20 + 3].any()
    assert differs[7 * 20 + 3 :].all()


def test_linear_attention_is_attention_with_a_similarity_of_features():
    mixer = drawn(LinearAttentionMixer(24, 8, bias=True))
    images = draw_images(2, 24, 5, 7)
    queries, keys, values = heads_of(mixer, images)

    similarity = (functional.elu(queries) + 1) @ (functional.elu(keys) + 1).transpose(2, 3)
    shares = similarity / similarity.sum(3, keepdim=True)

    with torch.no_grad():
        torch.testing.assert_close(mixer(images), joined(mixer, shares @ values, images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mixer", [LinearAttentionMixer(32, 32, bias=True), RetentionMixer(32, 32, 56**2, bias=True)])
def test_sums_over_many_positions_do_not_overflow_in_half_precision(mixer):
    images = draw_images(1, 32, 56, 56)

    with torch.no_grad():
        expected = drawn(mixer)(images)
        difference = mixer.half()(images.half()) - expected

    assert difference.abs().max() < 0.02 * expected.abs().max()


def test_random_mixing_takes_a_weighted_mean_of_all_positions_in_every_channel():
    mixer = drawn(RandomMixer(12))
    images = draw_images(2, 5, 3, 4)

    shares = mixer.matrix
    assert torch.allclose(shares.sum(1), torch.ones(12))
    assert not torch.allclose(shares, torch.full_like(shares, 1 / 12), atol=0.01)
    expected = torch.einsum("mn, bcn -> bcm", shares, images.flatten(2)).reshape(images.shape)
    torch.testing.assert_close(mixer(images), expected)
    torch.testing.assert_close(mixer(torch.ones(1, 5, 3, 4)), torch.ones(1, 5, 3, 4))


def test_a_state_space_mixer_runs_its_recurrence_from_both_ends():
    mixer = drawn(StateSpaceMixer(16, bias=True))
    images = draw_images(2, 16, 3, 5)
    scan = mixer.scan

    with torch.no_grad():
        values, gate = (images.flatten(2).transpose(1, 2) @ mixer.split.weight.T).split(16, dim=2)
        convolution = mixer.spatial[0]
        values = functional.silu(
            functional.conv2d(
                values.transpose(1, 2).reshape(images.shape), convolution.weight, convolution.bias, padding=1, groups=16
            )
        ).flatten(2)
        total = torch.zeros(2, 15, 16)
        for direction, order in enumerate((range(15), range(14, -1, -1))):
            state = torch.zeros(2, 16, 16)
            for step in order:
                now = values[:, :, step]
                narrow, writes, reads = (now @ scan.select[direction].T).split((1, 16, 16), dim=1)
                steps = functional.softplus(narrow @ scan.widen[direction].T + scan.bias[direction])[..., None]
                state = (
                    state * torch.exp(-steps * scan.log_rates[direction].exp())
                    + steps * now[..., None] * writes[:, None]
                )
                total[:, step] += (state * reads[:, None]).sum(2) + scan.skip[direction] * now
        tokens = (total * functional.silu(gate)) @ mixer.project.weight.T + mixer.project.bias

        torch.testing.assert_close(mixer(images), tokens.transpose(1, 2).reshape(images.shape), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mixer", ["attention", "linear_attention", "retention"])
def test_a_head_width_that_does_not_divide_is_explained(mixer):
    with pytest.raises(BuildError, match="heads of 32 channels do not divide 48 channels evenly"):
        make_module(make_block("metaformer", 48, 48, 1, {"mixer": mixer}, "row"), (48, 7, 7))


@pytest.mark.parametrize("kind", ["overlap_patchify", "metaformer"])
@pytest.mark.parametrize(("stride", "added"), [(1, 0), (2, 1), (3, 0), (4, 1)])
def test_patches_that_overlap_give_a_place_more_at_even_strides_where_one_pixel_is_missing(kind, stride, added):
    row = make_block(kind, 4, 8, stride, {}, "row")
    for height, width in ((7, 8), (11, 13), (14, 27)):
        places = ((height + added) // stride, (width + added) // stride)
        assert trace_row(row, (4, height, width)).output_shape == (8, *places)
        assert make_module(row, (4, height, width))(draw_images(1, 4, height, width)).shape[2:] == places


@pytest.mark.points
def test_every_mixer_exports_and_onnxruntime_gives_the_same_logits(tmp_path):
    mixers = MIXER.words.removeprefix("one of ").split(", ")
    rows = [make_block("overlap_patchify", 3, 32, 4, {}, "row")]
    rows += [make_block("metaformer", 32, 32, 1, {"mixer": mixer, "head_width": 8}, "row") for mixer in mixers]
    rows += [make_block("metaformer", 32, 48, 2, {"mixer": "retention", "head_width": 8}, "row")]
    rows += [make_block("poolformer_head", 48, 10, 1, {}, "row")]
    network = build(Architecture((3, 48, 48), 10, tuple(rows)), seed=4)
    randomize_norms(network)
    generator = torch.Generator().manual_seed(2)
    for module in network.modules():
        if isinstance(module, nn.Linear):
            module.weight.data.normal_(0, module.in_features**-0.5, generator=generator)
            if module.bias is not None:
                module.bias.data.normal_(0, 0.3, generator=generator)
    images = draw_images(1, 3, 48, 48)
    with torch.no_grad():
        expected = network.eval()(images)

    logits = run_in_onnxruntime(deploy(network), images, tmp_path / "network.onnx")

    assert expected.abs().max() > 0.3
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-4)
