"""The supervisor, in this process and without Ray: what it answers is bytes, whatever goes wrong."""

import hashlib
import itertools
import json
import sys
import tarfile
import threading
import time
from pathlib import Path

import psutil
import pytest

from nasbench import errors
from nasbench.cluster import supervisor
from nasbench.cluster.messages import unpack_step
from nasbench.cluster.supervisor import FILE, FOLDER, Supervisor
from nasbench.cluster.worker import FILES, RemoteWorker
from nasbench.errors import Crashed, DatasetError, DeviceError, OutOfMemory, TimeLimitExceeded
from nasbench.isolation_child import MAX_MESSAGE_BYTES, pack, unpack

LIMITS = {"start": 30.0, "work": 5.0}


class Desk:
    """A post whose supervisor is in this process."""

    place = ""

    def __init__(self):
        self.supervisor = Supervisor()
        self.attempt = 0

    def begin(self, request, files=()):
        self.attempt += 1
        return unpack_step(self.supervisor.begin(pack({**request, "attempt": self.attempt}), list(files)))

    def reply(self, answer):
        return unpack_step(self.supervisor.reply(pack({"attempt": self.attempt, "answer": dict(answer)})))

    def abort(self):
        self.control("abort", self.attempt)

    def give_up(self):
        self.abort()
        self.supervisor.end()

    def control(self, method, *arguments):
        getattr(self.supervisor, method)(*arguments)


@pytest.fixture
def desk():
    desk = Desk()
    yield desk
    desk.supervisor.end()
    assert psutil.Process().children(recursive=True) == []


def worker(desk, task, **options):
    return RemoteWorker(desk, f"tests.fault_tasks:{task}", threads=1, **options)


def test_a_task_gives_its_answer_and_its_process_is_gone(desk):
    answer = worker(desk, "echo").call({"value": [1, None, "x"]}, limits_s=LIMITS)

    assert answer["value"] == [1, None, "x"]
    assert not psutil.pid_exists(answer["pid"])


def test_a_worker_that_is_to_last_keeps_its_process_until_it_is_closed(desk):
    lasting = worker(desk, "echo", once=False)
    first, second = (lasting.call({}, limits_s=LIMITS)["pid"] for _ in range(2))
    lasting.close()

    assert first == second
    assert not psutil.pid_exists(first)


def test_reports_are_answered_by_the_driver(desk):
    seen = []

    def stop_at_3(report):
        seen.append(report["step"])
        return {"stop": report["step"] == 3}

    assert worker(desk, "count_up").call({"steps": 9}, limits_s=LIMITS, on_report=stop_at_3) == {"stopped_at": 3}
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("task", "error", "words"),
    [("segfault", Crashed, "SIGSEGV"), ("leave", Crashed, "exit code 3"), ("loop", TimeLimitExceeded, "'work'")],
)
def test_what_a_task_does_to_its_process_is_the_same_error_as_here(desk, task, error, words):
    with pytest.raises(error, match=words):
        worker(desk, task).call({}, limits_s={"start": 30.0, "work": 0.5})

    assert worker(desk, "echo").call({"value": 1}, limits_s=LIMITS)["value"] == 1


def test_an_error_in_the_drivers_answer_ends_the_process(desk):
    def fail(report):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worker(desk, "count_up").call({"steps": 9}, limits_s=LIMITS, on_report=fail)

    assert psutil.Process().children(recursive=True) == []


def test_a_file_is_sent_along_and_its_path_stands_in_the_request(desk):
    request = {"side": {"graph": {FILE: 1}, "other": [{FILE: 0}]}, FILES: [b"zero", b"one"]}

    assert worker(desk, "read_files").call(request, limits_s=LIMITS) == {"graph": "one", "other": "zero"}


def test_a_folder_is_unpacked_once_and_removed_at_the_end(desk, tmp_path):
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "set" / "a" / "x.txt").write_text("content")
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        archive.add(tmp_path / "set", arcname="set")
    data = (tmp_path / "set.tar").read_bytes()
    request = {"value": {FOLDER: 0, "name": "set", "digest": hashlib.sha256(data).hexdigest()}, FILES: [data]}
    lasting = worker(desk, "echo", once=False)

    paths = {lasting.call(request, limits_s=LIMITS)["value"] for _ in range(2)}

    (path,) = paths
    assert Path(path, "a", "x.txt").read_text() == "content"
    lasting.close()
    assert not Path(path).exists()


def test_an_archive_that_reaches_out_of_its_folder_is_refused(desk, tmp_path):
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        (tmp_path / "x").write_text("evil")
        archive.add(tmp_path / "x", arcname="../escaped")
    data = (tmp_path / "set.tar").read_bytes()
    request = {"value": {FOLDER: 0, "name": "set", "digest": hashlib.sha256(data).hexdigest()}, FILES: [data]}

    with pytest.raises(DeviceError, match="outside"):
        worker(desk, "echo").call(request, limits_s=LIMITS)


