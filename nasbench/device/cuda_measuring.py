"""What runs in the measuring process of a GPU: one network, or several in turns. Called through `nasbench.isolation`.

As `nasbench.device.measuring` for cores, with the time taken on the GPU. A CUDA error other than out-of-memory leaves
the process unusable: it becomes Crashed, and the driver ends the process, as it does after every measurement.
"""

from __future__ import annotations

import os
import re
import statistics
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import nasbench
from nasbench.device.cuda_layer import Layer, TorchLayer
from nasbench.device.cuda_timing import HOST_BOUND_SHARE, Stopwatch, sample_device, warm_up_device
from nasbench.device.energy import Energy, measure_energy
from nasbench.device.loading import Loaded, check_agreement, checked_hash, load, relative_error
from nasbench.device.timing import REAL_CLOCKS, SERIAL_GATE, Clocks, Run
from nasbench.device.turns import SHORTEST_TURN_S, converse
from nasbench.errors import Crashed, DeviceError, MeasurementError, NasbenchError, OutOfMemory
from nasbench.host import counted_between, host_record, library_environment, read_counters
from nasbench.isolation import Link
from nasbench.records import TimingPlan
from nasbench.runtime.base import Runtime, find_runtime, load_runtime

if TYPE_CHECKING:
    from nasbench.runtime.base import Images

_MEMORY_CALLS = 3
_STICKY = re.compile(
    r"CUDA error(?!: CU\w+_STATUS_NOT_SUPPORTED)|CUDA driver error|CU(DNN|BLAS|SOLVER|SPARSE)_STATUS_(?!NOT_SUPPORTED)"
)
_UNFIT = re.compile(r"no kernel image is available|driver version is insufficient|is/are busy or unavailable|ECC error")
_OUT_OF_MEMORY = re.compile(r"out of memory|CU(DNN|BLAS)_STATUS_ALLOC_FAILED", re.IGNORECASE)


def measure(request: Mapping[str, Any], link: Link) -> dict[str, Any]:
    """Load, warm up and time one network on the GPU of this UUID; then, apart, take its memory and its energy.

    `request` is that of `nasbench.device.measuring.measure`, with `gpu` besides; the phases are the same.

    Raises:
        CandidateError: the network failed; its subclass says how.
        DeviceError: torch cannot use the GPU.
    """
    return measure_on(_only(request["gpu"]), request, link)


def take_turns(request: Mapping[str, Any], link: Link) -> dict[str, Any]:
    """Load and warm up several networks on the GPU of this UUID, then time them in turns as the driver says.

    `request`, phases and reports are those of `nasbench.device.turns.take_turns`, with `gpu` besides; raises likewise.
    """
    return take_turns_on(_only(request["gpu"]), request, link)


def _only(uuid: str) -> Layer:
    """Show this process no other GPU, so that torch's first one is the one that NVML watches."""
    os.environ["CUDA_VISIBLE_DEVICES"] = uuid
    return TorchLayer(uuid)


def measure_on(layer: Layer, request: Mapping[str, Any], link: Link) -> dict[str, Any]:
    """Measure on a layer; tests bring one of their own."""
    plan = TimingPlan(**request["plan"])
    runtime, host = _start(layer, request)
    with telling_cuda_errors(), runtime.context(), layer.stream():
        link.phase("build")
        load(runtime, request["tiny"], plan)  # loads what CUDA loads at the first operation
        loaded = load(runtime, request["sides"][0], plan, link.phase)
        first = runtime.to_array(loaded.calls[0]())
        link.phase("warmup")
        warm = warm_up_device(loaded.run, layer, plan)
        link.phase("timed")
        before = read_counters(request["cpus"])
        timed = sample_device(loaded.run, layer, plan, warm.inner_loops)
        counted = counted_between(before, read_counters(request["cpus"]))
        link.phase("memory")
        _check_again(runtime, loaded, first, request)
        memory = _take_memory(loaded.run, layer)
        link.phase("energy")
        energy = _take_energy(loaded.run, layer, plan, warm.inner_loops)
        link.phase("agreement")
        output_error = check_agreement(runtime, request["sides"][0], plan, loaded.output)
    return {
        "host": host,
        "build_s": loaded.build_s,
        "first_call_s": loaded.first_call_s,
        "output_hash": loaded.output_hash,
        "output_error": output_error,
        "warmups_s": warm.seconds,
        "settled": warm.settled,
        "inner_loops": warm.inner_loops,
        "series": asdict(timed.series),
        "spans_ns": list(zip(timed.began_ns, timed.ended_ns, strict=True)),
        "enqueue_s": statistics.median(timed.enqueue_s),
        "end_to_end_s": statistics.median(timed.end_to_end_s),
        "host_bound": timed.host_bound,
        "noise": {"window_s": timed.series.elapsed_s, "frequencies_hz": [], **counted},
        "memory": memory,
        **_peak(memory, request["runtime"]),
        "energy": asdict(energy) if energy else None,
        "layer": layer.settings(),
        "environment": library_environment(),
        "affinity": sorted(os.sched_getaffinity(0)),
    }


