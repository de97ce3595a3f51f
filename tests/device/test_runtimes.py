"""Every runtime that is registered turns a network into calls."""

import pytest
import torch

from nasbench.errors import UnknownNameError
from nasbench.runtime.base import RUNTIMES


@pytest.fixture(params=list(RUNTIMES))
def runtime(request):
    return RUNTIMES.find(request.param)()


def test_there_is_one_call_for_each_input_and_it_computes_the_network(runtime):
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 5)).eval()
    images = [torch.randn(2, 3, 2, 2) for _ in range(4)]
    expected = [network(image) for image in images]
    with runtime.context():
        calls = runtime.prepare(network, images, "fp32")
        outputs = [runtime.to_tensor(call()) for call in calls]

    for output, wanted in zip(outputs, expected, strict=True):
        assert torch.allclose(output, wanted, atol=1e-5)


def test_every_dtype_that_it_promises_gives_a_finite_output_in_fp32(runtime):
    for dtype in runtime.dtypes:
        network = torch.nn.Conv2d(3, 4, 3).eval()
        with runtime.context():
            (call,) = runtime.prepare(network, [torch.randn(1, 3, 8, 8)], dtype)
            output = runtime.to_tensor(call())

        assert output.dtype == torch.float32
        assert torch.isfinite(output).all()


def test_bfloat16_computes_in_bfloat16():
    runtime = RUNTIMES.find("eager")()
    (call,) = runtime.prepare(torch.nn.Linear(4, 4).eval(), [torch.randn(1, 4)], "bf16")

    assert call().dtype == torch.bfloat16


def test_it_names_the_versions_of_what_does_the_work(runtime):
    assert all(isinstance(version, str) and version for version in runtime.versions().values())


def test_a_wrong_name_gets_a_suggestion():
    with pytest.raises(UnknownNameError, match="'eager'"):
        RUNTIMES.find("eagr")
