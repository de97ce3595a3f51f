"""Tasks that go wrong, each in its own way; `nasbench.isolation` runs them in a child process."""

import ctypes
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from nasbench.errors import DatasetError, ShapeError


def echo(request, link):
    link.phase("work")
    return {"pid": os.getpid(), **request}


def surroundings(request, link):
    return {
        "threads": os.environ["OMP_NUM_THREADS"],
        "cpus": sorted(os.sched_getaffinity(0)),
        "session": os.getsid(0),
        "pid": os.getpid(),
    }


def strange_numbers(request, link):
    return {"nan": math.nan, "infinite": -math.inf, "got": request["value"]}


def count_up(request, link):
    link.phase("work")
    for step in range(request["steps"]):
        if link.report({"step": step}).get("stop"):
            return {"stopped_at": step}
    return {"stopped_at": None}


def leave_a_trace():
    """Tell the test that somebody waited for the end of a task that should have been ended."""
    Path(f"{os.getpid()}.outlasted").touch()


def segfault(request, link):
    link.phase("work")
    ctypes.string_at(0)


def abort(request, link):
    print("something is wrong in native code", flush=True)
    os.abort()


def leave(request, link):
    os._exit(3)


def wait_for_kill(request, link):
    link.report({"pid": os.getpid()})
    time.sleep(60)


def loop(request, link):
    link.phase("work")
    while True:
        pass


def hold_the_gil(request, link):
    link.phase("work")
    ctypes.PyDLL(None).sleep(60)
    leave_a_trace()


def ignore_signals(request, link):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    link.phase("work")
    end = time.monotonic() + 60
    while time.monotonic() < end:
        time.sleep(0.05)
    leave_a_trace()


def leave_grandchildren(request, link):
    """One in our session, one that escaped from it, and one whose parent is gone besides."""
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    orphaner = (
        "import subprocess as s, sys; "
        "print(s.Popen(sys.argv[1:], stdout=s.DEVNULL, stderr=s.DEVNULL, start_new_session=True).pid)"
    )
    orphan = subprocess.run([sys.executable, "-c", orphaner, *sleeper], capture_output=True, text=True, check=True)
    pids = [subprocess.Popen(sleeper).pid, subprocess.Popen(sleeper, start_new_session=True).pid, int(orphan.stdout)]
    link.report({"pids": pids})
    if request.get("crash"):
        os.abort()
    link.phase("work")
    time.sleep(60)


def fork(request, link):
    """A forked grandchild holds our end of the pipe, as the workers of a data loader do."""
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    link.report({"pids": [os.getpid(), pid]})
    if request.get("crash"):
        os.abort()
    time.sleep(60)


def eat_memory(request, link):
    link.phase("work")
    eaten = []
    for _ in range(request["chunks"]):
        eaten.append(bytearray(os.urandom(1 << 20)) * 32)
        time.sleep(0.05)
    return {"chunks": len(eaten)}


def allocate_too_much(request, link):
    return {"size": len(bytearray(1 << 60))}


def raise_shape_error(request, link):
    raise ShapeError("row 3 of the table: 8 channels came,\n\x1b[31m16 are needed")


def raise_dataset_error(request, link):
    raise DatasetError("the data set is damaged")


def raise_value_error(request, link):
    raise ValueError("kernel\x07 is 4\nand that is even")


def stop_the_interpreter(request, link):
    sys.exit("enough")


def write_garbage(request, link):
    os.write(link._answers, b"\x00\x00\x00\x05hello")
    time.sleep(60)
    leave_a_trace()


def write_a_huge_header(request, link):
    os.write(link._answers, b"\xff\xff\xff\xff")
    time.sleep(60)
    leave_a_trace()


def answer_a_list(request, link):
    return [1, 2, 3]


def answer_too_much(request, link):
    return {"text": "x" * (40 << 20)}


def print_without_end(request, link):
    link.phase("work")
    for _ in range(request["lines"]):
        print("y" * 1000)
    return {"done": True}


def read_files(request, link):
    side = request["side"]
    return {"graph": Path(side["graph"]).read_text(), "other": Path(side["other"][0]).read_text()}
