"""What goes on while nothing is measured: load, neighbours, heat and memory, watched for a moment."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from nasbench.doctor.cores import Place
from nasbench.doctor.finding import OK, PROBLEM, UNKNOWN, WARNING, Finding, read_integer, read_text
from nasbench.host import Counters, host_record, read_counters
from nasbench.units import format_bytes

LOAD_LIMIT = 0.5
PRESSURE_LIMIT = 0.01
"""Share of the time in which some process waited for a core; above it a measurement is noisy."""

PRESSURE_PROBLEM = 0.10
BUSY_LIMIT = 0.05
"""Share of a core above which another process is worth a warning."""

STEAL_LIMIT = 0.01
HEAT_MARGIN_C = 10.0
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Busy:
    """Another process by its name, and the share of one core that it took."""

    name: str
    share: float


@dataclass(frozen=True, slots=True)
class Watched:
    """What happened in a window of some seconds: counters before and after, pages swapped, and who was busy."""

    window_s: float
    before: Counters
    after: Counters
    swapped_pages: int | None
    busy: tuple[Busy, ...]


def watch(place: Place, window_s: float = 1.0, pause: Callable[[float], object] = time.sleep) -> Watched:
    """Look twice, `window_s` apart."""
    cpus = [core.cpu for core in place.cores] or list(place.available)
    processes = _others()
    began = time.perf_counter()
    before, swapped, used = read_counters(cpus, place.root), _swapped(place.root), _used_s(processes)
    pause(window_s)
    after, swapped_after, used_after = read_counters(cpus, place.root), _swapped(place.root), _used_s(processes)
    took_s = time.perf_counter() - began
    busy = [Busy(one.name, (used_after[one] - used[one]) / took_s) for one in used_after if one in used]
    return Watched(
        took_s,
        before,
        after,
        None if swapped is None or swapped_after is None else swapped_after - swapped,
        tuple(sorted(busy, key=lambda one: -one.share)),
    )


def check_activity(place: Place, watched: Watched) -> Iterator[Finding]:
    """Look at what would disturb a measurement if it began now."""
    yield _load(place)
    yield _pressure(place)
    yield _neighbours(watched.busy)
    yield _hypervisor(place, watched)
    yield _heat(place, watched)


def check_memory(place: Place, watched: Watched, limit_bytes: int) -> Iterator[Finding]:
    """Look whether a measuring process may use all that the device allows it."""
    free_bytes = _free_bytes(place.root)
    if free_bytes is None:
        yield Finding("memory", UNKNOWN, "the kernel does not tell what is free")
    else:
        found = f"{format_bytes(free_bytes)} free, the device allows a network {format_bytes(limit_bytes)}"
        if free_bytes < limit_bytes:
            yield Finding(
                "memory",
                WARNING,
                found,
                "a network that is within the limit may be swapped out, or killed by the kernel",
                "end what holds memory, or set a smaller memory_limit in the device's file",
            )
        else:
            yield Finding("memory", OK, found)
    if watched.swapped_pages:
        yield Finding(
            "swap",
            WARNING,
            f"{watched.swapped_pages} pages went to or came from the disk in {watched.window_s:.1f} s",
            "an inference that waits for the disk is not timed, its disk is",
            "end what holds memory, or switch swap off",
            "sudo swapoff -a",
        )
    elif watched.swapped_pages is not None:
        yield Finding("swap", OK, f"no page moved in {watched.window_s:.1f} s")


def _load(place: Place) -> Finding:
    text = read_text(place.root, "proc/loadavg")
    if not text:
        return Finding("load", UNKNOWN, "not told")
    minute, five = (float(word) for word in text.split()[:2])
    found = f"{minute:.2f} in the last minute, {five:.2f} in the last five"
    if minute <= LOAD_LIMIT:
        return Finding("load", OK, found)
    return Finding(
        "load",
        WARNING,
        found,
        f"above {LOAD_LIMIT:g} something else is running; caches, memory and clock are shared even where cores are not",
        "end it, or wait a minute and look again",
    )


def _pressure(place: Place) -> Finding:
    match = re.search(r"^some avg10=([0-9.]+)", read_text(place.root, "proc/pressure/cpu") or "", re.MULTILINE)
    if match is None:
        return Finding("CPU pressure", UNKNOWN, "not told; the kernel needs psi=1")
    share = float(match[1]) / 100
    found = f"processes waited for a core in {share:.1%} of the last 10 s"
    if share <= PRESSURE_LIMIT:
        return Finding("CPU pressure", OK, found)
    return Finding(
        "CPU pressure",
        PROBLEM if share > PRESSURE_PROBLEM else WARNING,
        found,
        f"above {PRESSURE_LIMIT:.0%} the verdict of a measurement is noisy",
        "end what is running, or wait 10 s and look again",
    )


def _neighbours(busy: Sequence[Busy]) -> Finding:
    loud = [one for one in busy if one.share > BUSY_LIMIT]
    if not loud:
        most = f"; the busiest is {busy[0].name} with {busy[0].share:.0%} of a core" if busy and busy[0].share else ""
        return Finding("other processes", OK, f"none above {BUSY_LIMIT:.0%} of a core{most}")
    named = ", ".join(f"{one.name} {one.share:.0%}" for one in loud[:_SHOWN])
    more = f" and {len(loud) - _SHOWN} more" if len(loud) > _SHOWN else ""
    return Finding(
        "other processes",
        WARNING,
        f"{named}{more}, in shares of a core",
        "they take caches, memory bandwidth and clock, and now and then the core",
        "end them, or keep them off while measuring; to see them",
        "top -o %CPU",
    )


def _hypervisor(place: Place, watched: Watched) -> Finding:
    steal_s = _difference(watched.before.steal_s, watched.after.steal_s)
    share = None if steal_s is None else steal_s / watched.window_s / max(1, place.threads)
    if share is not None and share > STEAL_LIMIT:
        return Finding(
            "hypervisor",
            PROBLEM,
            f"it took {share:.1%} of the cores' time in {watched.window_s:.1f} s",
            "other machines run on these cores meanwhile",
            "measure on a machine of your own, or on one with dedicated cores",
        )
    virtual = host_record(place.root)["hypervisor"]
    if virtual is None:
        return Finding("hypervisor", UNKNOWN, "not told")
    if not virtual:
        return Finding("hypervisor", OK, "none")
    taken = "" if share is None else f"; it took {share:.1%} of the time in {watched.window_s:.1f} s"
    return Finding(
        "hypervisor",
        WARNING,
        f"a virtual machine{taken}",
        "its neighbours share caches and memory, and neither they nor the clock can be seen from here",
        "trust comparisons (nasbench compare) more than single figures, and a real machine more than both",
    )


def _heat(place: Place, watched: Watched) -> Finding:
    throttled = _difference(watched.before.thermal_events, watched.after.thermal_events)
    zones = list(_zones(place.root))
    hottest = max(zones, key=lambda zone: zone[1], default=None)
    words = [f"hottest {hottest[0]}, {hottest[1]:.0f} °C"] if hottest else []
    if watched.after.thermal_events is not None:
        words.append(f"{watched.after.thermal_events} throttling events since the start")
    found = "; ".join(words)
    near = [zone for zone in zones if zone[2] is not None and zone[1] > zone[2] - HEAT_MARGIN_C]
    if throttled:
        return Finding(
            "heat",
            PROBLEM,
            f"{throttled} throttling events in {watched.window_s:.1f} s; {found}",
            "the processor slows itself down to cool",
            "let it cool, and see to its fans",
        )
    if near:
        name, celsius, trip = near[0]
        return Finding(
            "heat",
            WARNING,
            f"{name} is at {celsius:.0f} °C and acts at {trip:.0f} °C",
            "a confirmation heats for minutes, and the processor would slow down in the middle",
            "let it cool, and see to its fans",
        )
    if watched.after.thermal_events:
        return Finding(
            "heat",
            WARNING,
            found,
            "this processor has slowed itself down under load before",
            "see to its fans, or measure without turbo",
        )
    return Finding("heat", OK, found) if found else Finding("heat", UNKNOWN, "not told")


def _zones(root: Path) -> Iterator[tuple[str, float, float | None]]:
    """Give the kind, temperature and lowest trip point that slows down of every thermal zone, in degrees Celsius."""
    for folder in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        millidegrees = read_integer(folder, "temp")
        if millidegrees is None:
            continue
        trips = [
            trip
            for path in folder.glob("trip_point_*_type")
            if read_text(folder, path.name) in ("passive", "hot", "critical")
            and (trip := read_integer(folder, path.name.replace("_type", "_temp"))) is not None
            and trip > 0
        ]
        yield read_text(folder, "type") or folder.name, millidegrees / 1000, min(trips) / 1000 if trips else None


def _free_bytes(root: Path) -> int | None:
    """Give what may still be used: of the machine and of our control group, whichever is less."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB", read_text(root, "proc/meminfo") or "", re.MULTILINE)
    free = [int(match[1]) * 1024] if match else []
    own = re.search(r"^0::/(.*)$", read_text(root, "proc/self/cgroup") or "", re.MULTILINE)
    group = root / "sys/fs/cgroup"
    for folder in {group / own[1] if own else group, group}:
        limit, used = read_integer(folder, "memory.max"), read_integer(folder, "memory.current")
        if limit is not None and used is not None:
            free.append(max(0, limit - used))
    return min(free) if free else None


def _swapped(root: Path) -> int | None:
    found = re.findall(r"^pswp(?:in|out) (\d+)$", read_text(root, "proc/vmstat") or "", re.MULTILINE)
    return sum(map(int, found)) if found else None


@dataclass(frozen=True, slots=True)
class _Other:
    name: str
    process: psutil.Process


def _others() -> list[_Other]:
    """Give all processes but ours and what we started."""
    ours = psutil.Process()
    family = {ours.pid, *(child.pid for child in ours.children(recursive=True))}
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid not in family:
                found.append(_Other(process.name(), process))
        except psutil.Error:
            continue
    return found


def _used_s(others: Sequence[_Other]) -> dict[_Other, float]:
    used = {}
    for other in others:
        try:
            times = other.process.cpu_times()
        except psutil.Error:
            continue
        used[other] = times.user + times.system
    return used


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before
