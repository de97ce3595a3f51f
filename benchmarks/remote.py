"""What measuring and training elsewhere costs beyond the work itself, on nodes that this starts on loopback.

    python benchmarks/remote.py [--calls 300] [--candidates 64] [--sleep 2.0]

1. A task that does nothing, through a warm supervisor, beside a call of a bare Ray actor, in turns.
2. Candidates whose training is a sleep, on 1, 2 and 4 workers: the time it takes as a share of the ideal.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.cluster.nodes import Nodes, environment

CHILD_KEPT = {"start": 60.0, "work": 60.0}


def measure_calls(nodes: Nodes, calls: int) -> None:
    import ray

    from nasbench.cluster.connection import connect
    from nasbench.cluster.post import Placement, Post
    from nasbench.cluster.worker import RemoteWorker
    from nasbench.isolation import Worker

    class Bare:
        def call(self, body: bytes) -> bytes:
            return body

    with connect(nodes.address, (str(Path(__file__).with_name("remote_tasks.py")),)) as cluster:
        post = Post(cluster, Placement("board", {"board": 1}))
        post.open()
        try:
            bare = ray.remote(num_cpus=0)(Bare).remote()
            far = RemoteWorker(post, "remote_tasks:echo", threads=1, once=False)
            near = Worker("remote_tasks:echo", threads=1)
            took = {"bare Ray actor": [], "task in a child here": [], "task in a child there": []}
            for index in range(calls + 20):
                for name, act in (
                    ("bare Ray actor", lambda: ray.get(bare.call.remote(b"x" * 200))),
                    ("task in a child here", lambda: near.call({"value": 1}, limits_s=CHILD_KEPT)),
                    ("task in a child there", lambda: far.call({"value": 1}, limits_s=CHILD_KEPT)),
                ):
                    began = time.perf_counter()
                    act()
                    if index >= 20:
                        took[name].append(time.perf_counter() - began)
            near.close()
            for name, values in took.items():
                quarter, half, three = statistics.quantiles(values, n=4)
                print(f"{name:24} {1e3 * half:7.2f} ms   (quartiles {1e3 * quarter:.2f} to {1e3 * three:.2f})")
            beyond = statistics.median(
                there - here
                for there, here in zip(took["task in a child there"], took["task in a child here"], strict=True)
            )
            ratio = beyond / statistics.median(took["bare Ray actor"])
            print(f"{'beyond the same here':24} {1e3 * beyond:7.2f} ms   {ratio:.2f} of a bare call; wanted: 1.5 ms")
        finally:
            post.close()


def measure_scaling(nodes: Nodes, candidates: int, sleep_s: float) -> None:
    import subprocess

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "asleep.py").write_text(
            f"import time\ndef guess(architecture):\n    time.sleep({sleep_s})\n"
            "    return int(architecture.digest[:6], 16) / 0xFFFFFF\n"
        )
        script = (
            "import sys, time; from pathlib import Path; from nasbench.search.settings import Settings, open_parts;"
            "from nasbench.search.run import Search; from nasbench.search.plan import Budget;"
            "from nasbench.search.settings import make_manifest; from nasbench.store.log import RunLog;"
            "workers, trials, address = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3];"
            "settings = Settings('nasbench201', accuracy='asleep:guess', objectives=('accuracy', 'params'),"
            "sampler='random', workers=workers, cluster=address, training_threads=1);"
            "parts = open_parts(settings); log = RunLog.create(Path(f'run{workers}'), make_manifest(settings, parts));"
            "search = Search(parts.space, parts.plan, log, parts.accuracy); began = time.monotonic();"
            "search.run(Budget(trials, None)); print('took', time.monotonic() - began);"
            "parts.__exit__(None, None, None)"
        )
        paths = os.pathsep.join([str(Path(__file__).parents[1]), folder])
        for workers in (1, 2, 4):
            done = subprocess.run(
                [sys.executable, "-c", script, str(workers), str(candidates), nodes.address],
                cwd=folder,
                env={**environment(nodes.token), "PYTHONPATH": paths},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise SystemExit(done.stderr)
            took = float(done.stdout.split("took")[1])
            ideal = candidates * sleep_s / workers
            print(f"{workers} workers: {took:6.1f} s, {ideal / took:.1%} of ideal; at least 90 % is wanted")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--candidates", type=int, default=64)
    parser.add_argument("--sleep", type=float, default=2.0)
    asked = parser.parse_args()
    nodes = Nodes(cpus=8)
    try:
        nodes.join("board")
        os.environ.update({name: value for name, value in environment(nodes.token).items() if name.startswith("RAY_")})
        measure_calls(nodes, asked.calls)
        measure_scaling(nodes, asked.candidates, asked.sleep)
    finally:
        nodes.close()


if __name__ == "__main__":
    main()
