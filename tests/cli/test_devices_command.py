"""`nasbench devices` and `nasbench worker-command`: where latency can be taken, and what to paste there."""

import json
import re
import shlex
import sys

import pytest

BOARD = """\
schema: 1
name: board
about: A board
backend: ray
address: {address}
resource: shelf
runtime: {runtime}
"""


@pytest.fixture
def board(nasbench):
    def define(address="192.0.2.7:6379", runtime="onnx"):
        (nasbench.folder / "devices").mkdir(exist_ok=True)
        (nasbench.folder / "devices" / "board.yaml").write_text(BOARD.format(address=address, runtime=runtime))

    define()
    return define


def test_the_commands_for_a_board_set_up_both_sides_and_install_nothing_of_ours(nasbench, board):
    out = nasbench("worker-command", "board", check=0).stdout
    lines = out.splitlines()

    here, there = (index for index, line in enumerate(lines) if line.startswith("# On"))
    assert here < there
    head = next(line for line in lines[:there] if "ray start --head" in line)
    assert "--node-ip-address=192.0.2.7 --port=6379" in head and "--include-dashboard=false" in head
    install = next(line for line in lines if " install " in line)
    assert re.search(r"ray==2\.\d+\.\d+ numpy==\S+ psutil==\S+ onnxruntime==\S+$", install)
    assert "torch" not in install and "nasbench " not in install
    join = shlex.split(next(line for line in lines if "--address=" in line))
    assert "--address=192.0.2.7:6379" in join and "--num-cpus=0" in join
    assert json.loads(join[join.index("--address=192.0.2.7:6379") + 2].removeprefix("--resources=")) == {"shelf": 1}
    assert f"Python {sys.version_info.major}.{sys.version_info.minor}" in lines[there]


def test_an_address_that_others_reach_has_a_token_and_loopback_needs_none(nasbench, board):
    remote = nasbench("worker-command", "board", check=0).stdout
    board(address="127.0.0.1:6379")
    local = nasbench("worker-command", "board", check=0).stdout

    assert "ray get-auth-token --generate" in remote and "token" not in local
    said = "Nobody but this machine reaches 127.0.0.1. For a board, write into devices/board.yaml"
    assert said in local and "Nobody but this machine" not in remote


def test_a_board_with_torch_is_given_torch(nasbench, board):
    board(runtime="eager")

    assert re.search(r"torch==[0-9.]+$", nasbench("worker-command", "board", check=0).stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("worker-command", "cpu"), "cpu is a device of the backend cpu; only those of ray have workers"),
        (("worker-command", "bord"), "no device is named 'bord'. Did you mean 'board'?"),
        (("devices", "bord"), "no device is named 'bord'. Did you mean 'board'?"),
        (("doctor", "--device", "board"), "nasbench devices board --probe"),
        (("bench", "resnet_18", "--device", "board"), "Set RAY_AUTH_MODE=token here and on every node"),
        (("search", "mnist_tiny", "--cluster", "somewhere"), "write HOST:PORT such as 192.168.1.10:6379"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(nasbench, board, words, message):
    done = nasbench(*words, check=2)

    assert message in done.stderr and len(done.stderr.splitlines()) == 1


def test_the_list_says_where_each_device_is_and_whether_it_answers(nasbench, board):
    board(address="127.0.0.1:9")
    rows = json.loads(nasbench("devices", "board", "cpu", "--json", check=0).stdout)["devices"]

    assert [row["device"] for row in rows] == ["board", "cpu"]
    assert rows[0]["where"] == "127.0.0.1:9" and "no Ray cluster answers at 127.0.0.1:9" in rows[0]["state"]
    assert rows[1]["where"] == "here" and rows[1]["state"] == "this machine"


@pytest.mark.slow
def test_a_probe_measures_the_canary_and_remembers_it(nasbench, monkeypatch):
    monkeypatch.setenv("NASBENCH_CACHE", str(nasbench.folder))
    first, second = (
        json.loads(nasbench("devices", "cpu", "--probe", "--json", check=0).stdout)["devices"][0] for _ in range(2)
    )

    assert first["state"] == "free" and first["canary_s"] > 0 and first["machine"]
    assert second["canary_before_s"] == (first["canary_s"] if first["verdict"] == "ok" else None)


def test_a_device_that_cannot_be_opened_is_a_row_and_not_the_end(nasbench, board):
    board(address="127.0.0.1:9")
    rows = json.loads(nasbench("devices", "board", "--probe", "--json", check=0).stdout)["devices"]

    assert "no Ray cluster answers" in rows[0]["state"] and rows[0]["canary_s"] is None
