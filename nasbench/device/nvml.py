"""What NVML, the driver's own interface, tells of one GPU. Read from outside of the measuring process; no torch.

Everything that this GPU or this driver does not tell is None. The module pynvml is imported here and nowhere else;
tests bring an object with the same functions.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nasbench.errors import DeviceError

THROTTLE_BITS = {
    0x001: "idle",
    0x002: "applications_clocks",
    0x004: "sw_power_cap",
    0x008: "hw_slowdown",
    0x010: "sync_boost",
    0x020: "sw_thermal",
    0x040: "hw_thermal",
    0x080: "hw_power_brake",
    0x100: "display_clocks",
    0x200: "board_limit",
    0x400: "reliability",
}
"""Why the clocks are not higher: `nvmlClocksEventReason*` and `nvmlClocksThrottleReason*` of nvml.h."""

SLOWDOWNS = frozenset({"hw_slowdown", "sw_thermal", "hw_thermal", "hw_power_brake"})
"""Those under which a sample is not what the GPU does when it is well. A power cap is not among them: at its power
limit is how a board may run all day; when that moves the clock, the clock says so."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the GPU did at one moment, `at_ns` on the clock of `time.perf_counter_ns`.

    On Linux that is CLOCK_MONOTONIC, which is one clock for all processes, so that the moment can be laid beside those
    of a measuring process.
    """

    at_ns: int
    sm_clock_hz: float | None
    memory_clock_hz: float | None
    power_w: float | None
    temperature_c: float | None
    throttle: tuple[str, ...]


def open_gpu(index: int, library: Any = None, visible: str | None = None) -> Gpu:
    """Open NVML and find a GPU by its number among the visible ones.

    `visible` has the form of the variable CUDA_VISIBLE_DEVICES and is that by default; numbers count in the order of
    the PCI bus, as nvidia-smi shows them. The caller closes what it gets.

    Raises:
        DeviceError: there is no driver or no such GPU.
    """
    nvml = importlib.import_module("pynvml") if library is None else library
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise DeviceError(
            f"no NVIDIA GPU can be used: NVML says {str(error)!r}; `nvidia-smi` must work here. In a container, start "
            "it with --gpus all and the driver capabilities compute,utility"
        ) from error
    try:
        return Gpu(nvml, _handle(nvml, index, os.environ.get("CUDA_VISIBLE_DEVICES") if visible is None else visible))
    except BaseException:
        nvml.nvmlShutdown()
        raise


def _handle(nvml: Any, index: int, visible: str | None) -> Any:
    count = nvml.nvmlDeviceGetCount()
    names = [str(number) for number in range(count)] if visible is None else [n for n in visible.split(",") if n]
    where = "" if visible is None else f" (CUDA_VISIBLE_DEVICES is {visible!r})"
    if index >= len(names):
        listed = ", ".join(str(number) for number in range(len(names))) or "none"
        raise DeviceError(f"there is no GPU with index {index}{where}; there are: {listed}")
    name = names[index].strip()
    try:
        if name.isdigit():
            return nvml.nvmlDeviceGetHandleByIndex(int(name))
        return nvml.nvmlDeviceGetHandleByUUID(name)
    except nvml.NVMLError as error:
        raise DeviceError(f"GPU {name!r}{where} cannot be used: {error}") from error


class Gpu:
    """One GPU behind an open NVML.

    Every method raises DeviceError when the GPU has fallen off the bus or must be reset.
    """

    def __init__(self, library: Any, handle: Any) -> None:
        self._library = library
        self._handle = handle
        self.uuid: str = self._ask("nvmlDeviceGetUUID") or ""
        self.name: str = self._ask("nvmlDeviceGetName") or "NVIDIA GPU"

    def close(self) -> None:
        """Close NVML."""
        self._library.nvmlShutdown()

    def check(self) -> None:
        """Raise DeviceError unless the GPU still answers; every driver knows how much memory is in use."""
        self._ask("nvmlDeviceGetMemoryInfo")

    def read(self, clock_ns: Callable[[], int] = time.perf_counter_ns) -> Reading:
        """Read clocks, power, temperature and throttle reasons."""
        nvml = self._library
        before = clock_ns()
        sm = self._ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM)
        memory = self._ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_MEM)
        power = self._ask("nvmlDeviceGetPowerUsage")
        temperature = self._ask("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU)
        bits = self._throttle_bits()
        return Reading(
            at_ns=(before + clock_ns()) // 2,
            sm_clock_hz=_scaled(sm, 1e6),
            memory_clock_hz=_scaled(memory, 1e6),
            power_w=_scaled(power, 1e-3),
            temperature_c=_scaled(temperature, 1.0),
            throttle=tuple(name for bit, name in THROTTLE_BITS.items() if bits & bit),
        )

    def _throttle_bits(self) -> int:
        # Drivers before 535 know only the older name of the same function.
        bits = self._ask("nvmlDeviceGetCurrentClocksEventReasons")
        return int((self._ask("nvmlDeviceGetCurrentClocksThrottleReasons") if bits is None else bits) or 0)

    def compute_processes(self) -> frozenset[int] | None:
        """Give the ids of the processes that hold a CUDA context here.

        In a container these may be the ids that the host knows, under which nobody is found here.
        """
        found = self._ask("nvmlDeviceGetComputeRunningProcesses")
        return None if found is None else frozenset(int(process.pid) for process in found)

    def busy_processes(self, since_unix_s: float) -> dict[int, int]:
        """Give the largest share of the SMs, in percent, that each process has used since then, if it used any."""
        largest: dict[int, int] = {}
        for one in self._ask("nvmlDeviceGetProcessUtilization", int(since_unix_s * 1e6)) or ():
            if one.smUtil > 0:
                largest[int(one.pid)] = max(largest.get(int(one.pid), 0), int(one.smUtil))
        return largest

    def used_bytes(self) -> int | None:
        """Give how much of its memory is in use, by anybody."""
        memory = self._ask("nvmlDeviceGetMemoryInfo")
        return None if memory is None else int(memory.used)

    def energy_mj(self) -> int | None:
        """Give the energy counter: millijoules since the driver was loaded. Volta and newer GPUs have one."""
        energy = self._ask("nvmlDeviceGetTotalEnergyConsumption")
        return None if energy is None else int(energy)

    def sustained_clock_hz(self) -> float | None:
        """Give the highest clock that the board states to keep up: its default applications clock.

        Boards that state none (GeForce), or their top clock, which load does not let them keep, are given the highest
        supported clock below three quarters of the top one, a guess on the safe side: what matters is that the clock
        does not move, not how high it is.
        """
        nvml = self._library
        stated = self._ask("nvmlDeviceGetDefaultApplicationsClock", nvml.NVML_CLOCK_GRAPHICS)
        top = self._ask("nvmlDeviceGetMaxClockInfo", nvml.NVML_CLOCK_GRAPHICS)
        if stated is not None and (top is None or stated < top):
            return float(stated) * 1e6
        memory = self._ask("nvmlDeviceGetMaxClockInfo", nvml.NVML_CLOCK_MEM)
        supported = self._ask("nvmlDeviceGetSupportedGraphicsClocks", memory) if memory is not None else None
        lower = [clock for clock in supported or () if top is not None and clock <= 0.75 * top]
        return max(lower) * 1e6 if lower else None

    def lock_clock(self, hertz: float) -> str | None:
        """Hold the SM clock; give why it could not be done, None when it was."""
        megahertz = round(hertz / 1e6)
        return self._command("nvmlDeviceSetGpuLockedClocks", megahertz, megahertz)

    def unlock_clock(self) -> str | None:
        """Let the SM clock go; give why it could not be done, None when it was."""
        return self._command("nvmlDeviceResetGpuLockedClocks")

    def record(self) -> dict[str, Any]:
        """Describe the GPU for a measurement's row: only what does not change by itself.

        `gpu_id` is a hash of its UUID: it tells two GPUs apart and names none.
        """
        cuda = self._ask_system("nvmlSystemGetCudaDriverVersion")
        capability = self._ask("nvmlDeviceGetCudaComputeCapability")
        return {
            "gpu": self.name,
            "gpu_id": hashlib.sha256(self.uuid.encode()).hexdigest()[:12],
            "compute_capability": None if capability is None else ".".join(map(str, capability)),
            "driver": self._ask_system("nvmlSystemGetDriverVersion"),
            "driver_cuda": None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
            "power_limit_w": _scaled(self._ask("nvmlDeviceGetEnforcedPowerLimit"), 1e-3),
            "pcie_generation": self._ask("nvmlDeviceGetMaxPcieLinkGeneration"),
            "pcie_width": self._ask("nvmlDeviceGetMaxPcieLinkWidth"),
            "persistence_mode": _switch(self._ask("nvmlDeviceGetPersistenceMode")),
            "ecc": _switch(self._ask("nvmlDeviceGetEccMode")),
            "mig": _switch(self._ask("nvmlDeviceGetMigMode")),
        }

    def _ask(self, function: str, *arguments: Any) -> Any:
        """Call a function of NVML on this GPU; None where the GPU, the driver or pynvml has no answer."""
        return self._call(function, self._handle, *arguments)[0]

    def _ask_system(self, function: str) -> Any:
        return self._call(function)[0]

    def _command(self, function: str, *arguments: Any) -> str | None:
        return self._call(function, self._handle, *arguments)[1]

    def _call(self, function: str, *arguments: Any) -> tuple[Any, str | None]:
        nvml = self._library
        if not hasattr(nvml, function):
            return None, f"this pynvml has no {function}"
        try:
            return getattr(nvml, function)(*arguments), None
        except _errors(nvml) as error:
            if getattr(error, "value", None) in (nvml.NVML_ERROR_GPU_IS_LOST, nvml.NVML_ERROR_RESET_REQUIRED):
                name = getattr(self, "name", "the GPU")
                raise DeviceError(
                    f"{name} is gone: NVML says {str(error)!r}; see `dmesg | grep Xid`, then reset or restart"
                ) from error
            return None, str(error)


def _errors(nvml: Any) -> tuple[type[Exception], ...]:
    """Give what pynvml raises: its errors, and one that is none of them for a driver that is older than itself."""
    return tuple(getattr(nvml, name) for name in ("NVMLError", "NVMLLibraryMismatchError") if hasattr(nvml, name))


def _scaled(value: Any, factor: float) -> float | None:
    return None if value is None else float(value) * factor


def _switch(value: Any) -> bool | None:
    """Read a switch; those with a pending state too come as [current, pending]."""
    if isinstance(value, list | tuple):
        value = value[0]
    return None if value is None else bool(value)
