"""The cache of measurements: what is found again, what is not, and that nothing of it can stop a run."""

import sqlite3
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from simulated_device import SimulatedDevice, network

from nasbench.measure import cache as cache_module
from nasbench.measure.cache import MeasurementCache, default_path
from nasbench.measure.levels import Job, confirm
from nasbench.records import CONFIRM, TimingPlan
from nasbench.space.architecture import Architecture, Block

A, B = network(2), network(3)
PLAN = TimingPlan()
FACTORY = Architecture((1, 8, 8), 0, (Block("factory", 1, 1, 1, (("sha256", "0" * 64), ("target", "mine:make"))),))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "nested" / "measurements.db"


@pytest.fixture
def said():
    return []


@pytest.fixture
def cache(path, said):
    with MeasurementCache(path, said.append) as cache:
        yield cache
    assert said == []


def kept(cache, architecture=A, device=None, plan=PLAN, origin="monday"):
    device = device or SimulatedDevice()
    measurement = device.take(architecture, plan)
    cache.keep(device, architecture, measurement, origin)
    return measurement


def test_a_measurement_is_found_again_and_says_where_it_is_from(cache):
    measurement = kept(cache)

    found = cache.find(SimulatedDevice(), A, PLAN)
    assert found == replace(measurement, reused_from="monday at 2026-11-21T10:00:00.000+00:00")


def test_a_confirmed_one_comes_back_with_every_process(path, said):
    device = SimulatedDevice()
    (measurement,) = confirm([Job("a", device, A, CONFIRM)], pause=device.pauses.append)
    with MeasurementCache(path, said.append) as cache:
        cache.keep(device, A, measurement, "monday")
    with MeasurementCache(path, said.append) as cache:
        found = cache.find(device, A, CONFIRM)

    assert replace(found, reused_from=None) == measurement
    assert said == []


@pytest.mark.parametrize(
    ("architecture", "plan", "change"),
    [
        (B, PLAN, {}),
        (A, replace(PLAN, batch=2), {}),
        (A, replace(PLAN, energy=True), {}),
        (A, CONFIRM, {}),
        (A, PLAN, {"name": "other"}),
        (A, PLAN, {"index": 1}),
    ],
)
def test_another_network_plan_or_device_is_not_found(cache, architecture, plan, change):
    kept(cache)

    assert cache.find(SimulatedDevice(**change), architecture, plan) is None


def test_new_software_and_a_new_protocol_are_measured_anew(cache, monkeypatch):
    kept(cache)
    newer = SimulatedDevice()
    newer.software = "1.1"

    assert cache.find(newer, A, PLAN) is None
    monkeypatch.setattr(cache_module, "PROTOCOL", cache_module.PROTOCOL + 1)
    assert cache.find(SimulatedDevice(), A, PLAN) is None


@pytest.mark.parametrize("verdict", ["noisy", "throttled", "drift", "invalid"])
def test_only_what_is_ok_is_kept(cache, verdict):
    device = SimulatedDevice()
    device.verdict = lambda number: verdict
    kept(cache, device=device)

    assert cache.find(device, A, PLAN) is None


def test_a_network_that_code_makes_is_not_kept(cache):
    kept(cache, FACTORY)

    assert cache.find(SimulatedDevice(), FACTORY, PLAN) is None


def test_what_came_from_the_cache_keeps_its_first_origin(cache):
    kept(cache, origin="monday")
    device = SimulatedDevice()
    cache.keep(device, A, cache.find(device, A, PLAN), "tuesday")

    assert cache.find(device, A, PLAN).reused_from.startswith("monday at ")


def test_a_fresh_measurement_takes_the_place_of_the_old_one(cache):
    kept(cache, origin="monday")
    newer = kept(cache, device=SimulatedDevice(seed=7), origin="tuesday")

    found = cache.find(SimulatedDevice(), A, PLAN)
    assert found.reused_from.startswith("tuesday at ")
    assert found.latencies_s == newer.latencies_s


def test_above_its_size_the_oldest_go(cache, monkeypatch):
    monkeypatch.setattr(cache_module, "MOST_ROWS", 3)
    for classes in range(2, 8):
        kept(cache, network(classes))

    found = [cache.find(SimulatedDevice(), network(classes), PLAN) is not None for classes in range(2, 8)]
    assert found == [False] * 3 + [True] * 3


