"""What doctor says of machines that exist only as files."""

import re

import pytest
from machines import machine, place, watched, write

from nasbench.doctor.activity import check_activity, check_memory, watch
from nasbench.doctor.clock import check_clock, null_overhead_s
from nasbench.doctor.cores import Place, check_cores
from nasbench.doctor.finding import Finding, judge
from nasbench.doctor.software import check_energy, check_runtimes
from nasbench.host import ROOT, available_cpus
from nasbench.records import DeviceSpec

CPU = "sys/devices/system/cpu"
CLOCK = "sys/devices/system/clocksource/clocksource0"
GIB = 1 << 30


def by_name(findings):
    return {finding.name: finding for finding in findings}


def cores_of(tmp_path, changes=None, threads=1, cores=4):
    return by_name(check_cores(place(machine(tmp_path, changes, cores), threads, cores)))


def activity_of(tmp_path, changes=None, **seen):
    return by_name(check_activity(place(machine(tmp_path, changes)), watched(**seen)))


def test_a_machine_without_fault_is_fit(tmp_path):
    root = machine(tmp_path)
    findings = [
        *check_cores(place(root)),
        *check_activity(place(root), watched()),
        *check_memory(place(root), watched(), 4 * GIB),
        *check_clock(root, lambda: 1e-7),
        check_energy(place(root)),
    ]

    assert {finding.state for finding in findings} == {"ok"}
    assert judge(findings).word == "yes"


def test_a_machine_that_tells_nothing_is_unknown_and_not_at_fault(tmp_path):
    findings = [
        *check_cores(Place(tmp_path, (0,), 1)),
        *check_activity(Place(tmp_path, (0,), 1), watched()),
        *check_memory(Place(tmp_path, (0,), 1), watched(swapped_pages=None), GIB),
        *check_clock(tmp_path, lambda: 1e-7),
    ]

    assert {finding.state for finding in findings} == {"ok", "unknown"}


@pytest.mark.parametrize(
    ("states", "word", "warnings", "problems"),
    [
        (("ok", "unknown"), "yes", 0, 0),
        (("ok", "warning", "warning"), "with care", 2, 0),
        (("problem", "warning", "ok"), "no", 1, 1),
    ],
)
def test_one_problem_is_enough_and_warnings_ask_for_care(states, word, warnings, problems):
    fitness = judge([Finding("check", state, "") for state in states])

    assert (fitness.word, fitness.warnings, fitness.problems) == (word, warnings, problems)


@pytest.mark.parametrize(
    ("threads", "cores", "state", "words"),
    [
        (1, 4, "ok", "4 physical may be used, 1 needed, one a thread; measured on 1"),
        (3, 4, "ok", "measured on 1, 2, 3"),
        (4, 4, "warning", "measured on 0, 1, 2, 3"),
        (1, 1, "warning", "measured on 0"),
        (5, 4, "problem", "4 physical may be used, 5 needed"),
    ],
)
def test_threads_need_a_core_each_and_one_is_left_for_the_rest(tmp_path, threads, cores, state, words):
    found = cores_of(tmp_path, threads=threads, cores=cores)["cores"]

    assert found.state == state
    assert words in found.found


def test_no_core_left_for_the_rest_is_a_warning_though_core_0_is_spared(tmp_path):
    found = by_name(check_cores(Place(machine(tmp_path), (2, 3), 2)))["cores"]

    assert found.state == "warning"
    assert "no core is left" in found.why


def test_a_core_with_two_halves_is_a_warning_with_the_switch(tmp_path):
    siblings = {f"{CPU}/cpu{cpu}/topology/thread_siblings_list": f"{cpu % 2},{cpu % 2 + 2}" for cpu in range(4)}
    switch = cores_of(tmp_path, siblings | {f"{CPU}/smt/control": "on\n"})["hyper-threads"]
    without_switch = cores_of(tmp_path, siblings | {f"{CPU}/smt/control": None})["hyper-threads"]

    assert (switch.state, switch.found) == ("warning", "core 1 shares its units with 3")
    assert switch.command == f"echo off | sudo tee /{CPU}/smt/control"
    assert without_switch.command == f"echo 0 | sudo tee /{CPU}/cpu3/online"


@pytest.mark.parametrize(
    ("governor", "state"), [("powersave", "warning"), ("schedutil", "warning"), ("userspace", "ok")]
)
def test_a_governor_that_follows_the_load_is_a_warning(tmp_path, governor, state):
    found = cores_of(tmp_path, {f"{CPU}/cpu1/cpufreq/scaling_governor": governor})["governor"]

    assert (found.state, found.found) == (state, governor)
    assert found.command == ("sudo cpupower frequency-set -g performance" if state == "warning" else "")


def test_only_the_governors_of_the_cores_that_are_measured_on_count(tmp_path):
    assert cores_of(tmp_path, {f"{CPU}/cpu0/cpufreq/scaling_governor": "powersave"})["governor"].state == "ok"


