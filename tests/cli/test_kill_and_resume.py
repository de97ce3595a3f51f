"""kill -9 of a search at random moments: nothing acknowledged is lost, and the run goes on as if undisturbed."""

import random
import re
import signal
import subprocess
import sys
import time

import pandas as pd
import psutil
import pytest

from nasbench.store.log import RunLog

COLUMNS = ["trial", "status", "choices", "architecture", "accuracy", "params", "of_trial"]


def start(folder, *words):
    command = [sys.executable, "-m", "nasbench", "search", *words]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def kill_after(process, seconds):
    """Let a search run for a while from its first trial on, kill it, and give the number of trials it reported."""
    lines = [next(iter(process.stderr), "")]
    while lines[-1] and not lines[-1].startswith("trial"):
        lines.append(process.stderr.readline())
    time.sleep(seconds)
    children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.send_signal(signal.SIGKILL)
    lines += process.stderr.readlines()
    process.wait()
    assert not psutil.wait_procs(children, timeout=30)[1], "a child outlived the search"
    reported = [int(match[1]) for line in lines if (match := re.match(r"trial (\d+)/.*\n$", line))]
    return max(reported, default=0)


def killed_at_random(nasbench, kills, seed, sampler, trials):
    guessed = ("mnist_tiny", "--accuracy", "mine:guess", "--objective", "accuracy", "--objective", "params")
    settings = (*guessed, "--sampler", sampler, "--seed", "7", "--trials", str(trials))
    nasbench("search", *settings, "--run", "results/whole", check=0)
    rng, counts = random.Random(seed), []
    for kill in range(kills):
        words = (*settings, "--run", "results/killed") if kill == 0 else ("--resume", "results/killed")
        # The later the kill, the further the search; short waits at first, so that it is not at its end too soon.
        acknowledged = kill_after(start(nasbench.folder, *words), rng.uniform(0, 0.008 * trials / kills))
        rows = pd.read_parquet(nasbench.folder / "results/whole/evaluations.parquet")
        with RunLog.read(nasbench.folder / "results/killed") as log:
            stored = [evaluation for evaluation, _ in log.evaluations()]
        new = [e for e in stored if e.status not in ("duplicate", "infeasible")]
        assert len(new) >= acknowledged, "a trial that was reported is not in the log"
        assert len(stored) <= len(rows)
        counts.append(len(stored))
    nasbench("search", "--resume", "results/killed", check=0)
    whole, killed = (
        pd.read_parquet(nasbench.folder / f"results/{name}/evaluations.parquet")[COLUMNS]
        for name in ("whole", "killed")
    )
    pd.testing.assert_frame_equal(whole, killed)
    assert counts == sorted(counts)
    left = {path.name for path in (nasbench.folder / "results/killed").iterdir()}
    assert left == {"run.db", "evaluations.parquet", "measurements.parquet", "pareto.parquet", "front.png"}


@pytest.mark.slow
def test_a_search_killed_five_times_ends_like_an_undisturbed_one(nasbench):
    killed_at_random(nasbench, 5, 0, "nsga2", 120)


@pytest.mark.long
def test_a_search_killed_fifty_times_ends_like_an_undisturbed_one(nasbench):
    killed_at_random(nasbench, 50, 1, "tpe", 250)
