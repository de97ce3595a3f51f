"""What candidates do to their process on a node, FAULTS 6 to 8: each ends there, once, and the search goes on."""

import json
from pathlib import Path

import psutil
import pytest

from nasbench.store.parquet import read_run
from tests.cluster.conftest import Driver

pytestmark = pytest.mark.cluster

LIMIT_S = 4.0

FAULTS = {
    "segfault": ("crashed", "SIGSEGV, in string_at"),
    "abort": ("crashed", "SIGABRT, in abort"),
    "eat_memory": ("out_of_memory", "the limit is 700 MiB"),
    "allocate_too_much": ("out_of_memory", ""),
    "loop": ("timeout", "'fault' took longer than its limit of 4 s; it was in loop"),
    "hold_the_gil": ("timeout", "limit of 4 s; it was in hold_the_gil"),
    "ignore_signals": ("timeout", "limit of 4 s"),
    "leave_grandchildren": ("timeout", "limit of 4 s; it was in leave_grandchildren"),
}
"""The tasks of `tests.fault_tasks` that stand for a candidate, and what its row says."""
QUICK = [fault for fault, (status, _) in FAULTS.items() if status != "timeout"]

TASK = """
import json, os, time
from nasbench.device.loading import CANARY
from nasbench.device.measuring import measure as honest
from nasbench.space.architecture import Architecture
from tests import fault_tasks

def note(**what):
    with open({log!r}, "a") as log:
        log.write(json.dumps({{"pid": os.getpid(), "supervisor": os.getppid(), **what}}) + "\\n")

class Told:
    def __init__(self, link):
        self.link = link
    def phase(self, name):
        pass
    def report(self, report):
        note(**report)
        return self.link.report(report)

def measure(request, link):
    digest = Architecture.from_dict(request["sides"][0]["architecture"]).digest
    if digest == CANARY.digest:
        return honest(request, link)
    seen = [line["digest"] for line in map(json.loads, open({log!r})) if "digest" in line]
    third, place = divmod(len(dict.fromkeys([*seen, digest])) - 1, 3)
    fault = dict(enumerate({faults!r})).get(2 * third + place - 1) if place else None
    note(digest=digest, fault=fault, began=time.time())
    if fault is None:
        return honest(request, link)
    link.phase("work" if fault in {quick!r} else "fault")
    return getattr(fault_tasks, fault)({{"chunks": 100}}, Told(link))
"""

SEARCH = """
import json, sys, time
from nasbench.cli.main import main
from nasbench.device import cpu, remote
from nasbench.errors import CandidateError

limits = cpu.phase_limits_s
cpu.phase_limits_s = lambda *words: {{**limits(*words), "work": 60.0, "fault": {limit_s}}}

class Faulty(remote.RemoteDevice):
    def __init__(self, spec):
        super().__init__(spec, task="faulty:measure")
    def take(self, architecture, plan):
        try:
            return super().take(architecture, plan)
        except CandidateError:
            with open({log!r}, "a") as log:
                log.write(json.dumps({{"failed": architecture.digest, "ended": time.time()}}) + "\\n")
            raise

remote.RemoteDevice = Faulty
sys.argv[1:] = {words!r}
main()
"""


