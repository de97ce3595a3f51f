"""What becomes of a claim: on a simulated machine whose truth is known, and by counting."""

from dataclasses import replace
from functools import partial

import pytest

from nasbench.claims.check import adapt, check
from nasbench.claims.claim import TOLERANCES, Claim, Pair, Side
from nasbench.errors import BuildError
from nasbench.measure.compare import compare
from nasbench.model.cost import count
from nasbench.records import DeviceSpec
from tests.measure.turning_device import TurningDevice, network

SMALL, LARGE = Side("small", network(8)), Side("large", network(16))


TOLERANCE = TOLERANCES["latency"]


def claim(at_most, figure="latency", second=LARGE):
    return Claim("one", ("none",), "A paper", "it is", "a phone", "accuracy", Pair(SMALL, second, at_most, figure))


def checked(truth, at_most, **effects):
    device = TurningDevice(
        {SMALL.architecture.digest: truth * 0.01, LARGE.architecture.digest: 0.01},
        **{"instance": 0.007, "noise": 0.01, **effects},
    )
    return check(claim(at_most), device, comparing=partial(compare, pause=lambda _: None, clock=device.clock))


@pytest.mark.parametrize(
    ("truth", "at_most", "verdict", "direction"),
    [
        (0.4, 0.5, "holds", "better"),
        (0.8, 0.5, "does not hold", "better"),
        (1.5, 0.5, "does not hold", "worse"),
        (0.99, 1.0, "holds", None),
        (1.2, 1.0, "does not hold", None),
    ],
)
def test_a_claim_is_judged_by_what_is_surely_so(truth, at_most, verdict, direction):
    found = checked(truth, at_most)

    assert found.verdict == verdict
    assert found.low < truth < found.high
    assert found.direction == direction


def test_what_is_beyond_the_claim_by_less_than_the_tolerance_holds():
    assert checked(0.5 * (1 + TOLERANCE / 3), 0.5, instance=0.002).verdict == "holds"
    assert checked(0.5 * (1 + TOLERANCE * 3), 0.5, instance=0.002).verdict == "does not hold"


def test_a_machine_that_is_too_noisy_decides_nothing():
    found = checked(0.5 * (1 + TOLERANCE), 0.5, instance=0.2)

    assert found.verdict == "undecided"
    assert "processes" in found.reason


def test_a_network_that_fails_is_a_finding_and_not_the_end():
    device = TurningDevice({SMALL.architecture.digest: 0.01, LARGE.architecture.digest: 0.01})
    device.fails[LARGE.architecture.digest] = BuildError("it does not fit")

    found = check(claim(0.5), device)

    assert (found.verdict, found.ratio) == ("failed", None)
    assert "large: it does not fit" in found.reason


def test_a_count_is_compared_without_running_anything():
    found = check(claim(0.9, "macs"), TurningDevice({}))

    assert found.ratio == count(SMALL.architecture).macs / count(LARGE.architecture).macs
    assert (found.verdict, found.comparison) == ("holds", None)


def test_a_count_is_compared_with_what_a_paper_states_of_a_network_that_is_not_here():
    macs = count(SMALL.architecture).macs

    found = check(claim(0.5, "macs", Side("theirs", None, 4.0 * macs)), TurningDevice({}))

    assert (found.ratio, found.verdict) == (0.25, "holds")


def with_runtime(runtime, batch=1):
    plain = claim(0.5)
    return replace(plain, pair=replace(plain.pair, runtime=runtime, batch=batch))


CPU = DeviceSpec("cpu", "cpu", "eager", 2, 1 << 30)


def test_a_device_is_given_the_runtime_of_a_claim_and_else_stays_as_it_is():
    assert adapt(CPU, with_runtime("training")) == replace(CPU, runtime="training")
    assert adapt(CPU, claim(0.5)) is CPU
    assert adapt(CPU, replace(claim(0.5), pair=None, not_here="no")) is CPU


@pytest.mark.parametrize(
    ("spec", "runtime", "reason"),
    [
        (replace(CPU, backend="cuda"), "onnx", "the runtime 'onnx' does not run on the backend 'cuda'"),
        (replace(CPU, runtime="onnx", dtype="int8"), "eager", "the runtime 'eager' does not compute in 'int8'"),
        (replace(CPU, backend="ray", resource="far"), "onnx", "a device somewhere else keeps its own"),
        (replace(CPU, runtime="onnx"), "training", "'training', which runs torch, and this device runs onnx"),
    ],
)
def test_a_claim_whose_runtime_a_device_has_not_is_not_comparable_there(spec, runtime, reason):
    device = TurningDevice({})
    device.spec = spec

    found = check(with_runtime(runtime), device)

    assert adapt(spec, with_runtime(runtime)) is spec
    assert (found.verdict, found.device) == ("not comparable here", spec)
    assert reason in found.reason


def test_a_claim_is_measured_at_its_batch_with_its_runtime():
    device = TurningDevice({SMALL.architecture.digest: 0.004, LARGE.architecture.digest: 0.01})
    asked = device.spec
    device.spec = adapt(asked, with_runtime("training", batch=4))

    found = check(
        with_runtime("training", batch=4),
        device,
        comparing=partial(compare, pause=lambda _: None, clock=device.clock),
    )

    assert (found.verdict, found.device.runtime) == ("holds", "training")
    assert found.comparison.plan.batch == 4
    assert found.comparison.device_digest == found.device.digest != asked.digest


def test_a_claim_that_cannot_be_checked_says_why():
    cannot = Claim("one", ("none",), "A paper", "it is", "a phone", "accuracy", None, not_here="it takes a rocket")

    found = check(cannot, TurningDevice({}))

    assert (found.verdict, found.reason) == ("not comparable here", "it takes a rocket")
