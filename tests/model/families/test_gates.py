"""Gates against timm's layers with equal weights, and against the parameters that papers and authors' models state."""

import pytest
import torch
from exported import run_in_onnxruntime
from families.reference import counted, published
from families.wiring import copy_in_order
from forms import randomize_norms, relative_difference
from torch import nn
from torch.nn import functional

from nasbench.errors import BuildError
from nasbench.model.build import build, initialize
from nasbench.model.cost import count
from nasbench.model.deploy import deploy
from nasbench.model.trace import make_module
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block
from nasbench.space.kinds.gates import GATES

CHANNELS, SIZE = 64, 14


def gate(kind, options, channels=CHANNELS):
    block = make_block(kind, channels, channels, 1, options, "row")
    module = make_module(block, (channels, SIZE, SIZE))
    initialize(module, seed=3)
    return module.eval()


def with_inner_scale(module):
    """Scale as the authors' code does: timm takes the root of the input's channels, not of the inner ones."""
    module.scale = module.t.out_channels**-0.5
    return module


THEIRS = {
    "se": ("se", {}, lambda find: find("se")(CHANNELS, rd_ratio=1 / 16, rd_divisor=1)),
    "se_4_hard": (
        "se",
        {"ratio": 0.25, "se_gate": "hard_sigmoid"},
        lambda find: find("se")(CHANNELS, rd_ratio=1 / 4, gate_layer="hard_sigmoid"),
    ),
    "eca": ("eca", {}, lambda find: find("eca")(CHANNELS)),
    "eca_7": ("eca", {"kernel": 7}, lambda find: find("eca")(kernel_size=7)),
    "coord": ("coord", {}, lambda find: find("coord")(CHANNELS, rd_channels=8, bias=True)),
    "cbam": ("cbam", {}, lambda find: find("cbam")(CHANNELS, mlp_bias=True)),
    "gc": (
        "gc",
        {},
        lambda find: find("gc")(CHANNELS, fuse_add=True, fuse_scale=False, rd_ratio=1 / 16),
    ),
    "non_local": (
        "non_local",
        {},
        lambda find: with_inner_scale(find("nl")(CHANNELS, rd_ratio=1 / 2)),
    ),
    "ge": ("gather_excite", {}, lambda find: find("ge")(CHANNELS, use_mlp=False)),
    "ge_4": ("gather_excite", {"extent": 4}, lambda find: find("ge")(CHANNELS, extent=4, use_mlp=False)),
}


@pytest.mark.parametrize("name", THEIRS)
def test_a_gate_with_the_weights_of_timm_gives_the_same_output(name, timm_model):
    from timm.layers import get_attn

    kind, options, make = THEIRS[name]
    ours, theirs = gate(kind, options), make(get_attn).eval()
    copy_in_order(theirs, ours)
    images = torch.randn(2, CHANNELS, SIZE, SIZE, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-4)


