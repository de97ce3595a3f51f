"""What is installed to measure with, and whether energy can be read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

from nasbench.device.energy import Meter, find_rapl
from nasbench.doctor.cores import Place
from nasbench.doctor.finding import OK, PROBLEM, UNKNOWN, Finding, read_text
from nasbench.records import DeviceSpec
from nasbench.runtime.base import RUNTIMES, RuntimeKind
from nasbench.store.manifest import installed_version

_COMPILERS = ("c++", "g++", "clang++")


def check_runtimes(
    spec: DeviceSpec,
    version: Callable[[str], str | None] = installed_version,
    which: Callable[[str], str | None] = shutil.which,
) -> Iterator[Finding]:
    """Look whether the device's runtime can run here, and which others could."""
    asked = RUNTIMES[spec.runtime].form
    others = [kind for kind in RUNTIMES.values() if spec.hardware in kind.backends and kind.form == asked]
    lacking = {kind.name: _missing(kind, spec.hardware, version, which) for kind in others}
    yield _needed(RUNTIMES[spec.runtime], lacking.pop(spec.runtime, []), version)
    ready = [name for name, lacks in lacking.items() if not lacks]
    words = [", ".join(ready) or "none"]
    words += [
        f"{name} needs {_and(lacks)} ({_install(RUNTIMES[name], lacks)})" for name, lacks in lacking.items() if lacks
    ]
    yield Finding("other runtimes", OK, "; ".join(words))


def check_energy(place: Place) -> Finding:
    """Look whether the processor's energy counters are there and may be read; a latency does not need them."""
    meter = find_rapl([core.cpu for core in place.cores], place.root)
    if isinstance(meter, Meter):
        return Finding("energy", OK, f"{meter.source} can be read")
    counters = sorted((place.root / "sys/class/powercap").glob("intel-rapl:*/energy_uj"))
    closed = [path for path in counters if read_text(path.parent, path.name) is None]
    if not closed:
        return Finding("energy", UNKNOWN, meter.reason)
    return Finding(
        "energy",
        UNKNOWN,
        "the RAPL counters are there and may not be read",
        "only --energy needs them",
        "allow it until the next start; who reads them often can guess at what other programs compute",
        f"sudo chmod a+r {' '.join(f'/{path.relative_to(place.root)}' for path in closed)}",
    )


def _needed(kind: RuntimeKind, lacks: list[str], version: Callable[[str], str | None]) -> Finding:
    if not lacks:
        versions = ", ".join(f"{package} {version(package)}" for package in kind.packages)
        return Finding("runtime", OK, f"{kind.name}: {versions}")
    return Finding(
        "runtime",
        PROBLEM,
        f"{kind.name} needs {_and(lacks)}, which {'is' if len(lacks) == 1 else 'are'} not installed",
        "nothing can be measured on this device",
        "install it",
        _install(kind, lacks),
    )


def _missing(
    kind: RuntimeKind, backend: str, version: Callable[[str], str | None], which: Callable[[str], str | None]
) -> list[str]:
    lacks = [package for package in kind.packages if version(package) is None]
    if kind.name == "compile" and backend == "cpu":
        compilers = [os.environ["CXX"]] if os.environ.get("CXX") else _COMPILERS
        if not any(which(name) for name in compilers):
            lacks.append("g++")
    return lacks


def _install(kind: RuntimeKind, lacks: list[str]) -> str:
    if lacks == ["g++"]:
        return "sudo apt-get install g++"
    return f"pip install 'nasbench[{kind.extra}]'" if kind.extra else f"pip install {' '.join(lacks)}"


def _and(words: list[str]) -> str:
    return " and ".join(words)
