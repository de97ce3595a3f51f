"""What leaves nasbench is read back as it was, by nasbench or by others."""

import os
import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from exported import run_in_onnxruntime

from nasbench.errors import BuildError, DefinitionError, NasbenchError
from nasbench.model.build import build
from nasbench.model.deploy import deploy
from nasbench.model.export import check_output, load_torch, replacing, to_onnx, to_torch, to_yaml
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block
from nasbench.space.load import find_architecture, list_spaces, load_space

SMALL = Architecture(
    (3, 16, 16),
    10,
    (
        make_block("conv", 3, 16, 2, {}, "row"),
        make_block("mbconv", 16, 24, 2, {"se": 0.25, "expand": 3.67, "act": "hswish"}, "row"),
        make_block("norm_act", 24, 24, 1, {}, "row"),
        make_block("pool_linear", 24, 10, 1, {}, "row"),
    ),
)


def read_back(architecture, folder):
    path = folder / "exported.yaml"
    path.write_text(to_yaml(architecture), encoding="utf-8")
    return find_architecture(str(path))[1].architecture


@pytest.mark.parametrize("name", list_spaces())
def test_a_definition_of_any_candidate_reads_back_as_the_same_network(name, tmp_path):
    space = load_space(name)
    rng = random.Random(5)
    sampled = [space.sample(rng)[1] for _ in range(5)]
    for architecture in [*sampled, *(named.architecture for named in space.architectures)]:
        again = read_back(architecture, tmp_path)
        assert again == architecture
        assert again.digest == architecture.digest


@pytest.mark.parametrize("count", [1, 2])
def test_a_very_short_network_reads_back_too(count, tmp_path):
    blocks = SMALL.blocks[:1] * (count - 1) + (make_block("pool_linear", (3, 16)[count - 1], 10, 1, {}, "row"),)
    architecture = replace(SMALL, blocks=blocks)

    assert read_back(architecture, tmp_path) == architecture


def test_a_definition_cannot_hold_an_input_that_is_not_square():
    with pytest.raises(BuildError, match="16x32"):
        to_yaml(replace(SMALL, input_shape=(3, 16, 32)))


@pytest.mark.parametrize("deployed", [False, True])
def test_a_file_of_weights_gives_the_same_network_back(deployed, tmp_path):
    network = build(SMALL, seed=9).eval()
    network = deploy(network) if deployed else network
    images = torch.randn(2, 3, 16, 16)

    to_torch(network, SMALL, tmp_path / "network.pt")
    architecture, again = load_torch(tmp_path / "network.pt")

    assert architecture == SMALL
    assert torch.equal(again(images), network(images))


def test_a_file_of_weights_needs_no_code_to_be_read(tmp_path):
    to_torch(build(SMALL), SMALL, tmp_path / "network.pt")

    data = torch.load(tmp_path / "network.pt", weights_only=True)

    assert Architecture.from_dict(data["architecture"]) == SMALL


def test_a_file_that_holds_no_network_is_refused(tmp_path):
    garbage, other, absent = tmp_path / "garbage.pt", tmp_path / "other.pt", tmp_path / "absent.pt"
    garbage.write_bytes(b"no torch file")
    torch.save({"weights": torch.zeros(3)}, other)

    for path in (garbage, other):
        with pytest.raises(NasbenchError, match=rf"{path.name}: holds no network of nasbench"):
            load_torch(path)
    with pytest.raises(NasbenchError, match=r"absent\.pt: cannot be read"):
        load_torch(absent)


def test_an_absent_folder_is_named(tmp_path):
    with pytest.raises(DefinitionError, match=r"there is no folder .*absent"):
        to_torch(build(SMALL), SMALL, tmp_path / "absent" / "network.pt")


def test_a_folder_is_no_place_for_a_network(tmp_path):
    with pytest.raises(DefinitionError, match="it is a folder"):
        to_torch(build(SMALL), SMALL, tmp_path)


def test_a_device_is_not_replaced_by_a_file():
    with pytest.raises(DefinitionError, match=r"^/dev/null: cannot be written: it is no ordinary file$"):
        check_output(Path("/dev/null"))


def test_a_file_in_a_folder_where_none_can_be_made_is_refused_since_it_is_replaced(tmp_path, monkeypatch):
    (tmp_path / "network.pt").touch()
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)  # root may write everywhere

    with pytest.raises(DefinitionError, match="permission denied"):
        check_output(tmp_path / "network.pt")