@pytest.mark.parametrize(
    ("changes", "command"),
    [
        ({f"{CPU}/intel_pstate/no_turbo": "0"}, f"echo 1 | sudo tee /{CPU}/intel_pstate/no_turbo"),
        (
            {f"{CPU}/intel_pstate/no_turbo": None, f"{CPU}/cpufreq/boost": "1"},
            f"echo 0 | sudo tee /{CPU}/cpufreq/boost",
        ),
    ],
)
def test_turbo_is_a_warning_with_the_switch_of_its_driver(tmp_path, changes, command):
    found = cores_of(tmp_path, changes)["turbo"]

    assert (found.state, found.command) == ("warning", command)


def test_a_frequency_cap_is_a_warning_and_the_base_frequency_without_turbo_is_none(tmp_path):
    cap = {f"{CPU}/cpu1/cpufreq/scaling_max_freq": "2000000"}
    capped = cores_of(tmp_path, cap)["frequency limit"]
    at_base = cores_of(tmp_path, {f"{CPU}/cpu1/cpufreq/base_frequency": "2000000"})["frequency limit"]

    assert (capped.state, capped.found) == ("warning", "core 1 may run at 2.00 GHz of 3.40 GHz")
    assert capped.command == "sudo cpupower frequency-set -u 3400000kHz"
    assert at_base.state == "ok"


@pytest.mark.parametrize(
    ("quota", "state"), [("50000", "problem"), ("150000", "warning"), ("200000", "ok"), ("max", "ok")]
)
def test_a_quota_leaves_room_for_the_threads_and_the_rest_or_not(tmp_path, quota, state):
    changes = {"proc/self/cgroup": "0::/job\n", "sys/fs/cgroup/job/cpu.max": f"{quota} 100000\n"}

    assert cores_of(tmp_path, changes)["CPU quota"].state == state


def test_numa_balancing_matters_from_two_nodes_on(tmp_path):
    on = {"proc/sys/kernel/numa_balancing": "1"}
    assert "NUMA balancing" not in cores_of(tmp_path, on)
    nodes = {"sys/devices/system/node/node0/cpulist": "0-1", "sys/devices/system/node/node1/cpulist": "2-3"}
    found = cores_of(tmp_path, on | nodes)["NUMA balancing"]

    assert (found.state, found.command) == ("warning", "sudo sysctl kernel.numa_balancing=0")


@pytest.mark.parametrize(
    ("name", "changes", "seen", "state", "words"),
    [
        ("load", {"proc/loadavg": "1.50 0.80 0.20 1/100 4242"}, {}, "warning", "1.50 in the last minute"),
        ("CPU pressure", {"proc/pressure/cpu": "some avg10=1.50 avg60=0"}, {}, "warning", "1.5% of the last 10 s"),
        ("CPU pressure", {"proc/pressure/cpu": "some avg10=25.00 avg60=0"}, {}, "problem", "25.0%"),
        ("other processes", {}, {"busy": [("make", 0.9), ("sh", 0.01)]}, "warning", "make 90%, in shares of a core"),
        ("other processes", {}, {"busy": [("sh", 0.01)]}, "ok", "none above 5% of a core; the busiest is sh with 1%"),
        (
            "other processes",
            {},
            {"busy": [(name, 0.5) for name in "abcde"]},
            "warning",
            "a 50%, b 50%, c 50% and 2 more",
        ),
        ("hypervisor", {"proc/cpuinfo": "flags : fpu hypervisor"}, {}, "warning", "a virtual machine"),
        ("hypervisor", {}, {"before": {"steal_s": 1.0}, "after": {"steal_s": 1.2}}, "problem", "it took 20.0%"),
        (
            "heat",
            {},
            {"before": {"thermal_events": 3}, "after": {"thermal_events": 5}},
            "problem",
            "2 throttling events",
        ),
        (
            "heat",
            {},
            {"before": {"thermal_events": 3}, "after": {"thermal_events": 3}},
            "warning",
            "3 throttling events",
        ),
        ("heat", {"sys/class/thermal/thermal_zone0/temp": "90000"}, {}, "warning", "is at 90 °C and acts at 95 °C"),
        ("heat", {}, {}, "ok", "hottest x86_pkg_temp, 45 °C"),
    ],
)
def test_what_goes_on_is_said_with_its_number(tmp_path, name, changes, seen, state, words):
    found = activity_of(tmp_path, changes, **seen)[name]

    assert found.state == state
    assert words in found.found


def test_memory_is_what_the_machine_and_the_container_both_leave(tmp_path):
    group = {
        "proc/self/cgroup": "0::/job\n",
        "sys/fs/cgroup/job/memory.max": str(3 * GIB),
        "sys/fs/cgroup/job/memory.current": str(GIB),
    }
    roomy = by_name(check_memory(place(machine(tmp_path)), watched(), 4 * GIB))["memory"]
    tight = by_name(check_memory(place(machine(tmp_path, group)), watched(), 4 * GIB))["memory"]

    assert roomy.state == "ok"
    assert (tight.state, tight.found) == ("warning", "2 GiB free, the device allows a network 4 GiB")


