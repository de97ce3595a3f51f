"""Every runtime turns a network into calls, computes what torch computes, and refuses with one line what it cannot."""

import gc
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from nasbench.device.loading import relative_error
from nasbench.errors import BuildError, DefinitionError, ShapeError, UnknownNameError
from nasbench.model.build import build
from nasbench.model.deploy import deploy
from nasbench.model.export import to_onnx
from nasbench.runtime.base import RUNTIMES, check_runtime, find_runtime, load_runtime
from nasbench.runtime.eager import first_tensor
from nasbench.runtime.images import draw_images
from nasbench.runtime.quantizing import quantize
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block

SHAPE = (2, 3, 32, 32)
NETWORK = Architecture(
    SHAPE[1:],
    10,
    (
        make_block("conv", 3, 16, 2, {}, "row"),
        make_block("mbconv", 16, 24, 2, {"se": 0.25, "act": "hswish"}, "row"),
        make_block("basic", 24, 32, 1, {}, "row"),
        make_block("pool_linear", 32, 10, 1, {}, "row"),
    ),
)
HERE = [
    # the compiler takes ten seconds for a new number format
    pytest.param(name, dtype, marks=[pytest.mark.slow] if name == "compile" and dtype != "fp32" else [])
    for name, kind in RUNTIMES.items()
    if "cpu" in kind.backends and kind.form == "inference"
    for dtype in kind.dtypes
]


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    """Give the network's files by number format."""
    folder = tmp_path_factory.mktemp("graphs")
    to_onnx(deploy(build(NETWORK)), folder / "exact.onnx", NETWORK.input_shape, SHAPE[0])
    quantize(folder / "exact.onnx", folder / "int8.onnx", SHAPE, 0, str(folder))
    return {"fp32": folder / "exact.onnx", "bf16": folder / "exact.onnx", "int8": folder / "int8.onnx"}


@pytest.fixture(scope="module")
def expected():
    network = deploy(build(NETWORK))
    with torch.inference_mode():
        return [network(torch.from_numpy(image)).numpy() for image in draw_images(SHAPE, 0)]


def prepare(name, dtype, graphs):
    """Give a runtime of one thread, and the calls it makes of the network; nobody else holds the images."""
    runtime = load_runtime(name)
    if RUNTIMES[name].takes == "torch":  # of which the threads can be set once in a process, before the first operation
        return runtime, runtime.prepare(deploy(build(NETWORK)), draw_images(SHAPE, 0), dtype)
    runtime.set_threads(1)
    try:
        return runtime, runtime.prepare(graphs[dtype], draw_images(SHAPE, 0), dtype)
    except BuildError as error:
        if "no instructions for bf16" not in str(error):
            raise
        pytest.skip(str(error))


@pytest.mark.parametrize(("name", "dtype"), HERE)
def test_each_call_computes_the_network_on_its_own_image_within_the_tolerance(name, dtype, graphs, expected):
    with load_runtime(name).context():
        runtime, calls = prepare(name, dtype, graphs)
        gc.collect()
        outputs = [runtime.to_array(call()) for call in calls]

    assert [output.dtype for output in outputs] == [np.float32] * 4
    for output, wanted in zip(outputs, expected, strict=True):
        assert relative_error(output, wanted) <= RUNTIMES[name].tolerances[dtype]


@pytest.mark.parametrize("name", ["eager", "onnx", "openvino"])
def test_it_names_the_versions_of_what_does_the_work(name):
    assert RUNTIMES[name].packages[0] in load_runtime(name).versions()


def test_bfloat16_computes_in_bfloat16(graphs):
    _, calls = prepare("eager", "bf16", graphs)

    assert calls[0]().dtype == torch.bfloat16


def test_channels_last_holds_images_and_weights_in_that_order():
    convolution = torch.nn.Conv2d(3, 4, 3).eval()
    (call,) = load_runtime("channels_last").prepare(convolution, draw_images((1, 3, 8, 8), 0, 1), "fp32")

    assert convolution.weight.is_contiguous(memory_format=torch.channels_last)
    assert call().is_contiguous(memory_format=torch.channels_last)


def test_onnx_runtime_executes_the_convolutions_of_a_quantized_graph_in_whole_numbers(graphs, tmp_path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "executed.onnx")
    onnxruntime.InferenceSession(str(graphs["int8"]), options, providers=["CPUExecutionProvider"])
    executed = [node.op_type for node in onnx.load(str(tmp_path / "executed.onnx")).graph.node]

    assert executed.count("QLinearConv") >= 6
    assert "Conv" not in executed


def executed_precisions(compiled, kind):
    """Give the number formats that OpenVINO says its layers of a kind run in."""
    layers = [node.get_rt_info() for node in compiled.get_runtime_model().get_ops()]
    return {layer["runtimePrecision"].astype(str) for layer in layers if layer["layerType"].astype(str) == kind}


@pytest.mark.parametrize(("dtype", "executed"), [("fp32", {"f32"}), ("bf16", {"bf16"}), ("int8", {"i8", "u8"})])
def test_openvino_executes_convolutions_in_the_format_that_was_asked_for(dtype, executed, graphs):
    _, calls = prepare("openvino", dtype, graphs)
    compiled = calls[0].request.get_compiled_model()

    precisions = executed_precisions(compiled, "Convolution")
    assert precisions
    assert precisions <= executed


