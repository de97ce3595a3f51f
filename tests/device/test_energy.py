"""Energy from counters, on a clock and a sysfs of the test's own."""

import itertools
from pathlib import Path

import pytest
from fake_nvml import NOT_SUPPORTED, FakeNvml

from nasbench.device.energy import Clock, Meter, NoMeter, find_nvml, find_rapl, measure_energy
from nasbench.device.nvml import open_gpu


class Bench:
    """A machine that draws `idle_w` and, while an inference of `inference_s` runs, `busy_w`."""

    def __init__(self, idle_w=40.0, busy_w=100.0, inference_s=0.02):
        self.idle_w, self.busy_w, self.inference_s = idle_w, busy_w, inference_s
        self.now_s = self.drawn_j = 0.0
        self.clock = Clock(now=lambda: self.now_s, sleep=lambda seconds: self._pass(seconds, self.idle_w))

    def run(self):
        self._pass(self.inference_s, self.busy_w)

    def _pass(self, seconds, watts):
        self.now_s += seconds
        self.drawn_j += seconds * watts


class BenchMeter(Meter):
    """Counts what a bench draws, in millijoules, renewed every `period_s`; wrong as `distort` says."""

    source = "test counter"

    def __init__(self, bench, period_s=0.1, distort=lambda millijoules: millijoules):
        self._bench, self._period_s, self._distort = bench, period_s, distort
        self._renewed_s = -1.0
        self._value = 0

    def read(self):
        if self._bench.now_s - self._renewed_s >= self._period_s:
            self._renewed_s = self._bench.now_s
            self._value = self._distort(round(self._bench.drawn_j * 1e3))
        return (self._value,)

    def joules(self, before, after):
        return (after[0] - before[0]) / 1e3 if after[0] >= before[0] else None


def test_an_inference_takes_the_energy_that_was_drawn_idle_power_included():
    bench = Bench()
    energy = measure_energy(bench.run, BenchMeter(bench), clock=bench.clock)

    assert energy.energy_j == pytest.approx(0.02 * 100.0, rel=0.01)
    assert energy.idle_power_w == pytest.approx(40.0, rel=0.01)
    assert energy.source == "test counter"
    assert energy.inferences >= 5.0 / 0.02


def test_a_run_of_several_inferences_is_divided_among_them():
    bench = Bench()
    energy = measure_energy(bench.run, BenchMeter(bench), inferences_per_run=4, clock=bench.clock)

    assert energy.energy_j == pytest.approx(0.02 * 100.0 / 4, rel=0.01)


def test_a_counter_that_is_renewed_seldom_is_read_at_its_edges():
    bench = Bench(inference_s=0.003)
    energy = measure_energy(bench.run, BenchMeter(bench, period_s=0.9), window_s=1.0, clock=bench.clock)

    assert energy.energy_j == pytest.approx(0.3, rel=0.01)


def test_a_frozen_counter_is_none_with_a_reason():
    bench = Bench()
    energy = measure_energy(bench.run, BenchMeter(bench, distort=lambda millijoules: 77), clock=bench.clock)

    assert (energy.energy_j, energy.idle_power_w) == (None, None)
    assert "test counter stood still" in energy.source


def test_a_counter_that_runs_backwards_is_none_with_a_reason():
    bench = Bench()
    energy = measure_energy(bench.run, BenchMeter(bench, distort=lambda millijoules: -millijoules), clock=bench.clock)

    assert energy.energy_j is None
    assert "ran backwards" in energy.source


def test_without_a_meter_nothing_runs_and_the_reason_is_kept():
    energy = measure_energy(lambda: pytest.fail("nothing to measure"), NoMeter("no counter here"))

    assert (energy.energy_j, energy.idle_power_w, energy.source) == (None, None, "no counter here")


def test_a_counter_that_fails_in_the_middle_is_none_with_a_reason():
    class Failing(BenchMeter):
        def read(self):
            if bench.now_s > 3:
                raise OSError("gone")
            return super().read()

    bench = Bench()
    energy = measure_energy(bench.run, Failing(bench), clock=bench.clock)

    assert energy.energy_j is None
    assert "gone" in energy.source


def make_rapl(root, packages=2, energy_uj=1_000_000, range_uj=262_143_328_850):
    """Make the sysfs of a machine whose package p holds the cores 2p and 2p + 1."""
    for package in range(packages):
        zone = root / f"sys/class/powercap/intel-rapl:{package}"
        core = root / f"sys/class/powercap/intel-rapl:{package}:0"
        for folder, name in ((zone, f"package-{package}"), (core, "core")):
            folder.mkdir(parents=True)
            (folder / "name").write_text(name + "\n")
            (folder / "energy_uj").write_text(f"{energy_uj}\n")
            (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
        for cpu in (2 * package, 2 * package + 1):
            topology = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
            topology.mkdir(parents=True)
            (topology / "physical_package_id").write_text(f"{package}\n")
    return root


def test_rapl_counts_the_packages_that_hold_the_measured_cores(tmp_path):
    root = make_rapl(tmp_path)

    assert find_rapl([3], root).source == "RAPL package-1"
    assert find_rapl([0, 3], root).source == "RAPL package-0 + package-1"


def test_rapl_gives_joules_over_all_its_packages(tmp_path):
    meter = find_rapl([0, 2], make_rapl(tmp_path))

    assert meter.joules((1_000_000, 5_000_000), (2_500_000, 7_000_000)) == 3.5


def test_a_rapl_counter_that_wrapped_goes_on_behind_its_range(tmp_path):
    meter = find_rapl([0], make_rapl(tmp_path, range_uj=10_000_000))

    assert meter.joules((9_500_000,), (500_000,)) == 1.0


def test_a_machine_without_rapl_says_so(tmp_path):
    assert "no RAPL package" in find_rapl([0], tmp_path).reason


def test_a_counter_for_root_only_comes_with_the_command_that_opens_it(tmp_path, monkeypatch):
    root = make_rapl(tmp_path)
    read = Path.read_text

    def refuse(path, *arguments, **options):
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", refuse)
    found = find_rapl([0], root)

    assert isinstance(found, NoMeter)
    assert found.reason.endswith(f"sudo chmod a+r {root}/sys/class/powercap/intel-rapl:0/energy_uj")


def test_a_rapl_file_that_is_damaged_is_a_reason(tmp_path):
    root = make_rapl(tmp_path)
    (root / "sys/class/powercap/intel-rapl:0/max_energy_range_uj").write_text("")

    assert "cannot be read" in find_rapl([0], root).reason


def test_nvml_counts_millijoules():
    counter = itertools.count(5_000, 2_000)
    meter = find_nvml(open_gpu(0, FakeNvml(nvmlDeviceGetTotalEnergyConsumption=lambda handle: next(counter))))

    assert meter.joules(meter.read(), meter.read()) == 2.0


def test_an_nvml_counter_that_begins_anew_is_not_taken_for_a_wrap():
    meter = find_nvml(open_gpu(0, FakeNvml()))

    assert meter.joules((2**63,), (100,)) is None


def test_a_gpu_without_a_counter_says_so():
    found = find_nvml(open_gpu(0, FakeNvml(nvmlDeviceGetTotalEnergyConsumption=NOT_SUPPORTED)))

    assert found == NoMeter("NVIDIA Imaginary 100 has no energy counter that NVML reads; Volta and newer have one")


def test_the_counter_of_a_whole_gpu_is_not_that_of_a_part():
    assert "MIG" in find_nvml(open_gpu(0, FakeNvml(nvmlDeviceGetMigMode=[1, 1]))).reason
