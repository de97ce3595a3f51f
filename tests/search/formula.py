"""A device and an estimator whose answers are formulas of the network, so that a search is the same everywhere."""

import math

from nasbench.accuracy.base import Accuracy
from nasbench.definitions import parse_definition
from nasbench.device.base import Device
from nasbench.errors import Crashed
from nasbench.model.cost import count
from nasbench.records import DeviceSpec, Measurement, Score, TimingPlan
from nasbench.space.load import read_space

SPACE = """\
schema: 1
name: toy
input: {channels: 1, size: 16}
classes: 10
stem: {block: conv, out: [4, 8, 16], stride: 2}
stages:
  - {block: [conv, mbconv], repeat: [1, 2, 3], out: [8, 16, 24], kernel: {each: [3, 5]}, expand: [2, 4], stride: 2}
head: {block: pool_linear}
architectures:
  toy_small:
    choose: {stem.out: 4, stage0.block: conv, stage0.repeat: 1, stage0.out: 8, stage0.kernel: 3}
"""


def toy_space():
    return read_space(parse_definition(SPACE, "toy.yaml"))


def formula_accuracy(architecture):
    """More parameters help, with a texture that no other figure follows."""
    texture = int(architecture.digest, 16) % 1000 / 10_000
    return 1 - 1 / math.log10(10 + count(architecture).params) - texture


class FormulaAccuracy(Accuracy):
    name = "formula"
    rungs = (1, 2)

    def __init__(self, broken=()):
        self.broken = broken
        self.calls = []

    @property
    def description(self):
        return {"method": "formula"}

    def estimate(self, architecture, go_on):
        self.calls.append(architecture.digest)
        if len(self.calls) in self.broken:
            raise Crashed("the child died of SIGSEGV")
        value = formula_accuracy(architecture)
        curve = []
        for epoch in (1, 2, 3):
            at_epoch = value * (0.7 + 0.1 * epoch)
            curve.append((epoch, at_epoch))
            if epoch in self.rungs and not go_on(epoch, at_epoch):
                return Score(at_epoch, "top1", self.name, "none", "val", 0.0, False, tuple(curve))
        return Score(value, "top1", self.name, "none", "val", 0.0, True, tuple(curve))

    def final(self, architecture):
        return Score(formula_accuracy(architecture) - 0.01, "top1", self.name, "none", "test", 0.0)


class FormulaDevice(Device):
    """`slower` is by how much a network, by its digest, takes longer at the level confirm than on the screen."""

    energy_source = "a formula"

    def __init__(self, slower=None, broken=(), name="formula", per_block_s=1e-4, place=""):
        self.spec = DeviceSpec(name, "formula", "formula", 1, 0)
        self.per_block_s = per_block_s
        self.where = place
        self.calls = []
        self.slower = slower or {}
        self.broken = broken

    @property
    def place(self):
        return self.where

    def fingerprint(self):
        return {"machine": "a formula"}

    def take_turns(self, architectures, plan, steer):
        raise NotImplementedError("a search takes networks one by one")

    def take(self, architecture, plan: TimingPlan):
        self.calls.append((architecture.digest, plan.level))
        if (architecture.digest, plan.level) in self.broken:
            raise Crashed("the child died of SIGSEGV")
        latency = self.per_block_s * len(architecture.blocks) + count(architecture).macs * 1e-9
        if plan.level == "confirm":
            repeat = self.calls.count((architecture.digest, "confirm"))
            latency *= (1 + self.slower.get(architecture.digest, 0.0)) * (1 + 0.001 * (-1) ** repeat)
        return Measurement(
            architecture=architecture.digest,
            device=self.spec.name,
            device_digest=self.spec.digest,
            plan=plan,
            latencies_s=(latency,) * 3,
            kept=(True,) * 3,
            warmups_s=(),
            first_call_s=None,
            build_s=None,
            low_s=latency,
            high_s=latency,
            verdict="ok",
            reasons=(),
            stop="converged",
            peak_memory_bytes=1000,
            output_hash=None,
            settings={"runtime": "formula", "threads": 1},
            energy_j=latency * 10 if plan.energy else None,
        )
