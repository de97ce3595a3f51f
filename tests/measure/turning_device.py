"""A device whose turns are drawn and not run, for tests: effects of processes, scatter, drift, spikes, failures.

Time is its own and moves only when networks run.
"""

import math
import random

from nasbench.device.base import Device, Turn
from nasbench.records import DeviceSpec
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block

TURN_S = 2e-3


def network(width):
    """Give one of as many different networks as there are widths."""
    rows = (make_block("conv", 3, width, 2, {}, "test"), make_block("pool_linear", width, 10, 1, {}, "test"))
    return Architecture((3, 16, 16), 10, rows)


class TurningDevice(Device):
    """Networks take what `latencies_s` says by digest, times effects that are drawn.

    `instance` is the scatter of a network's factor from process to process, `noise` that of an inference, and `spikes`
    the share of turns that take up to three times as long; every second of those is seen by the gate. `drift` is how
    far the machine wanders, the same for all. `reasons` gives what the gates say of the n-th process, `kept` whether a
    turn of it had its cores; `fails` maps a digest to an error.
    """

    def __init__(self, latencies_s, *, instance=0.0, noise=0.01, spikes=0.0, drift=0.0, seed=0):
        self.spec = DeviceSpec("turning", "cpu", "eager", 1, 1 << 30)
        self._latencies_s = latencies_s
        self._instance, self._noise, self._spikes, self._drift = instance, noise, spikes, drift
        self._source = random.Random(seed)
        self.reasons = lambda process: ()
        self.kept = lambda process: True
        self.fails = {}
        self.orders = []
        self.now_s = 0.0
        self.inferences = 0

    def take(self, architecture, plan):
        raise NotImplementedError

    def fingerprint(self):
        return {}

    def clock(self):
        return self.now_s

    def take_turns(self, architectures, plan, steer):
        process = len(self.orders)
        self.orders.append([architecture.digest for architecture in architectures])
        for side, architecture in enumerate(architectures):
            if error := self.fails.get(architecture.digest):
                error.side = side
                raise error
        process_factor = math.exp(self._source.gauss(0, 0.05))
        sides_s = [
            self._latencies_s[architecture.digest] * process_factor * math.exp(self._source.gauss(0, self._instance))
            for architecture in architectures
        ]
        turns = []
        while order := steer(turns):
            turns = [self._take(side, sides_s[side], process) for side in order]
        return {"host": {"host": "simulated"}, "noise": {"window_s": 1.0}, "reasons": list(self.reasons(process))}

    def _take(self, side, latency_s, process):
        count = max(1, math.ceil(TURN_S / latency_s))
        latency_s *= 1 + self._drift * math.sin(self.now_s / 3)
        kept = self.kept(process)
        if self._source.random() < self._spikes:
            latency_s *= 1 + 2 * self._source.random()
            kept = kept and self._source.random() < 0.5
        seconds = tuple(latency_s * math.exp(self._source.gauss(0, self._noise)) for _ in range(count))
        self.now_s += latency_s + sum(seconds)
        self.inferences += 1 + count
        return Turn(side, seconds, kept, 1 + count)
