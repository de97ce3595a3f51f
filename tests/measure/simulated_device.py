"""A device whose processes are drawn and not run, on a machine with scatter, neighbours and drift, for tests."""

import numpy as np

from nasbench.device.base import Device
from nasbench.errors import Crashed
from nasbench.measure.canary import CANARY
from nasbench.records import DeviceSpec, Measurement
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block


def network(classes):
    """Give one of as many different networks as there are numbers of classes."""
    return Architecture((1, 8, 8), classes, (make_block("pool_linear", 1, classes, 1, {}, "test"),))


class SimulatedDevice(Device):
    """The n-th process on it finds `latency_s(architecture, n)`, times a factor of its own, and gets `verdict(n)`.

    `taken` lists what was measured, as (architecture, plan). `fails` maps (architecture, how often it was measured
    before) to the error that comes instead.
    """

    def __init__(self, scatter=0.002, seed=0, backend="cpu", name="simulated", index=0):
        self.spec = DeviceSpec(name, backend, "eager", 1, 1 << 30, index=index)
        self._generator = np.random.default_rng(seed)
        self._scatter = scatter
        self.latency_s = lambda architecture, number: 0.01
        self.verdict = lambda number: "ok"
        self.output_hash = lambda number: "0" * 16
        self.fails = {}
        self.taken = []
        self.pauses = []
        self.software = "1.0"

    def take(self, architecture, plan):
        before = sum(one == architecture for one, _ in self.taken)
        self.taken.append((architecture, plan))
        if (architecture, before) in self.fails:
            raise self.fails[architecture, before]
        number = len(self.taken) - 1
        median_s = self.latency_s(architecture, number) * self._generator.lognormal(0, self._scatter)
        verdict = self.verdict(number)
        return Measurement(
            architecture=architecture.digest,
            device=self.spec.name,
            device_digest=self.spec.digest,
            plan=plan,
            latencies_s=(0.99 * median_s, median_s, 1.01 * median_s),
            kept=(True,) * 3,
            warmups_s=(2 * median_s,),
            first_call_s=0.1,
            build_s=0.2,
            low_s=0.99 * median_s,
            high_s=1.01 * median_s,
            verdict=verdict,
            reasons=() if verdict == "ok" else (f"somebody was {verdict}",),
            stop="converged",
            peak_memory_bytes=1000 + number,
            output_hash=self.output_hash(number),
            started_at="2026-11-21T10:00:00.000+00:00",
            energy_j=0.5 if plan.energy else None,
        )

    def take_turns(self, architectures, plan, steer):
        raise NotImplementedError

    def fingerprint(self):
        return {"software": {"simulation": self.software}}

    @property
    def order(self):
        """What was measured, one letter a process: c for the canary, else the number of classes."""
        return ["c" if architecture == CANARY else architecture.classes for architecture, _ in self.taken]


CRASH = Crashed("the process died of SIGSEGV in phase 'timed'")
