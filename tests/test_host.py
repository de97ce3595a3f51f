"""What is read of a machine, on machines that exist only as files."""

import subprocess

import pytest

from nasbench.host import (
    available_cpus,
    choose_cores,
    counted_between,
    find_cores,
    frequency_reader,
    git_state,
    host_record,
    is_emulated,
    parse_cpu_list,
    physical_cores,
    read_counters,
    temperature_c,
)


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def machine(root, siblings, nodes=None):
    """Write the topology of a machine: one text of siblings for each logical core, one list of cores a node."""
    for cpu, text in enumerate(siblings):
        write(root, {f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list": text})
    for node, text in enumerate(nodes or []):
        write(root, {f"sys/devices/system/node/node{node}/cpulist": text})
    return root


WITH_SMT = ["0,4", "1,5", "2,6", "3,7"] * 2
FOUR = ["0", "1", "2", "3"]


def test_a_bare_folder_is_a_machine_that_tells_nothing(tmp_path):
    record = host_record(tmp_path)

    unknown = ("cpu_model", "physical_cores", "smt", "kernel", "hypervisor", "governor", "turbo", "memory_bytes")
    assert all(record[name] is None for name in unknown)
    assert record["python"]


def test_a_machine_is_described_from_its_files(tmp_path):
    machine(tmp_path, WITH_SMT, ["0-7"])
    write(
        tmp_path,
        {
            "proc/cpuinfo": "model name\t: Some CPU\nflags\t\t: fpu avx2 hypervisor lm\n",
            "proc/meminfo": "MemTotal:       16000000 kB\n",
            "proc/sys/kernel/osrelease": "6.1.0\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance\n",
            "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "3400000\n",
            "sys/devices/system/cpu/intel_pstate/no_turbo": "1\n",
        },
    )
    record = host_record(tmp_path)

    assert (record["cpu_model"], record["kernel"], record["governor"]) == ("Some CPU", "6.1.0", "performance")
    assert (record["physical_cores"], record["logical_cores"], record["smt"]) == (4, 8, True)
    assert (record["hypervisor"], record["turbo"]) == (True, False)
    assert (record["memory_bytes"], record["max_frequency_hz"]) == (16_384_000_000, 3_400_000_000)


def test_the_host_is_told_apart_and_not_named(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    write(here, {"etc/machine-id": "a\n"})
    write(there, {"etc/machine-id": "b\n"})

    assert host_record(here)["host"] == host_record(here)["host"] != host_record(there)["host"]


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"proc/self/cgroup": "0::/job\n", "sys/fs/cgroup/job/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/job\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        (
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/job\n",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
            },
            2.0,
        ),
        ({"proc/self/cgroup": "3:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n"}, None),
    ],
)
def test_the_quota_of_a_container_is_found_in_both_versions(tmp_path, files, cores):
    write(tmp_path, files)

    assert host_record(tmp_path)["cpu_quota_cores"] == cores


def test_siblings_are_one_core(tmp_path):
    cores = physical_cores(machine(tmp_path, WITH_SMT))

    assert [(core.cpu, core.siblings) for core in cores] == [(0, (0, 4)), (1, (1, 5)), (2, (2, 6)), (3, (3, 7))]


def test_core_0_is_left_to_interrupts_while_others_are_enough(tmp_path):
    root = machine(tmp_path, FOUR)

    assert [core.cpu for core in choose_cores(1, root, range(4))] == [1]
    assert [core.cpu for core in choose_cores(3, root, range(4))] == [1, 2, 3]
    assert [core.cpu for core in choose_cores(4, root, range(4))] == [0, 1, 2, 3]


def test_cores_are_of_one_node_where_one_is_large_enough(tmp_path):
    root = machine(tmp_path, FOUR, ["0-1", "2-3"])

    assert [core.cpu for core in choose_cores(2, root, range(4))] == [2, 3]
    assert [core.cpu for core in choose_cores(3, root, range(4))] == [1, 2, 3]