# timm cannot make a GatherExcite that learns: it passes options of its convolutions in the wrong place.
@pytest.mark.parametrize(("learned", "extent"), [("gather", 0), ("gather", 2), ("gather", 8), ("both", 0), ("both", 4)])
def test_a_learned_gather_excites_as_the_formula_says(learned, extent):
    module = gate("gather_excite", {"learned": learned, "extent": extent})
    randomize_norms(module)
    images = torch.randn(2, CHANNELS, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    layers = [layer for layer in module.gather.modules() if isinstance(layer, nn.Conv2d | nn.BatchNorm2d)]
    strides = {0: 1, 2: 2, 4: 2, 8: 2}

    with torch.no_grad():
        gathered = images
        for step, (convolution, norm) in enumerate(zip(layers[::2], layers[1::2], strict=True)):
            padding = 1 if extent else 0
            if step:
                gathered = gathered.relu()
            gathered = norm(
                functional.conv2d(gathered, convolution.weight, None, strides[extent], padding, groups=CHANNELS)
            )
        if learned == "both":
            _, down, _, up, _ = module.excite
            gathered = up(down(gathered.relu()).relu())
        nearest = [position * gathered.shape[2] // SIZE for position in range(SIZE)]
        expected = images * gathered[:, :, nearest][:, :, :, nearest].sigmoid()

        assert len(layers) == 2 * max(1, (extent or 2).bit_length() - 1)
        torch.testing.assert_close(module(images), expected, rtol=1e-4, atol=1e-5)


def test_large_kernel_attention_sees_as_far_as_its_kernel():
    module = gate("lka", {})
    images = torch.randn(1, CHANNELS, 31, 31, requires_grad=True)

    module(images)[0, :, 15, 15].sum().backward()

    rows = (images.grad.abs().sum((0, 1, 3)) > 0).nonzero().flatten()
    # 5 + (7 - 1) x 3 = 23, two more than the 21 that it stands for
    assert (rows.min(), rows.max()) == (15 - 11, 15 + 11)


def test_the_subspaces_of_ulsam_do_not_see_each_other():
    module = gate("ulsam", {"subspaces": 4})
    images = torch.randn(1, CHANNELS, SIZE, SIZE)
    changed = images.clone()
    changed[:, :16] += 1

    with torch.no_grad():
        difference = (module(changed) - module(images)).abs().amax((0, 2, 3))

    assert (difference[:16] > 0).all()
    assert (difference[16:] == 0).all()


def test_ulsam_is_that_of_each_group_alone():
    """The authors' code runs one module for each group of channels."""
    whole, part = gate("ulsam", {"subspaces": 4}), gate("ulsam", {"subspaces": 1}, channels=16)
    images = torch.randn(2, CHANNELS, SIZE, SIZE)

    for group in range(4):
        for (_, ours), (_, theirs) in zip(whole.state_dict().items(), part.state_dict().items(), strict=True):
            if ours.dim():
                size = ours.shape[0] // 4
                theirs.copy_(ours[group * size : (group + 1) * size])
        channels = slice(16 * group, 16 * (group + 1))
        with torch.no_grad():
            torch.testing.assert_close(whole(images)[:, channels], part(images[:, channels]))


def test_both_gates_of_scse_are_added():
    module = gate("scse", {})
    images = torch.randn(2, CHANNELS, SIZE, SIZE)

    with torch.no_grad():
        channels = module.channels(images)
        positions = images * torch.sigmoid((images * module.positions.weight).sum(1, keepdim=True))
        torch.testing.assert_close(module(images), channels + positions)


def test_the_simple_non_local_block_adds_the_same_to_every_position():
    module = gate("non_local", {"simple": True})
    images = torch.randn(2, CHANNELS, SIZE, SIZE)

    with torch.no_grad():
        added = module(images) - images

    torch.testing.assert_close(added, added[:, :, :1, :1].expand_as(added), rtol=1e-4, atol=1e-5)


def test_local_attention_is_symmetric_in_rows_and_columns():
    module = gate("ela", {"variant": "large"})
    images = torch.randn(2, CHANNELS, SIZE, SIZE)

    with torch.no_grad():
        torch.testing.assert_close(module(images.transpose(2, 3)).transpose(2, 3), module(images))


@pytest.mark.parametrize(
    ("variant", "kernel", "width"), [("tiny", 5, 1), ("base", 7, 1), ("small", 5, 8), ("large", 7, 8)]
)
def test_the_variants_of_local_attention_differ_in_kernel_and_groups(variant, kernel, width):
    params = sum(parameter.numel() for parameter in gate("ela", {"variant": variant}).parameters())

    assert params == CHANNELS * width * kernel + 2 * CHANNELS


@pytest.mark.parametrize(("kernel", "sides"), [(7, (3, 3)), (11, (3, 5))])
def test_a_separable_large_kernel_is_one_of_the_paper_at_dilation_2(kernel, sides):
    """As the authors' code lists the pairs of kernels, github.com/StevenLauHKHK/Large-Separable-Kernel-Attention."""
    module = gate("lska", {"kernel": kernel, "dilation": 2})

    convolutions = [layer.kernel_size for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    assert convolutions == [(1, sides[0]), (sides[0], 1), (1, sides[1]), (sides[1], 1), (1, 1)]


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("ela", {}, "24 channels are no multiple of 16"),
        ("ulsam", {"subspaces": 5}, "5 subspaces do not divide 24"),
        ("lska", {"kernel": 9, "dilation": 2}, "is a dilated one of 4"),
    ],
)
def test_impossible_gates_are_explained(kind, options, message):
    with pytest.raises(BuildError, match=message):
        make_module(make_block(kind, 24, 24, 1, options, "row"))


WIDTHS = tuple(zip((256, 512, 1024, 2048), (3, 4, 6, 3), (56, 28, 14, 7), strict=True))
"""Channels, blocks and side of the four stages of ResNet-50."""


@pytest.mark.parametrize(
    ("name", "added"),
    [
        # the paper's abstract: 80 parameters against 24.37M (2^20) of the network
        ("eca_resnet_50", 80),
        ("ge_resnet_50", 0),
        # RN50-GEP.prototxt: a depthwise convolution as large as the image, and its norm
        ("ge_theta_resnet_50", sum(n * (c * side**2 + 2 * c) for c, n, side in WIDTHS)),
        # RN50-GEPP.prototxt: and two 1x1 convolutions with biases
        (
            "ge_theta_plus_resnet_50",
            sum(n * (c * side**2 + 2 * c + 2 * c * c // 16 + c // 16 + c) for c, n, side in WIDTHS),
        ),
        ("se_resnet_50", sum(n * (2 * c * c // 16 + c // 16 + c) for c, n, _ in WIDTHS)),
        # and 98 weights and a norm of one channel for the positions
        ("cbam_resnet_50", sum(n * (2 * c * c // 16 + c // 16 + c + 100) for c, n, _ in WIDTHS)),
        # the score, two 1x1 convolutions with biases, and a layer norm between them
        ("gc_resnet_50", sum(n * (c + 1 + 2 * c * c // 16 + c // 16 + c + 2 * c // 16) for c, n, _ in WIDTHS)),
        # four 1x1 convolutions between 1024 and 512 channels with biases, and a norm
        ("non_local_resnet_50", 4 * 1024 * 512 + 3 * 512 + 1024 + 2 * 1024),
    ],
)
def test_gates_add_to_resnet_50_what_their_authors_say(name, added):
    assert counted(name)[0] - count(published("resnet_50")).params == added


@pytest.mark.slow
def test_a_network_of_all_gates_gives_equal_logits_in_onnxruntime(tmp_path):
    rows = [("conv", 3, CHANNELS, 2, {})]
    rows += [("basic", CHANNELS, CHANNELS, 1, {"gate": name, "kernel": 1}) for name in GATES]
    rows += [("non_local", CHANNELS, CHANNELS, 1, {"simple": True}), ("pool_linear", CHANNELS, 10, 1, {})]
    architecture = Architecture((3, 32, 32), 10, tuple(make_block(*row, "row") for row in rows))
    network = build(architecture, seed=4)
    randomize_norms(network)
    images = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))

    logits = run_in_onnxruntime(deploy(network), images, tmp_path / "network.onnx")

    with torch.no_grad():
        assert relative_difference(logits, network.eval()(images)) < 1e-3
