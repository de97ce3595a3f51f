"""`nasbench bench` as a user types it, on devices that know their answers."""

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "measure"))
from bench_device import AnsweringDevice

from nasbench.cli import checks
from nasbench.cli.main import main
from nasbench.errors import BuildError, DeviceError
from nasbench.measure import bench as measuring
from nasbench.model import from_timm
from nasbench.model.foreign import foreign_architecture
from nasbench.records import Cost
from nasbench.space.load import find_architecture

TINY = ("mnist_tiny_small", "mnist_tiny_large")
QUICK = ("--level", "screen")


def width(architecture):
    """What the answers depend on."""
    return 4 * len(architecture.blocks)


@pytest.fixture
def bench(tmp_path, monkeypatch, capsys):
    """Run `nasbench bench` in an empty folder; gives exit code, stdout and stderr. `bench.devices` are those opened."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NASBENCH_CACHE", str(tmp_path / "cache"))
    opened = []

    def open_device(spec):
        device = AnsweringDevice(spec)
        device.latency_s = lambda architecture, plan: 1e-3 * width(architecture) * plan.batch / (1 + len(spec.runtime))
        run.change(device)
        opened.append(device)
        return device

    def run(*words, command="bench"):
        monkeypatch.setattr(sys, "argv", ["nasbench", command, *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    monkeypatch.setattr(measuring, "open_device", open_device)
    monkeypatch.setattr(checks, "choose_cores", lambda count: range(min(count, 64)))
    run.change = lambda device: None
    run.devices = opened
    run.folder = tmp_path
    return run


def lines_of(text, word):
    return [line for line in text.splitlines() if word in line]


def test_every_network_device_batch_and_thread_count_is_a_row(bench):
    devices = [word for name in ("cpu", "cpu-onnx", "cpu-openvino") for word in ("--device", name)]

    code, out, _ = bench(*TINY, *devices, "--batch", "1,8", "--threads", "1,2")

    rows = [line for line in out.splitlines() if line.startswith(TINY)]
    assert code == 0
    assert len(rows) == 2 * 3 * 2 * 2
    assert "24 rows: 24 ok" in out
    assert len(bench.devices) == 3 * 2


def test_a_family_is_all_its_published_architectures(bench):
    code, out, err = bench("--family", "shufflenet_v2", "--level", "screen")

    assert code == 0, err
    assert [size for size in ("0.5", "1.0", "1.5", "2.0") if lines_of(out, f"shufflenet_v2_{size}")] == [
        "0.5",
        "1.0",
        "1.5",
        "2.0",
    ]


def test_what_counts_more_than_a_limit_is_left_out_and_that_is_said(bench):
    code, out, err = bench("--family", "shufflenet_v2,mobilenet_v3", "--max", "macs=100M", "--max", "params=2M", *QUICK)

    assert code == 0
    names = [line.split()[0] for line in out.splitlines() if line.startswith(("shufflenet", "mobilenet", "ofa"))]
    assert names == ["shufflenet_v2_0.5"]
    assert "9 of 10 networks have more than 100 M macs or 2 M params and are left out" in err


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("latency=5ms", "--max latency is not counted before measuring; params and macs are"),
        ("macs=1", "--max leaves no network; allow more"),
        ("mac=1M", "no figure to limit is named 'mac'"),
    ],
)
def test_a_limit_that_cannot_be_is_refused(bench, limit, words):
    code, _, err = bench("--family", "shufflenet_v2", "--max", limit, *QUICK)

    assert code == 2
    assert words in err


def test_what_all_rows_share_stands_above_and_empty_columns_are_left_out(bench):
    _, out, _ = bench(*TINY, *QUICK)

    assert out.splitlines()[0] == ("device cpu, runtime eager, dtype fp32, batch 1, threads 1, level screen, cache hot")
    header = lines_of(out, "interval in the process")[0]
    for absent in ("device", "batch", "energy", "end to end", "output error", "speed-up", "p99", "published"):
        assert absent not in header
    for present in ("latency", "images/s", "p90", "memory", "params", "MACs", "verdict"):
        assert present in header


def test_the_figure_has_its_unit_its_interval_and_its_numbers_of_samples_and_processes(bench):
    _, out, _ = bench(TINY[0])

    (row,) = [line for line in out.splitlines() if line.startswith(TINY[0])]
    assert " ms " in row and " to " in row and "(±0." in row
    assert row.split()[8:11] == ["ok", "5", "380"]


@pytest.mark.parametrize(("words", "title"), [((), "95 % interval"), (QUICK, "interval in the process")])
def test_only_an_interval_over_processes_is_said_to_bound_the_latency(bench, words, title):
    _, out, _ = bench(TINY[0], *words)

    assert title in out
    assert ("processes differ by more than its interval; --level confirm tells how much" in out) == bool(words)


def test_the_accuracy_of_the_paper_stands_beside(bench):
    _, out, _ = bench("resnet_18", "mnist_tiny_small", *QUICK)

    assert "published top-1" in out
    assert "69.8 %" in lines_of(out, "resnet_18")[0]
    assert "%" not in lines_of(out, "mnist_tiny_small")[0].split(")")[1]


def test_what_is_published_is_stored_and_in_the_json_under_the_names_of_the_columns(bench):
    _, out, _ = bench("mobileone_s0", "mnist_tiny_small", *QUICK, "--json", "--run", "results/mine")

    data, tiny = json.loads(out)["rows"]
    stored = pd.read_parquet(bench.folder / "results/mine/evaluations.parquet").iloc[0]
    # apple/ml-mobileone, README.md: 71.4 %, 0.79 ms on an iPhone 12; ours is what the device answered
    assert (data["family"], data["published_top1"]) == ("mobileone", 0.714)
    assert data["published_latencies"][0]["ms"] == 0.79
    assert data["latency_s"] != 0.00079 and data["deployed_params"] < data["params"]
    for name in ("family", "published_top1", "published_params", "published_source", "deployed_macs"):
        assert data[name] == stored[name]
    assert json.loads(stored["published_latencies"]) == data["published_latencies"]
    assert tiny["family"] == "mnist_tiny" and tiny["published_top1"] is None


def test_a_file_of_the_user_has_nothing_of_the_paper_that_its_name_recalls(bench):
    (bench.folder / "resnet_18.yaml").write_text(
        "schema: 1\nname: resnet_18\nclasses: 10\ninput: {channels: 3, size: 32}\n"
        "stem: {block: conv, out: 8, kernel: 3, stride: 2}\nstages:\n"
        "  - {block: mbconv, repeat: 1, out: 8, kernel: 3, expand: 2, stride: 1}\nhead: {block: pool_linear}\n"
    )

    code, out, err = bench("resnet_18.yaml", *QUICK)

    assert code == 0, err
    assert "published" not in out


def test_the_macs_of_the_measured_form_stand_beside_where_branches_are_merged(bench):
    _, merged, _ = bench("mobileone_s0", *QUICK)
    _, plain, _ = bench("resnet_18", *QUICK)

    assert "deployed MACs" in merged and "deployed MACs" not in plain


def test_a_table_of_timm_gives_the_published_accuracy_of_its_networks(bench, monkeypatch):
    network = foreign_architecture("timm", (3, 224, 224), 1000, name="resnet18.a1_in1k", version="1.0.31")
    monkeypatch.setattr(from_timm, "timm_network", lambda name: network)
    monkeypatch.setattr(from_timm, "count_timm", lambda architecture: Cost(5, 7, 3, 12))
    (bench.folder / "timm.csv").write_text("model,img_size,top1\nresnet18.a1_in1k,224,71.49\n")

    code, out, err = bench("timm/resnet18.a1_in1k", "--timm-results", "timm.csv", *QUICK)

    assert code == 0, err
    assert lines_of(out, "timm/resnet18.a1_in1k")[0].split()[-4:] == ["5", "7", "71.5", "%"]


def test_reasons_are_notes_under_the_table(bench):
    bench.change = lambda device: setattr(device, "verdict", "noisy")

    _, out, _ = bench(*TINY, *QUICK)

    assert all("noisy [1]" in line for line in out.splitlines() if line.startswith(TINY))
    assert "[1] somebody was noisy" in out
    assert "2 rows: 2 noisy" in out


def test_a_failure_is_a_row_and_the_others_are_measured(bench):
    bench.change = lambda device: device.fails.update(onnx=BuildError("no kernel for it"))

    code, out, _ = bench(TINY[0], "--device", "cpu", "--device", "cpu-onnx", *QUICK)

    assert code == 0
    assert "failed [1]" in lines_of(out, "cpu-onnx")[0]
    assert "[1] build_error: no kernel for it" in out
    assert "2 rows: 1 failed, 1 ok" in out


def test_when_every_row_failed_the_exit_code_says_so(bench):
    bench.change = lambda device: device.fails.update(eager=BuildError("no kernel for it"))

    code, out, _ = bench(TINY[0], *QUICK)

    assert code == 1
    assert "[1] build_error: no kernel for it" in out


def test_the_second_time_rows_are_reused_unless_fresh(bench):
    bench(TINY[0])

    _, again, _ = bench(*TINY)
    _, fresh, _ = bench(*TINY, "--fresh")

    assert "ok, reused [1]" in lines_of(again, TINY[0])[-1]
    assert "[1] reused from 20" in again and ", measured on 2026-11-21" in again
    assert "2 rows: 2 ok; 1 reused (--fresh measures again)" in again
    assert "reused" not in fresh


def test_runs_lie_in_dated_folders_or_where_it_is_said(bench):
    bench(TINY[0], *QUICK)
    bench(TINY[0], *QUICK, "--device", "cpu", "--device", "cpu-onnx", "--device", "cpu-openvino")
    bench(TINY[0], *QUICK, "--run", "mine")

    names = sorted(path.name[11:] for path in (bench.folder / "results").iterdir())
    assert names == ["bench-cpu", "bench-cpu-and-2-more"]
    assert pd.read_parquet(bench.folder / "mine" / "measurements.parquet")["device"].tolist() == ["cpu"]


def test_json_is_one_object_with_raw_figures(bench):
    _, out, _ = bench(TINY[0], *QUICK, "--json")

    found = json.loads(out)
    (row,) = found["rows"]
    assert row["network"] == TINY[0] and row["verdict"] == "ok"
    assert row["low_s"] <= row["latency_s"] <= row["high_s"]
    assert row["images_per_s"] == pytest.approx(1 / row["latency_s"])
    assert (row["cache"], row["seed"], found["seed"]) == ("hot", 0, 0)
    assert found["verdicts"] == {"ok": 1}


def test_a_failure_has_its_verdict_in_the_json_too(bench):
    bench.change = lambda device: device.fails.update(eager=BuildError("no kernel for it"))

    _, out, _ = bench(TINY[0], *QUICK, "--json")

    (row,) = json.loads(out)["rows"]
    assert (row["verdict"], row["status"], row["error"]) == ("failed", "build_error", "no kernel for it")


def test_best_measures_all_runtimes_again_when_one_run_did_not_measure_them_all(bench):
    bench(TINY[0])
    _, mixed, _ = bench(TINY[0], "--runtime", "best")
    _, whole, _ = bench(TINY[0], "--runtime", "best")

    assert "reused" not in mixed
    assert "5 rows: 5 ok; 5 reused" in whole


def test_best_shows_every_runtime_against_eager_and_names_the_fastest(bench):
    bench.change = lambda device: device.errors.update(channels_last=1e-7, openvino=1e-6)

    _, out, _ = bench(TINY[0], "--runtime", "best")

    rows = [line for line in out.splitlines() if line.startswith(TINY[0])]
    assert len(rows) == 5
    assert ["best" in row for row in rows] == ["channels_last" in row for row in rows]
    assert "1.0e-06" in lines_of(out, "openvino")[0]
    # by how AnsweringDevice is set up here: (1 + 13) / (1 + 5)
    assert "best for mnist_tiny_small, batch 1, threads 1: channels_last fp32, 2.33x (" in out


def test_best_passes_over_a_runtime_whose_output_disagrees_and_says_by_how_much(bench):
    bench.change = lambda device: device.errors.update(channels_last=0.4)

    _, out, _ = bench(TINY[0], "--runtime", "best")

    assert "[1] the output is 4.0e-01 away from eager's; 0.001 is allowed for channels_last in fp32" in out
    assert "threads 1: openvino fp32" in out


@pytest.mark.parametrize(("words", "bounded"), [((), True), (QUICK, False)])
def test_the_json_says_what_is_best_and_by_how_much_as_far_as_processes_bound_it(bench, words, bounded):
    _, out, _ = bench(TINY[0], "--runtime", "best", "--json", *words)

    rows = {row["runtime"]: row for row in json.loads(out)["rows"]}
    assert [name for name, row in rows.items() if row["best"]] == ["channels_last"]
    found = rows["onnx"]["speed_up"]
    assert found["ratio"] == pytest.approx(5 / 6, rel=0.01)
    assert (found["low"] is not None) == (found["high"] is not None) == bounded


def test_sampled_networks_are_named_by_space_and_digest(bench):
    code, out, _ = bench("--space", "mnist_tiny", "--sample", "3", "--seed", "0", "--device", "cpu-onnx", *QUICK)

    assert code == 0
    assert len([line for line in out.splitlines() if line.startswith("mnist_tiny/")]) == 3
    assert "3 rows: 3 ok" in out


def test_networks_of_the_user_need_no_yaml(bench, monkeypatch):
    import torch

    from nasbench.model.export import to_onnx

    monkeypatch.syspath_prepend(bench.folder)
    Path("own_networks.py").write_text("import torch\n\ndef small():\n    return torch.nn.Conv2d(3, 4, 3)\n")
    to_onnx(torch.nn.Conv2d(3, 4, 3).eval(), Path("model.onnx"), (3, 16, 16))

    code, out, _ = bench("model.onnx", "own_networks:small", "--device", "cpu-onnx", *QUICK)

    assert code == 0
    assert "params" not in out
    assert len([line for line in out.splitlines() if line.startswith(("model.onnx", "own_networks:small"))]) == 2


def test_the_same_network_under_two_names_is_measured_once_and_said(bench):
    bench(TINY[0], *QUICK, "--run", "results/first")

    _, out, err = bench(TINY[0], "results/first#0", TINY[0], *QUICK)

    assert "note: results/first#0 is the network mnist_tiny_small again; it is measured once" in err
    assert err.count("measured once") == 2
    assert "1 row: 1 ok" in out


def test_energy_is_a_column_where_a_counter_can_be_read(bench):
    bench.change = lambda device: setattr(device, "source", "RAPL package-0")

    _, out, _ = bench(TINY[0], "--energy", *QUICK)

    assert "2 mJ" in lines_of(out, TINY[0])[-1]


def test_top_races_all_networks_and_measures_the_fastest(bench):
    names = ("mobilenet_v2_0.35", "mobilenet_v1_0.25", "resnet_18", "mnist_tiny_small", "mnist_tiny_large")

    code, out, _ = bench(*names, "--top", "2", "--run", "mine")

    blocks = {name: len(find_architecture(name)[1].architecture.blocks) for name in names}
    fastest = sorted(names, key=lambda name: blocks[name])[:2]
    ranking, measured = out.split("raced 5 networks in one process: ")
    ranked = [line.split()[1] for line in ranking.splitlines() if line.strip()[:1].isdigit()]
    assert code == 0
    assert ranked == sorted(names, key=lambda name: blocks[name])
    assert [line.split()[0] for line in measured.splitlines() if line.startswith(names)] == fastest
    assert " inferences, " in measured and "2 rows: 2 ok" in measured
    assert "stored at level race are all networks, and the 2 fastest once more, at the level below" in measured
    table = pd.read_parquet(bench.folder / "mine" / "measurements.parquet")
    assert table["plan_level"].tolist() == ["race"] * 5 + ["confirm"] * 2


def test_a_disturbed_race_says_what_disturbed_it(bench):
    bench.change = lambda device: setattr(device, "race_reasons", ("a neighbour took 9 % of the time",))

    _, out, _ = bench(*TINY, "--top", "1")

    assert "warning: a neighbour took 9 % of the time" in out


def test_the_ranking_is_in_the_json_too(bench):
    _, out, _ = bench(*TINY, "--top", "1", "--json")

    found = json.loads(out)
    assert [standing["name"] for standing in found["ranking"]] == list(TINY)
    assert [row["network"] for row in found["rows"]] == [TINY[0]]
    assert found["race"]["inferences"] <= found["race"]["budget"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "which networks? For example: nasbench bench resnet_18"),
        (("resnet_81",), "Did you mean 'resnet_18'?"),
        (("resnet_18", "--device", "gpu"), "no device is named 'gpu'."),
        (("resnet_18", "--batch", "1,0"), "--batch '1,0' holds '0'; whole numbers from 1 are allowed, such as 1,8"),
        (("resnet_18", "--batch", ""), "--batch '' holds ''"),
        (("resnet_18", "--threads", "two"), "--threads 'two' holds 'two'"),
        (("resnet_18", "--threads", "²"), "--threads '²' holds '²'"),
        (("resnet_18", "--batch", "²"), "--batch '²' holds '²'"),
        (("resnet_18", "--batch", "9" * 5000), "whole numbers from 1 are allowed"),
        (
            ("resnet_18", "--threads", "1,99"),
            "--threads 99 is too many: a thread takes a physical core, of which 64 may",
        ),
        (("resnet_18", "--dtype", "fp99"), "'eager' does not compute in 'fp99'; it is one of fp32, fp16, bf16"),
        (("resnet_18", "--runtime", "onx"), "no runtime is named 'onx'. Did you mean 'onnx'?"),
        (("resnet_18", "--level", "sure"), "no level is named 'sure'."),
        (("resnet_18", "--cache", "warm"), "no cache state is named 'warm'."),
        (("resnet_18", "--timm-results", "t.csv"), "--timm-results has no effect without timm/NAME"),
        (("resnet_18", "--input", "3x64x64"), "--input has no effect without package.module:factory"),
        (
            ("a.b:c", "--input", "64x64"),
            "--input '64x64' is not channels x height x width; write for example 3x224x224",
        ),
        (("resnet_18", "--sample", "3"), "--sample draws from a search space; say which with --space"),
        (("--space", "mobilenet_v9"), "no search space is named 'mobilenet_v9'."),
        (("resnet_18", "--top", "1"), "--top 1 of 1 networks leaves nothing to choose; leave it out"),
        ((*TINY, "--top", "1", "--batch", "1,8"), "--top ranks networks on one device with one runtime, batch and"),
        (("resnet_18", "--energy"), "--energy cannot be taken on cpu: no counter of energy can be read here"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_before_anything_is_measured(bench, words, message):
    code, out, err = bench(*words)

    assert (code, out) == (2, "")
    assert message in err and len(err.splitlines()) == 1
    assert not (bench.folder / "results").exists()


def test_a_device_with_more_threads_than_cores_ends_in_one_line_before_anything_is_measured(bench, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(bench.folder)
    Path("wide.yaml").write_text("schema: 1\nname: wide\nabout: more than there is\nbackend: cpu\nthreads: 1000\n")

    code, _, err = bench("resnet_18", "--device", "wide.yaml")

    assert code == 1
    assert "error: device 'wide' needs 1000 physical cores" in err and len(err.splitlines()) == 1
    assert not (bench.folder / "results").exists()


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "interrupted; "),
        (DeviceError("the GPU fell off the bus"), 1, "error: the GPU fell off the bus"),
    ],
)
def test_an_end_in_the_middle_keeps_what_is_measured_and_says_how_to_go_on(bench, error, code, message):
    def fail_at_second(device):
        take = device.take

        def fail(architecture, plan):
            if device.taken:
                raise error
            return take(architecture, plan)

        device.take = fail

    bench.change = fail_at_second

    ended, _, err = bench(*TINY, *QUICK, "--run", "mine", "--fresh")

    assert ended == code
    assert message in err
    assert "nasbench bench mnist_tiny_small mnist_tiny_large --level screen   (reuses the rows that were ok)" in err
    assert pd.read_parquet(bench.folder / "mine" / "evaluations.parquet")["published"].tolist() == [TINY[0]]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--runtime", "best"), "(reuses the rows that were ok if all runtimes of their network were)"),
        (("--top", "1"), "(reuses the rows that were ok; races again)"),
        (("own_networks:small",), "(reuses the rows that were ok, none of package.module:function)"),
    ],
)
def test_an_interrupted_bench_says_what_it_will_reuse(bench, monkeypatch, words, said):
    def interrupt(device):
        def fail(*arguments):
            raise KeyboardInterrupt

        device.take = fail

    bench.change = interrupt
    monkeypatch.syspath_prepend(bench.folder)
    Path("own_networks.py").write_text("import torch\n\ndef small():\n    return torch.nn.Conv2d(3, 4, 3)\n")

    code, _, err = bench(*TINY, *words)

    assert code == 130 and said in err


def test_a_run_of_measurements_is_listed_with_the_others(bench):
    bench(TINY[0], *QUICK, "--run", "results/mine")

    code, out, _ = bench("runs", command="ls")

    assert code == 0 and "results/mine" in out


SHUFFLE = ("shufflenet_v2_0.5", "shufflenet_v2_1.0", "shufflenet_v2_1.5")


@pytest.mark.parametrize(
    ("networks", "batches", "words", "name"),
    [
        (TINY[:1], "1,8", (), "throughput"),
        (TINY[:1], "1", (), "samples"),
        (TINY[:1], "1,8", ("--kind", "samples"), "samples"),
        (SHUFFLE, "1", (), "published"),
        (SHUFFLE, "1,8", (), "throughput"),
        (SHUFFLE, "1,8", ("--kind", "published"), "published"),
        (SHUFFLE[:2], "1", (), "samples"),
        (SHUFFLE[:2], "1", ("--kind", "published"), "published"),
    ],
)
def test_a_bench_is_drawn_as_what_says_most_of_it(bench, networks, batches, words, name):
    bench(*networks, *QUICK, "--batch", batches, "--run", "results/mine")

    code, out, _ = bench("results/mine", *words, command="plot")

    assert (code, out) == (0, f"wrote {name}.png\n")
    assert (bench.folder / f"{name}.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--kind", "front"),
            "results/mine is a bench, which has no front; --kind is published, throughput, samples, latency or devices",
        ),
        (("--kind", "published"), "mine: no network has both a sound latency and a published top-1"),
        (("--kind", "fronts"), "no kind of figure is named 'fronts'. Did you mean 'front'?"),
        (("--x", "latency"), "--x and --y choose the axes of a front; those of samples are fixed"),
    ],
)
def test_what_cannot_be_drawn_of_a_bench_is_said(bench, words, message):
    bench(TINY[0], *QUICK, "--run", "results/mine")

    code, _, err = bench("results/mine", *words, command="plot")

    assert code == 2 and message in err and len(err.splitlines()) == 1


@pytest.mark.slow
def test_a_bench_on_the_cores_of_this_machine(nasbench, monkeypatch):
    monkeypatch.setenv("NASBENCH_CACHE", str(nasbench.folder / "cache"))

    done = nasbench("bench", "mnist_tiny_small", "--space", "mnist_tiny", "--sample", "1", *QUICK, check=0)

    assert "2 rows: " in done.stdout
    table = pd.read_parquet(next(nasbench.folder.glob("results/*/measurements.parquet")))
    assert (table["latency_s"] > 0).all() and len(table) == 2
