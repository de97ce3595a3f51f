"""The cores of this machine as a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nasbench
from nasbench.device.answers import check_answer, check_turns_answer, read_layers
from nasbench.device.base import Device, Layers, Steer
from nasbench.device.energy import PASS_LIMIT_S, NoMeter, find_rapl
from nasbench.device.graphs import EAGER, Graph, Graphs, shared_graphs
from nasbench.device.loading import TINY
from nasbench.device.turns import hold_turns, name_side
from nasbench.device.verdict import Verdict, judge, judge_noise
from nasbench.errors import CandidateError, DeviceError
from nasbench.host import (
    Core,
    available_cpus,
    choose_cores,
    find_cores,
    git_state,
    host_record,
    library_environment,
)
from nasbench.isolation import AnyWorker, Worker
from nasbench.records import DeviceSpec, Measurement, TimingPlan
from nasbench.runtime.base import check_runtime, find_runtime
from nasbench.space.architecture import Architecture

TASK = "nasbench.device.measuring:measure"
TURNS_TASK = "nasbench.device.turns:take_turns"
LAYERS_TASK = "nasbench.device.profiling:take_layers"

_MARGIN_S = 30.0
"""What a phase gets above what its plan says: one slow inference may begin just before a cap."""


class CpuDevice(Device):
    """Times a network on whole cores of this machine, in a fresh process each time."""

    def __init__(self, spec: DeviceSpec, *, task: str = TASK, turns_task: str = TURNS_TASK) -> None:
        self.spec = spec
        self._task = task
        self._turns_task = turns_task
        self._kind = find_runtime(spec.runtime)
        self._cores = _local_cores(spec)
        self._git: dict[str, Any] | None = None
        self._graphs: Graphs | None = None
        self._open = ExitStack()

    def open(self) -> None:
        """Check that there are as many cores as the device has threads; nothing is started.

        Raises:
            DeviceError: there are not.
        """
        if len(self._cores) < self.spec.threads:
            raise DeviceError(
                f"device {self.spec.name!r} needs {self.spec.threads} physical cores, one a thread; "
                f"{len(self._cores)} may be used here{_among(self.spec)}. Ask for fewer with --threads."
            )
        self._git = git_state(Path(nasbench.__file__).parent)

    def close(self) -> None:
        """Let go of the exported graphs."""
        self._graphs = None
        self._open.close()

    @property
    def cpus(self) -> tuple[int, ...]:
        """Give the logical cores of the physical ones that are measured on, siblings included."""
        allowed = set(available_cpus())
        return tuple(sorted(cpu for core in self._cores for cpu in core.siblings if cpu in allowed))

    @property
    def energy_source(self) -> str | None:
        """Name the energy counters of the packages that are measured on; None where there are none to read."""
        meter = find_rapl(core.cpu for core in self._cores)
        return None if isinstance(meter, NoMeter) else meter.source

    def fingerprint(self) -> dict[str, Any]:
        """Give the machine, the cores, what the libraries are told, and the versions of what the runtime rests on.

        Raises:
            BuildError: a package of the runtime is not installed; the text says how to.
        """
        return {
            **host_record(),
            "cpus": [core.cpu for core in self._cores],
            "environment": library_environment(),
            "software": {"nasbench": nasbench.__version__, **self._kind.versions()},
        }

    def take(self, architecture: Architecture, plan: TimingPlan) -> Measurement:
        """Time one network in a fresh process; raises as the contract says, and DefinitionError for a wrong dtype."""
        started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        request, graphs = self.request([architecture], plan)
        with self._worker(self._task) as worker:
            answer = check_answer(worker.call(request, limits_s=phase_limits_s(plan, self._kind.build_limit_s)))
        verdict = judge(answer, plan, self.spec.threads)
        return self._record(architecture, plan, answer, verdict, started_at, graphs[0])

    def take_turns(self, architectures: Sequence[Architecture], plan: TimingPlan, steer: Steer) -> dict[str, Any]:
        """Hold several networks in one process and time them in turns; raises as the contract says."""
        answer = self._hold_turns(architectures, plan, steer)
        return {
            "host": {**answer["host"], "git": self._git},
            "noise": answer["noise"],
            "reasons": [*judge_noise(answer["noise"], self.spec.threads).reasons, *unsettled(answer["settled"], plan)],
        }

    @property
    def tells_layers(self) -> bool:
        """Say whether the runtime can be profiled; on devices that build on this one nothing is known of it."""
        return self.spec.backend == "cpu" and self._kind.tells_layers

    def take_layers(self, architecture: Architecture, plan: TimingPlan) -> Layers:
        """Time every layer of a network in a fresh process; raises as the contract says."""
        if not self.tells_layers:
            return super().take_layers(architecture, plan)
        request, graphs = self.request([architecture], plan)
        with self._worker(LAYERS_TASK) as worker:
            answer = worker.call(request, limits_s=phase_limits_s(plan, self._kind.build_limit_s))
        del graphs  # their files had to last until the process ended
        return read_layers(answer)

    def _hold_turns(self, architectures: Sequence[Architecture], plan: TimingPlan, steer: Steer) -> dict[str, Any]:
        """Give what the measuring process returned, of the right form and not yet judged."""
        sides, held = [], []
        for side, architecture in enumerate(architectures):
            try:
                request, graphs = self.request([architecture], plan)
            except CandidateError as error:
                raise name_side(error, side, len(architectures)) from error
            sides += request["sides"]
            held += graphs  # their files last until the process has ended
        with self._worker(self._turns_task) as worker:
            limits_s = phase_limits_s(plan, self._kind.build_limit_s)
            told = hold_turns(worker, {**request, "sides": sides}, limits_s, steer)
        return check_turns_answer(told, len(sides))

    def request(
        self, architectures: Sequence[Architecture], plan: TimingPlan
    ) -> tuple[dict[str, Any], list[Graph | None]]:
        """Give what the measuring process is asked, one of `sides` for each network, its graph exported if need be.

        The graphs, in the same order, are to be held until that process has ended: their files last as long. The last
        one is that of a tiny network, which every process runs first.

        Raises:
            DefinitionError: the runtime does not compute in the plan's number format.
            CandidateError: a network cannot be exported.
        """
        check_runtime(self.spec.hardware, self.spec.runtime, plan.dtype)
        if self._graphs:
            self._graphs.trim()
        networks = (*architectures, TINY)
        graphs = [self._find_graph(architecture, plan) for architecture in networks]
        tolerance = self._kind.tolerance(plan.dtype)
        *sides, tiny = [
            {
                "architecture": architecture.as_dict(),
                "graph": graph.path if graph else None,
                "reference": graph.reference if graph else None,
                "tolerance": tolerance,
            }
            for architecture, graph in zip(networks, graphs, strict=True)
        ]
        request = {
            "sides": sides,
            "tiny": {**tiny, "reference": None, "tolerance": None},
            "plan": asdict(plan),
            "runtime": self.spec.runtime,
            "threads": self.spec.threads,
            "cpus": [core.cpu for core in self._cores],
        }
        return request, graphs

    def _find_graph(self, architecture: Architecture, plan: TimingPlan) -> Graph | None:
        if self._kind.takes != "onnx":
            return None
        if self._graphs is None:
            self._graphs = self._open.enter_context(shared_graphs(self.spec.memory_limit_bytes))
        return self._graphs.find(architecture, plan, self.spec.runtime)

    def _worker(self, task: str) -> AbstractContextManager[AnyWorker]:
        return Worker(
            task,
            threads=self.spec.threads,
            cpus=[core.cpu for core in self._cores],
            memory_limit_bytes=self.spec.memory_limit_bytes,
        )

    def _record(
        self,
        architecture: Architecture,
        plan: TimingPlan,
        answer: Mapping[str, Any],
        verdict: Verdict,
        started_at: str,
        graph: Graph | None,
    ) -> Measurement:
        series, energy = answer["series"], answer["energy"] or {}
        return Measurement(
            architecture=architecture.digest,
            device=self.spec.name,
            device_digest=self.spec.digest,
            plan=plan,
            latencies_s=tuple(series["seconds"]),
            kept=tuple(series["kept"]),
            warmups_s=tuple(answer["warmups_s"]),
            first_call_s=answer["first_call_s"],
            build_s=answer["build_s"],
            low_s=series["low_s"],
            high_s=series["high_s"],
            verdict=verdict.word,
            reasons=verdict.reasons,
            stop=series["stop"],
            peak_memory_bytes=answer["peak_memory_bytes"],
            output_hash=answer["output_hash"],
            output_error=answer["output_error"],
            settings={
                "runtime": self.spec.runtime,
                "threads": self.spec.threads,
                "affinity": answer["affinity"],
                "inner_loops": answer["inner_loops"],
                "memory_method": answer["memory_method"],
                "environment": answer["environment"],
                **self._agreement(plan, answer["output_error"], graph),
            },
            host={**answer["host"], "git": self._git},
            noise={**answer["noise"], **_shares(series)},
            started_at=started_at,
            energy_j=energy.get("energy_j"),
            idle_power_w=energy.get("idle_power_w"),
            energy_source=energy.get("source"),
        )

    def _agreement(self, plan: TimingPlan, error: float | None, graph: Graph | None) -> dict[str, Any]:
        """Say what the output was compared to and whether it agrees; beyond the tolerance only int8 comes this far."""
        tolerance = self._kind.tolerances[plan.dtype]
        agrees = None if error is None else error <= tolerance
        compared_to = (graph.compared_to if graph else EAGER) if error is not None else None
        return {
            "dtype": plan.dtype,
            "output_compared_to": compared_to,
            "output_tolerance": tolerance,
            "output_agrees": agrees,
            "output_reason": f"{error:.2g} away from {compared_to}; {tolerance:g} is agreement"
            if agrees is False
            else None,
            "quantization": dict(graph.quantization) if graph and graph.quantization else None,
        }


def _local_cores(spec: DeviceSpec) -> list[Core]:
    if spec.cores is None:
        return choose_cores(spec.threads)
    return choose_cores(spec.threads, available=sorted({*find_cores(spec.cores)} & {*available_cpus()}))


def _among(spec: DeviceSpec) -> str:
    return f" among the cores {spec.cores!r}" if spec.cores else ""


def phase_limits_s(plan: TimingPlan, build_limit_s: float = 30.0) -> dict[str, float]:
    """Give the time limit of every phase of `nasbench.device.measuring`."""
    return {
        "start": 60.0,
        "build": build_limit_s,
        "first_call": 30.0,
        "warmup": plan.max_warmup_s + _MARGIN_S,
        "timed": plan.max_sampling_s + _MARGIN_S,
        "memory": 30.0,
        "energy": PASS_LIMIT_S,
        "agreement": 60.0,  # torch builds the network once more and calls it once, in eager whatever the runtime
    }


def unsettled(settled: Sequence[bool], plan: TimingPlan) -> list[str]:
    """Give a sentence for each of several networks that was not settled when the turns began."""
    return [
        f"network {side + 1} was still changing after {plan.max_warmup_s:g} s of warm-up"
        for side, calm in enumerate(settled)
        if not calm
    ]


def _shares(series: Mapping[str, Any]) -> dict[str, Any]:
    return {name: series[name] for name in ("cpu_share", "kept_share", "gate_failed")}
