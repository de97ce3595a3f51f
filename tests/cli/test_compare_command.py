"""`nasbench compare` as a user types it."""

import json
import re
from collections import defaultdict

import numpy as np
import pytest
from typer.testing import CliRunner

from nasbench.cli import checks
from nasbench.cli.main import app
from nasbench.device import load
from nasbench.errors import NasbenchError
from nasbench.measure import compare as measure_compare
from nasbench.measure.networks import find_network
from nasbench.model import from_timm
from nasbench.model.foreign import foreign_architecture
from nasbench.records import CONFIRM, Cost
from nasbench.store.log import RunLog
from tests.measure.turning_device import TurningDevice
from tests.store.run_samples import MANIFEST, make_architecture, make_evaluation, make_measurement, write_run

MEDIANS_S = tuple(0.004 * np.exp([-0.004, 0.001, -0.002, 0.003, 0.002]))
NETWORKS = ("mobilenet_v2_1.0", "shufflenet_v2_1.0")


@pytest.fixture
def compare(monkeypatch):
    """Run `nasbench compare` where the first network takes 10 ms and any other 11 ms; errors are raised.

    Nothing runs: turns are drawn, and `compare.device` is where afterwards.
    """

    def open_device(spec):
        first = find_network(compare.first)[1].digest
        compare.device = TurningDevice(defaultdict(lambda: 0.011, {first: 0.010}), instance=0.002)
        compare.device.spec = spec
        return compare.device

    def compare_in_no_time(device, *networks, **options):
        return measuring(device, *networks, clock=device.clock, pause=lambda seconds: None, **options)

    def compare(*words):
        compare.first = str(words[0])
        done = CliRunner(env={"COLUMNS": "120"}).invoke(app, ["compare", *map(str, words)])
        if isinstance(done.exception, NasbenchError):
            raise done.exception
        return done

    measuring = measure_compare.compare
    monkeypatch.setattr(load, "open_device", open_device)
    monkeypatch.setattr(checks, "choose_cores", lambda count: range(min(count, 64)))
    monkeypatch.setattr(measure_compare, "compare", compare_in_no_time)
    return compare


def stored(folder, *latencies_s, **changes):
    """Store a run with one confirmed measurement for each latency, each of a network of its own."""
    evaluations = []
    for trial, latency_s in enumerate(latencies_s):
        architecture = make_architecture(8 * (trial + 1))
        values = {
            "plan": CONFIRM,
            "process_medians_s": tuple(latency_s / 0.004 * np.array(MEDIANS_S)),
            "noise": {"canary_s": [0.001]},
            "host": {"host": "abc123", "software": {"torch": folder.name}},
            "started_at": f"2026-11-2{len(folder.name) % 10}T10:00:00+00:00",
        }
        measurement = make_measurement(architecture, latency_s, **(values | changes))
        evaluations.append(make_evaluation(trial, architecture=architecture, measurements=(measurement,)))
    return write_run(folder, evaluations, {**MANIFEST, "objectives": []})


def test_two_networks_give_a_table_and_a_sentence_with_ratio_interval_and_verdict(compare):
    done = compare(*NETWORKS)
    lines = [line.rstrip() for line in done.stdout.splitlines()]

    assert done.exit_code == 0
    assert re.match(r"mobilenet_v2_1\.0 +10\.2 ms +9\.58 ms to 10\.9 ms +3\.5 M +301 M$", lines[2])
    assert re.match(
        r"mobilenet_v2_1\.0 takes 0\.9\d+ of shufflenet_v2_1\.0's time \(.*95 %\): faster, on cpu", lines[4]
    )
    assert re.match(
        r"decided after 4 processes: .*; n=4 processes, \d+ pairs of inferences, 0 processes discarded", lines[5]
    )


def test_a_network_of_timm_is_compared_and_counted_like_ours(compare, monkeypatch):
    row = foreign_architecture("timm", (3, 160, 160), 1000, name="test_efficientnet.r160_in1k", version="1.0.31")
    monkeypatch.setattr(from_timm, "timm_network", {"test_efficientnet": row}.__getitem__)
    monkeypatch.setattr(from_timm, "count_timm", {row: Cost(356_196, 57_304_256, 550_140, 1_419_728)}.get)

    done = compare("timm/test_efficientnet", NETWORKS[1])

    assert re.match(r"timm/test_efficientnet +10\.\d ms .* 356 k +57\.3 M$", done.stdout.splitlines()[2].rstrip())
    assert "timm/test_efficientnet takes 0.9" in done.stdout


def test_the_comparison_is_one_json_object(compare):
    said = json.loads(compare(*NETWORKS, "--json").stdout)

    assert (said["verdict"], said["processes"]) == ("faster", 4)
    assert said["low"] < said["ratio"] < said["high"] < 1
    assert said["sentence"].startswith("mobilenet_v2_1.0 takes")


def test_options_reach_the_measuring_processes(compare):
    said = json.loads(
        compare(
            *(NETWORKS[0], NETWORKS[0], "--batch", 4, "--threads", 2, "--dtype", "bf16", "--margin", "3%"),
            *("--max-processes", 6, "--seed", 7, "--runtime", "channels_last", "--json"),
        ).stdout
    )

    plan = said["plan"]
    assert (plan["batch"], plan["dtype"], plan["level"], plan["seed"]) == (4, "bf16", "confirm", 7)
    assert (compare.device.spec.threads, compare.device.spec.runtime) == (2, "channels_last")
    assert (said["margin"], said["verdict"]) == (pytest.approx(0.03), "tie")


