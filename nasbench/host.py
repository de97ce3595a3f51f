"""What the machine is, what it is doing, and which cores to measure on. Read from /proc and /sys, nothing is changed.

Everything that this kernel or this container does not tell is None. `root` stands before every path, so that tests can
bring a machine of their own.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

ROOT = Path("/")

_LIBRARY_VARIABLE = re.compile(r"(OMP|MKL|KMP|GOMP|ONEDNN|DNNL|ORT|OV|TORCHINDUCTOR|PYTORCH|CUDA|CUDNN|CUBLAS|NVIDIA)_")


def host_record(root: Path = ROOT) -> dict[str, Any]:
    """Describe the machine for a measurement's row.

    `host` is a hash of the machine's identity: it tells two machines apart and names none.
    """
    cpuinfo = _text(root, "proc/cpuinfo") or ""
    cores = physical_cores(root)
    frequency = root / "sys/devices/system/cpu/cpu0/cpufreq"
    memory = re.search(r"^MemTotal:\s+(\d+) kB", _text(root, "proc/meminfo") or "", re.MULTILINE)
    return {
        "host": _identity(root),
        "machine": platform.machine(),
        "cpu_model": _cpu_model(cpuinfo),
        "physical_cores": len(cores) or None,
        "logical_cores": sum(len(core.siblings) for core in cores) or None,
        "smt": any(len(core.siblings) > 1 for core in cores) if cores else None,
        "numa_nodes": len({core.node for core in cores}) or None,
        "kernel": (_text(root, "proc/sys/kernel/osrelease") or "").strip() or None,
        "hypervisor": bool(re.search(r"^flags\s*:.*\bhypervisor\b", cpuinfo, re.MULTILINE)) if cpuinfo else None,
        "governor": _text(frequency, "scaling_governor", strip=True),
        "turbo": _turbo(root),
        "min_frequency_hz": _scaled(_integer(frequency, "cpuinfo_min_freq"), 1000),
        "max_frequency_hz": _scaled(_integer(frequency, "cpuinfo_max_freq"), 1000),
        "memory_bytes": int(memory[1]) * 1024 if memory else None,
        "cpu_quota_cores": _cpu_quota(root),
        "python": platform.python_version(),
        **({"emulated": True} if is_emulated(root) else {}),
    }


_ELF_MACHINES = {3: "x86", 40: "arm", 62: "x86", 183: "arm", 243: "riscv"}
_FAMILIES = {"x86_64": "x86", "i686": "x86", "aarch64": "arm", "armv7l": "arm", "armv6l": "arm", "riscv64": "riscv"}


def is_emulated(root: Path = ROOT, machine: str | None = None) -> bool:
    """Say whether this process's instructions are translated for a processor of another kind, as by qemu-user.

    The file that the kernel really runs is then of another instruction set than the machine it claims to be. An
    emulator stands in for `/proc/self/exe`, and not for the same file by the thread's name.
    """
    try:
        with (root / "proc/thread-self/exe").open("rb") as file:
            header = file.read(20)
    except OSError:
        return False
    claimed = _FAMILIES.get(machine or platform.machine())
    if header[:4] != b"\x7fELF" or claimed is None:
        return False
    runs = _ELF_MACHINES.get(int.from_bytes(header[18:20], "little"))
    return runs is not None and runs != claimed


def temperature_c(root: Path = ROOT) -> float | None:
    """Give the temperature of the hottest zone, in degrees Celsius."""
    zones = [_integer(folder, "temp") for folder in (root / "sys/class/thermal").glob("thermal_zone*")]
    known = [zone / 1000 for zone in zones if zone is not None and 0 < zone < 200_000]  # others are no readings
    return max(known, default=None)


def find_cores(words: str, root: Path = ROOT) -> list[int]:
    """Give the logical cores that `big`, `little` or a list such as `4-7` names.

    Big cores are those of the largest capacity, or of the highest clock where no capacity is told; little ones those of
    the smallest. On a machine whose cores are all alike both are all of them.

    Raises:
        ValueError: the words say nothing of the kind.
    """
    if words not in ("big", "little"):
        return parse_cpu_list(words)
    strengths: dict[int, int] = {}
    for path in (root / "sys/devices/system/cpu").glob("cpu[0-9]*"):
        capacity = _integer(path, "cpu_capacity")
        strengths[int(path.name[3:])] = capacity or _integer(path / "cpufreq", "cpuinfo_max_freq") or 0
    wanted = (max if words == "big" else min)(strengths.values(), default=0)
    return sorted(cpu for cpu, strength in strengths.items() if strength == wanted)


def library_environment() -> dict[str, str]:
    """Give the environment variables that the numerical libraries read; not which GPUs this process is shown."""
    return {
        name: value
        for name, value in os.environ.items()
        if _LIBRARY_VARIABLE.match(name) and name != "CUDA_VISIBLE_DEVICES"
    }


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Give 16 hexadecimal digits over this program's own source, so that whoever edits it gets no stale figures."""
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def git_state(folder: Path) -> dict[str, Any] | None:
    """Say which commit a checkout is at and whether it was changed; None when git tracks nothing in the folder."""
    if shutil.which("git") is None:
        return None
    try:
        # An installed package may lie inside of somebody else's checkout, which ignores it.
        head, status, tracked = (
            subprocess.run(
                ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10.0, check=True
            ).stdout
            for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"], ["ls-files"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": head.strip(), "changed": bool(status.strip())} if tracked else None


