"""Real Ray nodes, as processes that a test may kill: a head and nodes that join it.

They are on loopback, or, where that is permitted, at the two ends of a `Cable`, each with an address of its own.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

TOKEN = "0123456789abcdef0123456789abcdef"
LIMIT_S = 90.0


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def environment(token=TOKEN, **more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    settings = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL": "minor",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_worker_niceness": "0",
        **({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token} if token else {"RAY_AUTH_MODE": "disabled"}),
    }
    return {**kept, **settings, **more}


class Node:
    """A node of its own session of processes. `kill` leaves no time for anything."""

    def __init__(self, *options, scratch, token=TOKEN, before=(), **variables):
        ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
        self.log = Path(scratch) / f"node-{time.monotonic_ns()}.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [*before, *ray, *options],
                stdout=output,
                stderr=output,
                env=environment(token, **variables),
                start_new_session=True,
                cwd=scratch,
            )

    def await_started(self):
        """Wait until the node says that it is part of the cluster."""
        deadline = time.monotonic() + LIMIT_S
        while "Ray runtime started" not in (said := self.log.read_text()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(said[-3000:])
            time.sleep(0.2)

    def kill(self):
        """Kill every process of the node at once, as a power cut does."""
        doomed = self._children()
        for process in [psutil.Process(self.process.pid) if self.process.poll() is None else None, *doomed]:
            if process is not None:
                with contextlib.suppress(psutil.Error):
                    process.send_signal(signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)

    def _children(self):
        with contextlib.suppress(psutil.Error):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []


class Nodes:
    """A cluster that a test or a class of tests has for itself."""

    def __init__(self, token=TOKEN, cpus=2, host="127.0.0.1"):
        # Sockets have short names, so the folder has too.
        self.scratch = tempfile.mkdtemp(prefix="nb", dir="/tmp")
        self.port = free_port()
        self.token = token
        self.address = f"{host}:{self.port}"
        self.nodes = []
        self.head = self._start(
            "--head",
            f"--port={self.port}",
            f"--node-ip-address={host}",
            f"--num-cpus={cpus}",
            "--include-dashboard=false",
            f"--temp-dir={self.scratch}/ray",
        )
        self.head.await_started()

    def join(self, resource=None, cpus=0, cable=None, **variables):
        """Start a further node, which has a resource, or is at the far end of a cable."""
        options = [f"--address={self.address}", f"--num-cpus={cpus}", "--object-store-memory=100000000"]
        if resource:
            options.append(f'--resources={{"{resource}": 1}}')
        if cable:
            options.append(f"--node-ip-address={cable.far}")
        node = self._start(*options, before=cable.enter if cable else (), **variables)
        node.await_started()
        return node

    def close(self):
        for node in reversed(self.nodes):
            node.kill()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _start(self, *options, **more):
        node = Node(*options, scratch=self.scratch, token=self.token, **more)
        self.nodes.append(node)
        return node


class Cable:
    """A network namespace of its own and a cable to it, which can be cut.

    `near` is the address of this machine at its end, `far` that of the namespace; `enter` stands before a command that
    is to run in there. The addresses are of a net for documentation, which nobody has.
    """

    def __init__(self):
        number = os.getpid() % 64
        self._name, self._ends = f"nasbench-{os.getpid()}", (f"nb{os.getpid()}a", f"nb{os.getpid()}b")
        self.near, self.far = (f"198.51.100.{4 * number + side}" for side in (1, 2))
        self.enter = ("nsenter", f"--net=/run/netns/{self._name}")
        _ip("netns", "add", self._name)
        try:
            _ip("link", "add", self._ends[0], "type", "veth", "peer", "name", self._ends[1], "netns", self._name)
            _ip("address", "add", f"{self.near}/30", "dev", self._ends[0])
            _ip("link", "set", self._ends[0], "up")
            self._inside("address", "add", f"{self.far}/30", "dev", self._ends[1])
            self._inside("link", "set", self._ends[1], "up")
            self._inside("link", "set", "lo", "up")
        except BaseException:
            self.close()
            raise

    def swallow(self):
        """Have the far end send nothing any more, without a word to either side: a black hole."""
        self._inside("route", "add", "blackhole", f"{self.near}/32")

    def unplug(self):
        """Take the cable out at the far end."""
        self._inside("link", "set", self._ends[1], "down")

    def slow_down(self, rate):
        """Have the cable carry no more than that to the far end, as `tc` writes it."""
        bucket = ("tbf", "rate", rate, "burst", "256kb", "latency", "400ms")
        _run("tc", "qdisc", "replace", "dev", self._ends[0], "root", *bucket)

    def mend(self):
        """Undo all of them."""
        self._inside("link", "set", self._ends[1], "up")
        with contextlib.suppress(subprocess.CalledProcessError):
            self._inside("route", "delete", "blackhole", f"{self.near}/32")
        with contextlib.suppress(subprocess.CalledProcessError, FileNotFoundError):
            _run("tc", "qdisc", "delete", "dev", self._ends[0], "root")

    def close(self):
        """Remove both; what still runs in the namespace loses its network with them."""
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("link", "delete", self._ends[0])
        _ip("netns", "delete", self._name)

    def _inside(self, *words):
        _ip("-netns", self._name, *words)


def why_no_cable():
    """Say why there can be no `Cable` here; None when there can."""
    if absent := [tool for tool in ("ip", "nsenter") if shutil.which(tool) is None]:
        return f"{' and '.join(absent)} is not installed (Debian: apt-get install iproute2 util-linux)"
    try:
        Cable().close()
    except subprocess.CalledProcessError as error:
        return f"network namespaces are not permitted here ({error.stderr.strip()}); root may make them"
    return None


def _ip(*words):
    _run("ip", *words)


def _run(*words):
    subprocess.run(words, check=True, capture_output=True, text=True)
