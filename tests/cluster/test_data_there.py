"""A data set of the user's that is shipped to nodes: trained on there as here, and placed once on every node."""

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nasbench.store.log import RunLog
from tests.cluster.conftest import ROOT, Driver
from tests.cluster.nodes import Nodes

pytestmark = pytest.mark.cluster

WORDS = ("search", "tiny_rgb", "--objective", "accuracy", "--objective", "params", "--sampler", "random")


@pytest.fixture(scope="module")
def nodes():
    """Give a head without cores and two nodes, which take two workers and one; each has its own temporary folder."""
    nodes = Nodes(cpus=0)
    try:
        nodes.temporary = [Path(nodes.scratch, name) for name in ("a", "b")]
        for folder, cpus in zip(nodes.temporary, (2, 1), strict=True):
            folder.mkdir()
            nodes.join(cpus=cpus, TMPDIR=str(folder))
        yield nodes
    finally:
        nodes.close()


@pytest.fixture
def driver(nodes, tmp_path):
    driver = Driver(nodes, tmp_path)
    space = (ROOT / "search_spaces" / "mnist_tiny.yaml").read_text().partition("architectures:")[0]
    (tmp_path / "search_spaces").mkdir()
    space = space.replace("name: mnist_tiny", "name: tiny_rgb").replace("classes: 10", "classes: 2")
    space = space.replace("{channels: 1, size: 28}", "{channels: 3, size: 16}")
    (tmp_path / "search_spaces" / "tiny_rgb.yaml").write_text(space)
    draw = np.random.default_rng(7)
    for name, mean in (("dark", 90), ("light", 150)):
        folder = tmp_path / "photographs" / "train" / name
        folder.mkdir(parents=True)
        for number in range(40):
            pixels = draw.normal(mean, 60, (16, 16, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return driver


def placed(folder):
    """Give what lies unpacked in a node's temporary folder, each by its own number."""
    return {(path.name, path.stat().st_ino) for path in folder.glob("nasbench-data-*/*") if path.is_dir()}


def scores(driver, run):
    with RunLog.read(driver.folder / "results" / run) as log:
        return [(e.architecture.digest, e.status, e.score.dataset, e.score.curve) for e, _ in log.evaluations()]


def test_it_is_trained_on_as_here_placed_once_a_node_and_removed(nodes, driver):
    words = (*WORDS, "--data", "image_folder=photographs,size=16", "--threads", "1", "--epochs", "1")
    words += ("--trials", "6", "--no-early-stop", "--workers", "3")
    code, _, err, _ = driver.run(*words, "--run", "results/here")
    assert code == 0, err

    process = driver.start(*words, "--run", "results/there", "--cluster", nodes.address)
    seen = [set(), set()]
    while process.poll() is None:
        for folder, found in zip(nodes.temporary, seen, strict=True):
            found |= {one for one in placed(folder) if "." not in one[0]}
        time.sleep(0.05)
    _, err = process.communicate()

    assert process.returncode == 0, err
    assert scores(driver, "there") == scores(driver, "here")
    assert [len(found) for found in seen] == [1, 1]
    assert len({name for found in seen for name, _ in found}) == 1  # the archive's digest
    assert [placed(folder) for folder in nodes.temporary] == [set(), set()]
