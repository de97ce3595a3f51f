"""Turns on a clock that only moves when told to, and the conversation about them over a real pipe."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from nasbench.device import turns
from nasbench.device.base import Turn
from nasbench.device.cpu import CpuDevice
from nasbench.device.load import load_device
from nasbench.device.timing import Clocks
from nasbench.device.turns import TurnTaker, converse, hold_turns, take_turns
from nasbench.device.verdict import judge_noise
from nasbench.errors import BuildError, Crashed, MeasurementError, NanOutputError
from nasbench.isolation import Worker
from nasbench.records import TimingPlan
from nasbench.runtime.base import Runtime
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block

PLAN = TimingPlan(min_warmup_s=0.0, max_warmup_s=0.02)
TINY = Architecture((1, 8, 8), 10, (make_block("pool_linear", 1, 10, 1, {}, "test"),))


class Machine:
    """A network whose inferences take 5 ms, and twice as long right after somebody else ran."""

    def __init__(self, latency_s=5e-3, cpu_share=1.0):
        self.latency_ns = round(latency_s * 1e9)
        self.cpu_share = cpu_share
        self.cold = True
        self.wall_ns = self.cpu_ns = 0
        self.calls = 0
        self.clocks = Clocks(wall=lambda: self.wall_ns, cpu=lambda: self.cpu_ns)

    def run(self):
        elapsed = self.latency_ns * (2 if self.cold else 1)
        self.cold = False
        self.calls += 1
        self.wall_ns += elapsed
        self.cpu_ns += round(elapsed * self.cpu_share)

    def taker(self, inner_loops=1, threads=1, before_each=None):
        return TurnTaker(self.run, inner_loops, self.latency_ns / 1e9, threads, before_each, self.clocks)


class RecordedLink:
    """A driver that orders what it was told to order, and notes what it hears."""

    def __init__(self, *orders):
        self._orders = iter(orders)
        self.reports = []
        self.phases = []

    def phase(self, name):
        self.phases.append(name)

    def report(self, report):
        self.reports.append(report)
        if "side" in report:
            return {}
        order = next(self._orders, None)
        return {"done": True} if order is None else {"order": order}


def test_the_inference_that_fills_the_caches_is_not_timed():
    machine = Machine()
    taker = machine.taker()

    for _ in range(3):
        machine.cold = True
        assert taker.take() == ([5e-3], True)
    assert machine.calls == 6


def test_a_turn_has_as_many_samples_as_last_two_milliseconds():
    machine = Machine(0.7e-3)

    assert len(machine.taker().take()[0]) == 3


def test_samples_of_a_short_network_are_means_over_inner_loops():
    machine = Machine(10e-6)
    seconds, _ = machine.taker(inner_loops=105).take()

    assert seconds == pytest.approx([10e-6] * 2)
    assert machine.calls == 1 + 2 * 105


def test_with_cold_caches_every_sample_finds_them_empty_and_none_fills_them():
    machine = Machine(0.7e-3)

    def empty():
        machine.cold = True

    seconds, _ = machine.taker(before_each=empty).take()

    assert seconds == pytest.approx([1.4e-3] * 3)
    assert machine.calls == 3


@pytest.mark.parametrize(("inner_loops", "before_each"), [(1, None), (105, None), (1, lambda: None)])
def test_a_taker_tells_how_many_inferences_a_turn_takes(inner_loops, before_each):
    machine = Machine(10e-6)
    taker = machine.taker(inner_loops, before_each=before_each)
    taker.take()

    assert taker.inferences == machine.calls


def test_a_turn_without_its_core_is_not_kept():
    assert Machine(cpu_share=0.98).taker().take()[1]
    assert not Machine(cpu_share=0.9).taker().take()[1]


def test_with_several_threads_a_network_is_judged_by_its_own_best_turns():
    machine = Machine(cpu_share=3.1)
    taker = machine.taker(threads=4)

    assert all(taker.take()[1] for _ in range(8))
    machine.cpu_share = 2.0
    assert not taker.take()[1]


def test_a_clock_that_stands_still_is_an_invalid_measurement():
    with pytest.raises(MeasurementError):
        TurnTaker(lambda: None, 1, 5e-3, 1, clocks=Machine().clocks).take()


def test_turns_are_taken_in_the_order_that_came_and_reported_with_the_next_question():
    link = RecordedLink([1, 0, 1], [0])
    converse([Machine(5e-3).taker(), Machine(7e-3).taker()], link)

    sides = [[turn["side"] for turn in report["turns"]] for report in link.reports]
    assert sides == [[], [1, 0, 1], [0]]
    assert link.reports[1]["turns"][1] == {"side": 0, "seconds": [5e-3], "kept": True, "inferences": 2}


def test_every_round_begins_its_time_limit_anew():
    link = RecordedLink([0], [0], [0])
    converse([Machine().taker()], link)

    assert link.phases == ["timed"] * 3


def test_a_network_that_fails_in_its_turn_is_named_to_the_driver():
    def fail():
        raise ValueError("row 3")

    link = RecordedLink([0, 1])
    with pytest.raises(ValueError, match="row 3"):
        converse([Machine().taker(), TurnTaker(fail, 1, 5e-3, 1)], link)

    assert link.reports[-1] == {"side": 1}


@pytest.fixture
def hold(monkeypatch):
    """Hold turns of three sides with one of the tasks beside this file."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))

    def run(task, steer):
        with Worker(f"turning_tasks:{task}", threads=1) as worker:
            return hold_turns(worker, {"sides": [{}] * 3}, {"timed": 10.0}, steer)

    return run


