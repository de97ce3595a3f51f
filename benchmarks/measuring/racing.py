"""Are the fastest 8 of 64 NAS-Bench-201 cells found with a quarter of the inferences that 50 of each would take?

    python benchmarks/measuring/racing.py [--out racing.parquet] [--races 3]     record, replay, race
    python benchmarks/measuring/racing.py --recording racing.parquet             replay a recording; measures nothing
    python benchmarks/measuring/racing.py --quick                                see that it works, in a minute or two

One long interleaved recording of all cells in one process gives the truth, the median of each cell, and a machine to
replay: each round of a replayed race is a round of the recording, drawn at random. Real races follow, in processes of
their own, which differ from that of the recording by how memory happens to lie. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from nasbench.device.base import Device, Steer, Turn
from nasbench.device.load import load_device, open_device
from nasbench.measure.course import SAMPLES_EACH
from nasbench.measure.networks import sample_networks
from nasbench.measure.race import RaceResult, race
from nasbench.records import DeviceSpec, Measurement, TimingPlan
from nasbench.space.architecture import Architecture
from nasbench.space.load import load_space

PLAN = TimingPlan()
NEAR = 0.01


def record(device: Device, networks: Sequence[Architecture], rounds: int) -> pd.DataFrame:
    """Run every network once in each of `rounds` rounds, in an order of its own each; one row a turn."""
    shuffler = random.Random(0)
    rows: list[dict[str, Any]] = []

    def steer(turns: Sequence[Turn]) -> list[int] | None:
        number = len(rows) // len(networks)
        rows.extend(
            {"round": number, "position": position, "cell": turn.side}
            | {"seconds": turn.seconds, "kept": turn.kept, "inferences": turn.inferences}
            for position, turn in enumerate(turns)
        )
        done = len(rows) // len(networks)
        print(f"\rrecorded {done} of {rounds} rounds", end="", file=sys.stderr, flush=True)
        return shuffler.sample(range(len(networks)), len(networks)) if done < rounds else None

    told = device.take_turns(networks, PLAN, steer)
    print(file=sys.stderr)
    for reason in told.get("reasons", ()):
        print(f"recording: {reason}")
    return pd.DataFrame(rows)


class Replay(Device):
    """Answers from a recording: every round is one of it, drawn at random."""

    def __init__(self, spec: DeviceSpec, recording: pd.DataFrame, names: Sequence[str], seed: int) -> None:
        self.spec = spec
        self._cells = {name: cell for cell, name in enumerate(names)}
        self._rounds: list[dict[int, Turn]] = [
            {
                int(row.cell): Turn(int(row.cell), tuple(row.seconds), bool(row.kept), int(row.inferences))
                for row in rows.itertuples()
            }
            for _, rows in recording.groupby("round")
        ]
        self._source = random.Random(seed)

    def take(self, architecture: Architecture, plan: TimingPlan) -> Measurement:
        """Refuse; a recording holds turns."""
        raise NotImplementedError("a replay holds turns only")

    def fingerprint(self) -> Mapping[str, Any]:
        """Give nothing: no machine is involved."""
        return {}

    def take_turns(self, architectures: Sequence[Architecture], plan: TimingPlan, steer: Steer) -> dict[str, Any]:
        """Answer every round from a recorded one."""
        cells = [self._cells[architecture.digest] for architecture in architectures]
        turns: list[Turn] = []
        while order := steer(turns):
            recorded = self._source.choice(self._rounds)
            turns = [replace(recorded[cells[side]], side=side) for side in order]
        return {"host": {}, "noise": {}}


def find_truth(recording: pd.DataFrame) -> list[float]:
    """Give the median of every cell over all rounds in which it had the cores, in seconds."""
    turns = recording.assign(latency_s=recording["seconds"].map(lambda seconds: statistics.median(seconds)))
    medians = turns[turns["kept"]].groupby("cell")["latency_s"].median()
    return [float(medians[cell]) for cell in range(recording["cell"].nunique())]


def describe(found: RaceResult, truth: Sequence[float]) -> dict[str, float]:
    """Compare one race with the truth."""
    ordered = sorted(truth)
    last, first_out = ordered[found.top - 1], ordered[found.top]
    chosen = [standing.index for standing in found.fastest]
    return {
        "strict": all(truth[cell] <= last for cell in chosen),
        "near": all(truth[cell] <= last * (1 + NEAR) for cell in chosen),
        "hits": sum(truth[cell] <= last for cell in chosen),
        "wrong": any(
            (standing.membership == "in" and truth[standing.index] >= first_out)
            or (standing.membership == "out" and truth[standing.index] <= last)
            for standing in found.ranking
        ),
        "inferences": found.inferences,
        "unsure": sum(standing.membership in ("tie", "undecided") for standing in found.ranking),
    }


def show_replays(
    repetitions: int, run: Callable[[int], RaceResult], truth: Sequence[float], budget: int, top: int
) -> None:
    rows = pd.DataFrame([describe(run(seed), truth) for seed in range(repetitions)])
    share = f"n={repetitions} races on resampled rounds"
    show(f"true top {top} recovered exactly", ">= 95 %", f"{rows['strict'].mean():.1%}  ({share})")
    show(f"... but for cells within {NEAR:.0%} of the last", ">= 95 %", f"{rows['near'].mean():.1%}")
    show("races with a wrong 'in' or 'out'", "<= 5 %", f"{rows['wrong'].mean():.1%}")
    spent = rows["inferences"]
    show("inferences of a race", f"<= {budget}", f"mean {spent.mean():.0f}, most {spent.max()}")
    full = 4 * budget
    show("... as a share of 50 each", "<= 25 %", f"mean {spent.mean() / full:.1%}, most {spent.max() / full:.1%}")
    show("networks left as tie or undecided", "", f"mean {rows['unsure'].mean():.2f}")


def show_races(races: int, run: Callable[[int], RaceResult], truth: Sequence[float], top: int) -> None:
    for number in range(races):
        found = run(number)
        one = describe(found, truth)
        came = f"{one['hits']:.0f} of {top}, {one['inferences']:.0f} inferences, {found.seconds:.0f} s with warm-up"
        show(f"real race {number + 1}", f"{top} of {top}", f"{came}; {found.stop}")
        for reason in found.reasons:
            print(f"  {reason}")


def show(proof: str, expected: str, came: str) -> None:
    print(f"{proof:44}  {expected:10}  {came}", flush=True)


def main() -> None:
    """Record or read a recording, then race on it and on the machine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=64)
    parser.add_argument("--top", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=120, help="of the recording")
    parser.add_argument("--repetitions", type=int, default=200, help="races on the recording")
    parser.add_argument("--races", type=int, default=3, help="races on the machine")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, help="where the recording is written, as parquet")
    parser.add_argument("--recording", type=Path, help="replay this one; nothing is measured")
    parser.add_argument("--quick", action="store_true", help="8 cells, 8 rounds, 10 repetitions, 1 race")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.cells, arguments.top, arguments.rounds, arguments.repetitions, arguments.races = 8, 2, 8, 10, 1
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", file=sys.stderr)

    spec = load_device(arguments.device)
    networks = [one for _, one in sample_networks(load_space("nasbench201"), arguments.cells, seed=0)]
    digests = [network.digest for network in networks]
    if arguments.recording:
        recording = pd.read_parquet(arguments.recording)
        if list(recording.groupby("cell")["architecture"].first()) != digests:
            raise SystemExit(f"{arguments.recording} is of other networks than --cells {arguments.cells}")
    else:
        with open_device(spec) as device:
            recording = record(device, networks, arguments.rounds)
        recording["architecture"] = recording["cell"].map(lambda cell: digests[cell])
        if arguments.out:
            recording.to_parquet(arguments.out)
            print(f"wrote {len(recording)} turns to {arguments.out}", file=sys.stderr)

    truth = find_truth(recording)
    ordered = sorted(truth)
    gap = math.log(ordered[arguments.top] / ordered[arguments.top - 1])
    show("turns that had the cores", ">= 80 %", f"{recording['kept'].mean():.1%} of {len(recording)}")
    show(f"cell {arguments.top} to cell {arguments.top + 1}", "", f"{gap:.2%} apart")

    def replay(seed: int) -> RaceResult:
        return race(Replay(spec, recording, digests, seed), networks, PLAN, arguments.top, seed=seed)

    budget = arguments.cells * SAMPLES_EACH // 4
    show_replays(arguments.repetitions, replay, truth, budget, arguments.top)
    if arguments.races and not arguments.recording:
        with open_device(spec) as device:
            show_races(
                arguments.races,
                lambda seed: race(device, networks, PLAN, arguments.top, seed=seed),
                truth,
                arguments.top,
            )


if __name__ == "__main__":
    main()
