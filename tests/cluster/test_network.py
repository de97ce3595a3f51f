"""A node with an address of its own, at the end of a cable that is cut in the middle of a measurement."""

import json
import subprocess
import time

import pytest

from nasbench.store.parquet import read_run
from tests.cluster.conftest import Driver
from tests.cluster.nodes import Cable, Nodes, why_no_cable
from tests.cluster.test_ray_nodes import NETWORK, begin

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def cable():
    if why := why_no_cable():
        pytest.skip(why)
    cable = Cable()
    try:
        yield cable
    finally:
        cable.close()


@pytest.fixture(scope="module")
def nodes(cable):
    """Give a head at the near end, which asks for a token, and a board at the far one."""
    nodes = Nodes(host=cable.near)
    try:
        nodes.board = nodes.join("board", cable=cable)
        yield nodes
    finally:
        nodes.close()


@pytest.fixture
def driver(nodes, tmp_path):
    return Driver(nodes, tmp_path)


def test_a_node_with_an_address_of_its_own_is_measured_on(nodes, cable, driver):
    code, out, err, _ = driver.run("devices", "board", "--probe", "--json")
    assert code == 0, err
    assert json.loads(out)["devices"][0]["state"] == "free"

    code, _, err, _ = driver.run("bench", NETWORK, "--device", "board", "--level", "screen", "--run", "results/a")

    assert code == 0, err
    measurements = read_run(driver.folder / "results" / "a").measurements
    assert (measurements["latency_s"] > 0).all() and set(measurements["attempts"]) == {"[]"}


def test_a_driver_in_another_network_than_the_node_beside_it_is_refused(nodes, cable, driver):
    words = ("bench", NETWORK, "--device", "board", "--level", "screen")
    code, out, err, _ = driver.run(*words, before=cable.enter)

    assert (code, out) == (1, "")
    assert f"Ray connected through the node at {cable.near}, which is no address of this machine" in err
    assert len(err.strip().splitlines()) == 1


SHIP = """
import ray
from nasbench.cluster.connection import connect
from nasbench.cluster.post import Placement, Post
from nasbench.cluster.supervisor import FILE
from nasbench.cluster.worker import FILES, RemoteWorker

with connect({address!r}) as cluster:
    post = Post(cluster, Placement("board", {{"board": 1}}))
    post.open()
    request = {{"value": {{FILE: 0}}, FILES: [ray.put(bytes({size}))]}}
    print(RemoteWorker(post, "tests.fault_tasks:echo", threads=1).call(request, limits_s={{"work": 9.0}})["value"])
    post.close()
"""


def test_a_file_that_takes_seconds_on_its_way_arrives(nodes, cable, driver):
    """Ray begins a file anew when who waits for it goes and comes again."""
    try:
        cable.slow_down("80mbit")
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no cable can be slowed down here: {error}")
    try:
        code, out, err, _ = driver.run("-c", SHIP.format(address=nodes.address, size=40 << 20), limit_s=90)
    finally:
        cable.mend()

    assert code == 0, err
    assert out.startswith("/proc/")


@pytest.mark.parametrize("cut", ["swallow", "unplug"])
def test_a_cut_is_noticed_within_10_s_and_the_measurement_repeated_when_it_is_mended(nodes, cable, driver, cut):
    process = begin(driver, 6, patience=90)
    began = time.monotonic()
    getattr(cable, cut)()
    noticed = None
    try:
        for line in process.stderr:
            if "device board is lost" in line:
                noticed = time.monotonic() - began
                break
    finally:
        cable.mend()
    out, err = process.communicate(timeout=200)

    assert noticed is not None and noticed < 10
    assert process.returncode == 0, err
    (attempt,) = json.loads(out)["attempts"]
    assert attempt["device"] == "board"
    assert "device board is back" in err


def test_an_address_that_swallows_what_is_sent_is_told_within_25_s(nodes, cable, driver):
    driver.define("far", "onnx", address=f"{cable.far}:{nodes.port}")
    cable.swallow()
    try:
        code, out, err, seconds = driver.run("bench", NETWORK, "--device", "far", "--level", "screen")
    finally:
        cable.mend()

    assert (code, out) == (1, "") and seconds < 25
    assert "nothing came for 8 s; the machine is off, or a firewall drops what is sent there" in err
    assert len(err.strip().splitlines()) == 1
