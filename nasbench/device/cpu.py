"""The cores of this machine as a device."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nasbench
from nasbench.device.base import Device
from nasbench.device.verdict import Verdict, judge
from nasbench.errors import DeviceError
from nasbench.host import available_cpus, choose_cores, git_state
from nasbench.isolation import Worker
from nasbench.records import DeviceSpec, Measurement, TimingPlan
from nasbench.space.architecture import Architecture

TASK = "nasbench.device.measuring:measure"

_MARGIN_S = 30.0
"""What a phase gets above what its plan says: one slow inference may begin just before a cap."""

_BACK_OFFS_S = {"screen": (1.0,)}
_PATIENT_BACK_OFFS_S = (1.0, 2.0, 4.0)


class CpuDevice(Device):
    """Times a network on whole cores of this machine, one fresh process a try.

    A try whose verdict is not ok is repeated after a pause: once at the level `screen`, three times above, or as often
    as `back_offs_s` says where that is given. Of all tries
    the first that is ok is kept, or else the one with the largest share of undisturbed samples and, among equals, the
    narrowest interval; `noise["tries"]` tells of each.
    """

    def __init__(
        self,
        spec: DeviceSpec,
        *,
        back_offs_s: Sequence[float] | None = None,
        pause: Callable[[float], object] = time.sleep,
        task: str = TASK,
    ) -> None:
        self.spec = spec
        self._back_offs_s = back_offs_s
        self._pause = pause
        self._task = task
        self._cores = choose_cores(spec.threads)
        self._git: dict[str, Any] | None = None

    def open(self) -> None:
        """Check that there are as many cores as the device has threads.

        Raises:
            DeviceError: there are not.
        """
        if len(self._cores) < self.spec.threads:
            raise DeviceError(
                f"device {self.spec.name!r} needs {self.spec.threads} physical cores, one a thread; "
                f"{len(self._cores)} may be used here. Ask for fewer with --threads."
            )
        self._git = git_state(Path(nasbench.__file__).parent)

    @property
    def cpus(self) -> tuple[int, ...]:
        """Give the logical cores of the physical ones that are measured on, siblings included."""
        allowed = set(available_cpus())
        return tuple(sorted(cpu for core in self._cores for cpu in core.siblings if cpu in allowed))

    def measure(self, architecture: Architecture, plan: TimingPlan) -> Measurement:
        """Time one network; raises as the contract says, and at the first failure of the network without a repeat."""
        started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        tries: list[tuple[dict[str, Any], Verdict]] = []
        back_offs_s = self._back_offs_s
        if back_offs_s is None:
            back_offs_s = _BACK_OFFS_S.get(plan.level, _PATIENT_BACK_OFFS_S)
        for pause_s in (0.0, *back_offs_s):
            if pause_s:
                self._pause(pause_s)
            answer = self._try(architecture, plan)
            tries.append((answer, judge(answer, plan, self.spec.threads)))
            if tries[-1][1].word == "ok":
                break
        answer, verdict = min(tries, key=_rank)
        return self._record(architecture, plan, answer, verdict, [_summary(*one) for one in tries], started_at)

    def _try(self, architecture: Architecture, plan: TimingPlan) -> dict[str, Any]:
        request = {
            "architecture": architecture.as_dict(),
            "plan": asdict(plan),
            "runtime": self.spec.runtime,
            "threads": self.spec.threads,
            "cpus": [core.cpu for core in self._cores],
        }
        with Worker(
            self._task,
            threads=self.spec.threads,
            cpus=[core.cpu for core in self._cores],
            memory_limit_bytes=self.spec.memory_limit_bytes,
        ) as worker:
            return worker.call(request, limits_s=phase_limits_s(plan))

    def _record(
        self,
        architecture: Architecture,
        plan: TimingPlan,
        answer: Mapping[str, Any],
        verdict: Verdict,
        tries: Sequence[Mapping[str, Any]],
        started_at: str,
    ) -> Measurement:
        series = answer["series"]
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
            settings={
                "runtime": self.spec.runtime,
                "threads": self.spec.threads,
                "affinity": answer["affinity"],
                "inner_loops": answer["inner_loops"],
                "memory_method": answer["memory_method"],
                "environment": answer["environment"],
            },
            host={**answer["host"], "git": self._git},
            noise={**answer["noise"], **_shares(series), "tries": list(tries)},
            started_at=started_at,
        )


def phase_limits_s(plan: TimingPlan) -> dict[str, float]:
    """Give the time limit of every phase of `nasbench.device.measuring`."""
    return {
        "start": 60.0,
        "build": 30.0,
        "first_call": 30.0,
        "warmup": plan.max_warmup_s + _MARGIN_S,
        "timed": plan.max_sampling_s + _MARGIN_S,
        "memory": 30.0,
    }


def _shares(series: Mapping[str, Any]) -> dict[str, Any]:
    return {name: series[name] for name in ("cpu_share", "kept_share", "gate_failed")}


def _rank(one: tuple[Mapping[str, Any], Verdict]) -> tuple[bool, float, float]:
    """Order tries, the best first."""
    series = one[0]["series"]
    width = float("inf") if series["low_s"] is None else series["high_s"] - series["low_s"]
    return one[1].word != "ok", -series["kept_share"], width


def _summary(answer: Mapping[str, Any], verdict: Verdict) -> dict[str, Any]:
    series = answer["series"]
    return {
        "low_s": series["low_s"],
        "high_s": series["high_s"],
        "samples": len(series["seconds"]),
        "kept_share": series["kept_share"],
        "verdict": verdict.word,
        "reasons": list(verdict.reasons),
    }