def test_only_cores_that_we_may_use_are_chosen_and_too_few_are_given_as_they_are(tmp_path):
    root = machine(tmp_path, WITH_SMT)

    assert [core.cpu for core in choose_cores(2, root, [0, 6])] == [0, 6]
    assert len(choose_cores(9, root, range(8))) == 4


def test_the_cores_of_this_machine_can_be_chosen():
    (core,) = choose_cores(1)

    assert core.cpu in available_cpus()


def test_a_list_of_cores_is_read_as_the_kernel_writes_it():
    assert parse_cpu_list("0-2,8,10-11\n") == [0, 1, 2, 8, 10, 11]
    assert parse_cpu_list("\n") == []


def test_counters_are_read_and_the_absent_are_none(tmp_path):
    write(
        tmp_path,
        {
            "proc/pressure/cpu": "some avg10=1.00 avg60=0.00 avg300=0.00 total=1234\nfull total=5\n",
            "proc/stat": "cpu  1 1 1 1 1 1 1 500 0 0\ncpu0 1 1 1 1 1 1 1 300 0 0\ncpu1 1 1 1 1 1 1 1 200 0 0\n",
            "proc/self/task/7/schedstat": "1000 2000000000 3\n",
            "proc/self/task/8/schedstat": "1000 500000000 3\n",
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/cpu.stat": "usage_usec 9\nthrottled_usec 77\n",
            "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count": "4\n",
        },
    )
    counters = read_counters([1], tmp_path)

    assert (counters.pressure_us, counters.waiting_s, counters.throttled_us) == (1234, 2.5, 77)
    assert (counters.steal_s, counters.thermal_events) == (2.0, 4)
    bare = read_counters([1], tmp_path / "nowhere")
    assert (bare.pressure_us, bare.waiting_s, bare.steal_s, bare.throttled_us, bare.thermal_events) == (None,) * 5


QUIET = {
    "proc/pressure/cpu": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000\n",
    "proc/stat": "cpu1 1 1 1 1 1 1 1 200 0 0\n",
    "proc/self/task/7/schedstat": "1000 2000000000 3\n",
    "proc/self/cgroup": "0::/\n",
    "sys/fs/cgroup/cpu.stat": "throttled_usec 77\n",
    "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count": "4\n",
}
COUNTED = ("pressure_us", "waiting_s", "steal_s", "throttled_us", "thermal_events")


def changes(root, later):
    """Give what is counted on a machine between `QUIET` and these files."""
    write(root, QUIET)
    before = read_counters([1], root)
    write(root, later)
    between = counted_between(before, read_counters([1], root))
    return [between[name] for name in COUNTED]


def test_what_is_counted_is_the_difference_of_two_moments(tmp_path):
    later = {
        "proc/pressure/cpu": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500\n",
        "proc/stat": "cpu1 1 1 1 1 1 1 1 300 0 0\n",
        "proc/self/task/7/schedstat": "1000 2500000000 3\n",
        "sys/fs/cgroup/cpu.stat": "throttled_usec 78\n",
        "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count": "6\n",
    }

    assert changes(tmp_path, later) == [500, 0.5, 1.0, 1, 2]


def test_counters_that_stand_still_counted_nothing(tmp_path):
    assert changes(tmp_path, {}) == [0, 0, 0, 0, 0]


def test_counters_that_wrapped_or_were_reset_are_not_known(tmp_path):
    later = {
        "proc/pressure/cpu": "some avg10=0.00 avg60=0.00 avg300=0.00 total=3\n",
        "proc/stat": "cpu1 1 1 1 1 1 1 1 0 0 0\n",
        "proc/self/task/7/schedstat": "1000 5 3\n",
        "sys/fs/cgroup/cpu.stat": "throttled_usec 0\n",
        "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count": "0\n",
    }

    assert changes(tmp_path, later) == [None] * 5


