"""One GPU of this machine as a device, through torch and CUDA.

The network runs in a measuring process, fed by whole cores as on a `CpuDevice`. This process watches the GPU through
NVML meanwhile, masks what was taken in a hardware slowdown, and gives the verdict.

A sample of one inference starts on an idle GPU. Shorter inferences are enqueued back to back until they make a
millisecond, so that the launches of one overlap with the work of another; `settings["pipelined"]` says which it was.

Not run on hardware so far: the logic is tested on fakes, and tests/gpu says what a GPU has to show.
"""

from __future__ import annotations

import importlib.util
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from nasbench.device.base import Steer, Turn
from nasbench.device.clock_lock import ClockLock
from nasbench.device.cpu import CpuDevice, phase_limits_s, unsettled
from nasbench.device.cuda_watch import GpuWatch, View, await_release, look_back, undisturbed
from nasbench.device.energy import NoMeter, find_nvml
from nasbench.device.graphs import Graph
from nasbench.device.nvml import Gpu, open_gpu
from nasbench.device.timing import conclude_mask
from nasbench.device.verdict import Verdict, judge, judge_noise
from nasbench.errors import CandidateError, DeviceError
from nasbench.isolation import AnyWorker
from nasbench.records import DeviceSpec, Measurement, TimingPlan
from nasbench.space.architecture import Architecture

TASK = "nasbench.device.cuda_measuring:measure"
TURNS_TASK = "nasbench.device.cuda_measuring:take_turns"

KEEP_CLOCKS = "NASBENCH_KEEP_CLOCKS"
"""Name of the variable under which, set to anything, the clocks of a GPU are left as they are."""

_HOST_COUNTERS = ("pressure_us", "waiting_s", "steal_s", "throttled_us", "thermal_events")


class CudaDevice(CpuDevice):
    """Times a network on one GPU, in a fresh process each time.

    `nvml` stands in for the module pynvml. The clocks are locked from `open` to `close` where that is permitted.
    """

    def __init__(self, spec: DeviceSpec, *, task: str = TASK, turns_task: str = TURNS_TASK, nvml: Any = None) -> None:
        super().__init__(spec, task=task, turns_task=turns_task)
        self._nvml = nvml
        self._gpu: Gpu | None = None
        self._clocks = "clocks are not locked: the device is not open"
        self._locked_hz: float | None = None
        self._watch: GpuWatch | None = None

    def open(self) -> None:
        """Find the GPU, without torch, and lock its clocks.

        Raises:
            DeviceError: this torch has no CUDA, there is no such GPU, or there are too few cores to feed it.
        """
        check_torch(self.spec.name)
        super().open()
        try:
            self._gpu = open_gpu(self.spec.index, self._nvml)
            self._open.callback(self._gpu.close)
            if os.environ.get(KEEP_CLOCKS):
                self._clocks = f"clocks are not locked: {KEEP_CLOCKS} is set"
            else:
                lock = self._open.enter_context(ClockLock(self._gpu))
                self._clocks, self._locked_hz = lock.state, lock.hertz
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let the clocks and the GPU go; may come twice."""
        super().close()
        self._gpu = self._locked_hz = self._watch = None

    @property
    def energy_source(self) -> str | None:
        """Name the GPU's energy counter; None where it has none."""
        meter = find_nvml(self._opened())
        return None if isinstance(meter, NoMeter) else meter.source

    def fingerprint(self) -> dict[str, Any]:
        """Give host, GPU, driver, power limit, the clock that it is locked at, and the versions of the software.

        Raises:
            BuildError: a package of the runtime is not installed; the text says how to.
            DeviceError: the device is not open, or the GPU is gone.
        """
        host = super().fingerprint()
        software = {**host["software"], "cuda": torch_cuda_version()}
        return {**host, **self._opened().record(), "locked_clock_hz": self._locked_hz, "software": software}

    def request(
        self, architectures: Sequence[Architecture], plan: TimingPlan
    ) -> tuple[dict[str, Any], list[Graph | None]]:
        """Give what the measuring process is asked, as for cores, with the UUID of the GPU; raises likewise."""
        request, graphs = super().request(architectures, plan)
        return {**request, "gpu": self._opened().uuid}, graphs

    def take(self, architecture: Architecture, plan: TimingPlan) -> Measurement:
        """Time one network in a fresh process; raises as the contract says, and DefinitionError for a wrong dtype."""
        started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        request, graphs = self.request([architecture], plan)
        with self._worker(self._task) as worker:
            answer = worker.call(request, limits_s=phase_limits_s(plan, self._kind.build_limit_s))
        watch = self._watched()
        view = look_back(answer["spans_ns"], watch)
        # What the GPU did under a hardware slowdown is taken out, unless too little remains to go by.
        series = {**answer["series"], **asdict(conclude_mask(answer["series"]["seconds"], view.kept, plan))}
        verdict = _judge({**answer, "series": series}, view, plan, self.spec.threads)
        record = self._record(architecture, plan, {**answer, "series": series}, verdict, started_at, graphs[0])
        return replace(
            record,
            end_to_end_s=answer["end_to_end_s"],
            host={**record.host, **self._opened().record()},
            settings={**record.settings, **self._settings(answer, watch)},
            noise={**record.noise, **view.noise},
        )

    def take_turns(self, architectures: Sequence[Architecture], plan: TimingPlan, steer: Steer) -> dict[str, Any]:
        """Hold several networks in one process and time them in turns; raises as the contract says.

        A turn counts as disturbed when NVML saw a hardware slowdown in its round. The gates are those of `take`: the
        host counts when one of the networks waits for it.
        """
        rounds: list[tuple[int, int]] = []
        began_ns = 0

        def masking(turns: Sequence[Turn]) -> Sequence[int] | None:
            nonlocal began_ns
            if turns:
                rounds.append((began_ns, time.perf_counter_ns()))
                if not undisturbed(rounds[-1:], self._watched().readings)[0]:
                    turns = [replace(turn, kept=False) for turn in turns]
            order = steer(turns)
            began_ns = time.perf_counter_ns()
            return order

        answer = self._hold_turns(architectures, plan, masking)
        record: dict[str, Any] = {
            "host": {**answer["host"], "git": self._git, **self._opened().record(), "clocks": self._clocks},
            "noise": {**answer["noise"], "host_bound": answer["host_bound"]},
            "reasons": unsettled(answer["settled"], plan),
        }
        if not rounds:
            return record
        view = look_back(rounds, self._watched())
        judged = judge_noise(_deciding(answer["noise"], view, any(answer["host_bound"])), self.spec.threads)
        return {
            "host": record["host"],
            "noise": {**record["noise"], **view.noise},
            "reasons": [*view.throttled, *judged.reasons, *record["reasons"], *view.noisy],
        }

    @contextmanager
    def _worker(self, task: str) -> Iterator[AnyWorker]:
        """Run a worker under watch, and see afterwards that the GPU is still there and free again."""
        gpu = self._opened()
        try:
            with super()._worker(task) as worker:
                self._watch = GpuWatch(gpu, lambda: worker.pid)
                with self._watch:
                    yield worker
        except CandidateError:
            self._settle()  # a GPU that is gone is the reason of this failure and of all to come
            raise
        self._settle()

    def _settle(self) -> None:
        gpu, watch = self._opened(), self._watched()
        if watch.lost:
            raise watch.lost
        gpu.check()
        await_release(gpu, watch)

    def _settings(self, answer: Mapping[str, Any], watch: GpuWatch) -> dict[str, Any]:
        memory = answer["memory"]
        used, before = memory["device_used_bytes"], watch.used_before_bytes
        known = used is not None and before is not None and memory["reserved_bytes"] is not None
        return {
            "clocks": self._clocks,
            "host_bound": answer["host_bound"],
            "pipelined": answer["inner_loops"] > 1,
            "enqueue_s": answer["enqueue_s"],
            "reserved_bytes": memory["reserved_bytes"],
            "context_bytes": max(0, used - before - memory["reserved_bytes"]) if known else None,
            **answer["layer"],
        }

    def _opened(self) -> Gpu:
        if self._gpu is None:
            raise DeviceError(f"device {self.spec.name!r} is not open")
        return self._gpu

    def _watched(self) -> GpuWatch:
        assert self._watch is not None, "a worker ran, so there was a watch"
        return self._watch


