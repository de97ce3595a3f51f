"""Timing on a GPU: device time by two events of one stream, beside it what the host sees and what it has to do.

    warm = warm_up_device(run, layer, plan)
    timed = sample_device(run, layer, plan, warm.inner_loops)

`run` enqueues one inference and returns. Before every sample the GPU is idle, so a sample holds the gaps that the host
leaves between kernels; `host_bound` says when those are most of it. Where a sample is several inferences they are
enqueued back to back, pipelined: only the first of them starts on an idle GPU. Stop rule and intervals are those of
`nasbench.device.timing`.
"""

from __future__ import annotations

import math
import statistics
from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace

from nasbench.device.cuda_layer import Layer
from nasbench.device.timing import (
    REAL_CLOCKS,
    SHORTEST_SAMPLE_S,
    Clocks,
    Run,
    Series,
    WarmUp,
    decide,
    median_interval,
    next_look,
    warm_up,
    without_collector,
)
from nasbench.errors import MeasurementError
from nasbench.records import TimingPlan

LEAST_WARMUP_S = 1.0
"""A GPU takes longer than a core to leave its idle clocks."""

HOST_BOUND_SHARE = 0.8
"""From this share of the device time on, the GPU mostly waits for the host to enqueue."""

_LARGEST_INNER = 10_000
"""An inference enqueues tens of kernels and the queue is finite: beyond this the host would wait inside of a sample."""


@dataclass(frozen=True, slots=True)
class Timed:
    """The device time of every sample, and what the host saw of it.

    `began_ns` and `ended_ns` are on the clock of `time.perf_counter_ns`, so that samples can be laid beside what
    another process saw of the GPU. `enqueue_s` is the host's share of one inference. `end_to_end_s` is from the call
    until the GPU is done, of single inferences.
    """

    series: Series
    began_ns: tuple[int, ...]
    ended_ns: tuple[int, ...]
    enqueue_s: tuple[float, ...]
    end_to_end_s: tuple[float, ...]

    @property
    def host_bound(self) -> bool:
        """Say whether enqueueing takes so long that the host decides the latency."""
        return statistics.median(self.enqueue_s) > HOST_BOUND_SHARE * self.series.median_s


class Stopwatch:
    """Two events of one stream and the host's clock."""

    def __init__(self, layer: Layer, wall: Callable[[], int] = REAL_CLOCKS.wall) -> None:
        self._start, self._end, self._wall = layer.event(), layer.event(), wall

    def take(self, run: Run, loops: int) -> tuple[float, int, int, int]:
        """Run `loops` inferences.

        Returns:
            Seconds of the GPU for all of them, and the host's nanoseconds when it began, had enqueued everything, and
            knew that the GPU was done.

        Raises:
            MeasurementError: a clock ran backwards or stood still.
        """
        wall = self._wall
        began = wall()
        self._start.record()
        for _ in range(loops):
            run()
        self._end.record()
        enqueued = wall()
        self._end.synchronize()
        ended = wall()
        seconds = self._start.elapsed_time(self._end) / 1e3
        if not (math.isfinite(seconds) and seconds > 0 and began < ended):
            raise MeasurementError("the clock did not move forward while an inference ran")
        return seconds, began, enqueued, ended


def warm_up_device(run: Run, layer: Layer, plan: TimingPlan, clocks: Clocks = REAL_CLOCKS) -> WarmUp:
    """Warm up for a second at the least, and find how many inferences make a sample.

    The warm-ups are timed by the host, one inference and a wait each. A cold cache is cold for one inference only, so
    with `plan.cache` cold the inner loop is 1.
    """

    def synchronous() -> None:
        run()
        layer.synchronize()

    least_s = min(plan.max_warmup_s, max(plan.min_warmup_s, LEAST_WARMUP_S))
    warm = warm_up(synchronous, replace(plan, min_warmup_s=least_s), clocks)
    inner = 1 if plan.cache == "cold" else _inner_loops(run, Stopwatch(layer, clocks.wall))
    return replace(warm, inner_loops=inner)


def _inner_loops(run: Run, stopwatch: Stopwatch) -> int:
    """Find how many inferences make a millisecond of the GPU, beside which an event's 0.5 us are nothing."""
    inner = 1
    while inner < _LARGEST_INNER:
        typical_s = min(stopwatch.take(run, inner)[0] for _ in range(3)) / inner
        if typical_s * inner >= SHORTEST_SAMPLE_S:
            break
        inner = min(_LARGEST_INNER, max(inner + 1, math.ceil(1.05 * SHORTEST_SAMPLE_S / typical_s)))
    return inner


def sample_device(run: Run, layer: Layer, plan: TimingPlan, inner_loops: int, clocks: Clocks = REAL_CLOCKS) -> Timed:
    """Time `run` until the stop rule is met; nothing is masked yet, since only the driver knows what the GPU did.

    Raises:
        MeasurementError: a clock ran backwards or stood still.
    """
    stopwatch = Stopwatch(layer, clocks.wall)
    device_s = array("d", bytes(8 * plan.max_samples))
    began, enqueued, ended = (array("q", bytes(8 * plan.max_samples)) for _ in range(3))
    halfwidths: list[float] = []
    count = 0
    look = plan.min_samples
    stop = ""
    with without_collector():
        layer.synchronize()
        window_began, cpu_began = clocks.wall(), clocks.cpu()
        while not stop:
            if plan.cache == "cold":
                layer.empty_cache()
                layer.synchronize()
            device_s[count], began[count], enqueued[count], ended[count] = stopwatch.take(run, inner_loops)
            count += 1
            elapsed_s = (ended[count - 1] - window_began) / 1e9
            if count >= plan.max_samples or elapsed_s >= plan.max_sampling_s:
                stop = "cap"
            if count >= look or stop:
                look = next_look(look)
                seconds = [value / inner_loops for value in device_s[:count]]
                decision = decide(seconds, [True] * count, plan, elapsed_s, halfwidths)
                stop = decision if decision == "converged" else stop or decision
        cpu_s = (clocks.cpu() - cpu_began) / 1e9
        if inner_loops == 1:
            alone = [(stop_ns - start_ns) / 1e9 for start_ns, stop_ns in zip(began[:count], ended[:count], strict=True)]
        else:
            alone = [_end_to_end_s(stopwatch, run) for _ in range(plan.min_samples)]
    interval = median_interval(seconds)
    series = Series(
        seconds=tuple(seconds),
        kept=(True,) * count,
        low_s=interval[0] if interval else None,
        high_s=interval[1] if interval else None,
        stop=stop,
        cpu_share=cpu_s / elapsed_s,
        kept_share=1.0,
        gate_failed=False,
        elapsed_s=elapsed_s,
    )
    return Timed(
        series=series,
        began_ns=tuple(began[:count]),
        ended_ns=tuple(ended[:count]),
        enqueue_s=tuple((enqueued[index] - began[index]) / 1e9 / inner_loops for index in range(count)),
        end_to_end_s=tuple(alone),
    )


def _end_to_end_s(stopwatch: Stopwatch, run: Run) -> float:
    _, began, _, ended = stopwatch.take(run, 1)
    return (ended - began) / 1e9
