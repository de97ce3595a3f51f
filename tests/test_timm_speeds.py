"""The benchmark that holds our order of architectures against timm's: which pairs count, and what is said of them."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from nasbench.errors import DefinitionError
from nasbench.records import Cost, TimingPlan
from nasbench.space.load import find_architecture
from tests.store.run_samples import make_evaluation, make_measurement, write_run

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "timm_speeds.py"
HEADER = (
    "model,infer_img_size,infer_samples_per_sec,infer_step_time,infer_batch_size,param_count,infer_gmacs,infer_macts\n"
)
COST = {
    "resnet_18": 11.69e6,
    "resnet_34": 21.8e6,
    "resnet_50": 25.56e6,
    "mobilenet_v2_1.0": 3.5e6,
    "regnetx_200mf": 2.68e6,
}


@pytest.fixture(scope="module")
def speeds():
    spec = importlib.util.spec_from_file_location("timm_speeds", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def timm(tmp_path):
    """Give a folder of timm's CSVs; `timm(**lines)` writes one for each processor."""

    def write(**lines):
        for name, text in lines.items():
            (tmp_path / f"benchmark-infer-fp32-nchw-pt240-cpu-{name}-dynamo.csv").write_text(HEADER + text)
        return tmp_path

    return write


@pytest.fixture
def run(tmp_path):
    """Store a run with a row for each of our names: seconds, and changes of the measurement."""

    def store(rows):
        evaluations = []
        for trial, (name, latency_s, changes) in enumerate(rows):
            architecture = find_architecture(name)[1].architecture
            params = round(changes.pop("params", COST.get(name, 1e6)))
            macs = 10 * params
            cost = Cost(params, macs, 1, 4 * params, params, macs - changes.pop("merged", 0))
            settings = {"threads": changes.pop("threads", 1), "runtime": "onnx"}
            measured = make_measurement(architecture, latency_s, settings=settings, **changes)
            evaluations.append(
                make_evaluation(
                    trial, architecture=architecture, cost=cost, measurements=(measured,), score=None, published=name
                )
            )
        return write_run(tmp_path / "run", evaluations, {"kind": "bench", "objectives": [], "limits": {}})

    return store


def lines(**times):
    """Write timm's lines of networks by milliseconds, at 224 pixels and with the counts that they have."""
    params = {"resnet18": 11.69, "resnet34": 21.8, "resnet50": 25.56, "mobilenetv2_100": 3.5, "regnetx_002": 2.68}
    return "".join(f"{name},224,1.0,{ms},1,{params[name]},0.1,1.0\n" for name, ms in times.items())


def matched(speeds, folder, run, processor="i7"):
    table = speeds.read_timm(folder)[f"fp32-nchw-pt240-cpu-{processor}-dynamo"]
    return speeds.match(speeds.read_ours(run)[0], table, speeds.read_pairs())


def test_a_pair_is_one_network_at_one_size_and_batch(speeds, timm, run):
    folder = timm(i7=lines(resnet18=20.5, resnet50=40.0) + "resnet18,288,1.0,33.0,1,11.69,0.1,1.0\n")

    kept, left_out = matched(speeds, folder, run([("resnet_18", 0.02, {}), ("resnet_50", 0.05, {})]))

    assert list(kept["ours"]) == ["resnet_18", "resnet_50"]
    assert list(kept["timm_s"]) == pytest.approx([0.0205, 0.04])
    assert left_out == {}


def test_what_is_left_out_is_said_with_the_reason(speeds, timm, run):
    folder = timm(
        i7=lines(resnet18=20.0, resnet34=30.0)
        + "resnet50,160,1.0,22.0,1,25.56,0.1,1.0\nregnetx_002,224,1.0,5.0,1,9.0,0.1,1.0\n"
        + 'mobilenetv2_100,224,1.0,5.0,256,"3.50",0.1,1.0\n'
    )
    stored = run(
        [
            ("resnet_18", 0.02, {}),
            ("resnet_34", 0.03, {"merged": 5}),
            ("resnet_50", 0.05, {}),
            ("regnetx_200mf", 0.01, {}),
            ("mobilenet_v2_1.0", 0.01, {}),
            ("shufflenet_v2_1.0", 0.01, {}),
        ]
    )

    kept, left_out = matched(speeds, folder, stored)

    assert list(kept["ours"]) == ["resnet_18"]
    assert left_out == {
        "no name at timm": ["shufflenet_v2_1.0"],
        "timm did not time that size and batch": ["mobilenet_v2_1.0", "resnet_50"],
        "parameters differ by more than 1%": ["regnetx_200mf"],
        "timm timed the branches that we merge": ["resnet_34"],
    }


