"""MobileNetV4 against timm: parameters, MACs, and logits with its weights."""

import pytest
import torch
from families.reference import counted, counted_by_torch, published
from families.wiring import copy_in_order
from forms import randomize_norms, relative_difference
from torch.nn import functional

from nasbench.errors import BuildError
from nasbench.model.build import build
from nasbench.model.cost import count
from nasbench.model.deploy import deploy
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block

IN_TIMM = {
    "mobilenet_v4_conv_small": "mobilenetv4_conv_small",
    "mobilenet_v4_conv_medium": "mobilenetv4_conv_medium",
    "mobilenet_v4_conv_large": "mobilenetv4_conv_large",
    "mobilenet_v4_hybrid_medium": "mobilenetv4_hybrid_medium",
    "mobilenet_v4_hybrid_large": "mobilenetv4_hybrid_large",
}


@pytest.mark.parametrize("name", IN_TIMM)
def test_params_and_macs_equal_those_of_timm(name, timm_model):
    assert counted(name) == counted_by_torch(timm_model(IN_TIMM[name]), published(name).input_shape)


@pytest.mark.parametrize("name", ["mobilenet_v4_conv_small", "mobilenet_v4_hybrid_medium"])
def test_logits_equal_those_of_timm_with_its_weights(name, timm_model):
    architecture = published(name)
    model = timm_model(IN_TIMM[name], device="cpu")
    network = build(architecture).eval()
    copy_in_order(model, network)
    images = torch.randn(1, *architecture.input_shape, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        torch.testing.assert_close(network(images), model(images), rtol=1e-4, atol=1e-4)


def test_the_inference_form_of_the_largest_is_equal_in_double_precision():
    architecture = published("mobilenet_v4_hybrid_large")
    network = build(architecture, seed=4).double().eval()
    randomize_norms(network)
    images = torch.randn(1, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        assert relative_difference(deploy(network)(images), network(images)) < 1e-9


def test_a_strided_bottleneck_without_a_depthwise_convolution_is_refused():
    block = make_block("uib", 16, 24, 2, {"kernel": 0}, "here")
    head = make_block("pool_linear", 24, 10, 1, {}, "here")

    with pytest.raises(BuildError, match="no depthwise convolution"):
        build(Architecture((16, 8, 8), 10, (block, head), "here"))


def attention(channels=24, size=8, **options):
    """Give a network of one mobile attention and a head."""
    block = make_block("mobile_mqa", channels, channels, 1, {"heads": 3, "head_channels": 16, **options}, "here")
    head = make_block("pool_linear", channels, 10, 1, {}, "here")
    return Architecture((channels, size, size), 10, (block, head), "here")


def test_keys_that_are_shared_leave_no_trace_in_a_row():
    assert attention(keys="shared").digest == attention().digest != attention(keys="own").digest


@pytest.mark.parametrize("kv_kernel", [0, 3])
def test_own_keys_and_values_add_the_weights_of_the_other_heads(kv_kernel):
    shared, own = (count(attention(kv_kernel=kv_kernel, keys=keys)) for keys in ("shared", "own"))
    positions = 64 // 4 if kv_kernel else 64

    assert own.params - shared.params == 2 * 24 * (3 - 1) * 16
    assert own.macs - shared.macs == 2 * 24 * (3 - 1) * 16 * positions


@pytest.mark.parametrize("kv_kernel", [0, 3])
def test_own_keys_make_it_multi_head_attention(kv_kernel):
    block = build(attention(kv_kernel=kv_kernel, keys="own"), seed=2).double().eval().blocks[0]
    randomize_norms(block)
    images = torch.randn(2, 24, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    theirs = torch.nn.MultiheadAttention(48, 3, bias=False, batch_first=True, dtype=torch.float64).eval()
    identity = torch.eye(48, dtype=torch.float64)  # its input projections are square, ours were applied before

    with torch.no_grad():
        normed = block.norm(images)
        queries, keys, values = (
            layer(normed).flatten(2).transpose(1, 2) for layer in (block.query, block.key, block.value)
        )
        theirs.in_proj_weight.copy_(identity.repeat(3, 1))
        theirs.out_proj.weight.copy_(identity)
        mixed = theirs(queries, keys, values, need_weights=False)[0].transpose(1, 2).unflatten(2, (8, 8))
        expected = images + functional.conv2d(mixed, block.output[0].weight)

        assert keys.shape == values.shape == (2, 16 if kv_kernel else 64, 48)
        torch.testing.assert_close(block(images), expected)


def test_shared_keys_are_those_of_every_head():
    block = build(attention(), seed=2).double().eval().blocks[0]
    images = torch.randn(1, 24, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    own = build(attention(keys="own")).double().eval().blocks[0]

    with torch.no_grad():
        own.load_state_dict(
            block.state_dict()
            | {name: block.state_dict()[name].repeat(3, 1, 1, 1) for name in ("key.0.weight", "value.0.weight")}
        )
        torch.testing.assert_close(block(images), own(images))
