"""The live view: the same page on loopback, which the search neither waits for nor needs."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from report_runs import make_search, search_evaluations
from run_samples import MANIFEST

from nasbench.report.live import _LINGER_S, LiveView
from nasbench.store.log import RunLog
from nasbench.store.parquet import flush

PATIENCE_S = 300


def ask(url, path="", host=None):
    request = urllib.request.Request(url + path, headers={"Host": host} if host else {})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def wait_for(what, every_s=0.2):
    """Ask until the answer is true."""
    end = time.monotonic() + PATIENCE_S
    while not (found := what()):
        assert time.monotonic() < end, "it did not come about"
        time.sleep(every_s)
    return found


def count_trials(url):
    ask(url, "version")
    return len(json.loads(ask(url, "document"))["runs"][0]["rows"]["trial"])


@contextmanager
def growing(folder):
    """A run that is being written, and its live view."""
    with RunLog.create(folder, MANIFEST) as log, LiveView(folder) as view:
        assert view.url, view.problem
        yield log, view


@pytest.mark.slow
def test_rows_appear_as_they_are_committed_and_nothing_is_written(tmp_path):
    evaluations = search_evaluations(6)
    with growing(tmp_path / "run") as (log, view):
        for evaluation in evaluations[:2]:
            log.append(evaluation)
        assert b'"live":true' in ask(view.url) and b"connect-src 'self'" in ask(view.url)
        assert wait_for(lambda: count_trials(view.url) == 2)
        first = json.loads(ask(view.url, "version"))

        for evaluation in evaluations[2:]:
            log.append(evaluation)

        assert wait_for(lambda: count_trials(view.url) == 6)
        assert json.loads(ask(view.url, "version"))["version"] > first["version"] and not first["ended"]
        assert not list((tmp_path / "run").glob("*.parquet"))


def test_only_its_own_names_are_answered(tmp_path):
    with growing(tmp_path / "run") as (_, view):
        port = view.url.rstrip("/").rpartition(":")[2]
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1.evil.example:{port}"):
            with pytest.raises(urllib.error.HTTPError, match="403"):
                ask(view.url, "version", host=host)
        assert json.loads(ask(view.url, "version", host=f"localhost:{port}"))["ended"] is False
        with pytest.raises(urllib.error.HTTPError, match="404"):
            ask(view.url, "run.db")
        with pytest.raises(urllib.error.HTTPError, match="501"):
            urllib.request.urlopen(urllib.request.Request(view.url, data=b"x"), timeout=30)


def test_it_gives_way_as_a_process_and_as_a_session(tmp_path):
    with growing(tmp_path / "run") as (_, view):
        pid = view._process.pid
        assert wait_for(lambda: os.getpriority(os.PRIO_PROCESS, pid) == 19)
        group = Path(f"/proc/{pid}/autogroup")
        if group.exists() and group.read_text().strip():  # else sessions do not count here
            assert wait_for(lambda: group.read_text().strip().endswith("nice 19"))


@pytest.mark.slow
def test_it_says_that_the_search_has_ended_and_ends_too(tmp_path):
    folder = tmp_path / "run"
    with growing(folder) as (log, view):
        for evaluation in search_evaluations(3):
            log.append(evaluation)
        flush(log)
        began = time.monotonic()
    url = view.url

    assert wait_for(lambda: json.loads(ask(url, "version"))["ended"])
    assert wait_for(lambda: count_trials(url) == 3)

    def is_gone():
        try:
            ask(url, "version")
        except (urllib.error.URLError, ConnectionError, http.client.HTTPException):
            return True
        return False

    assert wait_for(is_gone)
    assert time.monotonic() - began >= _LINGER_S, "another page asks seldom, and heard nothing of the end"
    assert sorted(path.name for path in folder.iterdir()) == [
        "evaluations.parquet",
        "measurements.parquet",
        "pareto.parquet",
        "run.db",
    ]


def test_a_port_that_is_taken_is_said_and_nothing_else_happens(tmp_path):
    folder = make_search(tmp_path / "run", 2)
    with LiveView(folder) as first, LiveView(folder, int(first.url.rstrip("/").rpartition(":")[2])) as second:
        assert second.url is None and "cannot be had" in second.problem


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Write a table of all cells of NAS-Bench-201, with figures by formula."""
    import pandas as pd

    from nasbench.space.nasbench201 import COUNT

    path = tmp_path_factory.mktemp("table") / "cells.csv"
    frame = pd.DataFrame({"index": range(COUNT), "acc": [60 + index % 37 for index in range(COUNT)]})
    frame.assign(board_ms=[5 + index % 41 for index in range(COUNT)]).to_csv(path, index=False)
    return path


@contextmanager
def searching(table, folder, *words):
    """A search on a table in a process of its own, as a user starts it; it is killed at the end if it still runs."""
    tables = ("--accuracy", f"table:{table}#acc", "--device", f"table:{table}#board_ms", "--no-warm-start")
    command = ["search", "nasbench201", *tables, "--sampler", "random", "--run", "run", *words]
    with (folder / "said").open("w") as said:
        process = subprocess.Popen([sys.executable, "-m", "nasbench", *command], cwd=folder, stdout=said, stderr=said)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def live_url(folder):
    lines = (folder / "said").read_text().splitlines()
    return next((line.removeprefix("live view: ") for line in lines if line.startswith("live view: ")), None)


def server_of(folder):
    """Give the process that serves the run of a folder."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            if b"nasbench.report.live" in words and (path / "cwd").readlink() == folder:
                return int(path.name)
        except OSError:
            continue
    return None


@pytest.mark.slow
def test_a_search_ends_well_when_its_live_view_is_killed(table, tmp_path):
    with searching(table, tmp_path, "--trials", "300", "--live") as search:
        wait_for(lambda: live_url(tmp_path))

        os.kill(wait_for(lambda: server_of(tmp_path)), signal.SIGKILL)

        assert search.wait(timeout=PATIENCE_S) == 0
    assert "on the front of 300 evaluated candidates" in (tmp_path / "said").read_text()


@pytest.mark.slow
def test_the_live_view_ends_when_its_search_is_killed(table, tmp_path):
    with searching(table, tmp_path, "--trials", "100000", "--live") as search:
        url = wait_for(lambda: live_url(tmp_path))
        assert wait_for(lambda: count_trials(url))

        search.kill()

        assert wait_for(lambda: server_of(tmp_path) is None)
