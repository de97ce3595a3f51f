"""A search whose latency comes from a node with another instruction set, an aarch64 one under emulation.

ARM_NODE is the script that sets up and starts it (as root, once about 6 minutes), with the verbs setup, start and stop;
ARM_ROOT is the folder that it fills, and keeps.
"""

import json
import os
import subprocess
import time
from importlib import metadata
from pathlib import Path

import pytest

from nasbench.store.parquet import read_run
from tests.cluster.conftest import Driver
from tests.cluster.nodes import Nodes, environment

pytestmark = pytest.mark.arm


@pytest.fixture(scope="module")
def arm():
    script = os.environ.get("ARM_NODE")
    assert script and Path(script).is_file(), "ARM_NODE names the script that starts an emulated node"
    root = os.environ.get("ARM_ROOT", "/var/tmp/nasbench-arm")
    packages = [f"{name}=={metadata.version(name)}" for name in ("ray", "onnxruntime", "numpy", "psutil")]
    subprocess.run(["bash", script, "setup", root, *packages], check=True, timeout=1800)
    nodes = Nodes()
    log = Path(nodes.scratch, "arm.log").open("wb")  # noqa: SIM115 - closed below
    try:
        subprocess.Popen(
            ["bash", script, "start", root, nodes.address, "board"],
            env=environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        yield nodes
    finally:
        subprocess.run(["bash", script, "stop", root], check=False, timeout=120)
        log.close()
        nodes.close()


def test_a_search_takes_its_latency_from_an_emulated_node_and_says_so(arm, tmp_path):
    driver = Driver(arm, tmp_path)
    path = tmp_path / "devices" / "board.yaml"
    words = ("search", "mnist_tiny", "--device", "board", "--accuracy", "mine:guess", "--trials", "3", "--no-confirm")
    deadline = time.monotonic() + 600
    while True:
        code, _, err, _ = driver.run("bench", "mnist_tiny_small", "--device", "board", "--level", "screen", limit_s=900)
        if "has the resource" not in err or time.monotonic() > deadline:
            break
        time.sleep(5)
    assert code == 1 and "the processor of board is emulated" in err, err

    path.write_text(path.read_text() + "emulated: true\n")
    code, _, err, _ = driver.run(*words, "--run", "results/a", limit_s=1800)

    assert code == 0, err
    run = read_run(tmp_path / "results" / "a")
    assert set(run.measurements["verdict"]) == {"emulated"}
    host = json.loads(run.measurements["host"][0])
    assert (host["machine"], host["emulated"]) == ("aarch64", True)
    code, _, err, _ = driver.run(*words, "--device", "cpu-onnx", "--run", "results/b")
    assert code == 2 and "board is emulated, so that its latencies mean nothing beside those of cpu-onnx" in err
