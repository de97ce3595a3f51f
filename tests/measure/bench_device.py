"""A device that knows its answers, for tests of what is built on measurements, and the runs made with it."""

from dataclasses import replace

import numpy as np

from nasbench.device.base import Device, Turn
from nasbench.measure.bench import Bench, Entry
from nasbench.measure.cache import MeasurementCache
from nasbench.records import DeviceSpec, Measurement, TimingPlan
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block
from nasbench.store.log import RunLog

CPU = DeviceSpec("cpu", "cpu", "eager", 1, 1 << 30)
SCREEN = TimingPlan()
BRIEF = replace(TimingPlan(), level="confirm", min_processes=3, max_processes=4)
BENCH = {"kind": "bench", "objectives": [], "limits": {}}

FACTORS = {"eager": 1.0, "channels_last": 0.9, "compile": 0.6, "onnx": 0.5, "openvino": 0.4}
"""How long each runtime takes of what eager takes."""


def make_network(width):
    """Give a small network; wider ones are slower on an AnsweringDevice."""
    rows = (make_block("conv", 3, width, 2, {}, "test"), make_block("pool_linear", width, 10, 1, {}, "test"))
    return Architecture((3, 16, 16), 10, rows)


class AnsweringDevice(Device):
    """An inference takes 0.1 ms for each channel and image, times the runtime's factor, over the threads.

    `errors` maps a runtime to its output error, `fails` maps one to the error that comes instead of a measurement,
    `verdict` is that of every process, `taken` lists (architecture, plan), `samples` is how many each process gives.
    """

    def __init__(self, spec=CPU, seed=0):
        self.spec = spec
        self.errors = {}
        self.fails = {}
        self.verdict = "ok"
        self.samples = 80
        self.taken = []
        self.source = None
        self.scatter = 0.001
        self.race_reasons = ()
        self._generator = np.random.default_rng(seed)

    @property
    def energy_source(self):
        return self.source

    def latency_s(self, architecture, plan):
        width = architecture.blocks[0].out_channels
        return 1e-4 * width * plan.batch**0.8 * FACTORS[self.spec.runtime] / self.spec.threads**0.5

    def take(self, architecture, plan):
        self.taken.append((architecture, plan))
        if self.spec.runtime in self.fails:
            raise self.fails[self.spec.runtime]
        median_s = self.latency_s(architecture, plan) * self._generator.lognormal(0, self.scatter)
        samples = median_s * (1 + np.abs(self._generator.normal(0, 0.01, self.samples)))
        kept = np.arange(self.samples) % 20 != 7
        return Measurement(
            architecture=architecture.digest,
            device=self.spec.name,
            device_digest=self.spec.digest,
            plan=plan,
            latencies_s=tuple(map(float, np.where(kept, samples, 1.5 * samples))),
            kept=tuple(map(bool, kept)),
            warmups_s=(2 * median_s,),
            first_call_s=3 * median_s,
            build_s=0.1,
            low_s=float(median_s),
            high_s=float(1.02 * median_s),
            verdict=self.verdict,
            reasons=() if self.verdict == "ok" else (f"somebody was {self.verdict}",),
            stop="converged",
            peak_memory_bytes=3 << 20,
            output_hash="0" * 16,
            settings={"runtime": self.spec.runtime, "threads": self.spec.threads, "inner_loops": 1},
            host={"software": {"answers": "1"}},
            started_at="2026-11-21T10:00:00.000+00:00",
            output_error=self.errors.get(self.spec.runtime),
            energy_j=0.002 if plan.energy and self.source else None,
            energy_source=self.source or ("no counter of energy" if plan.energy else None),
        )

    def take_turns(self, architectures, plan, steer):
        turns = []
        while order := steer(turns):
            turns = [
                Turn(side, (self.latency_s(architectures[side], plan) * self._generator.lognormal(0, 0.003),), True, 2)
                for side in order
            ]
        return {"host": {}, "noise": {}, "reasons": self.race_reasons}

    def fingerprint(self):
        return {"software": {"answers": "1"}}


def make_entries(networks=("small", "large"), runtimes=("eager",), batches=(1,), plan=SCREEN, change=None):
    """Give entries on AnsweringDevices: the n-th network is 8 (n + 1) wide; `change` is called with each device."""
    devices = [AnsweringDevice(replace(CPU, runtime=runtime)) for runtime in runtimes]
    for device in devices:
        if change is not None:
            change(device)
    return [
        Entry(name, make_network(8 * (1 + index)), device, replace(plan, batch=batch))
        for index, name in enumerate(networks)
        for device in devices
        for batch in batches
    ]


def run_bench(folder, entries, cache=None, **options):
    """Measure entries into a new run; gives the rows."""
    with (
        MeasurementCache(cache or folder.parent / f"{folder.name}-cache.db") as kept,
        RunLog.create(folder, BENCH) as log,
    ):
        return Bench(entries, log, kept, **options).run()
