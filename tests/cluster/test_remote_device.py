"""What a device somewhere else does about its losses, without Ray: its node is in the hands of the test."""

from types import SimpleNamespace

import pytest

from nasbench.cluster.post import SupervisorDied
from nasbench.device.loading import CANARY
from nasbench.device.remote import RemoteDevice
from nasbench.errors import Crashed, DeviceLost
from nasbench.records import DeviceSpec, TimingPlan
from tests.store.run_samples import make_architecture, make_measurement

SPEC = DeviceSpec("board", "ray", "onnx", 1, 1 << 30, address="192.0.2.1:6379", resource="board")
NETWORK = make_architecture()


class Bench:
    """A post whose supervisor always comes up."""

    is_open = True
    cluster = SimpleNamespace(check_head=lambda: None)

    def reopen(self, limit_s):
        self.is_open = True

    def close(self):
        self.is_open = False


class Board(RemoteDevice):
    """A device to which happens with each network what the test says next: an error, or a latency in seconds."""

    def __init__(self, *fates):
        super().__init__(SPEC, patience_s=0.0, pause=lambda seconds: None)
        self._post = Bench()
        self.fates = list(fates)
        self.took = []

    def _look(self):
        self.took.append("look")

    def _take_once(self, architecture, plan):
        self.took.append("canary" if architecture == CANARY else "network")
        fate = self.fates.pop(0)
        if isinstance(fate, Exception):
            raise fate
        return make_measurement(architecture, fate)


def test_a_node_that_was_lost_measures_the_canary_before_the_next_try():
    board = Board(0.01, DeviceLost("gone"), 0.01, 0.02)

    (attempt,) = board.take(NETWORK, TimingPlan()).attempts

    assert board.took == ["canary", "network", "look", "canary", "network"]
    assert attempt == {"attempt": 1, "device": "board", "why": "gone"}


def test_a_node_that_was_lost_twice_measures_the_canary_before_the_next_network():
    board = Board(0.01, DeviceLost("gone"), 0.01, DeviceLost("gone again"), 0.01, 0.02)
    with pytest.raises(Crashed, match="board was lost 2 times under it: gone; gone again"):
        board.take(NETWORK, TimingPlan())
    board.took.clear()

    assert board.take(NETWORK, TimingPlan()).attempts == ()
    assert board.took == ["look", "canary", "network"]


def test_a_canary_that_changed_after_the_second_loss_ends_it():
    board = Board(0.01, DeviceLost("gone"), 0.01, DeviceLost("gone again"), 0.02)
    with pytest.raises(Crashed):
        board.take(NETWORK, TimingPlan())

    with pytest.raises(DeviceLost, match=r"was not back within 0 s: the canary network takes \+100%"):
        board.take(NETWORK, TimingPlan())


def test_a_supervisor_that_died_twice_is_started_again_without_a_canary():
    died = SupervisorDied("the supervisor on board died")
    board = Board(0.01, died, died, 0.02)
    with pytest.raises(Crashed):
        board.take(NETWORK, TimingPlan())
    board.took.clear()

    board.take(NETWORK, TimingPlan())

    assert board.took == ["look", "network"]