def test_above_its_bytes_the_oldest_go_and_the_newest_stays(cache, monkeypatch):
    monkeypatch.setattr(cache_module, "MOST_BYTES", 10)
    kept(cache, A)
    kept(cache, B)

    assert cache.find(SimulatedDevice(), A, PLAN) is None
    assert cache.find(SimulatedDevice(), B, PLAN) is not None


def test_an_altered_row_is_not_believed(cache, path):
    kept(cache)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE measurements SET body = replace(body, '\"ok\"', '\"OK\"')")
    connection.close()

    assert cache.find(SimulatedDevice(), A, PLAN) is None


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: b"this is no database at all" * 100, id="another file"),
        pytest.param(lambda data: data[:5000], id="cut"),
        pytest.param(lambda data: data[:100] + bytes(4000) + data[4100:], id="holes"),
    ],
)
def test_a_damaged_file_is_set_aside_and_a_new_one_begins(path, said, damage):
    with MeasurementCache(path, said.append) as cache:
        for classes in range(2, 40):
            kept(cache, network(classes))
    path.write_bytes(damage(path.read_bytes()))

    with MeasurementCache(path, said.append) as cache:
        cache.find(SimulatedDevice(), A, PLAN)
        kept(cache, B)
        kept(cache, B)
        assert cache.find(SimulatedDevice(), B, PLAN) is not None
    (line,) = said
    assert "was damaged" in line
    (aside,) = path.parent.glob("measurements.db.damaged-*")
    assert str(aside) in line


def test_another_programs_database_is_left_whole(path, said):
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA application_id = 12345")
        connection.execute("CREATE TABLE theirs (value)")
    connection.close()
    MeasurementCache(path, said.append).close()

    (aside,) = path.parent.glob("measurements.db.damaged-*")
    with sqlite3.connect(aside) as connection:
        assert connection.execute("SELECT count(*) FROM theirs").fetchone() == (0,)
    connection.close()
    assert "another program's" in said[0]


def test_a_folder_that_cannot_be_written_means_no_cache_and_one_line(tmp_path, said):
    (tmp_path / "file").write_text("in the way")
    with MeasurementCache(tmp_path / "file" / "measurements.db", said.append) as cache:
        kept(cache)
        assert cache.find(SimulatedDevice(), A, PLAN) is None

    (line,) = said
    assert line.startswith("measurements are not cached: ")


def test_without_a_listener_it_is_a_warning(tmp_path):
    (tmp_path / "file").write_text("in the way")

    with pytest.warns(UserWarning, match="not cached"):
        MeasurementCache(tmp_path / "file" / "measurements.db")


def test_a_closed_cache_finds_and_keeps_nothing(path, said):
    cache = MeasurementCache(path, said.append)
    cache.close()
    cache.close()
    kept(cache)

    assert cache.find(SimulatedDevice(), A, PLAN) is None
    assert said == []


def test_processes_that_write_at_once_lose_nothing(path):
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from simulated_device import SimulatedDevice, network
        from nasbench.measure.cache import MeasurementCache
        from nasbench.records import TimingPlan

        def fail(text):
            raise SystemExit(text)

        first = int(sys.argv[2])
        with MeasurementCache(Path(sys.argv[1]), fail) as cache:
            for classes in range(first, first + 20):
                device = SimulatedDevice()
                cache.keep(device, network(classes), device.take(network(classes), TimingPlan()), "several")
        """
    )
    folder = str(Path(__file__).parent)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", f"import sys; sys.path[:0] = [{folder!r}]\n{program}", str(path), str(first)]
        )
        for first in (100, 200, 300)
    ]

    assert [writer.wait() for writer in writers] == [0, 0, 0]
    with MeasurementCache(path) as cache:
        for first in (100, 200, 300):
            for classes in range(first, first + 20):
                assert cache.find(SimulatedDevice(), network(classes), TimingPlan()) is not None


def test_several_that_begin_a_file_together_wait_for_one_another(tmp_path):
    said, files, writers = [], 200, 4
    together = threading.Barrier(writers)

    def begin():
        for number in range(files):
            together.wait()
            MeasurementCache(tmp_path / f"{number}.db", said.append).close()

    threads = [threading.Thread(target=begin) for _ in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert said == []
    assert len(list(tmp_path.iterdir())) == files


def test_the_folder_is_that_of_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("NASBENCH_CACHE", str(tmp_path / "mine"))
    assert default_path() == tmp_path / "mine" / "measurements.db"

    monkeypatch.delenv("NASBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_path() == tmp_path / "nasbench" / "measurements.db"

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_path() == tmp_path / ".cache" / "nasbench" / "measurements.db"
