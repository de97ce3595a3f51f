"""A user's own network: found, described and refused without running a line of it; run only where it is measured."""

import os

import numpy
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from nasbench.definitions import parse_definition
from nasbench.errors import BuildError, DefinitionError
from nasbench.model.foreign import (
    call_factory,
    check_onnx,
    factory,
    inspect_onnx,
    is_foreign,
    is_onnx_file,
    name_foreign,
    onnx_file,
)
from nasbench.model.inference import build_inference
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block
from nasbench.space.load import read_space

SOURCE = """
import torch
from pathlib import Path
Path({mark!r}).touch()
def make():
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Dropout())
def number():
    return 3
def fail():
    raise KeyError("weights.pt")
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Give a package in the working directory that leaves a mark when it is imported."""
    folder = tmp_path / f"own_{os.getpid()}_{tmp_path.name}"
    folder.mkdir()
    (folder / "__init__.py").write_text(SOURCE.format(mark=str(tmp_path / "imported")))
    (folder / "networks.py").write_text(SOURCE.format(mark=str(tmp_path / "imported")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def target(package, function="make"):
    return f"{package.name}.networks:{function}"


def write_onnx(path, *shapes, kind=TensorProto.FLOAT):
    names = ["x", "y"][: len(shapes)]
    inputs = [helper.make_tensor_value_info(name, kind, shape) for name, shape in zip(names, shapes, strict=True)]
    output = helper.make_tensor_value_info("z", kind, None)
    node = helper.make_node("Sum", names, ["z"])
    onnx.save(helper.make_model(helper.make_graph([node], "graph", inputs, [output]), ir_version=10), path)
    return path


def test_a_function_becomes_an_architecture_without_a_line_of_it_being_run(package, tmp_path):
    architecture = factory(target(package), (3, 32, 24))

    assert architecture.input_shape == (3, 32, 24)
    assert architecture.classes == 0
    assert (is_foreign(architecture), is_onnx_file(architecture)) == (True, False)
    assert name_foreign(architecture) == target(package)
    assert not (tmp_path / "imported").exists()


def test_reading_it_back_runs_nothing_either(package, tmp_path):
    architecture = factory(target(package), (3, 32, 32))

    assert Architecture.from_dict(architecture.as_dict()) == architecture
    assert not (tmp_path / "imported").exists()


def test_another_source_is_another_architecture(package):
    before = factory(target(package), (3, 32, 32))
    (package / "networks.py").write_text("def make(): ...")

    assert factory(target(package), (3, 32, 32)).digest != before.digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("torch.nn.Conv2d", "package.module:function"),
        ("torch.nn:", "package.module:function"),
        ("../evil:make", "package.module:function"),
        ("no_such_module:make", "no module 'no_such_module'"),
        ("json.nothing:make", "no module 'json.nothing'"),
        ("math:sqrt", "source file"),
    ],
)
def test_what_names_no_function_of_a_module_is_refused(text, message):
    with pytest.raises(DefinitionError, match=message):
        factory(text, (3, 32, 32))


def test_a_function_gives_a_network_in_evaluation_mode_with_weights_of_the_seed(package):
    architecture = factory(target(package), (3, 32, 32))
    networks = [build_inference(architecture, seed) for seed in (1, 1, 2)]
    weights = [network[0].weight for network in networks]

    assert not networks[0].training
    assert not weights[0].requires_grad
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("number", r"gives a int; a torch\.nn\.Module is needed"),
        ("fail", "KeyError: 'weights.pt'"),
        ("absent", "AttributeError: .*absent"),
    ],
)
def test_a_function_that_gives_no_network_is_a_build_error(package, function, message):
    with pytest.raises(BuildError, match=message):
        call_factory(factory(target(package, function), (3, 32, 32)), 0)


def test_a_source_that_was_changed_is_not_run(package, tmp_path):
    architecture = factory(target(package), (3, 32, 32))
    (package / "networks.py").write_text(SOURCE.format(mark=str(tmp_path / "changed")))

    with pytest.raises(BuildError, match="its source was changed"):
        call_factory(architecture, 0)
    assert not (tmp_path / "changed").exists()


@pytest.mark.parametrize(("batch", "read"), [(4, 4), ("N", None), (None, None)])
def test_a_file_tells_its_input_and_whether_its_batch_is_fixed(tmp_path, batch, read):
    path = write_onnx(tmp_path / "own.onnx", [batch, 3, 20, 30])

    assert onnx_file(path).input_shape == (3, 20, 30)
    assert inspect_onnx(path).batch == read
    assert is_onnx_file(onnx_file(path))


