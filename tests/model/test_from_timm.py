"""Networks of timm by name: found, described and counted as timm has them, and deployed without changing an output."""

import csv
import sys

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nasbench.errors import BuildError, DefinitionError, UnknownNameError
from nasbench.model import absorb
from nasbench.model.foreign import foreign_architecture, is_foreign, is_onnx_file, is_timm, name_foreign
from nasbench.model.from_timm import count_timm, make_timm, timm_network
from nasbench.model.inference import build_inference
from nasbench.model.training import build_training
from nasbench.space.architecture import Architecture

BRANCHED = (
    "test_byobnet",
    "test_efficientnet",
    "mobilenetv3_small_050",
    "tf_mobilenetv3_small_minimal_100",
    "repghostnet_050",
    "fastvit_t8",
    "levit_128s",
    "efficientvit_m0",
    "repvit_m0_9",
    "mobileone_s0",
    "coat_lite_tiny",
)
"""Small networks with branches to merge, norms with an activation, padding of TensorFlow, or state of their own."""


@pytest.fixture
def timm(timm_model):
    """Give timm, which the fixture of the tests of families has imported."""
    return sys.modules["timm"]


@pytest.fixture
def telling(timm, monkeypatch):
    """Have timm make networks whose batch norms and zero weights do something; equal calls give equal networks."""
    create = timm.create_model

    def make(name, **options):
        network = create(name, **options)
        if next(network.parameters()).is_meta:
            return network
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in network.parameters():
                if not parameter.any():
                    parameter.normal_(0.0, 0.02, generator=generator)
            for module in network.modules():
                if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                    module.running_mean.normal_(0.0, 0.2, generator=generator)
                    module.running_var.uniform_(0.5, 2.0, generator=generator)
                    module.weight.uniform_(0.5, 1.5, generator=generator)
        return network

    monkeypatch.setattr(timm, "create_model", make)
    return make


def of_version(version, name="test_efficientnet.r160_in1k"):
    return foreign_architecture("timm", (3, 160, 160), 1000, name=name, version=version)


def norms(network):
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_a_name_is_an_architecture_with_the_size_and_the_classes_that_timm_says(timm):
    architecture = timm_network("efficientnet_b3")
    config = timm.models.get_pretrained_cfg("efficientnet_b3")

    assert architecture.input_shape == config.input_size == (3, 288, 288)
    assert architecture.classes == config.num_classes == 1000
    assert (is_foreign(architecture), is_timm(architecture), is_onnx_file(architecture)) == (True, True, False)
    assert name_foreign(architecture) == f"timm/efficientnet_b3.{config.tag}"


def test_a_tag_may_have_another_size_and_the_default_one_may_be_left_out(timm):
    plain, same = timm_network("resnet50"), timm_network(f"resnet50.{timm.models.get_pretrained_cfg('resnet50').tag}")
    smaller = timm_network("resnet50.a3_in1k")

    assert plain.digest == same.digest
    assert smaller.input_shape == (3, 160, 160)
    assert smaller.digest != plain.digest


def test_another_version_of_timm_is_another_architecture():
    assert of_version("1.0.31").digest != of_version("1.0.30").digest


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("efficientnet_b00", r"has no network 'efficientnet_b00'; the closest: timm/efficientnet_b0,"),
        ("", "has no network ''; timm.list_models"),
        ("hf-hub:user/network", "has no network 'hf-hub:user/network'"),
        ("resnet50.a1_in2k", r"has no timm/resnet50 with the tag 'a1_in2k'; the closest: a1_in1k,"),
        ("vit_tiny_patch16_224_in21k", r"now timm/vit_tiny_patch16_224\.augreg_in21k"),
    ],
)
def test_a_name_that_timm_does_not_have_is_one_line_with_the_closest(timm, name, message):
    with pytest.raises(UnknownNameError, match=message) as said:
        timm_network(name)
    assert "\n" not in str(said.value)


def test_reading_it_back_imports_nothing(monkeypatch):
    stored = of_version("1.0.31").as_dict()
    monkeypatch.setitem(sys.modules, "timm", None)

    assert Architecture.from_dict(stored) == of_version("1.0.31")


@pytest.mark.parametrize("name", ["hf-hub:user/network", "local-dir:/tmp", "../network", "a.b.c", "résnet", ""])
def test_a_stored_row_can_hold_nothing_but_a_name(name):
    row = of_version("1.0.31").as_dict()
    row["blocks"][0]["options"]["name"] = name

    with pytest.raises(DefinitionError, match="a name of timm is needed"):
        Architecture.from_dict(row)


@pytest.mark.parametrize("absent", ["timm", "torchvision"])
def test_what_is_not_installed_is_said_with_the_command_that_installs_it(timm, monkeypatch, absent):
    monkeypatch.setitem(sys.modules, absent, None)

    with pytest.raises(DefinitionError, match=rf"{absent} is not installed: pip install nasbench\[timm\]$"):
        timm_network("resnet18")


