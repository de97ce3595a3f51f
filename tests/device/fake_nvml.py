"""NVML without a driver: what it answers is data, its constants and errors are pynvml's own."""

from types import SimpleNamespace

import pynvml

NOT_SUPPORTED = pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
NO_PERMISSION = pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)
GPU_IS_LOST = pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
NO_DRIVER = pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

ANSWERS = {
    "nvmlInit": None,
    "nvmlShutdown": None,
    "nvmlDeviceGetCount": 2,
    "nvmlDeviceGetHandleByIndex": lambda index: f"GPU {index}",
    "nvmlDeviceGetHandleByUUID": lambda uuid: f"GPU {uuid}",
    "nvmlDeviceGetUUID": lambda handle: f"GPU-of-{handle}",
    "nvmlDeviceGetName": "NVIDIA Imaginary 100",
    "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=500 << 20, free=80 << 30, total=(80 << 30) + (500 << 20)),
    "nvmlDeviceGetClockInfo": lambda handle, kind: 1500 if kind == pynvml.NVML_CLOCK_SM else 2600,
    "nvmlDeviceGetMaxClockInfo": lambda handle, kind: 2000 if kind == pynvml.NVML_CLOCK_GRAPHICS else 2600,
    "nvmlDeviceGetDefaultApplicationsClock": 1410,
    "nvmlDeviceGetSupportedGraphicsClocks": [2000, 1700, 1500, 1485, 300],
    "nvmlDeviceGetPowerUsage": 250_000,
    "nvmlDeviceGetTemperature": 55,
    "nvmlDeviceGetCurrentClocksEventReasons": 0,
    "nvmlDeviceGetComputeRunningProcesses": [],
    "nvmlDeviceGetProcessUtilization": [],
    "nvmlDeviceGetTotalEnergyConsumption": 123_456,
    "nvmlDeviceSetGpuLockedClocks": None,
    "nvmlDeviceResetGpuLockedClocks": None,
    "nvmlDeviceGetEnforcedPowerLimit": 400_000,
    "nvmlDeviceGetMaxPcieLinkGeneration": 5,
    "nvmlDeviceGetMaxPcieLinkWidth": 16,
    "nvmlDeviceGetPersistenceMode": 1,
    "nvmlDeviceGetEccMode": [1, 1],
    "nvmlDeviceGetMigMode": [0, 0],
    "nvmlDeviceGetCudaComputeCapability": (9, 0),
    "nvmlSystemGetDriverVersion": "570.86.10",
    "nvmlSystemGetCudaDriverVersion": 12080,
}


class FakeNvml:
    """The functions of pynvml that nasbench calls.

    An answer is a value, an exception to raise, or a function of the arguments; functions that are `lacking` do not
    exist. `calls` holds what was called with what, in order.
    """

    def __init__(self, *, lacking=(), **answers):
        assert answers.keys() <= ANSWERS.keys(), "a wrong name would be an answer that nobody asks for"
        self.answers = {name: answer for name, answer in (ANSWERS | answers).items() if name not in lacking}
        self.calls = []

    def __getattr__(self, name):
        if name in ANSWERS:
            if name not in self.answers:
                raise AttributeError(name)
            return lambda *arguments: self._answer(name, arguments)
        if name.startswith(("nvmlDevice", "nvmlSystem")):
            raise AttributeError(name)
        return getattr(pynvml, name)

    def _answer(self, name, arguments):
        self.calls.append((name, *arguments))
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer(*arguments) if callable(answer) else answer

    def called(self, name):
        return [call[1:] for call in self.calls if call[0] == name]


def process(pid):
    return SimpleNamespace(pid=pid, usedGpuMemory=1 << 30)


def utilization(pid, percent):
    return SimpleNamespace(pid=pid, smUtil=percent)