def take_turns_on(layer: Layer, request: Mapping[str, Any], link: Link) -> dict[str, Any]:
    """Take turns on a layer; tests bring one of their own."""
    plan = TimingPlan(**request["plan"])
    runtime, host = _start(layer, request)
    all_loaded: list[tuple[Loaded, Images]] = []
    takers, settled, output_errors = [], [], []
    with telling_cuda_errors(), runtime.context(), layer.stream():
        for side, about in enumerate(request["sides"]):
            link.report({"side": side})
            loaded = load(runtime, about, plan, link.phase)
            link.phase("warmup")
            warm = warm_up_device(loaded.run, layer, plan)
            all_loaded.append((loaded, runtime.to_array(loaded.calls[0]())))
            settled.append(warm.settled)
            takers.append(DeviceTurnTaker(loaded.run, layer, warm.inner_loops, cold=plan.cache == "cold"))
        before, began = read_counters(request["cpus"]), REAL_CLOCKS.wall()
        converse(takers, link)
        window_s = (REAL_CLOCKS.wall() - began) / 1e9
        counted = counted_between(before, read_counters(request["cpus"]))
        for side, (loaded, first) in enumerate(all_loaded):
            link.report({"side": side})
            _check_again(runtime, loaded, first, request)
            link.phase("agreement")
            output_errors.append(check_agreement(runtime, request["sides"][side], plan, loaded.output))
    return {
        "host": host,
        "noise": {"window_s": window_s, "frequencies_hz": [], **counted},
        "settled": settled,
        "host_bound": [taker.host_bound for taker in takers],
        "output_errors": output_errors,
        "layer": layer.settings(),
    }


def _start(layer: Layer, request: Mapping[str, Any]) -> tuple[Runtime, dict[str, Any]]:
    runtime = load_runtime(request["runtime"], layer.device)
    runtime.set_threads(request["threads"])
    return runtime, {**host_record(), "software": {"nasbench": nasbench.__version__, **runtime.versions()}}


class DeviceTurnTaker:
    """One network that takes turns on a GPU with others in its process; as `nasbench.device.turns.TurnTaker`.

    With `cold`, the L2 cache is emptied before every sample, and no inference fills it before the first.
    """

    def __init__(
        self, run: Run, layer: Layer, inner_loops: int, cold: bool = False, clocks: Clocks = REAL_CLOCKS
    ) -> None:
        self._run = run
        self._layer = layer
        self._inner_loops = inner_loops
        self._cold = cold
        self._clocks = clocks
        self._stopwatch = Stopwatch(layer, clocks.wall)
        typical_s = min(self._stopwatch.take(run, inner_loops)[0] for _ in range(3))
        self._count = max(1, round(SHORTEST_TURN_S / typical_s))
        self.inferences = self._count * inner_loops + (not cold)
        self._enqueue_s = self._device_s = 0.0

    @property
    def host_bound(self) -> bool:
        """Say whether enqueueing took so long, over all turns so far, that the host decides the latency."""
        return self._enqueue_s > HOST_BOUND_SHARE * self._device_s

    def take(self) -> tuple[list[float], bool]:
        """Take a turn; give its samples in seconds, and whether the host fed the GPU without an interruption.

        That is asked only of a network that waits for the host; one that keeps the GPU busy does not notice.

        Raises:
            MeasurementError: a clock ran backwards or stood still.
        """
        if not self._cold:
            self._run()
        self._layer.synchronize()
        cpu_began, wall_began = self._clocks.cpu(), self._clocks.wall()
        seconds: list[float] = []
        all_device_s, enqueue_ns = 0.0, 0
        for _ in range(self._count):
            if self._cold:
                self._layer.empty_cache()
                self._layer.synchronize()
            device_s, began, enqueued, _ = self._stopwatch.take(self._run, self._inner_loops)
            seconds.append(device_s / self._inner_loops)
            all_device_s += device_s
            enqueue_ns += enqueued - began
        cpu_share = (self._clocks.cpu() - cpu_began) / (self._clocks.wall() - wall_began)
        host_bound = enqueue_ns / 1e9 > HOST_BOUND_SHARE * all_device_s
        self._enqueue_s += enqueue_ns / 1e9
        self._device_s += all_device_s
        return seconds, not host_bound or cpu_share >= SERIAL_GATE


