"""Several networks in one process, timed in turns: both ends of the conversation, and a turn.

The driver calls `hold_turns`; in the measuring process `take_turns` loads and warms up every network, reports the turns
of each round and is told the order of the next. What passes between the two passes outside of the timing.
"""

from __future__ import annotations

import bisect
import math
import statistics
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import nasbench
from nasbench.device.answers import read_side, read_turns
from nasbench.device.base import Steer
from nasbench.device.cold import cache_emptier
from nasbench.device.loading import Loaded, check_agreement, checked_hash, load
from nasbench.device.timing import (
    PARALLEL_GATE,
    REAL_CLOCKS,
    SERIAL_GATE,
    Clocks,
    Run,
    fill,
    warm_up,
    without_collector,
)
from nasbench.device.watching import watched
from nasbench.errors import CandidateError, MeasurementError
from nasbench.host import host_record
from nasbench.isolation import AnyWorker, Link
from nasbench.records import TimingPlan
from nasbench.runtime.base import Runtime, load_runtime

SHORTEST_TURN_S = 2e-3
"""A turn lasts this long or longer, so that an interruption too short to matter does not mask it."""

_TYPICAL = 20
_ANNOUNCE_S = 1.0


def hold_turns(
    worker: AnyWorker, request: Mapping[str, Any], limits_s: Mapping[str, float], steer: Steer
) -> dict[str, Any]:
    """Run a task that holds turns, with `steer` at its other end, and give what it returns.

    Raises:
        CandidateError: one of the networks failed; `side` and the text say which, if that is known.
        NasbenchError: as `Worker.call`.
    """
    side: int | None = None
    order: Sequence[int] | None = ()
    count = len(request["sides"])

    def reply(report: Mapping[str, Any]) -> dict[str, Any]:
        nonlocal side, order
        side = read_side(report, count)
        if side is not None:
            return {}
        order = steer(read_turns(report, order or ()))
        return {"order": list(order)} if order else {"done": True}

    try:
        return worker.call(request, limits_s=limits_s, on_report=reply)
    except CandidateError as error:
        raise name_side(error, side, count) from error


def name_side(error: CandidateError, side: int | None, count: int) -> CandidateError:
    """Give the same error, saying which of `count` networks it is about, if that is known."""
    if side is None:
        return type(error)(str(error))
    named = type(error)(f"network {side + 1} of {count}: {error}")
    named.side = side
    return named


def take_turns(request: Mapping[str, Any], link: Link) -> dict[str, Any]:
    """Load and warm up several networks, then time them in turns as the driver says.

    `request` is as `nasbench.device.cpu.CpuDevice.request` makes it. The phases are build, first_call and warmup for
    each network, then timed, which begins anew with every round and every second, then agreement for each. A report
    holds `side`, the network that is worked on from here, or `turns`.

    Raises:
        CandidateError: a network failed; its subclass says how.
    """
    plan = TimingPlan(**request["plan"])
    runtime = load_runtime(request["runtime"])
    runtime.set_threads(request["threads"])
    host = {**host_record(), "software": {"nasbench": nasbench.__version__, **runtime.versions()}}
    all_loaded, all_warm = [], []
    before_each = cache_emptier() if plan.cache == "cold" else None
    with runtime.context():
        for side, about in enumerate(request["sides"]):
            link.report({"side": side})
            all_loaded.append(load(runtime, about, plan, link.phase))
            link.phase("warmup")
            all_warm.append(warm_up(all_loaded[-1].run, plan, before_each=before_each))
        takers = [
            TurnTaker(
                loaded.run,
                warm.inner_loops,
                statistics.median(warm.seconds[-_TYPICAL:]),
                request["threads"],
                before_each,
            )
            for loaded, warm in zip(all_loaded, all_warm, strict=True)
        ]
        _, noise = watched(request["cpus"], lambda watch: converse(takers, link, watch))
        _check_again(runtime, all_loaded, link)
        outputs = [loaded.output for loaded in all_loaded]
        takers.clear()  # what the networks held is free for those that they are compared with
        all_loaded.clear()
        output_errors = []
        for side, (about, output) in enumerate(zip(request["sides"], outputs, strict=True)):
            link.report({"side": side})
            link.phase("agreement")
            output_errors.append(check_agreement(runtime, about, plan, output))
    return {
        "host": host,
        "noise": noise,
        "settled": [warm.settled for warm in all_warm],
        "output_errors": output_errors,
    }


def _check_again(runtime: Runtime, all_loaded: Sequence[Loaded], link: Link) -> None:
    for side, loaded in enumerate(all_loaded):
        again = runtime.to_array(loaded.calls[0]())
        if checked_hash(again, again.shape) != loaded.output_hash:
            link.report({"side": side})
            raise MeasurementError("the same input gave another output after the turns than before them")


class TurnTaker:
    """One network that takes turns with others in its process.

    A turn is one inference that is not timed and then timed samples for 2 ms or longer, as many every time. With
    `before_each`, which empties the caches before every sample, there is no inference that fills them. `inferences` is
    how many a turn takes, the untimed one included.
    """

    def __init__(
        self,
        run: Run,
        inner_loops: int,
        typical_s: float,
        threads: int,
        before_each: Callable[[], object] | None = None,
        clocks: Clocks = REAL_CLOCKS,
    ) -> None:
        self._run = run
        self._inner_loops = inner_loops
        self._samples = array("q", bytes(8 * max(1, math.ceil(SHORTEST_TURN_S / (typical_s * inner_loops)))))
        self.inferences = len(self._samples) * inner_loops + (before_each is None)
        self._threads = threads
        self._before_each = before_each
        self._clocks = clocks
        self._shares: list[float] = []

    def take(self) -> tuple[list[float], bool]:
        """Take a turn; give its samples in seconds, and whether the network had its cores meanwhile.

        Raises:
            MeasurementError: the clock ran backwards or stood still.
        """
        if self._before_each is None:
            self._run()
        samples, loops = self._samples, self._inner_loops
        block = fill(samples, 0, len(samples), self._run, loops, self._clocks, self._before_each)
        return [value / 1e9 / loops for value in samples], self._had_cores(block.cpu_ns / block.wall_ns)

    def _had_cores(self, share: float) -> bool:
        if self._threads == 1:
            return share >= SERIAL_GATE
        bisect.insort(self._shares, share)  # networks differ in how much of them is serial: each has its own best
        return share >= PARALLEL_GATE * self._shares[3 * len(self._shares) // 4]


class Taker(Protocol):
    """Whoever takes turns: gives the samples of one in seconds, and whether they are to be kept.

    `inferences` is how many a turn takes, those that are not timed included.
    """

    @property
    def inferences(self) -> int:
        """Inferences of a turn."""

    def take(self) -> tuple[list[float], bool]:
        """Take a turn."""


def converse(takers: Sequence[Taker], link: Link, watch: Callable[[], object] = lambda: None) -> None:
    """Take turns in the order that the driver says, until it says that it is done; `watch` is called between turns."""
    turns: list[dict[str, Any]] = []
    with without_collector():
        while "order" in (answer := link.report({"turns": turns})):
            turns = []
            announced = -math.inf
            for side in answer["order"]:
                # A round of many slow networks may last longer than the limit; one that hangs may not.
                if time.perf_counter() - announced >= _ANNOUNCE_S:
                    link.phase("timed")
                    announced = time.perf_counter()
                try:
                    seconds, kept = takers[side].take()
                except Exception:
                    link.report({"side": side})
                    raise
                turns.append({"side": side, "seconds": seconds, "kept": kept, "inferences": takers[side].inferences})
                watch()