@pytest.mark.parametrize(
    ("package", "message"),
    [
        ("torchvision", r"torchvision .*, which timm needs, does not fit torch .*; install the torchvision that was"),
        ("timm", r"timm .* cannot be imported .*; install another version"),
    ],
)
def test_an_installation_that_cannot_be_imported_is_one_line(timm, tmp_path, monkeypatch, package, message):
    (tmp_path / f"{package}.py").write_text("raise RuntimeError('operator nms does not exist\\nsecond line')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, package)

    with pytest.raises(DefinitionError, match=message) as said:
        timm_network("resnet18")
    assert "(RuntimeError: operator nms does not exist)" in str(said.value)
    assert "\n" not in str(said.value)


def test_a_row_of_another_version_is_not_built(timm):
    with pytest.raises(
        BuildError, match=rf"timm/test_efficientnet.* was named with timm 0\.9\.1, and {timm.__version__}"
    ):
        build_inference(of_version("0.9.1"), 0)
    assert count_timm(of_version("0.9.1")) is None


def test_what_timm_cannot_make_is_a_build_error_with_its_words(timm, monkeypatch):
    def fail(name, **options):
        raise KeyError("no such block")

    monkeypatch.setattr(timm, "create_model", fail)

    with pytest.raises(BuildError, match=r"timm/test_efficientnet\.r160_in1k: KeyError: 'no such block'"):
        build_inference(of_version(timm.__version__), 0)


def test_weights_are_drawn_from_the_seed_for_a_network_in_evaluation_mode(timm):
    networks = [build_inference(timm_network("test_efficientnet"), seed) for seed in (1, 1, 2)]
    first, again, other = (next(network.parameters()) for network in networks)

    assert not any(module.training for module in networks[0].modules())
    assert not first.requires_grad
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_in_training_form_it_is_timms_own_network_in_training_mode(timm):
    network = build_training(timm_network("test_byobnet"), 3)
    torch.manual_seed(3)
    plain = timm.create_model("test_byobnet", pretrained=False)

    assert network.training
    assert [name for name, _ in network.named_parameters()] == [name for name, _ in plain.named_parameters()]
    assert all(map(torch.equal, network.parameters(), plain.parameters()))
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("name", BRANCHED)
def test_the_inference_form_puts_out_what_timms_own_network_does(telling, name):
    architecture = timm_network(name)
    torch.manual_seed(0)
    images = torch.randn((1, *architecture.input_shape))

    with torch.no_grad():
        deployed = make_timm(architecture, 3)
        torch.manual_seed(3)
        plain = telling(name, pretrained=False).eval()
        expected, found = plain(images), deployed(images)

    assert norms(deployed) == 0 or norms(deployed) < norms(plain) / 4
    assert torch.linalg.norm(found - expected) < 1e-4 * torch.linalg.norm(expected)


def test_a_network_that_reads_values_keeps_its_norms_and_is_not_counted(timm, monkeypatch):
    create = timm.create_model

    def make(name, **options):
        network = create(name, **options)
        network.register_forward_pre_hook(lambda module, inputs: inputs[0].sum().item() and None)
        return network

    monkeypatch.setattr(timm, "create_model", make)
    architecture = timm_network("test_efficientnet")

    assert norms(make_timm(architecture, 0)) > 0
    assert count_timm(architecture) is None


@pytest.mark.parametrize("error", [AssertionError, KeyError, IndexError, ImportError])
@pytest.mark.parametrize("place", ["built", "run"])
def test_whatever_fails_on_the_meta_device_alone_leaves_the_norms_and_the_counts_empty(timm, monkeypatch, place, error):
    create = timm.create_model

    def fail(module, inputs):
        if inputs[0].is_meta:
            raise error("not on the meta device")

    def make(name, **options):
        if place == "built" and torch.empty(0).is_meta:
            raise error("not on the meta device")
        network = create(name, **options)
        network.register_forward_pre_hook(fail)
        return network

    monkeypatch.setattr(timm, "create_model", make)
    architecture = timm_network("test_efficientnet")

    assert norms(make_timm(architecture, 0)) == norms(create("test_efficientnet"))
    assert count_timm(architecture) is None


def test_norms_that_are_found_and_cannot_be_folded_are_an_error_and_not_another_function(timm, monkeypatch):
    def fail(convolution, norm):
        raise ValueError("half done")

    monkeypatch.setattr(absorb, "fuse_conv_bn_eval", fail)

    with pytest.raises(BuildError, match=r"timm/test_efficientnet.*: ValueError: half done"):
        make_timm(timm_network("test_efficientnet"), 0)


@pytest.mark.parametrize("name", ["test_efficientnet", "mobileone_s0", "vit_tiny_patch16_224"])
def test_it_is_counted_as_torchs_own_counter_counts_it(timm_model, name):
    architecture, model = timm_network(name), timm_model(name)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty((1, *architecture.input_shape), device="meta"))

    cost = count_timm(architecture)

    assert cost.params == sum(parameter.numel() for parameter in model.parameters())
    assert cost.macs == counter.get_total_flops() // 2
    assert cost.deployed_params <= cost.params
    assert cost.weight_bytes >= 4 * cost.deployed_params


def test_the_branches_of_mobileone_are_counted_once_when_deployed(timm):
    cost = count_timm(timm_network("mobileone_s0"))

    assert cost.deployed_params == pytest.approx(2.08e6, abs=5e3)  # open-mmlab/mmpretrain, configs/mobileone/README.md
    assert cost.params > 2 * cost.deployed_params


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "repvgg_a0", "levit_128s", "resnet18", "convnext_atto"])
def test_params_and_macs_are_those_of_timms_own_table(timm, shared_data, name):
    table = shared_data / "timm" / "benchmark-infer-fp32-nchw-pt240-cpu-i9_10940x-dynamo.csv"
    with table.open() as file:
        (row,) = [row for row in csv.DictReader(file) if row["model"] == name and row["infer_img_size"] == "224"]

    cost = count_timm(timm_network(name))

    assert cost.params / 1e6 == pytest.approx(float(row["param_count"]), abs=0.006)
    assert cost.macs / 1e9 == pytest.approx(float(row["infer_gmacs"]), abs=0.011)
