"""The cores that a device would be measured on: enough of them, undivided, and at one frequency."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nasbench.doctor.finding import OK, PROBLEM, UNKNOWN, WARNING, Finding, read_integer, read_text
from nasbench.host import Core, choose_cores, host_record, physical_cores

_CPU = "sys/devices/system/cpu"
_CAPPED = 0.98
"""A limit below this share of the processor's own frequency is a cap."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look: the tree that stands for `/`, the logical cores we may use, and the threads of the device."""

    root: Path
    available: tuple[int, ...]
    threads: int

    @property
    def cores(self) -> list[Core]:
        """The physical cores that would be measured on."""
        return choose_cores(self.threads, self.root, self.available)

    @property
    def usable(self) -> list[Core]:
        """All physical cores that we may use."""
        return physical_cores(self.root, self.available)


def check_cores(place: Place) -> Iterator[Finding]:
    """Look at everything about the cores that stays as it is until somebody changes it."""
    yield _count(place)
    if place.cores:
        yield _siblings(place)
        yield _governor(place)
        yield _turbo(place)
        yield _limit(place)
    yield _quota(place)
    yield from _numa_balancing(place)


def _count(place: Place) -> Finding:
    usable, chosen = place.usable, place.cores
    if not usable:
        return Finding("cores", UNKNOWN, "the kernel does not tell which cores there are")
    found = (
        f"{len(usable)} physical may be used, {place.threads} needed, one a thread; measured on "
        f"{', '.join(str(core.cpu) for core in chosen)}"
    )
    if len(chosen) < place.threads:
        return Finding(
            "cores",
            PROBLEM,
            f"{len(usable)} physical may be used, {place.threads} needed, one a thread",
            "threads that share a core wait for one another",
            "take a device with fewer threads, or allow more cores (taskset, --cpuset-cpus of a container)",
        )
    if any(0 in core.siblings for core in chosen):
        return Finding(
            "cores",
            WARNING,
            found,
            "core 0 serves most interrupts, and no other core is free to spare it",
            "measure with fewer threads, or allow another core",
        )
    if len(usable) == place.threads:
        return Finding(
            "cores",
            WARNING,
            found,
            "no core is left for what starts and watches the measuring process",
            "measure with fewer threads, or allow another core",
        )
    return Finding("cores", OK, found)


def _siblings(place: Place) -> Finding:
    shared = [core for core in place.cores if len(core.siblings) > 1]
    if not shared:
        return Finding("hyper-threads", OK, "none: a core is one logical core")
    others = [cpu for core in shared for cpu in core.siblings if cpu != core.cpu]
    control = read_text(place.root, f"{_CPU}/smt/control")
    return Finding(
        "hyper-threads",
        WARNING,
        f"core {_listed([core.cpu for core in shared])} shares its units with {_listed(others)}",
        "what the kernel runs on the other half slows an inference down, and no counter of ours shows it",
        "switch them off until the next start",
        f"echo off | sudo tee /{_CPU}/smt/control"
        if control == "on"
        else " && ".join(f"echo 0 | sudo tee /{_CPU}/cpu{cpu}/online" for cpu in others),
    )


def _governor(place: Place) -> Finding:
    governors = {read_text(place.root, f"{_CPU}/cpu{core.cpu}/cpufreq/scaling_governor") for core in place.cores}
    known = sorted(governor for governor in governors if governor)
    if not known:
        return Finding("governor", UNKNOWN, _not_told(place))
    if set(known) <= {"performance", "userspace"}:
        return Finding("governor", OK, " and ".join(known))
    return Finding(
        "governor",
        WARNING,
        " and ".join(known),
        "the clock follows the load, so the first inferences run slower and short ones never reach full speed",
        "hold the clock up until the next start",
        "sudo cpupower frequency-set -g performance",
    )


def _turbo(place: Place) -> Finding:
    turbo = host_record(place.root)["turbo"]
    if turbo is None:
        return Finding("turbo", UNKNOWN, _not_told(place))
    if not turbo:
        return Finding("turbo", OK, "off")
    intel = read_integer(place.root, f"{_CPU}/intel_pstate/no_turbo") is not None
    return Finding(
        "turbo",
        WARNING,
        "on",
        "the clock depends on temperature and on how many cores are busy, so a figure depends on what ran before",
        "switch it off until the next start",
        f"echo 1 | sudo tee /{_CPU}/intel_pstate/no_turbo" if intel else f"echo 0 | sudo tee /{_CPU}/cpufreq/boost",
    )


def _limit(place: Place) -> Finding:
    limits = []
    for core in place.cores:
        folder = f"{_CPU}/cpu{core.cpu}/cpufreq"
        limit = read_integer(place.root, f"{folder}/scaling_max_freq")
        most = read_integer(place.root, f"{folder}/cpuinfo_max_freq")
        if limit is None or most is None:
            continue
        # With turbo off, the frequency without it is all there is.
        full = read_integer(place.root, f"{folder}/base_frequency") or most
        if limit < _CAPPED * full:
            return Finding(
                "frequency limit",
                WARNING,
                f"core {core.cpu} may run at {limit / 1e6:.2f} GHz of {full / 1e6:.2f} GHz",
                "latencies are those of a slower processor than its name says",
                "lift the limit",
                f"sudo cpupower frequency-set -u {most}kHz",
            )
        limits.append(limit)
    if not limits:
        return Finding("frequency limit", UNKNOWN, _not_told(place))
    return Finding("frequency limit", OK, f"none below the processor's own; up to {min(limits) / 1e6:.2f} GHz")


def _quota(place: Place) -> Finding:
    quota = host_record(place.root)["cpu_quota_cores"]
    if quota is None:
        return Finding("CPU quota", OK, "none is set")
    found = f"{quota:g} cores, {place.threads} needed and one for the rest"
    if quota >= place.threads + 1:
        return Finding("CPU quota", OK, found)
    return Finding(
        "CPU quota",
        PROBLEM if quota < place.threads else WARNING,
        found,
        "a group that has used up its share of a period stands still until the next one",
        "start the container without a quota, and give it cores instead: --cpuset-cpus in the place of --cpus",
    )


def _numa_balancing(place: Place) -> Iterator[Finding]:
    """Linux's documentation (sysctl/kernel.rst) says to switch it off where a load is bound to a node, as ours is."""
    nodes = host_record(place.root)["numa_nodes"] or 1
    balancing = read_integer(place.root, "proc/sys/kernel/numa_balancing")
    if nodes < 2 or balancing is None:
        return
    if not balancing:
        yield Finding("NUMA balancing", OK, f"off, {nodes} nodes")
        return
    yield Finding(
        "NUMA balancing",
        WARNING,
        f"on, {nodes} nodes",
        "the kernel takes pages away from time to time to see who uses them, and an inference pays for the faults",
        "switch it off until the next start",
        "sudo sysctl kernel.numa_balancing=0",
    )


def _not_told(place: Place) -> str:
    virtual = host_record(place.root)["hypervisor"]
    return "not told; the host of this virtual machine decides" if virtual else "not told by this kernel"


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))
