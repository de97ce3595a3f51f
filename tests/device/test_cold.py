"""Emptying the caches touches as much memory as they hold."""

import os

import numpy as np
import pytest

from nasbench.device import cold
from nasbench.device.cold import FALLBACK_BYTES, cache_emptier, last_cache_bytes


def machine(root, *sizes):
    for index, size in enumerate(sizes):
        folder = root / f"sys/devices/system/cpu/cpu0/cache/index{index}"
        folder.mkdir(parents=True)
        (folder / "size").write_text(f"{size}\n")
    return root


def test_the_last_cache_is_the_largest_one(tmp_path):
    assert last_cache_bytes(machine(tmp_path, "32K", "32K", "1024K", "3M")) == 3 << 20


def test_a_kernel_that_tells_nothing_is_taken_for_64_mib(tmp_path):
    assert last_cache_bytes(tmp_path) == FALLBACK_BYTES == 64 << 20


def pinned_to(monkeypatch, *cores):
    """Give a process these cores; returns the list of what its threads pin themselves to."""
    pinned = []
    monkeypatch.setattr(cold.os, "sched_getaffinity", lambda process: set(cores))
    monkeypatch.setattr(cold.os, "sched_setaffinity", lambda process, chosen: pinned.append(chosen))
    return pinned


def test_every_line_of_twice_the_last_cache_is_written_from_every_core_each_time(tmp_path, monkeypatch):
    made = []

    def zeros(*arguments, **options):
        made.append(np.ones(*arguments, **options) - 1)
        return made[-1]

    monkeypatch.setattr(cold.np, "zeros", zeros)
    pinned = pinned_to(monkeypatch, 3, 5, 9)
    empty = cache_emptier(machine(tmp_path, "48K", "256K"))
    empty()
    empty()

    (buffer,) = made
    assert buffer.nbytes == 512 << 10
    assert set(buffer.reshape(-1, 8).sum(axis=1)) == {6}  # 8 words are a line, and there are three cores
    assert pinned == [{3}, {5}, {9}] * 2


def test_a_process_of_one_core_is_not_pinned(tmp_path, monkeypatch):
    pinned = pinned_to(monkeypatch, 3)
    cache_emptier(machine(tmp_path, "48K"))()

    assert pinned == []


def test_the_thread_that_empties_may_run_where_it_could_before(tmp_path):
    before = os.sched_getaffinity(0)
    cache_emptier(machine(tmp_path, "48K"))()

    assert os.sched_getaffinity(0) == before


def test_a_core_that_went_away_is_an_error(tmp_path, monkeypatch):
    def refuse(process, cores):
        raise OSError("Invalid argument")

    pinned_to(monkeypatch, 3, 5)
    monkeypatch.setattr(cold.os, "sched_setaffinity", refuse)

    with pytest.raises(OSError, match="Invalid argument"):
        cache_emptier(machine(tmp_path, "48K"))()
