"""The one timing loop and its stop rule. It knows no network and no torch: it times a call without arguments.

    warm = warm_up(run, plan)
    series = sample(run, plan, warm.inner_loops, threads=1)

A sample is the wall time of one inference, or the mean of `inner_loops` inferences where one is shorter than a
millisecond. Samples are judged in blocks: a block in which this process did not have its cores is masked. Sampling ends
when the 95 % interval of the median of what is kept is narrow enough.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from itertools import pairwise

from nasbench.errors import MeasurementError
from nasbench.records import TimingPlan

Run = Callable[[], object]

BeforeEach = Callable[[], object] | None
"""Called before every sample, outside of it, such as to empty the caches. An inference is then a sample of its own,
however short, since a second one would find what the first left."""

SHORTEST_SAMPLE_S = 1e-3
"""Below this an inference is timed in a loop: the clock's own 0.1 us and its jitter would show."""

GATE_BLOCK_S = 10e-3
"""How long a block is that is judged as one. An interruption of 0.3 ms is 3 % of it."""

SERIAL_GATE = 0.97
"""Least share of the wall time in which one thread that never sleeps must have had its core."""

PARALLEL_GATE = 0.90
"""With several threads, some sleep in the serial parts of a network, so no share of the cores can be demanded. A block
is masked when it got less than this of what the best quarter of the blocks got."""

_LONGEST_WINDOW = 20
_SHORTEST_WINDOW = 5
_WINDOW_S = 0.5
"""A window of the warm-up has 20 samples, and fewer where those would take longer than this: a slow network is as warm
after ten inferences as a fast one after forty."""

_WINDOW_AGREEMENT = 0.02
_LOOK_GROWTH = 1.25
_PLATEAU_LOOKS = 4
_PLATEAU_FALL = 0.9
_LARGEST_INNER = 1_000_000

# Student's t, 97.5 %, for 1 to 19 degrees of freedom.
_T975 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093),
)


@dataclass(frozen=True, slots=True)
class Clocks:
    """Where time comes from, in nanoseconds; tests bring their own. `cpu` is the time all threads of us have run."""

    wall: Callable[[], int] = time.perf_counter_ns
    cpu: Callable[[], int] = time.process_time_ns


