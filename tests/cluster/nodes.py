"""Real Ray nodes on loopback, as processes that a test may kill: a head and nodes that join it."""

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

    def __init__(self, *options, scratch, token=TOKEN):
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats", *options]
        self.log = Path(scratch) / f"node-{time.monotonic_ns()}.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=output, env=environment(token), start_new_session=True, cwd=scratch
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

    def __init__(self, token=TOKEN, cpus=2):
        # Sockets have short names, so the folder has too.
        self.scratch = tempfile.mkdtemp(prefix="nb", dir="/tmp")
        self.port = free_port()
        self.token = token
        self.address = f"127.0.0.1:{self.port}"
        self.nodes = []
        self.head = self._start(
            "--head",
            f"--port={self.port}",
            "--node-ip-address=127.0.0.1",
            f"--num-cpus={cpus}",
            "--include-dashboard=false",
            f"--temp-dir={self.scratch}/ray",
        )
        self.head.await_started()

    def join(self, resource=None, cpus=0):
        """Start a further node, which has a resource."""
        options = [f"--address={self.address}", f"--num-cpus={cpus}", "--object-store-memory=100000000"]
        if resource:
            options.append(f'--resources={{"{resource}": 1}}')
        node = self._start(*options)
        node.await_started()
        return node

    def close(self):
        for node in reversed(self.nodes):
            node.kill()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _start(self, *options):
        node = Node(*options, scratch=self.scratch, token=self.token)
        self.nodes.append(node)
        return node
