"""Devices and workers on real Ray nodes on this machine, which are killed in the middle."""

import contextlib
import json
import signal
import time

import psutil
import pytest

from nasbench.store.log import RunLog
from nasbench.store.parquet import read_run
from tests.cluster.conftest import Driver
from tests.cluster.nodes import Nodes, free_port

pytestmark = pytest.mark.cluster

NETWORK = "mnist_tiny_small"

MEASURE = """
import json, sys
from dataclasses import replace
from nasbench.device.load import load_device
from nasbench.device.remote import RemoteDevice
from nasbench.records import TimingPlan
from nasbench.space.load import find_architecture

architecture = find_architecture({network!r})[1].architecture
plan = TimingPlan(min_sampling_s={seconds}, max_sampling_s={seconds}, max_samples=10**6, target_halfwidth=1e-9)
with RemoteDevice(load_device("board"), patience_s={patience}) as device:
    device.take(architecture, TimingPlan())
    print("ready", flush=True)
    measurement = device.take(architecture, plan)
print(json.dumps({{"attempts": list(measurement.attempts), "latency_s": measurement.latency_s}}), flush=True)
"""


def measure(seconds, patience=60):
    return MEASURE.format(network=NETWORK, seconds=seconds, patience=patience)


def supervisors(node):
    """Find the processes of supervisors on a node; Ray names them after their class."""
    found = []
    for process in node._children():
        with contextlib.suppress(psutil.Error):
            if any("Supervisor" in word for word in process.cmdline()[:2]):
                found.append(process)
    return found


def begin(driver, seconds, patience=60):
    """Start a measurement of so many seconds, and come back when it runs."""
    process = driver.start("-c", measure(seconds, patience))
    assert process.stdout.readline().strip() == "ready", process.communicate()[1]
    time.sleep(1.5)
    return process


class TestMeasuring:
    def test_a_bench_on_a_node_gives_rows_as_here(self, driver):
        code, out, err, _ = driver.run(
            "bench", NETWORK, "--device", "board", "--level", "screen", "--run", "results/a", "--json"
        )

        assert code == 0, err
        (row,) = json.loads(out)["rows"]
        assert row["latency_s"] > 0
        measurements = read_run(driver.folder / "results" / "a").measurements
        settings, host = json.loads(measurements["settings"][0]), json.loads(measurements["host"][0])
        assert settings["output_agrees"] and settings["output_compared_to"] == "torch eager fp32"
        assert host["software"]["onnxruntime"]
        assert measurements["attempts"][0] == "[]"

    def test_a_node_without_torch_and_the_like_is_enough_for_a_graph(self, nodes, driver):
        # Whatever imports one of these on the node fails, and with it the measurement.
        script = measure(0.1).replace("plan = ", "device_task = 'tests.cluster.blocked:measure'\nplan = ")
        script = script.replace("patience_s=60", "patience_s=60, task=device_task")
        code, out, err, _ = driver.run("-c", script)

        assert code == 0, err
        assert json.loads(out.splitlines()[-1])["latency_s"] > 0

    def test_torch_on_the_node_builds_from_the_rows(self, driver):
        code, out, err, _ = driver.run(
            "bench", NETWORK, "--device", "eager-board", "--level", "screen", "--run", "results/a", "--json"
        )

        assert code == 0, err
        assert json.loads(out)["rows"][0]["latency_s"] > 0

    def test_a_comparison_takes_turns_on_the_node(self, driver):
        code, out, err, _ = driver.run("compare", "mnist_tiny_small", "mnist_tiny_large", "--device", "board", "--json")

        assert code == 0, err
        assert json.loads(out)["ratio"] > 0

    def test_turns_start_another_supervisor_when_the_last_one_was_given_up(self, driver):
        turns = (
            "device._opened().close()\n    told = device.take_turns([architecture], TimingPlan(), lambda turns: None)"
        )
        script = measure(0.1).replace("measurement = device.take(architecture, plan)", turns)
        code, out, err, _ = driver.run("-c", script.partition("print(json")[0] + "print(sorted(told))")

        assert code == 0, err
        assert out.splitlines()[-1] == "['host', 'noise', 'reasons']"

    def test_devices_probe_says_what_the_node_is(self, driver):
        code, out, err, _ = driver.run("devices", "board", "--probe", "--json")

        assert code == 0, err
        (row,) = json.loads(out)["devices"]
        assert row["state"] == "free" and row["canary_s"] > 0 and row["host"]

    def test_a_search_measures_here_and_there(self, driver):
        code, _, err, _ = driver.run(
            *("search", "mnist_tiny", "--device", "board", "--device", "cpu-onnx", "--accuracy", "mine:guess"),
            *("--objective", "accuracy", "--objective", "latency@board", "--max", "latency@cpu-onnx=50ms"),
            *("--trials", "6", "--no-confirm", "--run", "results/a"),
        )

        assert code == 0, err
        run = read_run(driver.folder / "results" / "a")
        assert run.evaluations[["latency_s@board", "latency_s@cpu-onnx"]].notna().all().all()


