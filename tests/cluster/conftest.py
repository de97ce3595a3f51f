import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.nodes import Nodes, environment

ROOT = Path(__file__).parents[2]

DEVICE = """\
schema: 1
name: {name}
about: A node of a test
backend: ray
address: {address}
resource: board
runtime: {runtime}
memory_limit: 2GiB
"""

ESTIMATE = """\
import time

def guess(architecture):
    time.sleep(0.05)
    return int(architecture.digest[:6], 16) / 0xFFFFFF
"""


class Driver:
    """Runs commands and scripts as a user would, in processes of their own, against a cluster."""

    def __init__(self, nodes, folder):
        self.nodes = nodes
        self.folder = folder
        (folder / "devices").mkdir()
        self.define("board", "onnx")
        self.define("eager-board", "eager")
        (folder / "mine.py").write_text(ESTIMATE)

    def define(self, name, runtime, address=None):
        text = DEVICE.format(name=name, address=address or self.nodes.address, runtime=runtime)
        (self.folder / "devices" / f"{name}.yaml").write_text(text)

    def start(self, *words, token=None, before=()):
        """Begin `nasbench WORDS`, or with `-c` a script; `before` stands before the command."""
        command = [*before, sys.executable, *(words if words[0] == "-c" else ("-m", "nasbench", *map(str, words)))]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self._environment(token),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words, token=None, before=(), limit_s=300):
        """Run it to its end; gives code, output, error output and seconds."""
        began = time.monotonic()
        process = self.start(*words, token=token, before=before)
        out, err = process.communicate(timeout=limit_s)
        return process.returncode, out, err, time.monotonic() - began

    def _environment(self, token):
        variables = environment(token or self.nodes.token)
        path = os.pathsep.join([str(ROOT), *filter(None, [variables.get("PYTHONPATH")])])
        return {**variables, "PYTHONPATH": path, "NASBENCH_CACHE": str(self.folder / "cache")}


@pytest.fixture(scope="module")
def nodes():
    """Give a head with two cores, which asks for a token, and a board."""
    cluster = Nodes()
    try:
        cluster.board = cluster.join("board")
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def driver(nodes, tmp_path):
    return Driver(nodes, tmp_path)
