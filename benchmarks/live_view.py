"""What the live view costs a search: pairs of searches on a table, one with `--live` and a reader, one without.

Run it on a quiet machine: python benchmarks/live_view.py [pairs] [trials]. Both of a pair have the same seed, and which
of them is first changes from pair to pair. The reader asks as an open page does, every two seconds. It prints the ratio
of the trial rates with its spread, the same of the processor time that the search itself takes, which scatters less,
and how much the server takes, which bounds what a search could lose to it.
"""

import os
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from nasbench.space.nasbench201 import COUNT

LOOK_S = 2.0


def write_table(path):
    """Write a table of all cells of NAS-Bench-201 with figures by formula."""
    frame = pd.DataFrame({"index": range(COUNT), "acc": [60 + index % 37 for index in range(COUNT)]})
    frame.assign(board_ms=[5 + index % 41 for index in range(COUNT)]).to_csv(path, index=False)


def server_seconds(folder):
    """Give the processor time of the server that shows a run of this folder, 0 when there is none."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if b"nasbench.report.live" not in (path / "cmdline").read_bytes() or (path / "cwd").readlink() != folder:
                continue
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except OSError:
            continue
    return 0.0


def end_of(process):
    """Wait for a process to end and give the processor time that it took, without that of its children."""
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    assert process.wait() == 0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_page(url, stop, taken, folder):
    """Ask for news as an open page does, and for the document when it is new; notes what the server used till then."""
    version = None
    while not stop.wait(LOOK_S):
        try:
            news = urllib.request.urlopen(f"{url}version", timeout=60).read()
            if news != version:
                urllib.request.urlopen(f"{url}document", timeout=60).read()
                taken.append((time.monotonic(), server_seconds(folder)))
            version = news
        except OSError:
            return


def search(folder, run, seed, trials, live):
    """Give seconds of the trials, processor seconds, and of the server: until its first document, its share then."""
    words = ["--accuracy", "table:cells.csv#acc", "--device", "table:cells.csv#board_ms", "--no-warm-start"]
    words += ["--sampler", "random", "--seed", str(seed), "--trials", str(trials), "--run", run, *(["--live"] * live)]
    command = [sys.executable, "-m", "nasbench", "search", "nasbench201", *words]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    stop, taken, used, ended = threading.Event(), [], 0.0, 0.0
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("live view: "):
            url = line.removeprefix("live view: ").strip()
            threading.Thread(target=read_page, args=(url, stop, taken, folder), daemon=True).start()
        used, ended = (max(used, server_seconds(folder)), time.monotonic()) if live else (0.0, 0.0)
    own = end_of(process)
    stop.set()
    rows = pd.read_parquet(folder / run / "evaluations.parquet")
    start = taken[0][1] if taken else 0.0
    lasting = (used - start) / (ended - taken[0][0]) if taken else 0.0
    return (rows["started_at"].max() - rows["started_at"].min()).total_seconds(), own, start, lasting


def main(pairs=5, trials=1000):
    """Search in pairs and print what came of it."""
    rates, times, starts, shares = [], [], [], []
    with TemporaryDirectory() as folder:
        write_table(Path(folder) / "cells.csv")
        place = Path(folder).resolve()
        for pair in range(pairs):
            seconds, own = {}, {}
            for live in (False, True) if pair % 2 else (True, False):
                seconds[live], own[live], start, share = search(place, f"r{pair}-{live}", pair, trials, live)
                if live:
                    starts.append(start)
                    shares.append(share)
            rates.append(seconds[False] / seconds[True])
            times.append(own[True] / own[False])
            print(f"pair {pair}: rate {rates[-1]:.3f}, processor time {times[-1]:.3f}", flush=True)
    for what, ratios in (("rate", rates), ("processor time", times)):
        spread = f"{min(ratios):.3f} to {max(ratios):.3f}, {pairs} pairs of {trials} trials"
        print(f"{what} with a live view over that without: median {statistics.median(ratios):.3f} ({spread})")
    print(f"the server takes {statistics.median(starts):.2f} s of a core to start, and then", end=" ")
    print(f"{100 * statistics.median(shares):.2f} % of one")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
