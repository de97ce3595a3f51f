"""Networks of timm as a user types them, from the name to the stored row, in processes of their own."""

import json
import os
from pathlib import Path

import pytest

from nasbench.measure.networks import find_network
from nasbench.model.foreign import is_timm, name_foreign

pytestmark = pytest.mark.slow

FITTING = Path(__file__).parents[1] / "fitting_torchvision"


@pytest.fixture
def with_timm(nasbench, monkeypatch):
    """Run `nasbench` where timm can be imported, in its own process and in the children that build networks."""
    paths = [str(FITTING), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    return nasbench


def test_a_network_of_timm_is_measured_and_stored_like_any_other(with_timm):
    (with_timm.folder / "results-imagenet.csv").write_text(
        "model,img_size,top1\ntest_efficientnet.r160_in1k,192,47.9\ntest_efficientnet.r160_in1k,160,46.506\n"
    )

    done = with_timm(
        *("bench", "timm/test_efficientnet", "--device", "cpu-onnx", "--level", "screen"),
        *("--timm-results", "results-imagenet.csv", "--run", "run", "--json"),
        check=0,
        timeout=300,
    )

    (row,) = json.loads(done.stdout.splitlines()[-1])["rows"]
    assert row["network"] == "timm/test_efficientnet"
    assert row["latency_s"] > 0
    assert row["params"] == pytest.approx(0.36e6, abs=5e3)  # as timm's own benchmark files have it
    assert row["published_top1"] == 0.46506
    assert row["output_error"] < 1e-4  # ONNX Runtime's output against that of torch eager
    name, stored = find_network(f"{with_timm.folder / 'run'}#0")
    assert (name, is_timm(stored), stored.input_shape) == ("run#0", True, (3, 160, 160))
    assert name_foreign(stored) == "timm/test_efficientnet.r160_in1k"


def test_torch_runs_it_beside_ours(with_timm):
    done = with_timm(
        *("bench", "timm/test_efficientnet", "mnist_tiny_small", "--device", "cpu", "--level", "screen", "--json"),
        check=0,
        timeout=300,
    )

    rows = json.loads(done.stdout.splitlines()[-1])["rows"]
    assert [row["network"] for row in rows] == ["timm/test_efficientnet", "mnist_tiny_small"]
    assert all(row["latency_s"] > 0 and row["macs"] > 0 for row in rows)


def test_an_unknown_name_is_one_line_and_wrong_usage(with_timm):
    done = with_timm("bench", "timm/efficientnet_b00")

    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: timm ") and "the closest: timm/efficientnet_b0, " in line


def test_a_torchvision_that_does_not_fit_is_one_line(nasbench, tmp_path, monkeypatch):
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    done = nasbench("compare", "timm/resnet18", "resnet_18")

    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "does not fit torch" in line and "install the torchvision that was built for this torch" in line
