"""Machines that exist only as files, one with nothing to complain about and whatever a test changes in it."""

from nasbench.doctor.activity import Busy, Watched
from nasbench.doctor.cores import Place
from nasbench.host import Counters

QUIET = {
    "proc/cpuinfo": "model name\t: Some CPU\nflags\t\t: fpu avx2 lm\n",
    "proc/meminfo": "MemTotal: 16000000 kB\nMemAvailable: 12000000 kB\n",
    "proc/loadavg": "0.05 0.10 0.20 1/100 4242\n",
    "proc/pressure/cpu": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n",
    "proc/sys/kernel/numa_balancing": "0\n",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
    "sys/devices/system/clocksource/clocksource0/available_clocksource": "tsc hpet acpi_pm\n",
    "sys/devices/system/cpu/intel_pstate/no_turbo": "1\n",
    "sys/class/powercap/intel-rapl:0/name": "package-0\n",
    "sys/class/powercap/intel-rapl:0/energy_uj": "12345\n",
    "sys/class/powercap/intel-rapl:0/max_energy_range_uj": "262143328850\n",
    "sys/class/thermal/thermal_zone0/type": "x86_pkg_temp\n",
    "sys/class/thermal/thermal_zone0/temp": "45000\n",
    "sys/class/thermal/thermal_zone0/trip_point_0_type": "passive\n",
    "sys/class/thermal/thermal_zone0/trip_point_0_temp": "95000\n",
}
CORE = {
    "topology/thread_siblings_list": "{cpu}\n",
    "cpufreq/scaling_governor": "performance\n",
    "cpufreq/scaling_max_freq": "3400000\n",
    "cpufreq/cpuinfo_max_freq": "3400000\n",
}


def write(root, files):
    """Write files below `root`; a text of None takes one away."""
    for name, text in files.items():
        path = root / name
        if text is None:
            path.unlink(missing_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def machine(root, changes=None, cores=4):
    """Write a machine without fault that has so many cores, then what a test changes."""
    write(root, QUIET)
    for cpu in range(cores):
        write(root, {f"sys/devices/system/cpu/cpu{cpu}/{name}": text.format(cpu=cpu) for name, text in CORE.items()})
    write(root, changes or {})
    return root


def place(root, threads=1, cores=4):
    return Place(root, tuple(range(cores)), threads)


def counters(**changes):
    still = dict.fromkeys(("pressure_us", "waiting_s", "steal_s", "throttled_us", "thermal_events"))
    return Counters(**(still | {"voluntary_switches": 0, "involuntary_switches": 0} | changes))


def watched(before=None, after=None, swapped_pages=0, busy=()):
    """Give a second in which nothing happened but what a test says."""
    busy = tuple(Busy(name, share) for name, share in busy)
    return Watched(1.0, counters(**(before or {})), counters(**(after or {})), swapped_pages, busy)
