"""What follows from what NVML showed while samples were taken."""

import os
import time

import pytest
from fake_nvml import GPU_IS_LOST, NOT_SUPPORTED, FakeNvml, process, utilization

from nasbench.device.cuda_watch import GpuWatch, await_release, look_back, strangers_among, undisturbed
from nasbench.device.nvml import Reading, open_gpu
from nasbench.errors import DeviceError

NOBODY = 2**22 + 1
"""No process has this id: it is above the kernel's largest."""


def reading(at_ns, *throttle, sm_clock_hz=1.5e9):
    return Reading(at_ns, sm_clock_hz, 2.6e9, 250.0, 55.0, throttle)


def watch_of(readings=(), child=None, **answers):
    watch = GpuWatch(open_gpu(0, FakeNvml(**answers)), lambda: child)
    watch.readings = list(readings)
    watch.child = child
    return watch


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


SPANS = [(10 * n, 10 * n + 9) for n in range(10)]
"""Ten samples, one every ten nanoseconds."""


@pytest.mark.parametrize("reason", ["hw_slowdown", "sw_thermal", "hw_thermal", "hw_power_brake"])
def test_samples_around_a_hardware_slowdown_are_masked(reason):
    readings = [reading(5), reading(25), reading(45, reason), reading(65), reading(95)]

    assert undisturbed(SPANS, readings) == [True, True, False, False, False, False, False, True, True, True]


@pytest.mark.parametrize("reason", ["idle", "applications_clocks", "sw_power_cap", "sync_boost", "display_clocks"])
def test_what_is_no_hardware_slowdown_masks_nothing(reason):
    assert all(undisturbed(SPANS, [reading(45, reason)]))


def test_a_slowdown_at_the_last_reading_masks_everything_behind_the_one_before():
    assert undisturbed(SPANS, [reading(5), reading(55), reading(60, "hw_thermal")]) == [True] * 5 + [False] * 5


def test_without_readings_nothing_is_masked():
    assert all(undisturbed(SPANS, []))


def test_many_slow_samples_are_a_throttled_gpu_with_its_reason():
    view = look_back(SPANS, watch_of([reading(5), reading(25), reading(45, "hw_thermal"), reading(65)]))

    assert view.throttled == ("50% of the samples were taken in a hardware slowdown (hw_thermal)",)
    assert view.noise["slowdown_share"] == 0.5
    assert view.noise["throttle_shares"] == {"hw_thermal": 0.25}


def test_a_few_slow_samples_are_masked_and_no_more():
    spans = [(10 * n, 10 * n + 9) for n in range(1000)]
    view = look_back(spans, watch_of([reading(5), reading(10, "hw_slowdown"), reading(20), reading(5000)]))

    assert view.throttled == ()
    assert view.kept.count(False) == 2


def test_a_power_cap_is_told_and_is_no_verdict():
    view = look_back(SPANS, watch_of([reading(at, "sw_power_cap") for at in (5, 45, 85)]))

    assert (view.throttled, view.noisy) == ((), ())
    assert view.noise["throttle_shares"] == {"sw_power_cap": 1.0}


def test_the_clocks_of_the_window_are_told_in_order():
    readings = [reading(at, sm_clock_hz=hertz) for at, hertz in ((5, 1.5e9), (50, 1.4e9), (90, 1.2e9), (500, 0.3e9))]
    view = look_back(SPANS, watch_of(readings))

    assert view.sm_clocks_hz == (1.5e9, 1.4e9, 1.2e9)
    assert view.noise["sm_clock_hz"] == [1.2e9, 1.4e9, 1.5e9]


def test_a_window_without_a_reading_is_noisy():
    assert look_back(SPANS, watch_of([reading(500)])).noisy == ("NVML gave no reading while the samples were taken",)