class Slow:
    """Ray, as far as a supervisor fetches with it: a file arrives at the time that it names."""

    def __init__(self, arrives_s):
        self._at = time.monotonic() + arrives_s

    def wait(self, references, timeout):
        time.sleep(0.01)
        arrived = time.monotonic() >= self._at
        return (references, []) if arrived else ([], references)

    def get(self, reference):
        return b"zero"


FETCH = {"side": {"graph": {FILE: 0}, "other": [{FILE: 0}]}, FILES: ["a reference"]}


def test_a_file_that_does_not_come_is_given_up_with_what_to_do(desk, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", Slow(60))
    monkeypatch.setattr(supervisor, "FETCH_LIMIT_S", 0.3)
    monkeypatch.setattr(supervisor, "_received_bytes", lambda: 5 << 20)

    with pytest.raises(DeviceError, match=r"cannot fetch files from the driver: .* open Ray's ports, see docs/remote"):
        worker(desk, "read_files").call(FETCH, limits_s=LIMITS)


def test_a_file_that_is_slow_but_comes_is_waited_for(desk, monkeypatch):
    received = itertools.count(0, 5 << 20)
    monkeypatch.setitem(sys.modules, "ray", Slow(0.5))
    monkeypatch.setattr(supervisor, "FETCH_LIMIT_S", 0.1)
    monkeypatch.setattr(supervisor, "_received_bytes", lambda: next(received))

    assert worker(desk, "read_files").call(FETCH, limits_s=LIMITS) == {"graph": "zero", "other": "zero"}


def test_a_data_set_is_neither_fetched_nor_unpacked_while_somebody_measures(desk, tmp_path, monkeypatch):
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        archive.add(__file__, arcname="set")
    data = (tmp_path / "set.tar").read_bytes()
    request = {"value": {FOLDER: 0, "name": "set", "digest": hashlib.sha256(data).hexdigest()}, FILES: [data]}
    fetched, fetch = [], desk.supervisor._fetch
    monkeypatch.setattr(desk.supervisor, "_fetch", lambda file: fetched.append(time.monotonic()) or fetch(file))
    lasting = worker(desk, "echo", once=False)
    lasting.pause()
    began, held_s = time.monotonic(), 0.5
    threading.Timer(held_s, lasting.resume).start()

    lasting.call(request, limits_s=LIMITS)

    assert len(fetched) == 1 and fetched[0] - began >= held_s


def test_a_paused_process_stands_still_and_its_limit_does_not_run(desk):
    lasting = worker(desk, "count_up", once=False)
    paused_s, steps = 4.0, []

    def pause_at_1(report):
        steps.append(time.monotonic())
        if report["step"] == 1:
            lasting.pause()
            threading.Timer(paused_s, lasting.resume).start()
        return {"stop": report["step"] == 2}

    answer = lasting.call({"steps": 9}, limits_s=LIMITS | {"work": paused_s - 1}, on_report=pause_at_1)

    assert answer == {"stopped_at": 2}
    assert steps[2] - steps[1] >= paused_s


def test_describe_tells_the_machine_the_cores_and_the_versions(desk):
    asked = {"threads": 1, "cores": None, "packages": ["numpy", "no-such-package"]}

    kind, about = unpack_step(desk.supervisor.describe(pack(asked)))

    assert kind == "done"
    assert len(about["cpus"]) == 1
    assert about["host"]["machine"]
    assert about["versions"]["no-such-package"] is None
    assert about["versions"]["numpy"]


@pytest.mark.parametrize("body", [b"", b"[]", b"no JSON", b"\xff", b"{" * 5000])
def test_nonsense_is_answered_with_an_error(desk, body):
    assert unpack_step(desk.supervisor.begin(body))[0] == "error"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("text", "answered with str"),
        (None, "answered with NoneType"),
        (b"x" * (MAX_MESSAGE_BYTES + 1), "at most"),
        (b"[" * 100_000, "no JSON"),
        (b"[1]", "no message"),
        (b"{}", "no step"),
        (b'{"done": 3}', "no step"),
        (b'{"report": null}', "no step"),
    ],
)
def test_an_answer_that_is_none_is_refused(answer, words):
    with pytest.raises(Crashed, match=words):
        unpack_step(answer)


def test_a_message_that_is_too_large_is_not_sent():
    with pytest.raises(ValueError, match="at most"):
        pack({"text": "x" * MAX_MESSAGE_BYTES})


@pytest.mark.parametrize("error", [OutOfMemory, DatasetError, DeviceError])
def test_an_error_of_ours_keeps_its_class_on_the_way(desk, error):
    body = desk.supervisor._answering(lambda: (_ for _ in ()).throw(error("why")))

    assert json.loads(body) == {"error": error.__name__, "text": "why"}
    assert getattr(errors, unpack(body)["error"]) is error
