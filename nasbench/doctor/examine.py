"""All checks of a machine and of the devices on it, in the order in which they are shown."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from nasbench.device.base import Device
from nasbench.device.cuda import KEEP_CLOCKS, torch_cuda_version
from nasbench.device.load import open_device
from nasbench.doctor.activity import Watched, check_activity, check_memory, watch
from nasbench.doctor.clock import check_clock, null_overhead_s
from nasbench.doctor.cores import Place, check_cores
from nasbench.doctor.cuda import GpuState, check_gpu, check_torch, read_gpu
from nasbench.doctor.finding import PROBLEM, Finding, Fitness, judge
from nasbench.doctor.software import check_energy, check_runtimes
from nasbench.doctor.stability import Stability, check_stability, probe
from nasbench.errors import DeviceError
from nasbench.host import ROOT, available_cpus
from nasbench.records import DeviceSpec

Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Senses:
    """How the machine is looked at; tests bring their own."""

    root: Path = ROOT
    available: Callable[[], tuple[int, ...]] = available_cpus
    watch: Callable[[Place], Watched] = watch
    overhead_s: Callable[[], float] = null_overhead_s
    read_gpu: Callable[[DeviceSpec], GpuState] = read_gpu
    torch_cuda: Callable[[], str | None] = torch_cuda_version
    open_device: Callable[[DeviceSpec], Device] = open_device


@dataclass(frozen=True, slots=True)
class Report:
    """Everything found, and how the canary did on each device by its name (none after a quick look)."""

    findings: tuple[Finding, ...]
    stability: dict[str, Stability]

    @property
    def fitness(self) -> Fitness:
        """The verdict over all findings."""
        return judge(self.findings)


def examine(
    specs: Sequence[DeviceSpec], quick: bool = False, senses: Senses | None = None, say: Say = lambda text: None
) -> Report:
    """Look at the machine, then at each device; changes nothing.

    The machine is judged by the device with the most threads and by the largest memory limit. What is `quick` leaves
    out the canary in fresh processes. `say` is told what is being done.
    """
    senses = senses or Senses()
    say("looking at the machine")
    findings = list(_machine(specs, senses))
    stability: dict[str, Stability] = {}
    for spec in specs:
        found = [*check_runtimes(spec), *(_gpu(spec, senses) if spec.backend == "cuda" else ())]
        if not quick and not any(finding.state == PROBLEM for finding in found):
            found += _live(spec, senses, stability, say)
        findings += _about(spec, found)
    return Report(tuple(findings), stability)


def _machine(specs: Sequence[DeviceSpec], senses: Senses) -> Iterator[Finding]:
    place = Place(senses.root, senses.available(), max(spec.threads for spec in specs))
    # The timer is read while nobody else of us runs; the second of watching comes after.
    clock = list(check_clock(senses.root, senses.overhead_s))
    watched = senses.watch(place)
    yield from check_cores(place)
    yield from check_activity(place, watched)
    yield from check_memory(place, watched, max(spec.memory_limit_bytes for spec in specs))
    yield from clock
    yield check_energy(place)


def _gpu(spec: DeviceSpec, senses: Senses) -> Iterator[Finding]:
    yield check_torch(senses.torch_cuda())
    try:
        gpu = senses.read_gpu(spec)
    except DeviceError as error:
        yield Finding("GPU", PROBLEM, str(error), "nothing can be measured on this device")
        return
    yield from check_gpu(gpu)


def _live(spec: DeviceSpec, senses: Senses, stability: dict[str, Stability], say: Say) -> list[Finding]:
    try:
        with _kept_clocks(), senses.open_device(spec) as device:
            stability[spec.name] = probe(device, say=say)
    except DeviceError as error:
        return [Finding("live", PROBLEM, str(error), "nothing can be measured on this device")]
    return list(check_stability(stability[spec.name]))


@contextmanager
def _kept_clocks() -> Iterator[None]:
    """Have devices leave the clocks of a GPU alone: who asks whether a machine is fit has not asked to change it."""
    before = os.environ.get(KEEP_CLOCKS)
    os.environ[KEEP_CLOCKS] = before or "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[KEEP_CLOCKS]
        else:
            os.environ[KEEP_CLOCKS] = before


def _about(spec: DeviceSpec, findings: Iterable[Finding]) -> Iterator[Finding]:
    for finding in findings:
        yield replace(finding, device=spec.name)
