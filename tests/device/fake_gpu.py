"""GPUs without hardware: one on a simulated clock for the loops, one that is this processor for whole measurements."""

import contextlib
import time

from nasbench.device.cuda_layer import Layer
from nasbench.device.energy import NoMeter
from nasbench.device.timing import Clocks


class SimulatedGpu(Layer):
    """A GPU that works through a queue while the host goes on; time moves only when something happens.

    An inference is `kernels` kernels; the host takes `enqueue_s` for all of them, the GPU `device_s`, and longer while
    its L2 cache is empty. Events resolve half a microsecond.
    """

    device = "simulated"

    def __init__(self, device_s, enqueue_s=0.0, kernels=20, cold_s=0.0):
        self._device_s = iter(device_s) if not isinstance(device_s, float) else iter(lambda: device_s, None)
        self._enqueue_s, self._kernels, self._cold_s = enqueue_s, kernels, cold_s
        self.host_s = self.gpu_s = 0.0
        self.inferences = self.flushes = 0
        self._empty = False
        self.clocks = Clocks(wall=self._wall, cpu=lambda: round(self.host_s * 1e9))

    def _wall(self):
        self.host_s += 1e-7
        return round(self.host_s * 1e9)

    def run(self):
        device_s = next(self._device_s) + (self._cold_s if self._empty else 0.0)
        self._empty = False
        self.inferences += 1
        for _ in range(self._kernels):
            self.host_s += self._enqueue_s / self._kernels
            self.gpu_s = max(self.gpu_s, self.host_s) + device_s / self._kernels

    def event(self):
        return SimulatedEvent(self)

    def stream(self):
        return contextlib.nullcontext()

    def synchronize(self):
        self.host_s = max(self.host_s, self.gpu_s)

    def empty_cache(self):
        self.flushes += 1
        self._empty = True
        self.gpu_s = max(self.gpu_s, self.host_s) + 50e-6

    def start_memory_pass(self):
        pass

    def memory(self):
        return {}

    def meter(self):
        return contextlib.nullcontext(NoMeter("simulated"))

    def settings(self):
        return {}


class SimulatedEvent:
    def __init__(self, gpu):
        self._gpu = gpu

    def record(self):
        self.reached_s = max(self._gpu.gpu_s, self._gpu.host_s)

    def synchronize(self):
        self._gpu.host_s = max(self._gpu.host_s, self.reached_s)

    def elapsed_time(self, end_event):
        return round((end_event.reached_s - self.reached_s) / 0.5e-6) * 0.5e-3


class ProcessorLayer(Layer):
    """This processor in the place of a GPU: nothing is asynchronous, everything else is as real as on cores."""

    device = "cpu"

    def event(self):
        return ProcessorEvent()

    def stream(self):
        return contextlib.nullcontext()

    def synchronize(self):
        pass

    def empty_cache(self):
        pass

    def start_memory_pass(self):
        pass

    def memory(self):
        return {"allocated_bytes": 3 << 20, "reserved_bytes": 20 << 20, "device_used_bytes": 900 << 20}

    def meter(self):
        return contextlib.nullcontext(NoMeter("a processor in the place of a GPU"))

    def settings(self):
        return {"tf32": False}


class ProcessorEvent:
    def record(self):
        self.reached_ns = time.perf_counter_ns()

    def synchronize(self):
        pass

    def elapsed_time(self, end_event):
        return (end_event.reached_ns - self.reached_ns) / 1e6