def test_counters_that_vanish_meanwhile_are_not_known(tmp_path):
    write(tmp_path, QUIET)
    before = read_counters([1], tmp_path)

    between = counted_between(before, read_counters([1], tmp_path / "nowhere"))
    assert [between[name] for name in COUNTED] == [None] * 5


def test_frequencies_are_read_again_each_time(tmp_path):
    name = "sys/devices/system/cpu/cpu{}/cpufreq/scaling_cur_freq"
    write(tmp_path, {name.format(1): "3000000\n", name.format(2): "2000000\n"})
    read = frequency_reader([1, 2], tmp_path)

    assert read() == 2.5e9
    write(tmp_path, {name.format(1): "1000000\n"})
    assert read() == 1.5e9
    assert frequency_reader([5], tmp_path)() is None


def test_a_checkout_knows_its_commit_and_whether_it_was_changed(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    assert git_state(tmp_path) is None
    git("init")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-m", "first")
    clean = git_state(tmp_path)
    assert len(clean["commit"]) == 40
    assert not clean["changed"]
    (tmp_path / "file").write_text("two")

    assert git_state(tmp_path)["changed"]


def elf(folder, machine):
    path = folder / "proc" / "thread-self"
    path.mkdir(parents=True)
    (path / "exe").write_bytes(b"\x7fELF" + bytes(14) + machine.to_bytes(2, "little"))


@pytest.mark.parametrize(
    ("machine", "claimed", "emulated"),
    [
        (62, "x86_64", False),
        (183, "aarch64", False),
        (62, "aarch64", True),
        (62, "armv7l", True),
        (62, "riscv64", True),
        (40, "aarch64", False),  # a 32-bit program runs on the same processor
        (62, "sparc64", False),  # of which nothing is known
    ],
)
def test_another_instruction_set_than_claimed_is_emulation(tmp_path, machine, claimed, emulated):
    elf(tmp_path, machine)

    assert is_emulated(tmp_path, claimed) is emulated


def test_where_nothing_tells_it_is_not_emulated(tmp_path):
    assert not is_emulated(tmp_path, "aarch64")
    assert not is_emulated()
    assert "emulated" not in host_record(tmp_path)


def test_the_hottest_zone_that_can_be_is_the_temperature(tmp_path):
    assert temperature_c(tmp_path) is None
    for zone, told in enumerate(("45123", "71500", "-40000", "999999", "broken")):
        folder = tmp_path / "sys/class/thermal" / f"thermal_zone{zone}"
        folder.mkdir(parents=True)
        (folder / "temp").write_text(told)

    assert temperature_c(tmp_path) == 71.5


@pytest.mark.parametrize(
    ("file", "values"),
    [("cpu_capacity", (380, 380, 1024, 1024)), ("cpufreq/cpuinfo_max_freq", (1000, 1000, 2400, 2400))],
)
def test_big_and_little_cores_are_found(tmp_path, file, values):
    for cpu, value in enumerate(values):
        path = tmp_path / f"sys/devices/system/cpu/cpu{cpu}" / file
        path.parent.mkdir(parents=True)
        path.write_text(str(value))

    assert find_cores("big", tmp_path) == [2, 3]
    assert find_cores("little", tmp_path) == [0, 1]
    assert find_cores("1-2,7", tmp_path) == [1, 2, 7]


def test_cores_that_are_all_alike_are_big_and_little(tmp_path):
    for cpu in range(3):
        (tmp_path / f"sys/devices/system/cpu/cpu{cpu}").mkdir(parents=True)

    assert find_cores("big", tmp_path) == find_cores("little", tmp_path) == [0, 1, 2]


def test_without_sys_each_core_that_may_be_used_counts_as_one_of_its_own(tmp_path):
    assert [core.cpu for core in choose_cores(1, tmp_path, (0, 1))] == [1]
    assert [core.siblings for core in choose_cores(3, tmp_path, (0, 1))] == [(0,), (1,)]