class TestFaults:
    def test_a_supervisor_that_is_killed_is_started_again_and_the_attempt_repeated_once(self, nodes, driver):
        process = begin(driver, 4)
        (supervisor,) = supervisors(nodes.board)
        supervisor.send_signal(signal.SIGKILL)
        out, err = process.communicate(timeout=120)

        assert process.returncode == 0, err
        (attempt,) = json.loads(out)["attempts"]
        assert attempt["attempt"] == 1 and attempt["device"] == "board"
        assert "supervisor on board died" in attempt["why"]

    def test_a_network_under_which_it_dies_twice_counts_as_crashed(self, nodes, driver):
        process = begin(driver, 8)
        for _ in range(2):
            deadline = time.monotonic() + 60
            while not (found := supervisors(nodes.board)) and time.monotonic() < deadline:
                time.sleep(0.1)
            time.sleep(2.0)
            found[0].send_signal(signal.SIGKILL)
            time.sleep(1.0)
        _, err = process.communicate(timeout=120)

        assert process.returncode != 0
        assert "Crashed: board was lost 2 times under it: the supervisor on board died" in err

    def test_nothing_is_left_on_the_node_when_the_driver_is_killed(self, nodes, driver):
        process = begin(driver, 30)
        process.kill()
        process.communicate()

        deadline = time.monotonic() + 20
        while supervisors(nodes.board) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert supervisors(nodes.board) == []

    def test_a_lost_node_is_noticed_within_10_s_and_waited_for_until_its_canary_passes(self, nodes, driver):
        process = begin(driver, 6, patience=90)
        nodes.board.kill()
        died = time.monotonic()
        noticed = None
        for line in process.stderr:
            if "device board is lost" in line:
                noticed = time.monotonic() - died
                break
        nodes.board = nodes.join("board")
        out, err = process.communicate(timeout=200)

        assert noticed is not None and noticed < 10
        assert process.returncode == 0, err
        assert len(json.loads(out)["attempts"]) == 1
        assert "device board is back" in err

    def test_a_node_that_does_not_come_back_ends_the_search_with_the_way_to_go_on(self, nodes, driver):
        try:
            process = begin(driver, 6, patience=3)
            nodes.board.kill()
            _, err = process.communicate(timeout=60)
        finally:
            nodes.board = nodes.join("board")

        assert process.returncode != 0
        assert "device 'board' is lost and was not back within 3 s" in err