def _check_again(runtime: Runtime, loaded: Loaded, first: Images, request: Mapping[str, Any]) -> None:
    """Compare the output with the one from before the timing, within the runtime's tolerance.

    Not bit by bit as on cores: where threads of a GPU add atomically, the order of a sum is not fixed.
    """
    again = runtime.to_array(loaded.calls[0]())
    checked_hash(again, first.shape)
    allowed = find_runtime(request["runtime"]).tolerances[request["plan"]["dtype"]]
    if (error := relative_error(again, first)) > allowed:
        raise MeasurementError(
            f"the same input gave another output after the timed loop than before it: {error:.2g} away; "
            f"{allowed:g} is allowed"
        )


def _take_memory(run: Run, layer: Layer) -> dict[str, int | None]:
    layer.start_memory_pass()
    for _ in range(_MEMORY_CALLS):
        run()
    layer.synchronize()
    return layer.memory()


def _peak(memory: Mapping[str, int | None], runtime: str) -> dict[str, Any]:
    """Give the peak of a memory pass, and how it was found.

    A replayed graph asks the allocator for nothing: its activations lie in the pool that its capture reserved, of which
    only the outputs count as given out.
    """
    if runtime == "cuda_graph":
        method = (
            "what torch's allocator held on the GPU, the pool of the captured graphs included, in a pass of its own"
        )
        return {"peak_memory_bytes": memory["reserved_bytes"], "memory_method": method}
    method = "most that torch's allocator gave out on the GPU in a pass of its own"
    return {"peak_memory_bytes": memory["allocated_bytes"], "memory_method": method}


def _take_energy(run: Run, layer: Layer, plan: TimingPlan, inner_loops: int) -> Energy | None:
    """Take the energy where the plan asks for it; the GPU is fed as in a sample and waited for after each."""
    if not plan.energy:
        return None

    def run_sample() -> None:
        for _ in range(inner_loops):
            run()
        layer.synchronize()

    with layer.meter() as meter:
        return measure_energy(run_sample, meter, inferences_per_run=inner_loops)


@contextmanager
def telling_cuda_errors() -> Iterator[None]:
    """Raise what CUDA says as OutOfMemory or Crashed, in one line."""
    try:
        yield
    except RuntimeError as error:
        if fault := cuda_fault(error):
            raise fault from error
        raise


def cuda_fault(error: BaseException) -> NasbenchError | None:
    """Give what an error of torch is when it came from CUDA, None when it did not.

    Lack of memory is the candidate's; what fails for every candidate is the device's. Any other CUDA error is sticky:
    every later call in this process would fail with it.
    """
    said = str(error)
    line = next((line.strip() for line in said.splitlines() if line.strip()), type(error).__name__)
    names = {kind.__name__ for kind in type(error).__mro__}
    if "OutOfMemoryError" in names or _OUT_OF_MEMORY.search(said):
        return OutOfMemory(line)
    if _UNFIT.search(said):
        return DeviceError(f"torch cannot use the GPU: {line}")
    if "AcceleratorError" in names or _STICKY.search(said):
        return Crashed(line)
    return None
