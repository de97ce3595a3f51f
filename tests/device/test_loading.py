"""What is loaded is checked: its shape, its values, and how far they are from torch eager in fp32."""

import math

import numpy as np
import pytest
import torch

from nasbench.device.loading import TINY, check_agreement, load, relative_error, seeded_images
from nasbench.errors import BuildError, MeasurementError, NanOutputError, ShapeError
from nasbench.model.build import build
from nasbench.model.deploy import deploy
from nasbench.model.export import to_onnx
from nasbench.model.foreign import factory, onnx_file
from nasbench.records import TimingPlan
from nasbench.runtime.base import load_runtime
from nasbench.runtime.eager import Eager
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block

PLAN = TimingPlan(batch=2)


class Changed(Eager):
    """Computes the network, and then something with its output."""

    def __init__(self, change):
        super().__init__()
        self._change = change

    def prepare(self, network, images, dtype):
        calls = super().prepare(network, images, "fp32")
        return [lambda call=call: self._change(call()) for call in calls]


def loaded(runtime, plan=PLAN, **side):
    with runtime.context():
        return load(runtime, {"architecture": TINY.as_dict(), **side}, plan)


def test_each_call_of_run_takes_the_next_image():
    taken = loaded(load_runtime("eager"))
    in_turns = [taken.run().tolist() for _ in range(5)]

    assert in_turns[:4] == [call().tolist() for call in taken.calls]
    assert in_turns[4] == in_turns[0] != in_turns[1]


def test_a_network_runs_once_until_it_is_loaded(monkeypatch):
    convolved = []
    convolve = torch.nn.Conv2d.forward
    monkeypatch.setattr(
        torch.nn.Conv2d, "forward", lambda module, images: convolved.append(1) or convolve(module, images)
    )
    loaded(load_runtime("eager"), tolerance=0.1)

    assert len(convolved) == 1


def test_the_first_output_stays_as_it_was_where_a_runtime_writes_the_next_into_the_same_memory():
    memory = torch.zeros(2, 2)
    taken = loaded(Changed(memory.copy_))
    first = taken.output.copy()
    taken.calls[1]()

    assert np.array_equal(taken.output, first)
    assert not np.array_equal(memory.numpy(), first)


def agreement(runtime, plan=PLAN, **side):
    output = loaded(runtime, plan, **side).output
    with runtime.context():
        return check_agreement(runtime, {"architecture": TINY.as_dict(), **side}, plan, output)


def test_without_a_tolerance_nothing_is_compared():
    assert agreement(load_runtime("eager")) is None


def test_the_network_that_is_built_anew_is_the_same_one():
    assert agreement(load_runtime("eager"), tolerance=0.1) == 0


def test_the_error_is_the_relative_distance_to_eager_in_fp32():
    assert agreement(Changed(lambda logits: logits * 1.25), tolerance=0.3) == pytest.approx(0.25, rel=1e-5)


def test_beyond_the_tolerance_the_measurement_is_invalid():
    with pytest.raises(MeasurementError, match=r"0\.25 away from the reference; 0\.1 is allowed"):
        agreement(Changed(lambda logits: logits * 1.25), tolerance=0.1)


def test_in_int8_it_is_only_recorded():
    error = agreement(Changed(lambda logits: logits * 2), TimingPlan(batch=2, dtype="int8"), tolerance=0.1)

    assert error == pytest.approx(1.0)


def test_a_graph_is_compared_with_the_output_in_its_file(tmp_path):
    reference = tmp_path / "reference.npy"
    np.save(reference, np.ones((2, 2), dtype=np.float32))
    side = {"architecture": TINY.as_dict(), "graph": "never read", "reference": str(reference), "tolerance": 0.6}

    assert check_agreement(Eager(), side, PLAN, np.full((2, 2), 1.5, dtype=np.float32)) == pytest.approx(0.5)
    assert check_agreement(Eager(), {**side, "reference": None}, PLAN, np.ones((2, 2), dtype=np.float32)) is None


