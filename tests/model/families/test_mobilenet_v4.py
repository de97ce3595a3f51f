"""MobileNetV4 against timm: parameters, MACs, and logits with its weights."""

import pytest
import torch
from families.reference import counted, counted_by_torch, published
from families.wiring import copy_in_order
from forms import randomize_norms, relative_difference

from nasbench.errors import BuildError
from nasbench.model.build import build
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
