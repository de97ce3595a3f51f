"""What a candidate does in its process stays there."""

import contextlib
import gc
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from nasbench.errors import (
    CandidateError,
    Crashed,
    DatasetError,
    DeviceError,
    OutOfMemory,
    ShapeError,
    TimeLimitExceeded,
)
from nasbench.isolation import Worker

LIMITS = {"work": 20.0}
SHORT = {"work": 0.3}


def open_files():
    """Give what this process has open, as numbers and where they lead."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            found.add((link.name, str(link.readlink())))
    return found


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run a task of `fault_tasks` by name; afterwards no process, no open file and no trace of waiting may be left."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.chdir(tmp_path)
    gc.collect()
    files_before = open_files()
    workers = []

    def start(name, request=None, limits_s=LIMITS, on_report=None, **options):
        worker = Worker(f"fault_tasks:{name}", threads=1, **options)
        workers.append(worker)
        return worker.call(request or {}, limits_s=limits_s, on_report=on_report)

    start.workers = workers
    yield start
    for worker in workers:
        worker.close()
    assert not psutil.Process().children(recursive=True)
    assert not list(tmp_path.glob("*.outlasted"))
    gc.collect()
    end = time.monotonic() + 20
    while (left := open_files() - files_before) and time.monotonic() < end:
        time.sleep(0.02)  # what another test's thread has open for a moment is not left
    assert not left


def is_gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def gone_within(pids, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end and not all(is_gone(pid) for pid in pids):
        time.sleep(0.02)
    return all(is_gone(pid) for pid in pids)


def test_a_task_runs_in_another_process_and_its_answer_comes_back(run):
    answer = run("echo", {"text": "täxt", "list": [1, 2.5, None]})

    assert answer["pid"] != os.getpid()
    assert (answer["text"], answer["list"]) == ("täxt", [1, 2.5, None])


def test_a_worker_keeps_its_process_for_the_next_call(run):
    first = run("echo")
    second = run.workers[0].call({}, limits_s=LIMITS)

    assert first["pid"] == second["pid"]


def test_a_closed_worker_starts_again(run):
    first = run("echo")
    run.workers[0].close()

    assert run.workers[0].call({}, limits_s=LIMITS)["pid"] != first["pid"]


def test_threads_cores_and_session_are_set_before_the_task_is_imported(run):
    core = max(os.sched_getaffinity(0))
    answer = run("surroundings", cpus=[core])

    assert answer["threads"] == "1"
    assert answer["cpus"] == [core]
    assert answer["session"] == answer["pid"]


def test_a_core_that_does_not_exist_is_an_error_of_the_device(run):
    with pytest.raises(DeviceError, match="5000"):
        run("echo", cpus=[5000])


def test_nan_and_infinity_pass_unchanged(run):
    answer = run("strange_numbers", {"value": math.inf})

    assert math.isnan(answer["nan"])
    assert (answer["infinite"], answer["got"]) == (-math.inf, math.inf)


def test_a_large_request_arrives_whole(run):
    text = "ab" * 500_000

    assert run("echo", {"text": text})["text"] == text


def test_the_driver_answers_a_report_and_can_end_the_task_early(run):
    seen = []

    def stop_at_two(progress):
        seen.append(progress["step"])
        return {"stop": progress["step"] == 2}

    assert run("count_up", {"steps": 10}, on_report=stop_at_two) == {"stopped_at": 2}
    assert seen == [0, 1, 2]


def test_reports_that_nobody_listens_to_hold_nothing_up(run):
    assert run("count_up", {"steps": 3}) == {"stopped_at": None}


def test_an_error_while_the_driver_answers_ends_the_child(run):
    def fail(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("count_up", {"steps": 3}, on_report=fail)
    assert run.workers[0].pid is None


@pytest.mark.parametrize(
    ("task", "error", "text"),
    [
        ("segfault", Crashed, r"SIGSEGV, in string_at .* < segfault \(tests/fault_tasks\.py:\d+\)"),
        ("abort", Crashed, "SIGABRT.*last line: something is wrong in native code"),
        ("leave", Crashed, "exit code 3"),
        ("loop", TimeLimitExceeded, r"'work' took longer than its limit of 0.3 s; it was in loop"),
        ("hold_the_gil", TimeLimitExceeded, "it was in hold_the_gil"),
        ("ignore_signals", TimeLimitExceeded, "'work'"),
        ("allocate_too_much", OutOfMemory, "MemoryError"),
        ("raise_dataset_error", DatasetError, "damaged"),
        ("raise_value_error", CandidateError, r"^ValueError: kernel is 4 and that is even; in raise_value_error \("),
        ("stop_the_interpreter", CandidateError, "SystemExit: enough"),
        ("write_garbage", Crashed, "no JSON"),
        ("write_a_huge_header", Crashed, "4,294,967,295 bytes"),
        ("answer_a_list", Crashed, "no mapping"),
        ("answer_too_much", CandidateError, "at most"),
        ("no_such_function", CandidateError, "no_such_function"),
    ],
)
def test_a_fault_becomes_one_error_and_the_next_call_works(run, task, error, text):
    with pytest.raises(error, match=text) as caught:
        run(task, limits_s=SHORT)

    assert type(caught.value) is error
    worker = run.workers[0]
    worker.close()
    worker.task = "fault_tasks:echo"
    assert worker.call({"again": True}, limits_s=LIMITS)["again"]


def test_an_error_of_the_candidate_keeps_its_class_loses_its_escapes_and_spares_the_process(run):
    with pytest.raises(ShapeError) as caught:
        run("raise_shape_error")

    assert str(caught.value) == "row 3 of the table: 8 channels came, [31m16 are needed"
    assert run.workers[0].pid is not None


def test_a_crash_is_followed_by_a_new_process_on_the_same_worker(run):
    with pytest.raises(Crashed):
        run("segfault")
    with pytest.raises(Crashed, match="SIGSEGV"):
        run.workers[0].call({}, limits_s=LIMITS)


def test_kill_9_of_the_child_is_a_crash_that_names_the_signal(run):
    def kill(progress):
        os.kill(progress["pid"], signal.SIGKILL)
        return {}

    with pytest.raises(Crashed, match="SIGKILL"):
        run("wait_for_kill", on_report=kill)


def test_a_child_that_died_while_idle_is_replaced_in_silence(run):
    first = run("echo")
    os.kill(first["pid"], signal.SIGKILL)

    assert gone_within([first["pid"]], 20)
    assert run.workers[0].call({}, limits_s=LIMITS)["pid"] != first["pid"]


def test_a_memory_hog_is_killed_at_its_limit(run):
    with pytest.raises(OutOfMemory, match=r"'work' used .* the limit is 200 MiB"):
        run("eat_memory", {"chunks": 100}, memory_limit_bytes=200 << 20)


def test_what_fits_the_memory_limit_is_left_alone(run):
    assert run("eat_memory", {"chunks": 4}, memory_limit_bytes=2 << 30) == {"chunks": 4}


@pytest.mark.parametrize("crash", [False, True])
def test_grandchildren_are_gone_even_if_they_left_session_and_parent(run, crash):
    pids = []

    def note(progress):
        pids.extend(progress["pids"])
        return {}

    with pytest.raises(Crashed if crash else TimeLimitExceeded):
        run("leave_grandchildren", {"crash": crash}, limits_s=SHORT, on_report=note)

    assert len(pids) == 3
    assert gone_within(pids, 20)


def test_a_crash_is_seen_although_a_forked_grandchild_holds_the_pipe(run):
    pids = []

    def note(progress):
        pids.extend(progress["pids"])
        return {}

    with pytest.raises(Crashed, match="SIGABRT"):
        run("fork", {"crash": True}, on_report=note)

    assert gone_within(pids, 20)


def test_endless_output_is_cut(run):
    assert run("print_without_end", {"lines": 5000}) == {"done": True}


def test_a_phase_without_a_limit_is_our_own_bug(run):
    with pytest.raises(AssertionError, match="work"):
        run("echo", limits_s={})


def test_an_interrupt_of_the_parent_kills_the_child(run):
    def interrupt(progress):
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        return {}

    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run("wait_for_kill", on_report=interrupt)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert run.workers[0].pid is None


def test_the_child_and_what_it_forked_die_with_a_parent_that_is_killed():
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from nasbench.isolation import Worker\n"
        "def tell(progress): print(*progress['pids'], flush=True); return {}\n"
        "Worker('fault_tasks:fork', threads=1).call({}, limits_s={'start': 60}, on_report=tell)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(Path(__file__).parent)], stdout=subprocess.PIPE, text=True
    )
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    parent.kill()
    parent.wait()
    parent.stdout.close()

    assert len(pids) == 2
    assert gone_within(pids, 5)


def test_a_module_in_the_working_directory_can_be_the_task(tmp_path, monkeypatch):
    (tmp_path / "my_task.py").write_text("def run(request, link):\n    return {'mine': True}\n")
    monkeypatch.chdir(tmp_path)

    with Worker("my_task:run", threads=1) as worker:
        assert worker.call({}, limits_s={}) == {"mine": True}