def test_building_in_bf16_leaves_the_reference_in_fp32():
    error = agreement(load_runtime("eager"), TimingPlan(dtype="bf16"), tolerance=0.05)

    assert 1e-5 < error < 0.05


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (lambda logits: logits[:, :1], ShapeError, r"\(2, 1\); \(2, 2\) was expected"),
        (lambda logits: logits / 0, NanOutputError, "4 of 4"),
        (lambda logits: "text", ShapeError, "a str"),
    ],
)
def test_what_is_no_output_is_refused(change, error, text):
    with pytest.raises(error, match=text):
        loaded(Changed(change))


def test_an_operation_that_a_number_format_lacks_is_a_build_error():
    def refuse(logits):
        raise RuntimeError("\"slow_conv2d_cpu\" not implemented for 'Half'\nmore")

    with pytest.raises(BuildError, match=r"^an operation does not exist in fp32: .*'Half'$"):
        loaded(Changed(refuse))


def test_any_shape_is_taken_where_the_classes_are_unknown_but_its_batch():
    dense = factory("foreign_networks:dense", (3, 8, 8)).as_dict()

    with load_runtime("eager").context():
        assert load(load_runtime("eager"), {"architecture": dense}, PLAN).output_hash
        with pytest.raises(ShapeError, match=r"\(1, 4, 8, 8\); \(2, 4, 8, 8\) was expected"):
            load(Changed(lambda output: output[:1]), {"architecture": dense}, PLAN)


def test_in_training_the_network_is_what_was_written_and_its_own_batch_is_what_norms_go_by():
    inference, training = loaded(load_runtime("eager")), loaded(load_runtime("training"))

    assert training.output.shape == inference.output.shape
    assert relative_error(training.output, inference.output) > 0.01
    assert agreement(load_runtime("training")) is None


def test_a_function_gives_a_network_that_is_trained_too():
    several = {"architecture": factory("foreign_networks:several", (3, 8, 8)).as_dict()}

    with load_runtime("training").context():
        taken = load(load_runtime("training"), several, PLAN)

    assert taken.output.shape == (2, 5)
    assert np.array_equal(taken.calls[0]().numpy(), taken.output)


def test_a_batch_norm_with_one_value_for_each_channel_asks_for_a_larger_batch():
    rows = (make_block("conv", 3, 8, 2, {}, "row"), make_block("pool_linear", 8, 2, 1, {}, "row"))
    side = {"architecture": Architecture((3, 2, 2), 2, rows).as_dict()}

    with load_runtime("training").context():
        assert load(load_runtime("training"), side, PLAN).output_hash
        with pytest.raises(BuildError, match=r"at a batch of 1; take a larger batch$"):
            load(load_runtime("training"), side, TimingPlan(batch=1))


def test_an_onnx_file_cannot_be_trained(tmp_path):
    path = tmp_path / "own.onnx"
    to_onnx(deploy(build(TINY)), path, TINY.input_shape, 2)

    with pytest.raises(BuildError, match=r"own\.onnx: an ONNX file cannot be trained; name the network itself"):
        load(load_runtime("training"), {"architecture": onnx_file(path).as_dict()}, PLAN)


def test_the_distance_is_that_of_numpy():
    generator = np.random.default_rng(0)
    output, reference = generator.normal(size=(2, 2, 5)).astype(np.float32)

    assert relative_error(output, reference) == pytest.approx(
        np.linalg.norm(output - reference) / np.linalg.norm(reference), rel=1e-5
    )
    assert relative_error(reference, reference) == 0
    assert relative_error(output, reference * 0) == math.inf
    assert relative_error(reference * 0, reference * 0) == 0


def test_the_images_depend_on_the_seed_alone():
    first, again, other = (seeded_images(TINY, TimingPlan(seed=seed)) for seed in (1, 1, 2))

    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[0], first[1])
    assert torch.from_numpy(first[0]).dtype == torch.float32
