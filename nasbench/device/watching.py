"""What the machine did while something was timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from nasbench.host import counted_between, frequency_reader, read_counters

_FREQUENCY_PERIOD_S = 0.05

_Result = TypeVar("_Result")


def watched(cpus: Sequence[int], work: Callable[[Callable[[], None]], _Result]) -> tuple[_Result, dict[str, Any]]:
    """Do `work`, and give what it returned and the noise of the cores meanwhile, as a measurement keeps it.

    `work` is given a function that reads the cores' frequency; it calls that outside of what is timed.
    """
    read_frequency = frequency_reader(cpus)
    frequencies: list[float] = []
    last_read = 0.0

    def watch() -> None:
        nonlocal last_read
        if time.perf_counter() - last_read >= _FREQUENCY_PERIOD_S and (value := read_frequency()) is not None:
            frequencies.append(value)
            last_read = time.perf_counter()

    before = read_counters(cpus)
    began = time.perf_counter()
    result = work(watch)
    window_s = time.perf_counter() - began
    noise = {"window_s": window_s, "frequencies_hz": frequencies, **counted_between(before, read_counters(cpus))}
    return result, noise