def files_in(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_files_that_belong_together_are_replaced_together_at_the_end(tmp_path):
    """As those of ONNX networks of more than 1.5 GiB, whose weights lie beside them."""
    (tmp_path / "network.onnx").write_text("old")

    with replacing(tmp_path / "network.onnx") as part:
        part.write_text("new")
        part.with_name("network.onnx.data").write_text("weights")
        assert (tmp_path / "network.onnx").read_text() == "old"

    assert files_in(tmp_path) == {"network.onnx": "new", "network.onnx.data": "weights"}


@pytest.mark.parametrize("error", [NasbenchError, KeyboardInterrupt])
def test_after_an_error_the_old_file_is_there_and_nothing_else(tmp_path, error):
    (tmp_path / "network.onnx").write_text("old")

    with pytest.raises(error), replacing(tmp_path / "network.onnx") as part:
        part.write_text("new")
        raise error

    assert files_in(tmp_path) == {"network.onnx": "old"}


def test_weights_that_cannot_be_written_leave_the_file_of_before(tmp_path):
    network = build(SMALL)
    network.state_dict = lambda: {"weights": (each for each in ())}  # no generator can be pickled
    (tmp_path / "network.pt").write_text("old")

    with pytest.raises(TypeError):
        to_torch(network, SMALL, tmp_path / "network.pt")

    assert files_in(tmp_path) == {"network.pt": "old"}


@pytest.mark.parametrize("opset", [17, pytest.param(99, marks=pytest.mark.slow)])
def test_operators_that_cannot_be_written_leave_the_file_of_before(tmp_path, opset):
    (tmp_path / "network.onnx").write_text("old")

    with pytest.raises(NasbenchError):
        to_onnx(build(SMALL), tmp_path / "network.onnx", SMALL.input_shape, opset=opset)

    assert files_in(tmp_path) == {"network.onnx": "old"}


def test_export_to_onnx_without_its_packages_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.setattr(sys, "meta_path", [])
    monkeypatch.delitem(sys.modules, "onnxscript")

    with pytest.raises(NasbenchError, match=r"pip install nasbench\[onnx\]"):
        to_onnx(build(SMALL), tmp_path / "network.onnx", SMALL.input_shape)


def assert_equal_in_onnxruntime(architecture, path, batch):
    network = deploy(build(architecture, seed=1))
    images = torch.randn(batch, *architecture.input_shape)

    logits = run_in_onnxruntime(network, images, path)

    expected = network(images)
    scale = float(expected.abs().max())
    assert torch.allclose(logits, expected, rtol=0, atol=1e-4 * max(scale, 1e-3))
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_network_gives_equal_logits_in_onnxruntime(tmp_path, capsys):
    assert_equal_in_onnxruntime(SMALL, tmp_path / "network.onnx", batch=2)

    assert capsys.readouterr().out == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "mnist_tiny_large",
        "mobilenet_v1_0.25",
        "mobilenet_v2_0.35",
        "mobilenet_v3_small_0.75",
        "nasbench201_best",
        "regnety_200mf",
        "resnext_50_32x4d",
        "shufflenet_v2_0.5",
    ],
)
def test_a_network_of_every_space_gives_equal_logits_in_onnxruntime(name, tmp_path):
    architecture = find_architecture(name)[1].architecture
    channels, size, _ = architecture.input_shape

    assert_equal_in_onnxruntime(
        replace(architecture, input_shape=(channels, min(size, 64), min(size, 64))), tmp_path / "network.onnx", batch=1
    )


def test_a_link_is_written_through_also_where_no_file_can_be_made_beside_it(tmp_path, monkeypatch):
    """As the link of an open file in /proc is, in which a network that is measured is exported."""
    (tmp_path / "link.pt").symlink_to(tmp_path / "network.pt")
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path and may(path, mode))

    to_torch(build(SMALL), SMALL, tmp_path / "link.pt")

    assert (tmp_path / "link.pt").is_symlink() and load_torch(tmp_path / "network.pt")[0] == SMALL
    with pytest.raises(DefinitionError, match="permission denied"):
        to_torch(build(SMALL), SMALL, tmp_path / "other.pt")
