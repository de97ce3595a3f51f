"""Measuring processes that answer what a test wants, without measuring."""

import os


def _answer(median_s=0.01, output_error=None, kept_share=1.0):
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
        "output_error": output_error,
        "peak_memory_bytes": 1000,
        "memory_method": "test",
        "energy": None,
        "environment": {},
        "affinity": sorted(os.sched_getaffinity(0)),
        "host": {},
    }


def quiet(request, link):
    return _answer()


def noisy(request, link):
    return _answer(kept_share=0.5)


def far_away(request, link):
    return _answer(output_error=0.5)


def zero_latency(request, link):
    return _answer(median_s=0.0)