def test_swapping_is_a_warning_and_swap_that_lies_still_is_none(tmp_path):
    still, moving = (
        by_name(check_memory(place(machine(tmp_path)), watched(swapped_pages=pages), GIB))["swap"] for pages in (0, 7)
    )

    assert still.state == "ok"
    assert (moving.state, moving.command) == ("warning", "sudo swapoff -a")


@pytest.mark.parametrize(
    ("current", "available", "state", "command"),
    [
        (
            "hpet",
            "tsc hpet",
            "warning",
            "echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource",
        ),
        ("hpet", "hpet acpi_pm", "warning", ""),
        ("kvm-clock", "kvm-clock", "ok", ""),
    ],
)
def test_a_slow_clock_source_is_a_warning_with_a_faster_one_if_there_is(tmp_path, current, available, state, command):
    files = {f"{CLOCK}/current_clocksource": current, f"{CLOCK}/available_clocksource": available}
    found = by_name(check_clock(machine(tmp_path, files), lambda: 1e-7))["clock source"]

    assert (found.state, found.command) == (state, command)


@pytest.mark.parametrize(("overhead_s", "state"), [(1e-6, "ok"), (3e-6, "warning"), (50e-6, "problem")])
def test_timing_nothing_may_take_two_microseconds(tmp_path, overhead_s, state):
    assert by_name(check_clock(tmp_path, lambda: overhead_s))["timer"].state == state


def test_the_overhead_is_taken_with_the_loop_that_times_networks():
    assert null_overhead_s() > 0


def test_energy_counters_that_may_not_be_read_come_with_the_command(tmp_path):
    root = machine(tmp_path, {"sys/class/powercap/intel-rapl:0/energy_uj": None})
    # The tests may run as root, who may read every file: a folder stands for one that may not be read.
    (root / "sys/class/powercap/intel-rapl:0/energy_uj").mkdir()
    found = check_energy(place(root))

    assert (found.state, found.command) == ("unknown", "sudo chmod a+r /sys/class/powercap/intel-rapl:0/energy_uj")


def spec(runtime, backend="cpu"):
    return DeviceSpec("mine", backend, runtime, 1, GIB)


def test_a_runtime_that_is_not_installed_is_a_problem_with_what_to_install():
    def version(package):
        return None if package in ("openvino", "onnxruntime") else "1.0"

    needed, others = check_runtimes(spec("onnx"), version, which=lambda name: "/usr/bin/c++")

    assert (needed.state, needed.command) == ("problem", "pip install 'nasbench[onnx]'")
    assert "onnxruntime" in needed.found
    assert others.found.startswith("eager, channels_last, compile; openvino needs openvino")


def test_torch_compile_needs_a_compiler_on_a_cpu(monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    needed, _ = check_runtimes(spec("compile"), lambda package: "1.0", which=lambda name: None)
    on_a_gpu, _ = check_runtimes(spec("compile", "cuda"), lambda package: "1.0", which=lambda name: None)

    assert (needed.state, needed.command) == ("problem", "sudo apt-get install g++")
    assert on_a_gpu.state == "ok"


def test_what_is_wrong_says_why_and_what_to_do(tmp_path):
    faults = {
        "proc/loadavg": "9 9 9 1/1 1",
        "proc/cpuinfo": "flags : hypervisor",
        "proc/pressure/cpu": "some avg10=50.0 ",
        f"{CPU}/intel_pstate/no_turbo": "0",
        f"{CPU}/cpu1/cpufreq/scaling_governor": "powersave",
    }
    root = machine(tmp_path, faults)
    findings = [*check_cores(place(root, 5)), *check_activity(place(root), watched(busy=[("make", 1.0)]))]
    wrong = [finding for finding in findings if finding.state in ("warning", "problem")]

    assert len(wrong) >= 6
    assert all(finding.why and finding.advice for finding in wrong)
    assert not [finding for finding in wrong if re.search(r"[.:]$", finding.advice + finding.why)]


def test_this_machine_can_be_watched_and_ourselves_are_not_among_the_others():
    seen = watch(Place(ROOT, available_cpus(), 1), 0.05)

    assert seen.window_s >= 0.05
    assert all(one.share >= 0 for one in seen.busy)


def test_pages_that_were_swapped_are_counted(tmp_path):
    root = machine(tmp_path, {"proc/vmstat": "pswpin 10\npswpout 5\n"})

    def swap(seconds):
        write(root, {"proc/vmstat": "pswpin 12\npswpout 6\n"})

    assert watch(place(root), 0.0, swap).swapped_pages == 3