REAL_CLOCKS = Clocks()


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Seconds of every warm-up sample, in order; the first `min_warmup` are single inferences, the rest as timed.

    `settled` is false when the cap came before two windows agreed, and the halves of the whole do not agree either.
    """

    seconds: tuple[float, ...]
    inner_loops: int
    settled: bool


@dataclass(frozen=True, slots=True)
class Series:
    """All samples in order, which of them are kept, and the 95 % interval of the median of the kept ones.

    `cpu_share` is cpu time over wall time of the whole series; `kept_share` is what the gate let through. When that was
    less than half and too few to go by, nothing is masked, and `gate_failed` says so.
    """

    seconds: tuple[float, ...]
    kept: tuple[bool, ...]
    low_s: float | None
    high_s: float | None
    stop: str
    cpu_share: float
    kept_share: float
    gate_failed: bool
    elapsed_s: float

    @property
    def median_s(self) -> float:
        """Median of the kept samples."""
        return statistics.median(_select(self.seconds, self.kept))

    @property
    def halfwidth(self) -> float | None:
        """Half the width of the interval, as a share of the median."""
        if self.low_s is None or self.high_s is None:
            return None
        return (self.high_s - self.low_s) / 2 / self.median_s


def warm_up(run: Run, plan: TimingPlan, clocks: Clocks = REAL_CLOCKS, before_each: BeforeEach = None) -> WarmUp:
    """Call until the plan's least count and time are done and two windows of 5 to 20 samples agree within 2 %.

    The cap also ends the least count, though not before two calls. A network too slow for two windows is settled when
    the two halves of all calls but the first agree; that takes five calls, so one of 2.5 s or slower never is with a
    cap of 10 s.

    Raises:
        MeasurementError: the clock ran backwards or stood still.
    """
    began = clocks.wall()

    def elapsed_s() -> float:
        return (clocks.wall() - began) / 1e9

    seconds: list[float] = []
    while len(seconds) < 2 or (len(seconds) < plan.min_warmup and elapsed_s() < plan.max_warmup_s):
        seconds.append(_time(run, 1, clocks.wall, before_each))
    first = len(seconds)
    inner = 1 if before_each else _inner_loops(run, statistics.median(seconds[1:]), clocks.wall)
    wanted = math.ceil(_WINDOW_S / (statistics.median(seconds[1:]) * inner))
    window = max(_SHORTEST_WINDOW, min(_LONGEST_WINDOW, wanted))
    while (elapsed := elapsed_s()) < plan.max_warmup_s:
        count = len(seconds) - first
        due = elapsed >= plan.min_warmup_s and count >= 2 * window and count % window == 0
        if due and _halves_agree(seconds[-2 * window :]):
            return WarmUp(tuple(seconds), inner, settled=True)
        seconds.append(_time(run, inner, clocks.wall, before_each))
    return WarmUp(tuple(seconds), inner, settled=len(seconds) >= 5 and _halves_agree(seconds[1:]))


def _halves_agree(seconds: Sequence[float]) -> bool:
    middle = len(seconds) // 2
    change = statistics.median(seconds[middle:]) / statistics.median(seconds[:middle]) - 1
    return abs(change) <= _WINDOW_AGREEMENT


def sample(
    run: Run,
    plan: TimingPlan,
    inner_loops: int,
    threads: int,
    clocks: Clocks = REAL_CLOCKS,
    between: Callable[[], object] = lambda: None,
    before_each: BeforeEach = None,
) -> Series:
    """Time `run` until the stop rule is met.

    `between` is called between blocks, outside every sample, for what must be watched meanwhile.

    Raises:
        MeasurementError: the clock ran backwards or stood still.
    """
    samples = array("q", bytes(8 * plan.max_samples))
    typical_s = max(1e-9, _time(run, inner_loops, clocks.wall, before_each) * inner_loops)
    per_block = max(1, min(plan.min_samples, math.ceil(GATE_BLOCK_S / typical_s)))
    blocks: list[Block] = []
    halfwidths: list[float] = []
    count = 0
    look = plan.min_samples
    stop = ""
    with without_collector():
        began = clocks.wall()
        while not stop:
            end = min(count + per_block, look, plan.max_samples)
            blocks.append(fill(samples, count, end, run, inner_loops, clocks, before_each))
            count = end
            between()
            elapsed_s = (clocks.wall() - began) / 1e9
            if count >= plan.max_samples or elapsed_s >= plan.max_sampling_s:
                stop = "cap"
            if count >= look or stop:
                look = next_look(look)
                seconds = [value / 1e9 / inner_loops for value in samples[:count]]
                decision = decide(seconds, keep_mask(blocks, threads), plan, elapsed_s, halfwidths)
                stop = decision if decision == "converged" else stop or decision
    return _conclude(seconds, blocks, threads, plan, stop, elapsed_s)


@contextmanager
def without_collector() -> Iterator[None]:
    """Keep Python's garbage collector out of the samples."""
    frozen, enabled = gc.get_freeze_count(), gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
        if not frozen:  # else somebody wants that it stays so
            gc.unfreeze()


def next_look(look: int) -> int:
    """Give the count of samples at which the stop rule is asked after it was asked at `look`."""
    return max(look + 1, math.ceil(look * _LOOK_GROWTH))


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive samples that are judged as one; times in nanoseconds."""

    count: int
    wall_ns: int
    cpu_ns: int


def fill(
    samples: array[int],
    start: int,
    end: int,
    run: Run,
    inner_loops: int,
    clocks: Clocks = REAL_CLOCKS,
    before_each: BeforeEach = None,
) -> Block:
    """Time the samples from `start` to before `end`, in nanoseconds; raises MeasurementError when the clock fails."""
    wall = clocks.wall
    loops = range(inner_loops)
    cpu_began = clocks.cpu()
    block_began = wall()
    for index in range(start, end):
        if before_each is not None:
            before_each()
        began = wall()
        for _ in loops:
            run()
        samples[index] = wall() - began
    wall_ns = wall() - block_began
    cpu_ns = clocks.cpu() - cpu_began
    if min(samples[start:end]) <= 0:
        raise MeasurementError("the clock did not move forward while an inference ran")
    return Block(end - start, wall_ns, cpu_ns)


def _time(run: Run, inner_loops: int, wall: Callable[[], int], before_each: BeforeEach = None) -> float:
    if before_each is not None:
        before_each()
    began = wall()
    for _ in range(inner_loops):
        run()
    elapsed = wall() - began
    if elapsed <= 0:
        raise MeasurementError("the clock did not move forward while an inference ran")
    return elapsed / 1e9 / inner_loops


def _inner_loops(run: Run, typical_s: float, wall: Callable[[], int]) -> int:
    """Find how many inferences make a sample of a millisecond; one alone of 0.1 us is mostly the clock's own time."""
    inner = 1
    while typical_s * inner < SHORTEST_SAMPLE_S and inner < _LARGEST_INNER:
        inner = min(_LARGEST_INNER, math.ceil(1.05 * SHORTEST_SAMPLE_S / typical_s))
        typical_s = min(_time(run, inner, wall) for _ in range(3))
    return inner