def check_torch(device: str) -> None:
    """Check that the installed torch is built for CUDA.

    Raises:
        DeviceError: it is not.
    """
    if torch_cuda_version() is None:
        raise DeviceError(
            f"device {device!r} needs a CUDA build of torch; this one is {metadata.version('torch')}; "
            "pip install one as https://pytorch.org/get-started/locally says"
        )


def torch_cuda_version() -> str | None:
    """Give the version of CUDA that the installed torch is built for, None for none; torch is not imported."""
    found = importlib.util.find_spec("torch")
    if found is None or not found.submodule_search_locations:
        return None
    try:
        text = (Path(next(iter(found.submodule_search_locations))) / "version.py").read_text()
    except OSError:
        return None
    match = re.search(r"^cuda\b[^=\n]*=\s*['\"]([^'\"]+)['\"]", text, re.MULTILINE)
    return match[1] if match else None


def _judge(answer: Mapping[str, Any], view: View, plan: TimingPlan, threads: int) -> Verdict:
    """Judge the series and the clock as on cores, the GPU by what was seen of it, and the host if it decides."""
    noise = _deciding(answer["noise"], view, answer["host_bound"])
    series = {**answer["series"], "kept_share": 1.0}  # its gate speaks of cores; what was masked is in `view.throttled`
    found = judge({**answer, "noise": noise, "series": series}, plan, threads)
    throttled = view.throttled or found.word == "throttled"
    reasons = (*view.throttled, *found.reasons, *view.noisy)
    return Verdict("throttled" if throttled else "noisy" if reasons else "ok", reasons)


def _deciding(noise: Mapping[str, Any], view: View, host_bound: bool) -> dict[str, Any]:
    """Give what the gates look at: the clock of the GPU, and what was counted of the host if that decides the latency.

    A host that is disturbed while the GPU is busy does not show in the device time.
    """
    seen = {**noise, "frequencies_hz": view.sm_clocks_hz}
    return seen if host_bound else seen | dict.fromkeys(_HOST_COUNTERS)
