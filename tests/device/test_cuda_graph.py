"""Capturing a network as a CUDA graph, with torch's graphs replaced by one that records what is called."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nasbench.device.cuda_measuring import cuda_fault
from nasbench.errors import BuildError, Crashed, OutOfMemory
from nasbench.runtime import cuda_graph
from nasbench.runtime.cuda_graph import CudaGraph


class FakeCuda:
    """Streams and graphs that run everything at once, on the processor. A replay runs what the capture ran."""

    OutOfMemoryError = torch.cuda.OutOfMemoryError

    def __init__(self):
        self.events = []
        self.ending = None

    def graph_pool_handle(self):
        return "pool"

    def Stream(self, device):  # noqa: N802 - torch's name
        return SimpleNamespace(wait_stream=lambda other: None)

    def current_stream(self, device):
        return SimpleNamespace(wait_stream=lambda other: None)

    def stream(self, stream):
        return contextlib.nullcontext()

    def CUDAGraph(self):  # noqa: N802
        return SimpleNamespace(replay=lambda: self.events.append("replay"))

    @contextlib.contextmanager
    def graph(self, graph, pool, stream):
        self.events.append("capture")
        try:
            yield
        finally:
            if self.ending:
                raise self.ending
        self.events.append("captured")


@pytest.fixture
def fake_cuda(monkeypatch):
    monkeypatch.setattr(cuda_graph, "_cuda", fake := FakeCuda())
    return fake


class Network(torch.nn.Module):
    def __init__(self, events, error=None):
        super().__init__()
        self.events, self.error = events, error

    def forward(self, images):
        self.events.append("forward")
        if self.error and "capture" in self.events:
            raise self.error
        return images.sum(dim=(1, 2, 3))


IMAGES = [np.full((2, 1, 2, 2), value, dtype=np.float32) for value in (1.0, 2.0)]


def test_each_input_is_warmed_up_captured_once_and_then_only_replayed(fake_cuda):
    calls = CudaGraph("cpu").prepare(Network(fake_cuda.events), IMAGES, "fp32")
    prepared = list(fake_cuda.events)
    outputs = [call() for call in calls]

    assert prepared == [*["forward"] * 3, "capture", "forward", "captured"] * 2
    assert fake_cuda.events[len(prepared) :] == ["replay", "replay"]
    assert [output.tolist() for output in outputs] == [[4.0, 4.0], [8.0, 8.0]]


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (
            RuntimeError("operation not permitted when stream is capturing\nmore"),
            BuildError,
            "the network cannot be captured as a CUDA graph: operation not permitted when stream is capturing",
        ),
        (torch.cuda.OutOfMemoryError("CUDA out of memory.\nmore"), OutOfMemory, "CUDA out of memory."),
    ],
)
def test_a_capture_that_fails_is_the_network_s_fault_in_one_line(fake_cuda, error, kind, text):
    with pytest.raises(kind) as caught:
        CudaGraph("cpu").prepare(Network(fake_cuda.events, error), IMAGES, "fp32")

    assert str(caught.value) == text


NOT_PERMITTED = "CUDA error: operation not permitted when stream is capturing"
BROKEN = "CUDA error: operation failed due to a previous error during capture"


def test_what_broke_a_capture_is_told_and_not_that_its_end_failed_too(fake_cuda):
    fake_cuda.ending = torch.AcceleratorError(BROKEN)

    with pytest.raises(BuildError, match=f"{NOT_PERMITTED}$"):
        CudaGraph("cpu").prepare(Network(fake_cuda.events, torch.AcceleratorError(NOT_PERMITTED)), IMAGES, "fp32")


@pytest.mark.parametrize("kind", [torch.AcceleratorError, RuntimeError])
def test_an_error_that_ends_cuda_for_this_process_is_not_taken_for_one_of_the_capture(fake_cuda, kind):
    error = kind("CUDA error: an illegal memory access was encountered")
    fake_cuda.ending = torch.AcceleratorError(BROKEN)

    with pytest.raises(kind) as caught:
        CudaGraph("cpu").prepare(Network(fake_cuda.events, error), IMAGES, "fp32")

    assert type(cuda_fault(caught.value)) is Crashed
    assert caught.value is error


def test_lack_of_memory_is_found_behind_a_capture_that_could_not_end(fake_cuda):
    fake_cuda.ending = torch.AcceleratorError(BROKEN)
    error = torch.cuda.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(OutOfMemory):
        CudaGraph("cpu").prepare(Network(fake_cuda.events, error), IMAGES, "fp32")