def test_the_driver_steers_and_sees_what_ran(hold):
    seen = []
    orders = iter([[0, 2], [1]])

    def steer(turns):
        seen.append(list(turns))
        return next(orders, None)

    assert hold("honest", steer) == {"orders": [[0, 2], [1]]}
    first, second, third = (Turn(side, (0.25, 0.5), side == 0, 3) for side in (0, 2, 1))
    assert seen == [[], [first, second], [third]]


def test_a_crash_while_a_network_is_loaded_names_it(hold):
    with pytest.raises(Crashed, match=r"^network 2 of 3: .*exit code 7") as caught:
        hold("dies_at_the_second", lambda turns: None)

    assert caught.value.side == 1


def test_a_crash_in_the_turns_names_nobody(hold):
    with pytest.raises(Crashed, match=r"^the process") as caught:
        hold("dies_in_a_turn", lambda turns: [0, 1])

    assert caught.value.side is None


class Constant(Runtime):
    """Networks of which the n-th inference puts out `outputs(n)`, for all inputs."""

    outputs = staticmethod(lambda number: 1.0)

    def prepare(self, network, images, dtype):
        numbers = iter(range(10**9))
        return [lambda: np.full((1, 10), self.outputs(next(numbers)), np.float32) for _ in images]

    def to_array(self, output):
        return output

    def set_threads(self, threads):
        pass

    def versions(self):
        return {"constant": "1"}


@pytest.fixture
def request_of_two(monkeypatch):
    monkeypatch.setattr(turns, "load_runtime", lambda name: Constant())
    side = {"architecture": TINY.as_dict(), "graph": "/dev/null"}  # a graph: torch is not needed
    return {"sides": [side, side], "plan": asdict(PLAN), "runtime": "constant", "threads": 1, "cpus": [0]}


def test_the_task_loads_and_warms_up_all_then_takes_turns_and_tells_of_the_machine(request_of_two):
    link = RecordedLink([0, 1], [1])
    answer = take_turns(request_of_two, link)

    assert [report["side"] for report in link.reports[:2]] == [0, 1]
    assert link.phases == ["build", "first_call", "warmup"] * 2 + ["timed"] * 2 + ["agreement"] * 2
    assert answer["host"]["software"]["constant"] == "1"
    assert answer["noise"]["window_s"] > 0
    assert len(answer["settled"]) == 2


def test_a_network_whose_output_changed_meanwhile_is_invalid_and_named(request_of_two, monkeypatch):
    monkeypatch.setattr(Constant, "outputs", staticmethod(float))
    link = RecordedLink([0, 1])

    with pytest.raises(MeasurementError, match="another output"):
        take_turns(request_of_two, link)
    assert link.reports[-1] == {"side": 0}


def test_a_network_that_fails_when_it_is_loaded_was_named_before(request_of_two, monkeypatch):
    monkeypatch.setattr(Constant, "outputs", staticmethod(lambda number: float("nan")))
    link = RecordedLink()

    with pytest.raises(NanOutputError):
        take_turns(request_of_two, link)
    assert link.reports == [{"side": 0}]


def test_caches_are_emptied_in_the_task_when_the_plan_says_cold(request_of_two, monkeypatch):
    emptied = []
    monkeypatch.setattr(turns, "cache_emptier", lambda: lambda: emptied.append(1))
    take_turns({**request_of_two, "plan": asdict(replace(PLAN, cache="cold"))}, RecordedLink([0]))

    assert emptied


def test_a_network_that_cannot_be_exported_is_named_before_any_process_starts(monkeypatch):
    device = CpuDevice(load_device("cpu"))
    request = device.request

    def refuse_the_second(architectures, plan):
        if architectures[0] != TINY:
            raise BuildError("torch cannot export it")
        return request(architectures, plan)

    monkeypatch.setattr(device, "request", refuse_the_second)

    with pytest.raises(BuildError, match=r"^network 2 of 2: torch cannot export it") as caught:
        device.take_turns([TINY, replace(TINY, classes=3)], PLAN, lambda turns: None)
    assert caught.value.side == 1


def test_the_machine_is_judged_by_the_gates_of_a_measurement():
    quiet = {"window_s": 2.0, "frequencies_hz": [], "throttled_us": 0, "thermal_events": None}
    quiet |= {"pressure_us": 1000, "waiting_s": 0.001, "steal_s": 0.0}

    assert judge_noise(quiet).word == "ok"
    assert judge_noise({**quiet, "steal_s": 0.2}).reasons == ("the hypervisor took 10.0% of the time",)
    assert judge_noise({**quiet, "throttled_us": 5000}).word == "throttled"