def test_a_trial_of_a_run_is_a_network(compare, tmp_path):
    run = stored(tmp_path / "first", 0.004)
    said = json.loads(compare(f"{run}#0", NETWORKS[0], "--json").stdout)

    with RunLog.read(run) as log:
        ((evaluation, _),) = log.evaluations()
    assert said["architectures"][0] == evaluation.architecture.digest


def test_two_runs_give_a_row_a_network_and_a_count_of_verdicts(compare, tmp_path):
    monday, friday = stored(tmp_path / "monday1", 0.004, 0.004), stored(tmp_path / "fri", 0.005, 0.004)
    done = compare(monday, friday)
    lines = [line.rstrip() for line in done.stdout.splitlines()]

    assert done.exit_code == 0
    assert lines[0].endswith("device cpu, runtime None, dtype fp32, batch 1, threads 1, level confirm")
    assert re.match(r"tiny/\w{8} +slower +1\.250 +1\.2\d+ to 1\.2\d+ +4 ms +5 ms +1\.000$", lines[3])
    assert re.match(r"tiny/\w{8} +tie +1\.000 +0\.99\d to 1\.0\d+ +4 ms +4 ms +1\.000$", lines[4])
    assert "note: torch: monday1 before, fri after" in lines
    assert lines[-1].startswith("2 compared: 1 slower, 1 tie; within ±2.0% is a tie")


def test_a_slower_network_fails_only_when_asked_to(compare, tmp_path):
    monday, friday = stored(tmp_path / "monday1", 0.004), stored(tmp_path / "fri", 0.005)

    assert compare(monday, friday, "--fail-if-slower").exit_code == 1
    assert compare(friday, monday, "--fail-if-slower").exit_code == 0
    assert compare(monday, friday).exit_code == 0


def test_runs_are_one_json_object_too(compare, tmp_path):
    monday, friday = stored(tmp_path / "monday1", 0.004), stored(tmp_path / "fri", 0.005)
    said = json.loads(compare(monday, friday, "--json", "--margin", "0.3").stdout)

    assert said["counts"] == {"tie": 1}
    assert said["comparisons"][0]["ratio"] == pytest.approx(1.25)
    assert said["changes"] == ["torch: monday1 before, fri after"]


def test_why_nothing_is_claimed_stands_under_the_table(compare, tmp_path):
    monday, friday = stored(tmp_path / "monday1", 0.004), stored(tmp_path / "fri", 0.004, noise={"canary_s": [0.0012]})

    assert "drift, the canary took 1.200 of what it took before" in compare(monday, friday).stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("RUN", NETWORKS[0]), "is a stored run and mobilenet_v2_1.0 is none; give two runs or two networks"),
        (("RUN", "RUN", "--device", "cpu", "--batch", "2"), "--device and --batch cannot change what stored runs hold"),
        ((*NETWORKS, "--fail-if-slower"), "--fail-if-slower is for two stored runs"),
        (("EMPTY", NETWORKS[0]), "is a folder and holds no run: neither run.db nor measurements.parquet"),
        (("mobilenet_v2", NETWORKS[0]), "no architecture is named 'mobilenet_v2'. Did you mean"),
        ((*NETWORKS, "--dtype", "int8"), "'eager' does not compute in 'int8'"),
        ((NETWORKS[0], "a:b", "--input", "224"), "--input '224' is not channels x height x width"),
        ((*NETWORKS, "--input", "3x64x64"), "--input has no effect without package.module:factory"),
        ((*NETWORKS, "--device", "gpu9"), "no device is named 'gpu9'"),
        ((*NETWORKS, "--margin", "wide"), "'wide' is not a share"),
        ((*NETWORKS, "--margin", "0"), "--margin 0 is no share between 0 and 1, such as 0.01 or 1%"),
        (("RUN", "RUN", "--margin", "100%"), "--margin 100% is no share between 0 and 1"),
        (("RUN", "RUN", "--runtime", "onnx"), "--runtime cannot change what stored runs hold"),
        ((*NETWORKS, "--runtime", "onx"), "no runtime is named 'onx'. Did you mean 'onnx'?"),
        ((*NETWORKS, "--threads", "99"), "--threads 99 is too many: a thread takes a physical core, of which 64 may"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_reason(compare, tmp_path, words, message):
    (tmp_path / "empty").mkdir()
    folders = {"RUN": stored(tmp_path / "run", 0.004), "EMPTY": tmp_path / "empty"}
    with pytest.raises(NasbenchError) as caught:
        compare(*(folders.get(word, word) for word in words))

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (0, "interrupted; nothing is stored\n"),
        (
            2,
            r"interrupted; nothing is stored\. So far mobilenet\S+ takes 0\.9\d+ of shuffle\S+ time \(n=2\): undecided",
        ),
    ],
)
def test_an_interrupted_comparison_says_what_it_found_so_far(compare, monkeypatch, after, said):
    taken, take_turns = [], TurningDevice.take_turns

    def take(device, *arguments):
        if len(taken) == after:
            raise KeyboardInterrupt
        taken.append(arguments)
        return take_turns(device, *arguments)

    monkeypatch.setattr(TurningDevice, "take_turns", take)

    done = compare(*NETWORKS)

    assert (done.exit_code, done.stdout) == (130, "")
    assert re.search(said, done.stderr)


@pytest.mark.slow
def test_two_real_networks_are_compared_in_real_processes(nasbench):
    words = ("compare", "mnist_tiny_small", "mnist_tiny_large", "--max-processes", 4, "--json")
    done = nasbench(*words, check=0, timeout=300)
    said = json.loads(done.stdout)

    assert said["names"] == ["mnist_tiny_small", "mnist_tiny_large"]
    assert said["ratio"] is None or said["ratio"] < 1
    assert "process 1, at most 4 count" in done.stderr
