"""What layers take, as runtimes tell it: the MACs that torch counts, whatever a runtime makes of a graph."""

import json
from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nasbench.device.cpu import CpuDevice
from nasbench.errors import DefinitionError, MeasurementError
from nasbench.layers import (
    DENSE,
    DEPTHWISE,
    GROUPED,
    OTHER,
    POINTWISE,
    PRODUCT,
    Layer,
    join_passes,
    name_convolution,
)
from nasbench.model.cost import count
from nasbench.model.inference import build_inference
from nasbench.records import DeviceSpec, TimingPlan
from nasbench.runtime.base import load_runtime
from nasbench.runtime.nodes import _read_node
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block

# 20 and 28 channels are no whole blocks of 8 or 16, to which ONNX Runtime pads.
SMALL = Architecture(
    (3, 32, 32),
    10,
    (
        make_block("conv", 3, 20, 2, {}, "small"),
        make_block("mbconv", 20, 28, 1, {"expand": 2, "se": 0.25}, "small"),
        make_block("conv", 28, 28, 1, {"groups": 4}, "small"),
        make_block("pool_linear", 28, 10, 1, {}, "small"),
    ),
)
ATTENTIVE = Architecture(
    (8, 8, 8),
    10,
    (
        make_block("mobile_mqa", 8, 8, 1, {"heads": 2, "head_channels": 4}, "attentive"),
        make_block("pool_linear", 8, 10, 1, {}, "attentive"),
    ),
)
BRIEF = replace(TimingPlan(), min_warmup=2, min_warmup_s=0.0, max_warmup_s=0.2, max_sampling_s=0.3)


def spec(runtime):
    return DeviceSpec("here", "cpu", runtime, 1, 2 << 30)


def profiled(architecture):
    runtime = load_runtime("eager")
    image = torch.zeros(2, *architecture.input_shape).numpy()
    with runtime.context():
        (call,) = runtime.prepare(build_inference(architecture, 0), [image], "fp32")
        profile = runtime.profile(call)
        for _ in range(3):
            profile.run()
        return profile.end()


ENLARGING = Architecture(
    (3, 32, 32),
    10,
    (
        make_block("conv", 3, 16, 2, {}, "enlarging"),
        make_block("wavemix", 16, 16, 1, {"enlarge": "deconvolution"}, "enlarging"),
        make_block("pool_linear", 16, 10, 1, {}, "enlarging"),
    ),
)


@pytest.mark.parametrize("architecture", [SMALL, ATTENTIVE, ENLARGING], ids=["convolutions", "attention", "enlarging"])
def test_the_operators_of_torch_have_the_macs_that_torch_counts(architecture):
    network = build_inference(architecture, 0)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(2, *architecture.input_shape))

    layers = profiled(architecture)

    assert sum(layer.macs for layer in layers) == counter.get_total_flops() // 2
    assert all(layer.seconds > 0 for layer in layers)


def test_operators_come_in_their_order_with_their_kinds():
    kinds = [layer.kind for layer in profiled(SMALL) if layer.macs]

    # stem; expansion, depthwise, squeeze, excite, projection; groups; classifier
    assert kinds == [DENSE, POINTWISE, DEPTHWISE, POINTWISE, POINTWISE, POINTWISE, GROUPED, PRODUCT]


@pytest.mark.slow
@pytest.mark.parametrize("architecture", [ATTENTIVE, ENLARGING], ids=["attention", "enlarging"])
def test_onnx_runtime_tells_all_macs_of_a_network(architecture):
    with CpuDevice(spec("onnx")) as device:
        assert device.take_layers(architecture, BRIEF).macs == count(architecture).deployed_macs


@pytest.mark.parametrize(
    "runtime", ["eager", *(pytest.param(name, marks=pytest.mark.slow) for name in ("channels_last", "onnx"))]
)
def test_a_device_tells_the_layers_of_a_network(runtime):
    with CpuDevice(spec(runtime)) as device:
        told = device.take_layers(SMALL, BRIEF)

    assert sum(layer.macs for layer in told.layers) == count(SMALL).deployed_macs
    found = Counter(layer.kind for layer in told.layers)
    assert (found[DEPTHWISE], found[GROUPED], found[PRODUCT]) == (1, 1, 1)
    assert 0 < told.latency_s < 0.1 and 0 < told.idle_share < 1


def test_a_runtime_that_tells_nothing_of_layers_is_refused_by_name():
    with CpuDevice(spec("compile")) as device, pytest.raises(DefinitionError, match="eager, channels_last, onnx"):
        device.take_layers(SMALL, BRIEF)


@pytest.mark.parametrize(
    ("channels", "weight", "kind"),
    [
        (16, (32, 16, 3, 3), DENSE),
        (16, (32, 16, 1, 1), POINTWISE),
        (16, (16, 1, 3, 3), DEPTHWISE),
        (16, (32, 4, 1, 1), GROUPED),
        (1, (8, 1, 3, 3), DENSE),
        (8, (8, 1, 1, 1), DEPTHWISE),
    ],
)
def test_convolutions_are_named_by_their_weights(channels, weight, kind):
    assert name_convolution(channels, weight) == kind


def layer(name="a", seconds=1.0):
    return Layer(name, OTHER, 0, (1,), seconds)


def test_the_median_of_all_passes_is_given():
    (joined,) = join_passes([[layer(seconds=value)] for value in (3.0, 1.0, 100.0)])

    assert joined == replace(layer(seconds=3.0), low_s=2.0, high_s=51.5)


@pytest.mark.parametrize("passes", [[[layer()], [layer(), layer()]], [[layer("a")], [layer("b")]]])
def test_inferences_that_differ_are_no_measurement(passes):
    with pytest.raises(MeasurementError, match="executed"):
        join_passes(passes)


def test_a_node_that_was_padded_counts_what_the_graph_has():
    def event(operator, takes, gives):
        shapes = {"input_type_shape": [{"float": one} for one in takes], "output_type_shape": [{"float": gives}]}
        told = {"op_name": operator, **shapes}
        return json.loads(json.dumps({"name": "x_kernel_time", "dur": 7, "args": told}))

    padded = _read_node(event("Conv", [[1, 32, 4, 4], [32, 32, 1, 1]], [1, 32, 4, 4]), [(28, 20, 1, 1)], [])
    assert padded.macs == 28 * 20 * 16
    transposed = _read_node(event("FusedMatMul", [[2, 5, 3], [2, 5, 7]], [2, 3, 7]), [], [])
    assert (transposed.kind, transposed.macs) == (PRODUCT, 2 * 3 * 7 * 5)
    enlarged = _read_node(event("ConvTranspose", [[1, 8, 4, 4]], [1, 6, 8, 8]), [], [(4, 6, 2, 2), (8, 6, 2, 2)])
    assert (enlarged.kind, enlarged.macs) == (DENSE, 8 * 16 * 6 * 4)
    whole = [[1, 5, 7, 16], [], [], [16, 1, 3, 3]]
    integers = _read_node(event("QLinearConv", whole, [1, 5, 7, 16]), [(16, 1, 3, 3)], [])
    assert (integers.kind, integers.macs) == (DEPTHWISE, 5 * 7 * 16 * 9)
    other = _read_node(event("Relu", [[1, 8]], [1, 8]), [], [])
    assert (other.kind, other.macs, other.seconds) == (OTHER, 0, 7e-6)