class TestWorkers:
    WORDS = ("search", "mnist_tiny", "--objective", "accuracy", "--objective", "params", "--sampler", "random")

    def test_two_workers_on_the_cluster_train_the_same_candidates_to_the_same_accuracies(self, nodes, driver):
        words = (*self.WORDS, "--threads", "1", "--epochs", "1", "--trials", "6", "--no-early-stop")
        two = ("--workers", "2")
        for name, more in (("here", ()), ("two", two), ("there", (*two, "--cluster", nodes.address))):
            code, _, err, _ = driver.run(*words, "--run", f"results/{name}", *more)
            assert code == 0, err

        rows = {}
        for name in ("here", "two", "there"):
            with RunLog.read(driver.folder / "results" / name) as log:
                rows[name] = [(e.architecture.digest, e.score.value, e.score.curve) for e, _ in log.evaluations()]
        assert rows["here"] == rows["two"] == rows["there"]

    def test_a_function_of_ones_own_is_shipped(self, nodes, driver):
        code, _, err, _ = driver.run(
            *self.WORDS,
            *("--accuracy", "mine:guess", "--trials", "10", "--workers", "2"),
            *("--cluster", nodes.address, "--run", "results/a"),
        )

        assert code == 0, err
        run = read_run(driver.folder / "results" / "a")
        assert (run.evaluations["status"] == "complete").sum() >= 9

    def test_a_worker_that_is_killed_is_replaced_and_its_estimate_runs_again(self, nodes, driver):
        (driver.folder / "mine.py").write_text("import time\ndef guess(a):\n    time.sleep(1)\n    return 0.5\n")
        process = driver.start(
            *self.WORDS,
            *("--accuracy", "mine:guess", "--trials", "12", "--workers", "2"),
            *("--cluster", nodes.address, "--run", "results/a"),
        )
        deadline = time.monotonic() + 90
        while len(found := supervisors(nodes.head)) < 2 and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(2)
        found[0].send_signal(signal.SIGKILL)
        _, err = process.communicate(timeout=120)

        assert process.returncode == 0, err
        run = read_run(driver.folder / "results" / "a")
        assert set(run.evaluations["status"]) <= {"complete", "duplicate"}


class TestReaching:
    def test_a_closed_port_is_told_within_10_s(self, nodes, driver):
        driver.define("nowhere", "onnx", address=f"127.0.0.1:{free_port()}")
        code, out, err, seconds = driver.run("bench", NETWORK, "--device", "nowhere", "--level", "screen")

        assert (code, out) == (1, "") and seconds < 10
        assert "no Ray cluster answers at 127.0.0.1:" in err and len(err.strip().splitlines()) == 1

    def test_a_wrong_token_is_told(self, nodes, driver):
        code, out, err, seconds = driver.run("bench", NETWORK, "--device", "board", "--level", "screen", token="f" * 32)

        assert (code, out) == (1, "") and seconds < 25
        assert "token" in err.splitlines()[-1]

    def test_an_address_of_others_is_refused_without_a_token(self, driver):
        driver.define("far", "onnx", address="192.0.2.7:6379")
        script = "import os, sys; os.environ.pop('RAY_AUTH_MODE'); from nasbench.cli.main import main; "
        script += f"sys.argv[1:] = ['bench', '{NETWORK}', '--device', 'far', '--level', 'screen']; main()"
        code, _, err, _ = driver.run("-c", script)

        assert code == 2 and "Set RAY_AUTH_MODE=token" in err

    def test_a_resource_that_no_node_has_is_told_with_the_command(self, nodes, driver):
        path = driver.folder / "devices" / "board.yaml"
        path.write_text(path.read_text().replace("resource: board", "resource: shelf"))
        code, _, err, _ = driver.run("bench", NETWORK, "--device", "board", "--level", "screen")

        assert code == 1 and "has the resource 'shelf'" in err and "nasbench worker-command board" in err


def test_a_lost_head_ends_the_search_within_60_s_and_it_can_go_on(tmp_path):
    nodes = Nodes()
    try:
        nodes.join("board")
        driver = Driver(nodes, tmp_path)
        process = driver.start(
            *("search", "mnist_tiny", "--device", "board", "--accuracy", "mine:guess"),
            *("--trials", "500", "--run", "results/a"),
        )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with contextlib.suppress(Exception), RunLog.read(tmp_path / "results" / "a") as log:
                if log.trial_count >= 2:
                    break
            time.sleep(0.5)
        nodes.head.kill()
        began = time.monotonic()
        _, err = process.communicate(timeout=90)
        seconds = time.monotonic() - began
    finally:
        nodes.close()

    assert seconds < 60
    assert process.returncode == 1, err
    assert "nasbench search --resume results/a" in err
    with RunLog.read(tmp_path / "results" / "a") as log:
        log.check()
        assert log.trial_count >= 2