def test_only_rows_that_are_ok_count(speeds, run):
    ours, left_out = speeds.read_ours(run([("resnet_18", 0.02, {}), ("resnet_50", 0.05, {"verdict": "noisy"})]))

    assert list(ours["ours"]) == ["resnet_18"]
    assert dict(left_out) == {"verdict noisy": 1}


def test_coefficients_are_scipys_and_lie_in_their_intervals(speeds):
    generator = np.random.default_rng(1)
    ours = generator.lognormal(size=40)
    theirs = ours * generator.lognormal(sigma=0.5, size=40)

    found = speeds.correlate(ours, theirs, draws=300)

    for name, measure in (("Spearman", stats.spearmanr), ("Kendall", stats.kendalltau)):
        middle, low, high = found[name]
        assert middle == pytest.approx(measure(ours, theirs).statistic)
        assert low < middle < high < 1
    assert (
        found["Spearman"][2] - found["Spearman"][1]
        < speeds.correlate(ours[:8], theirs[:8], draws=300)["Spearman"][2]
        - (speeds.correlate(ours[:8], theirs[:8], draws=300)["Spearman"][1])
    )


def test_the_order_the_worst_network_and_its_family_are_printed_and_drawn(speeds, timm, run, tmp_path, capsys):
    times = {"mobilenetv2_100": 5.0, "regnetx_002": 4.0, "resnet18": 20.0, "resnet34": 30.0, "resnet50": 40.0}
    folder = timm(i7=lines(**times), i9=lines(**times))
    ours = {"mobilenet_v2_1.0": 0.006, "regnetx_200mf": 0.09, "resnet_18": 0.02, "resnet_34": 0.03, "resnet_50": 0.04}
    rows = [(name, seconds, {"threads": threads}) for name, seconds in ours.items() for threads in (1, 2)]

    speeds.compare(folder, run(rows), 2, tmp_path / "speeds.png")

    out = capsys.readouterr().out
    order = stats.spearmanr(list(times.values()), list(ours.values())).statistic
    assert "run: 5 rows with the verdict ok" in out
    assert "cpu-i7-dynamo against onnx, threads 2, batch 1: 5 pairs of 3 families" in out
    assert f"Spearman {order:.3f} (" in out and "n=5" in out
    worst = out.split("largest differences")[1].splitlines()[1]
    assert worst.split()[:3] == ["+4.0", "regnetx_200mf", "regnet"]
    assert "cpu-i7-dynamo against fp32-nchw-pt240-cpu-i9-dynamo, both timm's: Spearman 1.000" in out
    assert (tmp_path / "speeds.png").read_bytes().startswith(b"\x89PNG")


def test_each_file_and_each_batch_is_drawn_for_itself(speeds, timm, run, tmp_path, monkeypatch):
    folder = timm(i7=lines(resnet18=20.0, resnet50=40.0) + "resnet18,224,1.0,300.0,16,11.69,0.1,1.0\n")
    (folder / "benchmark-infer-fp32-nchw-pt230-cpu-i7.csv").write_text(HEADER + lines(resnet18=21.0))
    drawn = {}
    monkeypatch.setattr(speeds, "draw", lambda found, out: drawn.update(found))
    batched = {"plan": TimingPlan(batch=16)}

    rows = [("resnet_18", 0.02, {}), ("resnet_50", 0.05, {}), ("resnet_18", 0.3, batched)]
    speeds.compare(folder, run(rows), None, tmp_path / "speeds.png")

    assert {title: list(kept["timm_s"]) for title, kept in drawn.items()} == {
        "fp32-nchw-pt230-cpu-i7 against onnx, threads 1, batch 1": [0.021],
        "fp32-nchw-pt230-cpu-i7 against onnx, threads 1, batch 16": [],
        "fp32-nchw-pt240-cpu-i7-dynamo against onnx, threads 1, batch 1": [0.02, 0.04],
        "fp32-nchw-pt240-cpu-i7-dynamo against onnx, threads 1, batch 16": [0.3],
    }


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("other.csv", "", r"has no benchmark-infer-\*-cpu-\*\.csv"),
        (
            "benchmark-infer-fp32-cpu-i7.csv",
            "model,infer_img_size\nresnet18,224\n",
            "lacks the column 'infer_step_time'",
        ),
    ],
)
def test_a_folder_without_timms_tables_is_said(speeds, tmp_path, name, text, message):
    (tmp_path / name).write_text(text)

    with pytest.raises(DefinitionError, match=message):
        speeds.read_timm(tmp_path)


def test_every_name_of_ours_in_the_mapping_is_a_published_architecture(speeds):
    from nasbench.definitions import read_definition
    from nasbench.space.load import list_spaces

    known = {
        name
        for path in list_spaces().values()
        if (node := read_definition(path).entries().get("architectures")) is not None
        for name in node.entries()
    }
    pairs = speeds.read_pairs()

    assert set(pairs) <= known
    assert len(pairs) > 150