@dataclass(frozen=True, slots=True)
class Core:
    """A physical core. `siblings` are its logical ones; `cpu` is the first of those that we may use."""

    cpu: int
    siblings: tuple[int, ...]
    node: int


def available_cpus() -> tuple[int, ...]:
    """Give the logical cores that this process may run on."""
    return tuple(sorted(os.sched_getaffinity(0)))


def physical_cores(root: Path = ROOT, available: Iterable[int] | None = None) -> list[Core]:
    """List the physical cores that hold one of the `available` logical ones (all by default)."""
    usable = None if available is None else set(available)
    nodes = {
        cpu: int(path.name[4:])
        for path in (root / "sys/devices/system/node").glob("node[0-9]*")
        for cpu in parse_cpu_list(_text(path, "cpulist") or "")
    }
    cores: dict[tuple[int, ...], Core] = {}
    for path in (root / "sys/devices/system/cpu").glob("cpu[0-9]*"):
        cpu = int(path.name[3:])
        siblings = tuple(parse_cpu_list(_text(path, "topology/thread_siblings_list") or str(cpu)))
        ours = [sibling for sibling in siblings if usable is None or sibling in usable]
        if ours:
            cores[siblings] = Core(min(ours), siblings, nodes.get(cpu, 0))
    return sorted(cores.values(), key=lambda core: core.cpu)


def choose_cores(count: int, root: Path = ROOT, available: Iterable[int] | None = None) -> list[Core]:
    """Choose whole cores to measure on: of one NUMA node, and without core 0, which serves interrupts, if others do.

    Gives fewer than `count` when there are not as many. Where no /sys tells which logical cores are one, as in some
    containers, each counts as a core of its own.
    """
    usable = available_cpus() if available is None else tuple(available)
    cores = physical_cores(root, usable) or [Core(cpu, (cpu,), 0) for cpu in usable if not _tells_cores(root)]
    by_node: dict[int, list[Core]] = {}
    for core in cores:
        by_node.setdefault(core.node, []).append(core)
    best: list[Core] = []
    for group in by_node.values():
        ranked = sorted(group, key=lambda core: (0 in core.siblings, core.cpu))[:count]
        if (len(ranked), all(0 not in core.siblings for core in ranked)) > (
            len(best),
            bool(best) and all(0 not in core.siblings for core in best),
        ):
            best = ranked
    if len(best) < count:  # no node is large enough
        best = sorted(cores, key=lambda core: (0 in core.siblings, core.cpu))[:count]
    return sorted(best, key=lambda core: core.cpu)


def _tells_cores(root: Path) -> bool:
    return any((root / "sys/devices/system/cpu").glob("cpu[0-9]*"))


def parse_cpu_list(text: str) -> list[int]:
    """Read the kernel's list form, such as `0-3,8`."""
    found: list[int] = []
    for part in text.strip().split(","):
        if part:
            first, _, last = part.partition("-")
            found += range(int(first), int(last or first) + 1)
    return found


@dataclass(frozen=True, slots=True)
class Counters:
    """What the kernel has counted so far, at one moment. Differences of two are what happened between.

    `pressure_us` is the time in which some process waited for a core, `waiting_s` the time in which this process did;
    `steal_s` is what the hypervisor took of the cores asked for, `throttled_us` what the group's quota took.
    """

    pressure_us: int | None
    waiting_s: float | None
    steal_s: float | None
    throttled_us: int | None
    thermal_events: int | None
    voluntary_switches: int
    involuntary_switches: int


def read_counters(cpus: Iterable[int], root: Path = ROOT) -> Counters:
    """Read the counters; steal and thermal events are of these cores."""
    cpus = list(cpus)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    pressure = re.search(r"^some .*total=(\d+)", _text(root, "proc/pressure/cpu") or "", re.MULTILINE)
    return Counters(
        pressure_us=int(pressure[1]) if pressure else None,
        waiting_s=_waiting_s(root),
        steal_s=_steal_s(root, cpus),
        throttled_us=_throttled_us(root),
        thermal_events=_sum(
            _integer(root, f"sys/devices/system/cpu/cpu{cpu}/thermal_throttle/core_throttle_count") for cpu in cpus
        ),
        voluntary_switches=usage.ru_nvcsw,
        involuntary_switches=usage.ru_nivcsw,
    )


