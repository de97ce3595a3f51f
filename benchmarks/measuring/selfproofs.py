"""Does the measuring say what is true? Each proof prints what it expected and what came.

    python benchmarks/measuring/selfproofs.py [--pairs 20] [--only overhead]

Run it on a quiet machine; the verdicts in the table say whether it was.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from against_peers import take_app

from nasbench.device.cpu import CpuDevice
from nasbench.device.load import load_device, open_device
from nasbench.device.verdict import judge
from nasbench.host import choose_cores
from nasbench.isolation import Worker
from nasbench.measure.compare import compare
from nasbench.model.build import build
from nasbench.model.deploy import deploy
from nasbench.model.export import to_onnx
from nasbench.records import Measurement, TimingPlan
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block
from nasbench.space.load import find_architecture
from nasbench.units import format_seconds

LIMITS = {"work": 300.0}
PLAN = TimingPlan()
NETWORK = Architecture(
    (3, 64, 64),
    10,
    (
        make_block("conv", 3, 16, 2, {}, "proof"),
        make_block("mbconv", 16, 24, 2, {}, "proof"),
        make_block("mbconv", 24, 32, 2, {}, "proof"),
        make_block("pool_linear", 32, 10, 1, {}, "proof"),
    ),
)


def run(task: str, **request: object) -> dict:
    cores = [core.cpu for core in choose_cores(1)]
    with Worker(f"proof_tasks:{task}", threads=1, cpus=cores) as worker:
        return worker.call(request, limits_s=LIMITS)


def show(proof: str, expected: str, came: str) -> None:
    print(f"{proof:44}  {expected:34}  {came}", flush=True)


def prove_overhead(pairs: int) -> None:
    answer = run("null")
    show("a null network, a sample of its own", "< 2 us", format_seconds(answer["alone_s"]))
    show("a null network, within inner loops", "< 2 us", format_seconds(answer["series"]["median_s"]))


def prove_watch(pairs: int) -> None:
    began, began_cpu = time.perf_counter(), time.process_time()
    with Worker("proof_tasks:busy_wait", threads=1, memory_limit_bytes=1 << 34) as worker:
        worker.call({"wait_s": 0.02}, limits_s=LIMITS)
    share = (time.process_time() - began_cpu) / (time.perf_counter() - began)
    show("the supervisor's own use of a core", "< 1 %", f"{share:.2%}")


def prove_busy_wait(pairs: int) -> None:
    for wait_s in (1e-3, 5e-3, 20e-3):
        answer = run("busy_wait", wait_s=wait_s)
        verdict = judge(answer, PLAN)
        error = answer["series"]["median_s"] / wait_s - 1
        show(f"a busy wait of {format_seconds(wait_s)}", "within 1 %, or flagged", f"{error:+.2%}  {verdict.word}")


def prove_neighbour(pairs: int) -> None:
    wrong = 0
    rounds = max(3, pairs // 4)
    for _ in range(rounds):
        alone, beside = run("neighbour", after_s=None), run("neighbour", after_s=0.2)
        verdict = judge(beside, PLAN)
        error = beside["series"]["median_s"] / alone["series"]["median_s"] - 1
        wrong += verdict.word == "ok" and abs(error) > 0.03
        kept = f"kept {beside['series']['kept_share']:.0%}"
        show("a neighbour starts after 0.2 s", "not ok, or within 3 %", f"{error:+.2%}  {verdict.word}  {kept}")
    show("silently wrong beside a neighbour", "0", f"{wrong} of {rounds}")


def prove_torch(pairs: int) -> None:
    answer = run("compare_with_torch", architecture=NETWORK.as_dict(), rounds=7)
    ratios = [ours / theirs for ours, theirs in zip(answer["ours_s"], answer["theirs_s"], strict=True)]
    spread = f"{min(ratios) - 1:+.2%} to {max(ratios) - 1:+.2%}, n={len(ratios)}"
    show("against torch's blocked_autorange", "within 3 %", f"{statistics.median(ratios) - 1:+.2%}  ({spread})")


def prove_bare_loop(pairs: int) -> None:
    architecture = find_architecture("mobilenet_v2_1.0")[1].architecture
    for name in ("cpu", "cpu-onnx", "cpu-openvino"):
        with open_device(load_device(name)) as device:
            request, graphs = device.request([architecture], PLAN)
            answer = run("bare_loop", side=request["sides"][0], runtime=request["runtime"], rounds=9)
            del graphs  # its file had to last until here
        ratios = [ours / bare for ours, bare in zip(answer["ours_s"], answer["bare_s"], strict=True)]
        spread = f"{min(ratios) - 1:+.2%} to {max(ratios) - 1:+.2%}, n={len(ratios)}"
        came = f"{statistics.median(ratios) - 1:+.2%}  ({spread})"
        show(f"{name}: against a bare loop of its calls", "within 1 %", came)


def prove_app(pairs: int) -> None:
    architecture = find_architecture("mobilenet_v2_1.0")[1].architecture
    ratios = []
    with tempfile.TemporaryDirectory() as folder, open_device(load_device("cpu-openvino")) as device:
        graph = Path(folder) / "network.onnx"
        to_onnx(deploy(build(architecture, 0)), graph, architecture.input_shape)
        for _ in range(7):
            ratios.append(device.take(architecture, PLAN).latency_s / take_app(graph)["value_s"])
    spread = f"{min(ratios) - 1:+.2%} to {max(ratios) - 1:+.2%}, n={len(ratios)}"
    show("against OpenVINO's benchmark_app", "within 3 %", f"{statistics.median(ratios) - 1:+.2%}  ({spread})")


def _stack(depth: int) -> Architecture:
    """Give equal convolutions, one after the other, and next to nothing else."""
    rows = [make_block("conv", 3, 32, 4, {}, "proof")]
    rows += [make_block("conv", 32, 32, 1, {}, "proof") for _ in range(depth)]
    return Architecture((3, 128, 128), 10, (*rows, make_block("pool_linear", 32, 10, 1, {}, "proof")))


def prove_three_percent(pairs: int) -> None:
    with open_device(load_device("cpu")) as device:
        for name, depth, claims, expected in (
            ("A/A by nasbench compare: different", 33, ("faster", "slower"), "at most 5 %"),
            ("3 % more work by nasbench compare: slower", 34, ("slower",), "at least 80 %"),
        ):
            found = [compare(device, _stack(depth), _stack(33), PLAN, seed=seed) for seed in range(pairs)]
            claimed = sum(one.verdict in claims for one in found)
            ratios = sorted(one.ratio for one in found)
            seconds = statistics.median(one.seconds for one in found)
            words = f"{claimed} of {pairs}; ratios {ratios[0]:.3f} to {ratios[-1]:.3f}; {seconds:.0f} s each"
            show(name, expected, words)


def prove_proportion(pairs: int) -> None:
    with open_device(load_device("cpu")) as device:
        single, double = (device.take(_stack(depth), PLAN).latency_s for depth in (30, 60))
        show("twice the blocks", "1.8 to 2.2 times", f"{double / single:.2f}")
        one, two = (device.take(_stack(30), replace(PLAN, batch=batch)).latency_s for batch in (1, 2))
        show("batch 2 against batch 1", "at least 1", f"{two / one:.2f}")


def prove_a_a(pairs: int) -> None:
    with CpuDevice(load_device("cpu")) as device:
        taken = [(device.take(NETWORK, PLAN), device.measure(NETWORK, PLAN)) for _ in range(pairs)]
    for name, some in (("all", taken), ("both ok", [pair for pair in taken if _both_ok(pair)])):
        claimed = sum(_differ(*pair) for pair in some)
        show(f"A/A in fresh processes, {name}: different", "few; a screen only ranks", f"{claimed} of {len(some)}")
        if some:
            errors = sorted(abs(a.latency_s / b.latency_s - 1) for a, b in some)
            show(
                f"A/A in fresh processes, {name}: |A/B - 1|",
                "median; largest",
                f"{statistics.median(errors):.2%}; {errors[-1]:.2%}",
            )
    seconds = [one.noise["window_s"] for pair in taken for one in pair]
    show("timed loop of a screen", "0.5 to 5 s", f"{statistics.median(seconds):.2f} s")


def _both_ok(pair: tuple[Measurement, Measurement]) -> bool:
    return all(one.verdict == "ok" for one in pair)


def _differ(a: Measurement, b: Measurement) -> bool:
    return a.low_s > b.high_s or b.low_s > a.high_s


PROOFS: dict[str, Callable[[int], None]] = {
    "overhead": prove_overhead,
    "watch": prove_watch,
    "busy_wait": prove_busy_wait,
    "neighbour": prove_neighbour,
    "torch": prove_torch,
    "bare_loop": prove_bare_loop,
    "app": prove_app,
    "proportion": prove_proportion,
    "a_a": prove_a_a,
    "three_percent": prove_three_percent,
}


def main() -> None:
    """Run the proofs that are asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20, help="pairs of measurements in the A/A comparison")
    parser.add_argument("--only", choices=PROOFS, help="run one proof")
    arguments = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", file=sys.stderr)
    for name, prove in PROOFS.items():
        if arguments.only in (None, name):
            prove(arguments.pairs)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