def test_a_fixed_batch_is_the_only_one_that_it_takes(tmp_path):
    architecture = onnx_file(write_onnx(tmp_path / "own.onnx", [4, 3, 20, 30]))

    assert check_onnx(architecture, 4) == tmp_path / "own.onnx"
    with pytest.raises(BuildError, match=r"own\.onnx: takes a batch of 4 and no other, and 1 was asked for"):
        check_onnx(architecture, 1)


def test_weights_count_as_no_input(tmp_path):
    path = write_onnx(tmp_path / "own.onnx", [1, 3, 8, 8], [1])
    model = onnx.load(path)
    model.graph.initializer.append(helper.make_tensor("y", TensorProto.FLOAT, [1], [2.0]))
    onnx.save(model, path)

    assert onnx_file(path).input_shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("shapes", "kind", "message"),
    [
        ([[1, 3, 8, 8], [1, 3, 8, 8]], TensorProto.FLOAT, r"has 2 inputs \(x, y\)"),
        ([[1, 10]], TensorProto.FLOAT, "input x is float 1x10; float images NxCxHxW"),
        ([[1, 3, "h", 8]], TensorProto.FLOAT, r"float 1x3x\?x8; .*only N may be left open"),
        ([[1, 3, 8, 8]], TensorProto.UINT8, "is uint8 1x3x8x8"),
    ],
)
def test_a_file_that_does_not_take_images_is_refused_with_what_it_takes(tmp_path, shapes, kind, message):
    with pytest.raises(DefinitionError, match=rf"own\.onnx: .*{message}"):
        onnx_file(write_onnx(tmp_path / "own.onnx", *shapes, kind=kind))


def test_a_file_that_is_absent_or_something_else_is_named(tmp_path):
    (tmp_path / "text.onnx").write_text("no network")

    with pytest.raises(DefinitionError, match=r"absent\.onnx: cannot be read: No such file"):
        onnx_file(tmp_path / "absent.onnx")
    with pytest.raises(DefinitionError, match=r"text\.onnx: is no ONNX file"):
        onnx_file(tmp_path / "text.onnx")


def test_weights_in_another_file_are_part_of_it_and_must_be_there(tmp_path):
    path, weights = write_onnx(tmp_path / "own.onnx", [1, 3, 8, 8], [1]), tmp_path / "weights.bin"
    model = onnx.load(path)
    model.graph.initializer.append(onnx.numpy_helper.from_array(numpy.ones(1, "float32"), "y"))
    onnx.save(model, path, save_as_external_data=True, location=weights.name, size_threshold=0)
    before = onnx_file(path)
    weights.write_bytes(bytes(4))

    assert onnx_file(path).digest != before.digest
    weights.unlink()
    with pytest.raises(DefinitionError, match=r"own\.onnx: its weights lie in .*weights\.bin, which is not there"):
        onnx_file(path)


def test_torch_says_which_devices_run_an_onnx_file(tmp_path):
    with pytest.raises(BuildError, match=r"own\.onnx: torch does not run ONNX files; .*cpu-onnx"):
        build_inference(onnx_file(write_onnx(tmp_path / "own.onnx", [1, 3, 8, 8])), 0)


@pytest.mark.parametrize("kind", ["onnx_file", "factory", "timm"])
def test_no_definition_can_name_a_foreign_network(kind):
    text = (
        "schema: 1\nname: evil\ninput: {channels: 3, size: 8}\nclasses: 10\n"
        f"stem: {{block: {kind}, target: os:abort}}\nstages: [{{block: conv, out: 8}}]\nhead: {{block: pool_linear}}\n"
    )
    with pytest.raises(DefinitionError, match=rf"'{kind}'"):
        read_space(parse_definition(text, "evil.yaml"))


def test_a_foreign_row_among_others_is_no_network():
    rows = (
        make_block("factory", 3, 3, 1, {"target": "os:abort"}, "row"),
        make_block("pool_linear", 3, 2, 1, {}, "row"),
    )
    mixed = Architecture((3, 8, 8), 2, rows)

    assert not is_foreign(mixed)
    with pytest.raises(BuildError):
        build_inference(mixed, 0)