def counted_between(before: Counters, after: Counters) -> dict[str, int | float | None]:
    """Give what was counted between two moments, by name.

    None for what was not counted at both, and for a counter that went backwards: it wrapped, was reset, or a thread or
    a core that it summed over has gone. What really happened is then not known, and not little.
    """
    changes: dict[str, int | float | None] = {}
    for field in fields(Counters):
        first, last = getattr(before, field.name), getattr(after, field.name)
        changes[field.name] = None if first is None or last is None or last < first else last - first
    return changes


def frequency_reader(cpus: Iterable[int], root: Path = ROOT) -> Callable[[], float | None]:
    """Make a reader of the mean frequency of some cores, in Hz, cheap enough to call between samples."""
    folders = [root / f"sys/devices/system/cpu/cpu{cpu}/cpufreq" for cpu in cpus]
    folders = [folder for folder in folders if _integer(folder, "scaling_cur_freq") is not None]

    def read() -> float | None:
        values = [value for folder in folders if (value := _integer(folder, "scaling_cur_freq")) is not None]
        return 1000.0 * sum(values) / len(values) if values else None

    return read


def _waiting_s(root: Path) -> float | None:
    waited = [_text(path, "schedstat") for path in (root / "proc/self/task").glob("*")]
    fields = [text.split() for text in waited if text]
    return sum(int(field[1]) for field in fields if len(field) > 1) / 1e9 if fields else None


def _steal_s(root: Path, cpus: list[int]) -> float | None:
    rows = [line.split() for line in (_text(root, "proc/stat") or "").splitlines()]
    ours = [row for row in rows if row and row[0] in {f"cpu{cpu}" for cpu in cpus} and len(row) > 8]
    return sum(int(row[8]) for row in ours) / os.sysconf("SC_CLK_TCK") if ours else None


def _cgroup_folders(root: Path) -> list[Path]:
    """Give our cgroup's folder, or the mount's root where a container hides the rest; version 2, then version 1."""
    text = _text(root, "proc/self/cgroup") or ""
    own = re.search(r"^0::/(.*)$", text, re.MULTILINE)
    cpu = re.search(r"^\d+:[^:]*\bcpu\b[^:]*:/(.*)$", text, re.MULTILINE)
    base = root / "sys/fs/cgroup"
    folders = [base / own[1], base] if own else [base]
    for mount in ("cpu", "cpu,cpuacct"):
        folders += [base / mount / cpu[1], base / mount] if cpu else []
    return folders


def _throttled_us(root: Path) -> int | None:
    for folder in _cgroup_folders(root):
        text = _text(folder, "cpu.stat") or ""
        if match := re.search(r"^throttled_usec (\d+)", text, re.MULTILINE):
            return int(match[1])
        if match := re.search(r"^throttled_time (\d+)", text, re.MULTILINE):
            return int(match[1]) // 1000
    return None


def _cpu_quota(root: Path) -> float | None:
    for folder in _cgroup_folders(root):
        limit = (_text(folder, "cpu.max") or "").split()
        if len(limit) == 2 and limit[0].isdigit():
            return int(limit[0]) / int(limit[1])
        quota, period = _integer(folder, "cpu.cfs_quota_us"), _integer(folder, "cpu.cfs_period_us")
        if quota is not None and period and quota > 0:
            return quota / period
    return None


def _cpu_model(cpuinfo: str) -> str | None:
    for key in ("model name", "Model", "Hardware", "cpu model"):
        if match := re.search(rf"^{key}\s*:\s*(.+)$", cpuinfo, re.MULTILINE):
            return match[1].strip()
    part = re.search(r"^CPU part\s*:\s*(\S+)", cpuinfo, re.MULTILINE)  # aarch64 names its cores by number only
    return f"{platform.machine()} part {part[1]}" if part else None


def _turbo(root: Path) -> bool | None:
    base = root / "sys/devices/system/cpu"
    if (off := _integer(base, "intel_pstate/no_turbo")) is not None:
        return off == 0
    boost = _integer(base, "cpufreq/boost")
    return None if boost is None else boost == 1


def _identity(root: Path) -> str:
    identity = (_text(root, "etc/machine-id") or "").strip() + platform.node()
    return hashlib.sha256(identity.encode()).hexdigest()[:12]


def _text(folder: Path, name: str, strip: bool = False) -> str | None:
    try:
        text = (folder / name).read_text(errors="replace")
    except OSError:
        return None
    return text.strip() if strip else text


def _integer(folder: Path, name: str) -> int | None:
    text = _text(folder, name, strip=True)
    return int(text) if text and text.lstrip("-").isdigit() else None


def _scaled(value: int | None, factor: int) -> int | None:
    return None if value is None else value * factor


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
