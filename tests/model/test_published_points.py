"""Every published architecture of every space: its figures, and that all its forms compute the same.

The inference form of the smallest of each space is looked at by default, all else by `make test-points`.
Exact counts are in `families/`.
"""

import pytest
import torch
from exported import run_in_onnxruntime
from forms import relative_difference, settle_norms

from nasbench.model.build import build
from nasbench.model.cost import count
from nasbench.model.deploy import deploy
from nasbench.space.load import find_architecture, list_spaces, load_space

SPACES = [load_space(path) for path in list_spaces().values()]


def size(named):
    """Tell small networks from large ones by their rows, since counting all takes half a minute of every collection."""
    side = named.architecture.input_shape[-1]
    return side**2 * sum(block.in_channels * block.out_channels for block in named.architecture.blocks)


SMALLEST = [min(space.architectures, key=size).name for space in SPACES if space.architectures]
OTHERS = [named.name for space in SPACES for named in space.architectures if named.name not in SMALLEST]
POINTS = [*SMALLEST, *(pytest.param(name, marks=pytest.mark.points) for name in OTHERS)]
EXPORTED = [pytest.param(name, marks=pytest.mark.points) for name in (*SMALLEST, *OTHERS)]

ROUNDED = 0.03
"""How far a published figure may lie from the counted one: papers round, and count norms or biases or neither."""

PARAMS_DIFFER = {
    "mobilenet_v1_0.25": 0.065,  # published with one digit
    "mobilenet_v2_1.0": 0.035,  # 3.4 M in the paper, 3.5 M in everybody's implementation
}
MACS_DIFFER = {
    # parameters agree; their sources count otherwise, most of them more than convolutions and matrix products
    "pp_lcnet_x0_25": 0.09,
    "pp_lcnet_x0_35": 0.08,
    "pp_lcnet_x0_5": 0.06,
    "pp_lcnet_x0_75": 0.045,
    "pp_lcnet_x1_0": 0.035,
    "mobileformer_26m": 0.1,
    "mobileformer_52m": 0.06,
    "mobileformer_96m": 0.05,
    "mobileformer_151m": 0.04,
    "iformer_l": 0.08,
    "efficientnet_lite0": 0.06,
    "efficientnet_lite1": 0.055,
    "efficientnet_lite2": 0.05,
    "efficientnet_lite3": 0.045,
    "efficientnet_lite4": 0.035,
    "efficientvmamba_t": 0.17,
    "efficientvmamba_s": 0.11,
    "efficientvmamba_b": 0.075,
}


def last_digit(figure):
    """Give what one in the last digit of a published figure stands for: some papers cut and do not round."""
    digits = f"{figure:.0f}"
    return 10.0 ** (len(digits) - len(digits.rstrip("0")))


def test_the_last_digit_of_a_figure_is_found():
    assert [last_digit(figure) for figure in (1.3e6, 151e6, 4e6, 2684792)] == [1e5, 1e6, 1e6, 1.0]


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_published_figures_are_near_what_is_counted(space):
    for named in space.architectures:
        cost = count(named.architecture)
        for key, counted, differ in (("params", cost.params, PARAMS_DIFFER), ("macs", cost.macs, MACS_DIFFER)):
            if key in named.published and named.published.get("form") != "deployed":
                figure = named.published[key]
                near = pytest.approx(figure, rel=differ.get(named.name, ROUNDED), abs=last_digit(figure))
                assert counted == near, f"{key} of {named.name}"


def test_published_figures_of_inference_forms_are_counted_to_their_last_digit():
    named = [one for space in SPACES for one in space.architectures if one.published.get("form") == "deployed"]
    for one in named:
        cost = count(one.architecture)
        for key, counted in (("params", cost.deployed_params), ("macs", cost.deployed_macs)):
            figure = one.published[key]
            assert abs(counted - figure) < last_digit(figure), f"{key} of {one.name}"

    assert len(named) >= 28


@pytest.mark.parametrize("name", POINTS)
def test_the_inference_form_gives_the_logits_of_the_training_form(name):
    architecture = find_architecture(name)[1].architecture
    network = build(architecture, seed=4)
    settle_norms(network, architecture.input_shape)
    images = torch.randn(1, *architecture.input_shape, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        expected = network.eval()(images)
        actual = deploy(network)(images)

    assert expected.shape == (1, architecture.classes)
    assert expected.isfinite().all() and expected.abs().max() > 0
    assert relative_difference(actual, expected) < 1e-3


@pytest.mark.parametrize("name", EXPORTED)
def test_onnxruntime_gives_the_logits_of_torch(name, tmp_path):
    architecture = find_architecture(name)[1].architecture
    network = build(architecture, seed=4)
    settle_norms(network, architecture.input_shape)
    network = deploy(network)
    images = torch.randn(1, *architecture.input_shape, generator=torch.Generator().manual_seed(1))

    logits = run_in_onnxruntime(network, images, tmp_path / "network.onnx")

    assert relative_difference(logits, network(images)) < 1e-3
