"""Networks are exported once, compared with what torch makes of them, and leave nothing."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from nasbench.device import graphs as graphs_module
from nasbench.device.graphs import Graphs, shared_graphs
from nasbench.device.loading import TINY, seeded_images
from nasbench.errors import BuildError, Crashed, ShapeError, TimeLimitExceeded
from nasbench.model.build import build
from nasbench.model.deploy import deploy
from nasbench.model.foreign import factory, onnx_file
from nasbench.records import TimingPlan
from nasbench.runtime.base import load_runtime
from nasbench.space.kinds import make_block

PLAN = TimingPlan(seed=3)
INT8 = replace(PLAN, dtype="int8")
OTHER = replace(TINY, classes=5, blocks=(TINY.blocks[0], make_block("pool_linear", 8, 5, 1, {}, "other")))


@pytest.fixture(scope="module")
def graphs():
    """Give graphs that all tests share, since an exporting process takes seconds to start."""
    with Graphs() as graphs:
        yield graphs


def children():
    return set(psutil.Process().children(recursive=True))


def test_a_network_is_exported_once_for_each_batch_and_seed(graphs):
    first = graphs.find(TINY, PLAN)

    assert graphs.find(TINY, replace(PLAN, level="confirm", min_processes=5)) is first
    assert graphs.find(TINY, replace(PLAN, batch=2)) is not first
    assert graphs.find(TINY, replace(PLAN, seed=4)) is not first


def test_the_reference_is_what_torch_makes_of_the_first_images(graphs):
    graph = graphs.find(TINY, PLAN)
    with torch.inference_mode():
        expected = deploy(build(TINY, PLAN.seed))(torch.from_numpy(seeded_images(TINY, PLAN)[0]))

    assert graph.compared_to == "torch eager fp32"
    assert np.allclose(np.load(graph.reference), expected.numpy(), atol=1e-6)


def test_a_quantized_graph_is_made_of_the_exported_one_and_compared_with_the_same(graphs):
    exact, quantized = graphs.find(TINY, PLAN), graphs.find(TINY, INT8)

    assert quantized.reference == exact.reference
    assert quantized.path != exact.path
    assert quantized.quantization["weights"].startswith("int8")


def test_a_network_that_cannot_be_built_is_an_error_of_its_own(graphs):
    wrong = replace(TINY, blocks=(TINY.blocks[0], replace(TINY.blocks[1], in_channels=9)))

    with pytest.raises(ShapeError, match="9 channels"):
        graphs.find(wrong, PLAN)


def test_of_several_outputs_of_a_user_s_network_the_first_one_is_the_reference(graphs):
    graph = graphs.find(factory("foreign_networks:several", (3, 8, 8)), PLAN)
    runtime = load_runtime("onnx")
    runtime.set_threads(1)
    (call,) = runtime.prepare(Path(graph.path), seeded_images(TINY, PLAN)[:1], "fp32")

    assert np.load(graph.reference).shape == (1, 5)
    assert np.allclose(runtime.to_array(call()), np.load(graph.reference), atol=1e-6)


def test_a_network_that_torch_cannot_export_is_a_build_error_of_one_line(graphs):
    with pytest.raises(BuildError, match=r"^torch cannot export this network to ONNX: .+$"):
        graphs.find(factory("foreign_networks:stubborn", (3, 8, 8)), PLAN)


@pytest.mark.parametrize(("task", "error"), [("crash", Crashed), ("hang", TimeLimitExceeded)])
def test_an_exporting_process_that_fails_takes_nothing_along(task, error, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setitem(graphs_module.LIMITS_S, "export", 0.5)
    before = children()
    with Graphs(task=f"exporting_faults:{task}") as graphs:
        with pytest.raises(error):
            graphs.find(TINY, PLAN)

        assert children() <= before


def entries(folder):
    return {entry.name for entry in Path(folder).iterdir()}


def test_files_have_no_name_and_vanish_with_what_holds_them(graphs):
    named, opened = entries(tempfile.gettempdir()), len(entries("/proc/self/fd"))
    graph = graphs.find(TINY, replace(INT8, seed=11))

    assert Path(graph.path).stat().st_size > 0
    assert not [name for name in entries(tempfile.gettempdir()) - named if "nasbench" in name or "quant" in name]
    graphs._kept.clear()
    del graph
    assert len(entries("/proc/self/fd")) <= opened


def test_what_was_not_used_for_longest_goes_first_and_lives_while_it_is_held(graphs, monkeypatch):
    older, newer = graphs.find(OTHER, PLAN), graphs.find(TINY, PLAN)
    monkeypatch.setattr(graphs, "_cap_bytes", sum(Path(path).stat().st_size for path in (newer.path, newer.reference)))
    graphs.trim()

    assert graphs.find(TINY, PLAN) is newer
    assert np.load(older.reference).shape == (1, 5)
    assert graphs.find(OTHER, PLAN) is not older


def test_devices_of_one_process_share_their_graphs_until_the_last_one_leaves():
    with shared_graphs(4 << 30) as first:
        with shared_graphs(4 << 30) as second, shared_graphs(2 << 30) as smaller:
            assert second is first
            assert smaller is not first
        with shared_graphs(4 << 30) as third:
            assert third is first
    with shared_graphs(4 << 30) as later:
        assert later is not first


class TestForeignFiles:
    @pytest.fixture(scope="class")
    @classmethod
    def path(cls, tmp_path_factory):
        path = tmp_path_factory.mktemp("foreign") / "own.onnx"
        torch.onnx.export(
            torch.nn.Conv2d(3, 2, 3).eval(),
            (torch.zeros(2, 3, 8, 8),),
            str(path),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("many")},),
            verbose=False,
        )
        return path

    def test_onnx_runtime_in_fp32_is_compared_with_nothing_and_starts_nothing(self, path):
        before = children()
        with Graphs() as graphs:
            graph = graphs.find(onnx_file(path), PLAN)

            assert (graph.path, graph.reference) == (str(path), None)
            assert children() <= before

    def test_what_others_compute_is_compared_with_onnx_runtime(self, graphs, path):
        quantized = graphs.find(onnx_file(path), replace(INT8, batch=3))
        exact = graphs.find(onnx_file(path), replace(PLAN, batch=3), "openvino")

        assert exact.compared_to == quantized.compared_to == "ONNX Runtime fp32"
        assert np.load(exact.reference).shape == (3, 2, 6, 6)

    def test_a_file_that_was_changed_is_refused(self, graphs, path):
        architecture = onnx_file(path)
        content = path.read_bytes()
        path.write_bytes(content.replace(b"many", b"some"))
        try:
            with pytest.raises(BuildError, match=r"own\.onnx: the file was changed"):
                graphs.find(architecture, PLAN)
        finally:
            path.write_bytes(content)
