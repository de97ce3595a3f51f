"""A worker for estimates looks at its node before it gives it anything to do."""

import logging

import pytest

from nasbench.cluster.messages import check_about, unpack_step
from nasbench.cluster.node_worker import DataShelf, NodeWorker, _warn
from nasbench.cluster.post import Placement
from nasbench.errors import Crashed, DeviceError
from nasbench.isolation_child import pack
from tests.cluster.test_supervisor import LIMITS, Desk


class Place(Desk):
    """A post whose supervisor is in this process and says what it is told to say of itself."""

    node = None
    placement = Placement("a worker")
    is_open = False

    def __init__(self, **said):
        super().__init__()
        self.said = said

    def open(self):
        self.is_open = True

    def describe(self, threads, cores, packages):
        asked = pack({"threads": threads, "cores": cores, "packages": list(packages)})
        about = check_about(unpack_step(self.supervisor.describe(asked))[1], packages)
        versions = {**about["versions"], **self.said.get("versions", {})}
        return check_about({**about, **self.said, "versions": versions}, packages)

    def close(self):
        self.is_open = False


@pytest.fixture
def call():
    """Have a worker at a place run a task."""
    workers = []

    def run(place):
        _warn.cache_clear()
        worker = NodeWorker(
            None, place.placement, DataShelf(), "tests.fault_tasks:echo", threads=1, memory_limit_bytes=None
        )
        worker._post = place
        workers.append(worker)
        return worker.call({"value": 3}, limits_s=LIMITS)["value"]

    yield run
    for worker in workers:
        worker.close()


def test_a_node_like_this_machine_is_given_work_without_a_word(call, caplog):
    with caplog.at_level(logging.WARNING):
        assert call(Place()) == 3

    assert caplog.text == ""


def test_a_node_with_other_source_is_refused_with_both_digests(call):
    with pytest.raises(DeviceError, match=r"another nasbench .* on a worker \(source 0123 there, [0-9a-f]+ here\)"):
        call(Place(code="0123"))


def test_other_versions_of_what_decides_an_accuracy_are_told_once(call, caplog):
    with caplog.at_level(logging.WARNING):
        assert call(Place(versions={"numpy": "1.0.0", "torch": None})) == 3

    (line,) = caplog.messages
    assert line.startswith("numpy is 1.0.0 on a worker and ") and line.endswith("accuracies from there may be others")


def test_another_build_of_the_same_version_is_none_of_our_business(call, caplog):
    from importlib import metadata

    torch = metadata.version("torch").partition("+")[0] + "+other"
    with caplog.at_level(logging.WARNING):
        call(Place(versions={"torch": torch}))

    assert caplog.text == ""


@pytest.mark.parametrize("versions", [{"torch": 3}, {"torch": ["2"]}])
def test_a_version_that_is_none_is_refused(call, versions):
    with pytest.raises(Crashed, match="no versions, or one that cannot be"):
        call(Place(versions=versions))