def test_onnx_runtime_refuses_a_file_that_holds_no_graph_in_one_line(tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"nothing of the kind")
    for name in ("onnx", "openvino"):
        runtime = load_runtime(name)
        runtime.set_threads(1)
        with pytest.raises(BuildError, match=r"^(ONNX Runtime|OpenVINO) cannot run this network: .*broken"):
            runtime.prepare(path, draw_images((1, 3, 8, 8), 0, 1), "fp32")


def test_an_operation_that_a_library_lacks_is_named(tmp_path):
    images, output = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3, 8, 8]) for name in ("images", "out")
    )
    node = onnx.helper.make_node("Frobnicate", ["images"], ["out"], domain="my.own")
    opsets = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("my.own", 1)]
    graph = onnx.helper.make_graph([node], "graph", [images], [output])
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10), tmp_path / "own.onnx")
    for name in ("onnx", "openvino"):
        runtime = load_runtime(name)
        runtime.set_threads(1)
        with pytest.raises(BuildError, match="Frobnicate"):
            runtime.prepare(tmp_path / "own.onnx", draw_images((1, 3, 8, 8), 0, 1), "fp32")


def test_compiling_without_a_compiler_says_what_to_install(monkeypatch):
    from torch._inductor import config

    torch.compiler.reset()
    monkeypatch.setattr(config.cpp, "cxx", ("no-such-compiler",))
    monkeypatch.setattr(config, "force_disable_caches", True)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.ReLU()).eval()
    runtime = load_runtime("compile")

    with runtime.context(), pytest.raises(BuildError, match=r"C\+\+ compiler.*install g\+\+"):
        runtime.prepare(network, draw_images((1, 3, 7, 7), 0, 1), "fp32")


def test_what_cannot_be_compiled_is_an_error_of_the_network():
    class Graphless(torch.nn.Module):
        def forward(self, images):
            torch._dynamo.graph_break()
            raise torch._dynamo.exc.Unsupported("nothing in here can be compiled\nmore lines")

    with pytest.raises(BuildError, match=r"^torch\.compile cannot compile this network: .*nothing in here"):
        load_runtime("compile").prepare(Graphless().eval(), draw_images((1, 3, 7, 7), 0, 1), "fp32")


def test_of_several_outputs_the_first_tensor_counts():
    first, second = torch.zeros(1), torch.ones(1)

    assert first_tensor((first, second)) is first
    assert first_tensor({"out": [first], "aux": second}) is first
    with pytest.raises(ShapeError, match="a dict that does not begin with a tensor"):
        first_tensor({"loss": 1.0})


def test_calibration_images_are_enough_and_none_of_those_measured(graphs, tmp_path):
    said = quantize(graphs["fp32"], tmp_path / "again.onnx", SHAPE, 7, str(tmp_path))

    assert said["calibration"] == "16 images of normal values, seed 1000010"


def test_a_graph_that_cannot_be_quantized_says_why_in_one_line(tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"nothing of the kind")

    with pytest.raises(BuildError, match=r"^the network cannot be quantized to int8: .+$"):
        quantize(tmp_path / "broken.onnx", tmp_path / "int8.onnx", SHAPE, 0, str(tmp_path))


def test_a_wrong_name_gets_a_suggestion():
    with pytest.raises(UnknownNameError, match="'eager'"):
        find_runtime("eagr")


@pytest.mark.parametrize(
    ("backend", "runtime", "dtype", "text"),
    [
        ("cpu", "onnx", "bf16", r"'onnx' does not compute in 'bf16'; it is one of fp32, int8"),
        ("cpu", "eager", "int8", r"'eager' does not compute in 'int8'; it is one of fp32, fp16, bf16"),
        ("cpu", "cuda_graph", "fp32", r"'cuda_graph' does not run on the backend 'cpu'; there it is one of eager, "),
        ("cuda", "openvino", "fp32", r"'openvino' does not run on the backend 'cuda'"),
        ("cpu", "training", "bf16", r"'training' does not compute in 'bf16'; it is one of fp32"),
        ("cpu", "onxx", "fp32", r"'onxx'.*'onnx'"),
    ],
)
def test_what_does_not_go_together_is_refused_with_what_does(backend, runtime, dtype, text):
    with pytest.raises(DefinitionError, match=text):
        check_runtime(backend, runtime, dtype)


def test_only_torch_eager_in_fp32_and_training_are_compared_with_nothing():
    untouched = {(name, dtype) for name, kind in RUNTIMES.items() for dtype in kind.dtypes if not kind.tolerance(dtype)}

    assert untouched == {("eager", "fp32"), ("training", "fp32")}


def test_a_package_that_is_absent_is_named_with_what_to_install():
    lacking = replace(find_runtime("openvino"), packages=("no-such-package",))

    with pytest.raises(BuildError, match=r"no-such-package is not installed; pip install nasbench\[openvino\]"):
        lacking.versions()


def test_a_runtime_whose_package_cannot_be_imported_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "nasbench.runtime.onnx", raising=False)

    with pytest.raises(BuildError, match=r"runtime 'onnx' cannot be used: .*pip install nasbench\[onnx\]"):
        load_runtime("onnx")