def test_another_process_on_the_gpu_is_named():
    watch = watch_of([reading(5)], child=NOBODY, nvmlDeviceGetComputeRunningProcesses=[process(os.getpid())])

    (reason,) = look_back(SPANS, watch).noisy
    assert reason.startswith(f"other processes use this GPU: {os.getpid()} (")


def test_a_process_that_comes_meanwhile_is_noticed():
    present = []
    watch = watch_of(child=77, nvmlDeviceGetComputeRunningProcesses=lambda handle: present)
    present += [process(77), process(1)]
    watch.look()

    assert watch.strangers == {1}


def test_one_that_draws_on_the_gpu_without_a_context_is_told_with_its_share():
    watch = watch_of([reading(5)], child=77, nvmlDeviceGetProcessUtilization=[utilization(77, 90), utilization(1, 30)])

    (reason,) = look_back(SPANS, watch).noisy
    assert reason.startswith("other processes used up to 30 % of this GPU: 1 (")


def test_a_driver_that_lists_no_processes_leaves_it_open():
    watch = watch_of([reading(5)], nvmlDeviceGetComputeRunningProcesses=NOT_SUPPORTED)

    assert look_back(SPANS, watch).noise["other_processes"] is None


def test_our_own_process_is_no_stranger():
    assert strangers_among(frozenset({77, 1}), 77, frozenset({1})) == {1}


def test_in_a_container_the_one_unknown_newcomer_is_ours():
    assert strangers_among(frozenset({NOBODY, NOBODY + 1}), 77, frozenset({NOBODY + 1})) == {NOBODY + 1}


def test_of_two_unknown_newcomers_one_is_a_stranger():
    assert len(strangers_among(frozenset({NOBODY, NOBODY + 1}), 77, frozenset())) == 1


def test_the_thread_reads_until_it_is_told_to_end():
    with watch_of() as watch:
        wait_for(lambda: len(watch.readings) >= 3)

    assert len(watch.readings) >= 3
    assert [one.at_ns for one in watch.readings] == sorted(one.at_ns for one in watch.readings)


def test_a_gpu_that_goes_away_ends_the_watch_and_is_kept_as_its_error():
    with watch_of(nvmlDeviceGetClockInfo=GPU_IS_LOST) as watch:
        wait_for(lambda: watch.lost)

    assert isinstance(watch.lost, DeviceError)


def test_a_watch_that_ends_for_any_other_reason_says_so_in_the_verdict():
    with watch_of([reading(5)], nvmlDeviceGetPowerUsage=ValueError("not a number")) as watch:
        wait_for(lambda: watch.failure)

    assert look_back(SPANS, watch).noisy == ("the watch of the GPU ended early: ValueError: not a number",)


def test_the_clock_of_a_reading_is_that_of_all_processes():
    assert time.get_clock_info("perf_counter").implementation == "clock_gettime(CLOCK_MONOTONIC)"


def test_the_gpu_is_waited_for_until_it_is_free_of_our_process():
    listings = iter([[process(77)], [process(77), process(1)], [process(1)]])
    present = []
    nvml = FakeNvml(nvmlDeviceGetComputeRunningProcesses=lambda handle: present)
    gpu = open_gpu(0, nvml)
    watch = GpuWatch(gpu, lambda: 77)
    watch.look()
    nvml.answers["nvmlDeviceGetComputeRunningProcesses"] = lambda handle: next(listings)
    pauses = []
    await_release(gpu, watch, pause=pauses.append)

    assert len(pauses) == 2


def test_a_gpu_that_stays_occupied_by_our_dead_process_is_unusable():
    nvml = FakeNvml()
    gpu = open_gpu(0, nvml)
    watch = GpuWatch(gpu, lambda: 77)
    watch.look()
    nvml.answers["nvmlDeviceGetComputeRunningProcesses"] = [process(77)]

    with pytest.raises(DeviceError, match="still holds memory of process 77"):
        await_release(gpu, watch, limit_s=1.0, pause=lambda seconds: None)
