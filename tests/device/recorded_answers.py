"""Measuring processes that answer what a test wants, without measuring."""

import os
import time
from pathlib import Path


def _answer(kept_share, median_s=0.01):
    return {
        "series": {
            "seconds": [median_s] * 60,
            "kept": [True] * 60,
            "low_s": 0.99 * median_s,
            "high_s": 1.01 * median_s,
            "stop": "converged",
            "cpu_share": 1.0,
            "kept_share": kept_share,
            "gate_failed": False,
        },
        "noise": {
            "window_s": 1.0,
            "pressure_us": None,
            "waiting_s": None,
            "steal_s": None,
            "throttled_us": None,
            "thermal_events": None,
            "frequencies_hz": [],
        },
        "settled": True,
        "warmups_s": [0.01],
        "inner_loops": 1,
        "first_call_s": 0.02,
        "build_s": 0.1,
        "output_hash": "0" * 16,
        "peak_memory_bytes": 1000,
        "memory_method": "test",
        "environment": {},
        "affinity": [0],
        "host": {},
    }


def quiet(request, link):
    return _answer(kept_share=1.0)


def noisier_each_time(request, link):
    # A fresh process cannot count; time can.
    return _answer(kept_share=0.7 - time.monotonic() % 1e6 / 1e7)


def quiet_from_the_second_time(request, link):
    marker = Path(os.environ["QUIET_FROM_SECOND_TRY"])
    tried = marker.exists()
    marker.touch()
    return _answer(kept_share=1.0 if tried else 0.5)


def zero_latency(request, link):
    return _answer(kept_share=1.0, median_s=0.0)
