"""Measuring processes for a `CudaDevice` on a machine without a GPU: real ones on the processor, and made up ones."""

import time

from fake_gpu import ProcessorLayer

from nasbench.device.cuda_measuring import measure_on, take_turns_on, telling_cuda_errors
from nasbench.device.turns import converse


def measure(request, link):
    return measure_on(ProcessorLayer(), request, link)


def take_turns(request, link):
    return take_turns_on(ProcessorLayer(), request, link)


QUIET_HOST = {
    "window_s": 0.3,
    "frequencies_hz": [],
    "pressure_us": None,
    "waiting_s": None,
    "steal_s": None,
    "throttled_us": None,
    "thermal_events": None,
}


def _be_watched():
    began = time.perf_counter_ns()
    while time.perf_counter_ns() - began < 300_000_000:
        pass
    return began


class _Taker:
    inferences = 2

    def take(self):
        _be_watched()
        return [0.005], True


def made_up_turns(request, link, host_bound=False, **noise):
    """Take turns without measuring."""
    sides = len(request["sides"])
    converse([_Taker()] * sides, link)
    bound = [False] * (sides - 1) + [host_bound]
    return {"host": {}, "noise": QUIET_HOST | noise, "settled": [True] * sides, "host_bound": bound}


def disturbed_turns(request, link):
    return made_up_turns(request, link, pressure_us=100_000)


def disturbed_turns_that_wait(request, link):
    return made_up_turns(request, link, host_bound=True, pressure_us=100_000)


def quiet(request, link, host_bound=False, **noise):
    """Answer without measuring, after being watched for a while."""
    began = _be_watched()
    step = (time.perf_counter_ns() - began) // 60
    return {
        "series": {
            "seconds": [0.005] * 60,
            "kept": [True] * 60,
            "low_s": 0.00495,
            "high_s": 0.00505,
            "stop": "converged",
            "cpu_share": 1.0,
            "kept_share": 1.0,
            "gate_failed": False,
        },
        "spans_ns": [(began + n * step, began + (n + 1) * step) for n in range(60)],
        "enqueue_s": 0.001,
        "end_to_end_s": 0.0051,
        "host_bound": host_bound,
        "noise": QUIET_HOST | noise,
        "memory": {"allocated_bytes": 5 << 20, "reserved_bytes": 20 << 20, "device_used_bytes": 920 << 20},
        "peak_memory_bytes": 5 << 20,
        "memory_method": "test",
        "energy": None,
        "layer": {"tf32": False},
        "settled": True,
        "warmups_s": [0.01],
        "inner_loops": 1,
        "first_call_s": 0.02,
        "build_s": 0.1,
        "output_hash": "0" * 16,
        "output_error": None,
        "environment": {},
        "affinity": [0],
        "host": {},
    }


def disturbed_host(request, link):
    return quiet(request, link, pressure_us=100_000)


def disturbed_host_that_decides(request, link):
    return quiet(request, link, host_bound=True, pressure_us=100_000)


def out_of_memory(request, link):
    with telling_cuda_errors():
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB.\nSee documentation for PYTORCH_ALLOC_CONF")


def sticky(request, link):
    with telling_cuda_errors():
        raise RuntimeError(
            "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be asynchronously reported"
        )