@pytest.fixture(scope="module")
def searched(nodes, tmp_path_factory):
    """Run one search in which two of three candidates do their worst; gives its rows and what the node noted."""
    driver = Driver(nodes, tmp_path_factory.mktemp("driver"))
    path = driver.folder / "devices" / "board.yaml"
    path.write_text(path.read_text().replace("2GiB", "700MiB"))
    log = driver.folder / "noted"
    log.touch()
    (driver.folder / "faulty.py").write_text(TASK.format(log=str(log), faults=[*FAULTS], quick=QUICK))
    words = ["search", "mnist_tiny", "--device", "board", "--accuracy", "mine:guess", "--sampler", "random"]
    words += ["--trials", str(3 * len(FAULTS) // 2 + 1), "--no-confirm", "--run", "results/a"]
    code, _, err, _ = driver.run("-c", SEARCH.format(limit_s=LIMIT_S, log=str(log), words=words), limit_s=900)
    assert code == 0, err
    rows = read_run(driver.folder / "results" / "a").evaluations
    noted = [json.loads(line) for line in Path(log).read_text().splitlines()]
    return rows[rows["status"] != "duplicate"].reset_index(drop=True), noted


@pytest.fixture
def rows(searched):
    return searched[0]


@pytest.fixture
def noted(searched):
    return searched[1]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_row_says_what_happened_and_where(rows, noted, fault):
    (run,) = [line for line in noted if line.get("fault") == fault]  # and it ran exactly once
    (row,) = rows[rows["architecture"] == run["digest"]].itertuples()
    status, words = FAULTS[fault]

    assert row.status == status
    assert words in row.error
    assert row.latency_s != row.latency_s  # none


def test_every_candidate_between_them_is_measured(rows, noted):
    honest = {line["digest"] for line in noted if "digest" in line and line["fault"] is None}

    measured = rows[rows["status"] == "complete"]
    assert set(measured["architecture"]) == honest and len(honest) > len(FAULTS) / 2
    assert (measured["latency_s"] > 0).all()


def test_the_supervisor_is_the_same_from_the_first_to_the_last(noted):
    assert len({line["supervisor"] for line in noted if "fault" in line}) == 1


def test_one_that_hangs_is_ended_within_3_s_of_its_limit(noted):
    ended = {line["failed"]: line["ended"] for line in noted if "failed" in line}
    took_s = {
        line["fault"]: ended[line["digest"]] - line["began"]
        for line in noted
        if line.get("fault") and FAULTS[line["fault"]][0] == "timeout"
    }

    assert len(took_s) == 4
    assert all(LIMIT_S <= seconds < LIMIT_S + 3 for seconds in took_s.values()), took_s


def test_nothing_of_them_is_left(noted):
    pids = [line["pid"] for line in noted if "pid" in line] + [pid for line in noted for pid in line.get("pids", ())]

    assert len(pids) > len(FAULTS) + 3
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []


EATING = """
from nasbench.device.measuring import measure as honest
from nasbench.space.architecture import Architecture
from tests import fault_tasks

def measure(request, link):
    if Architecture.from_dict(request["sides"][0]["architecture"]).digest != {digest!r}:
        return honest(request, link)
    with open({log!r}, "a") as log:
        log.write("begun\\n")
    link.phase("timed")
    return fault_tasks.eat_memory({{"chunks": {chunks}}}, type("Quiet", (), {{"phase": lambda *words: None}}))
"""

EAT = """
from nasbench.device.load import load_device
from nasbench.device.remote import RemoteDevice
from nasbench.errors import CandidateError
from nasbench.records import TimingPlan
from nasbench.space.load import find_architecture

hungry, modest = (find_architecture(name)[1].architecture for name in ("mnist_tiny_large", "mnist_tiny_small"))
open("eating.py", "w").write(open("eating.txt").read().replace("DIGEST", hungry.digest))
with RemoteDevice(load_device("small"), task="eating:measure") as device:
    try:
        device.take(hungry, TimingPlan(max_sampling_s=120))
    except CandidateError as error:
        print(error.status, error)
    print(device.take(modest, TimingPlan()).latency_s > 0)
"""


def test_what_ray_ends_because_its_node_is_out_of_memory_ran_once_and_says_so(nodes, tmp_path):
    spare, total = 3 << 30, psutil.virtual_memory().total
    used = total - psutil.virtual_memory().available
    if used + 3 * spare > total:
        pytest.skip(f"{3 * spare >> 30} GiB of free memory are needed")
    driver = Driver(nodes, tmp_path)
    nodes.join("small", RAY_memory_usage_threshold=str((used + spare) / total))
    driver.define("small", "onnx")
    path = tmp_path / "devices" / "small.yaml"
    path.write_text(path.read_text().replace("resource: board", "resource: small").replace("2GiB", "16GiB"))
    log, chunks = tmp_path / "noted", 2 * spare // (32 << 20)
    (tmp_path / "eating.txt").write_text(EATING.format(digest="DIGEST", log=str(log), chunks=chunks))
    code, out, err, _ = driver.run("-c", EAT)

    assert code == 0, err
    failed, then = out.splitlines()
    assert failed.startswith("out_of_memory small ran out of memory and Ray ended what ran there")
    assert then == "True"
    assert log.read_text() == "begun\n"