def keep_mask(blocks: Sequence[Block], threads: int) -> list[bool]:
    """Say for every sample whether its block had the cores it needed."""
    shares = [block.cpu_ns / block.wall_ns for block in blocks]
    least = SERIAL_GATE if threads == 1 else PARALLEL_GATE * sorted(shares)[3 * len(shares) // 4]
    return [share >= least for block, share in zip(blocks, shares, strict=True) for _ in range(block.count)]


def decide(
    seconds: Sequence[float], kept: Sequence[bool], plan: TimingPlan, elapsed_s: float, halfwidths: list[float]
) -> str:
    """Give `converged`, `plateau`, or "" to go on; notes the half-width of this look in `halfwidths`."""
    undisturbed = _select(seconds, kept)
    interval = median_interval(undisturbed)
    if interval is None:
        return ""
    halfwidth = (interval[1] - interval[0]) / 2 / statistics.median(undisturbed)
    halfwidths.append(halfwidth)
    if elapsed_s < plan.min_sampling_s or len(undisturbed) < plan.min_samples:
        return ""
    if halfwidth <= plan.target_halfwidth:
        return "converged"
    # Over four looks the samples grow 2.4-fold, which narrows an honest interval to 0.64 of what it was.
    if len(halfwidths) > _PLATEAU_LOOKS and halfwidth > _PLATEAU_FALL * halfwidths[-1 - _PLATEAU_LOOKS]:
        return "plateau"
    return ""


def _conclude(
    seconds: Sequence[float], blocks: Sequence[Block], threads: int, plan: TimingPlan, stop: str, elapsed_s: float
) -> Series:
    return Series(
        seconds=tuple(seconds),
        **asdict(conclude_mask(seconds, keep_mask(blocks, threads), plan)),
        stop=stop,
        cpu_share=sum(block.cpu_ns for block in blocks) / sum(block.wall_ns for block in blocks),
        elapsed_s=elapsed_s,
    )


@dataclass(frozen=True, slots=True)
class Mask:
    """Which samples count, and the interval of their median: fields of a Series, under the same names."""

    kept: tuple[bool, ...]
    low_s: float | None
    high_s: float | None
    kept_share: float
    gate_failed: bool


def conclude_mask(seconds: Sequence[float], kept: Sequence[bool], plan: TimingPlan) -> Mask:
    """Apply a gate: keep what it kept, or everything where that is less than half and too few to go by."""
    kept_share = sum(kept) / len(kept)
    gate_failed = kept_share < 0.5 and sum(kept) < plan.min_samples
    mask = (True,) * len(kept) if gate_failed else tuple(kept)
    interval = median_interval(_select(seconds, mask))
    return Mask(
        kept=mask,
        low_s=max(0.0, interval[0]) if interval else None,  # the blocks' interval is symmetric, and no time is negative
        high_s=interval[1] if interval else None,
        kept_share=kept_share,
        gate_failed=gate_failed,
    )


def median_interval(samples: Sequence[float]) -> tuple[float, float] | None:
    """Give the 95 % interval of the median: that of the order statistics or that of the blocks, whichever is wider.

    Order statistics assume independent samples and nothing else. The medians of up to 20 contiguous blocks, with
    Student's t, widen it when neighbouring samples are alike. None for fewer than 6 samples, which bound no median.
    """
    if len(samples) < 6:
        return None
    ordered = sorted(samples)
    rank = _lower_rank(len(ordered))
    exact = (ordered[rank - 1], ordered[-rank])
    blocked = _block_interval(samples, statistics.median(ordered))
    return blocked if blocked and blocked[1] - blocked[0] > exact[1] - exact[0] else exact


@cache
def _lower_rank(count: int) -> int:
    """Give the largest r so that the r-th smallest and r-th largest of `count` samples hold the median in 95 %."""
    term = total = 1
    rank = 0
    while 40 * total <= 2**count:  # P(Binomial(count, 1/2) <= rank) <= 1/40
        rank += 1
        term = term * (count - rank + 1) // rank
        total += term
    return rank


def _block_interval(samples: Sequence[float], median: float) -> tuple[float, float] | None:
    count = min(20, len(samples) // 5)
    if count < 2:
        return None
    edges = [round(index * len(samples) / count) for index in range(count + 1)]
    medians = [statistics.median(samples[start:end]) for start, end in pairwise(edges)]
    half = _T975[count - 2] * statistics.stdev(medians) / math.sqrt(count)
    return median - half, median + half


def _select(seconds: Sequence[float], kept: Sequence[bool]) -> list[float]:
    return [value for value, keep in zip(seconds, kept, strict=True) if keep]
