"""`nasbench dashboard` hands a run to optuna-dashboard on loopback."""

import json
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pandas as pd
import pytest

from nasbench.cli.dashboard import guard_host

FOUND = Path(__file__).parents[2] / "results" / "reference" / "mnist_tiny-cpu-confirmed"


@pytest.mark.slow
def test_the_dashboard_answers_on_loopback_with_the_study_and_ends_on_ctrl_c():
    words = [sys.executable, "-u", "-m", "nasbench", "dashboard", FOUND, "--port", "0"]
    hears = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # what a shell starts in the background ignores it
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=hears) as server:
        try:
            address = server.stdout.readline().strip()
            assert address.startswith("http://127.0.0.1:")
            with urlopen(address, timeout=30) as page:
                assert b"<html" in page.read().lower()
            with pytest.raises(HTTPError, match="403"):
                urlopen(Request(address, headers={"Host": "elsewhere.example"}), timeout=30)
            root = address.removesuffix("/dashboard/")
            with urlopen(f"{root}/api/studies", timeout=30) as answer:
                (study,) = json.load(answer)["study_summaries"]
            with urlopen(f"{root}/api/studies/{study['study_id']}?after=0", timeout=30) as answer:
                trials = json.load(answer)["trials"]
        finally:
            server.send_signal(signal.SIGINT)
            try:
                said = server.communicate(timeout=30)[1]
            finally:
                server.kill()

    stored = pd.read_parquet(FOUND / "evaluations.parquet")
    assert study["study_name"] == FOUND.name
    assert [trial["state"] for trial in trials] == [status.capitalize() for status in stored["status"]]
    complete = stored[stored["status"] == "complete"]
    assert [trial["values"] for trial in trials if trial["state"] == "Complete"] == [
        list(pair) for pair in zip(complete["accuracy"], complete["latency_s"], strict=True)
    ]
    assert server.returncode == 0 and "Traceback" not in said


def test_a_port_that_is_taken_is_said(here):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = here("dashboard", FOUND, "--port", port, check=2)

    assert f"--port {port} on 127.0.0.1 cannot be used" in said.stderr and len(said.stderr.splitlines()) == 1


def test_how_to_install_it_is_said_where_it_is_missing(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)

    said = here("dashboard", FOUND, check=2)
    assert said.stderr == (
        "error: the dashboard needs the package optuna-dashboard: pip install 'nasbench[dashboard]'\n"
    )


@pytest.mark.parametrize(
    ("run", "message"), [("published-cpu-onnx", "is a bench, which has no objectives"), ("none", "holds no run")]
)
def test_what_is_no_search_is_refused(here, run, message):
    assert message in here("dashboard", FOUND.parent / run, "--port", "0", check=2).stderr


def test_a_run_that_is_named_twice_is_refused_in_one_line(here):
    said = here("dashboard", FOUND, FOUND, "--port", "0", check=2)

    assert "is named twice" in said.stderr and len(said.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", "200 OK"),
        ("localhost:8080", "200 OK"),
        ("elsewhere.example:8080", "403 Forbidden"),
        ("127.0.0.1:81", "403 Forbidden"),
        ("localhost", "403 Forbidden"),
        (None, "403 Forbidden"),
    ],
)
def test_what_is_asked_of_another_host_is_forbidden(host, status):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [b"studies"]

    said = []
    environ = {} if host is None else {"HTTP_HOST": host}
    body = b"".join(guard_host(app, 8080)(environ, lambda status, headers: said.append(status)))

    assert said == [status] and (body == b"studies") == (status == "200 OK")
