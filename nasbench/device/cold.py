"""Emptying the caches of the processor, so that an inference finds nothing of the one before."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from nasbench.host import ROOT

FALLBACK_BYTES = 64 << 20
"""What the last cache is taken for where the kernel does not tell its size."""

_WORDS_A_LINE = 8
"""64 bytes, as on x86-64 and nearly all of aarch64."""

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def last_cache_bytes(root: Path = ROOT) -> int:
    """Give the size of the largest cache that the first core reaches."""
    sizes = []
    for path in (root / "sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        if match := re.fullmatch(r"(\d+)([KMG]?)", path.read_text().strip()):
            sizes.append(int(match[1]) * _UNITS[match[2]])
    return max(sizes, default=FALLBACK_BYTES)


def cache_emptier(root: Path = ROOT) -> Callable[[], None]:
    """Give a call that leaves none but its own memory in the caches; it holds twice the size of the last one.

    It changes a word of every cache line, once from each core that this process may use, since the caches next to a
    core are reached from that core alone. Reading the line before the write is what brings it into the cache: plain
    stores over so much memory may pass by it.
    """
    words = np.zeros(2 * last_cache_bytes(root) // 8, dtype=np.int64)[::_WORDS_A_LINE]
    cores = sorted(os.sched_getaffinity(0))

    def sweep() -> None:
        np.add(words, 1, out=words)

    if len(cores) == 1:
        return sweep

    # A thread of its own goes from core to core, so that the one that runs the network is never pinned or moved.
    sweeper = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cache-emptier")

    def sweep_on(core: int) -> None:
        os.sched_setaffinity(0, {core})
        sweep()

    def empty() -> None:
        for core in cores:
            sweeper.submit(sweep_on, core).result()

    return empty
