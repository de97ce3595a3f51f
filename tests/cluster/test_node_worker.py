"""A worker for estimates looks at its node before it gives it anything to do, and makes way for measurements there."""

import logging
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from nasbench.accuracy.custom import CustomAccuracy
from nasbench.cluster.connection import Node
from nasbench.cluster.messages import check_about, unpack_step
from nasbench.cluster.node_worker import DataShelf, NodeWorker, _warn, node_workers
from nasbench.cluster.post import NOWHERE, Placement
from nasbench.cluster.supervisor import Supervisor
from nasbench.cluster.worker import Shelf
from nasbench.errors import Crashed, DefinitionError, DeviceError
from nasbench.isolation_child import pack
from tests.cluster.test_supervisor import LIMITS, Desk


class Place(Desk):
    """A post on a node whose supervisor is in this process and says what it is told to say of itself.

    `meanwhile` is called while it opens; `told` is what it was told to do besides its work.
    """

    node = None
    placement = Placement("a worker")
    is_open = False

    def __init__(self, **said):
        super().__init__()
        self.said = said
        self.told = []
        self.meanwhile = lambda: None

    @property
    def place(self):
        return "node-7" if self.is_open else NOWHERE

    def open(self):
        self.meanwhile()
        self.is_open = True

    def describe(self, threads, cores, packages):
        asked = pack({"threads": threads, "cores": cores, "packages": list(packages)})
        about = check_about(unpack_step(self.supervisor.describe(asked))[1], packages)
        versions = {**about["versions"], **self.said.get("versions", {})}
        return check_about({**about, **self.said, "versions": versions}, packages)

    def control(self, method, *arguments):
        if self.is_open:
            super().control(method, *arguments)
            if method != "abort":
                self.told.append(method)

    def close(self):
        self.is_open = False
        self.supervisor.end()
        self.supervisor = Supervisor()


@pytest.fixture
def worker_at():
    """Make a worker at a place."""
    workers = []

    def make(place):
        _warn.cache_clear()
        worker = NodeWorker(
            None, place.placement, DataShelf(), "tests.fault_tasks:echo", threads=1, memory_limit_bytes=None
        )
        worker._post = place
        workers.append(worker)
        return worker

    yield make
    for worker in workers:
        worker.close()


def ask(worker):
    return worker.call({"value": 3}, limits_s=LIMITS)["value"]


def estimator_of(worker):
    return CustomAccuracy("mine:guess", make_worker=lambda task, **options: worker)


def test_a_node_like_this_machine_is_given_work_without_a_word(worker_at, caplog):
    with caplog.at_level(logging.WARNING):
        assert ask(worker_at(Place())) == 3

    assert caplog.text == ""


def test_a_node_with_other_source_is_refused_with_both_digests_every_time(worker_at):
    place = Place(code="0123")
    worker = worker_at(place)

    for _ in range(2):
        with pytest.raises(DeviceError, match=r"another nasbench .* on a worker \(source 0123 there, [0-9a-f]+ here\)"):
            ask(worker)
        assert not place.is_open


def test_other_versions_of_what_decides_an_accuracy_are_told_once(worker_at, caplog):
    with caplog.at_level(logging.WARNING):
        assert ask(worker_at(Place(versions={"numpy": "1.0.0", "torch": None}))) == 3

    (line,) = caplog.messages
    assert line.startswith("numpy is 1.0.0 on a worker and ") and line.endswith("accuracies from there may be others")


def test_another_build_of_the_same_version_is_none_of_our_business(worker_at, caplog):
    from importlib import metadata

    torch = metadata.version("torch").partition("+")[0] + "+other"
    with caplog.at_level(logging.WARNING):
        ask(worker_at(Place(versions={"torch": torch})))

    assert caplog.text == ""


@pytest.mark.parametrize("versions", [{"torch": 3}, {"torch": ["2"]}])
def test_a_version_that_is_none_is_refused(worker_at, versions):
    with pytest.raises(Crashed, match="no versions, or one that cannot be"):
        ask(worker_at(Place(versions=versions)))


@pytest.mark.parametrize("wrong", [{"cpus": [-1]}, {"cpus": [2**63]}, {"niceness": 10**400}])
def test_numbers_that_are_none_are_refused(worker_at, wrong):
    with pytest.raises(Crashed, match="or one that cannot be"):
        ask(worker_at(Place(**wrong)))


def test_a_measurement_on_this_machine_does_not_hold_up_what_opens_on_another(worker_at):
    place = Place()
    worker = worker_at(place)
    estimator = estimator_of(worker)
    estimator.pause("")
    place.meanwhile = lambda: estimator.pause("node-8")

    assert ask(worker) == 3
    estimator.resume("")
    estimator.resume("node-8")
    assert place.told == []


def test_what_opens_on_a_machine_that_is_measured_on_stands_still_until_the_end(worker_at):
    place = Place()
    worker = worker_at(place)
    estimator = estimator_of(worker)
    place.meanwhile = lambda: estimator.pause("node-7")
    held_s = 1.0
    threading.Timer(held_s, lambda: estimator.resume("node-7")).start()
    began = time.monotonic()

    assert ask(worker) == 3
    assert time.monotonic() - began >= held_s
    assert place.told == ["pause", "resume"]


def test_a_worker_that_is_lost_while_it_stands_still_goes_on_elsewhere(worker_at):
    place = Place()
    worker = worker_at(place)
    estimator = estimator_of(worker)
    ask(worker)
    estimator.pause("node-7")
    place.close()
    estimator.resume("node-7")

    assert ask(worker) == 3
    assert place.told == ["pause"]


def test_a_worker_that_is_told_to_end_while_it_opens_leaves_no_supervisor(worker_at):
    place = Place()
    worker = worker_at(place)
    place.meanwhile = worker.abort

    with pytest.raises(Crashed, match="the workers were told to end"):
        ask(worker)
    assert not place.is_open


def test_shares_of_a_node_are_counted_as_people_do():
    node = Node("7", "192.0.2.7", 1, True, {"CPU": 64.0, "GPU": 1.0})
    cluster = SimpleNamespace(nodes=lambda: [node], address="192.0.2.1:6379")

    node_workers(cluster, 5, cores=1, gpus=0.2)
    with pytest.raises(DefinitionError, match="there is room for 5"):
        node_workers(cluster, 6, cores=1, gpus=0.2)


@pytest.mark.parametrize("shelf", [DataShelf, Shelf])
def test_a_cluster_without_room_for_a_file_is_an_error_of_the_device(monkeypatch, tmp_path, shelf):
    def put(data):
        raise OSError("it says much\nthe object store is full")

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(put=put))
    path = tmp_path / "file"
    path.write_bytes(b"x")

    with pytest.raises(DeviceError, match=r"^the cluster: OSError: the object store is full$"):
        shelf().put(str(path))
