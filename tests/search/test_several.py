"""Several candidates at a time, and several devices in one search, with formulas in the place of all work."""

import random
import threading
import time

import numpy as np
import pytest

from nasbench.accuracy.pool import AccuracyPool
from nasbench.errors import Crashed, DeviceError
from nasbench.records import TimingPlan
from nasbench.search.plan import Budget, SearchPlan
from nasbench.search.run import Search
from nasbench.store.log import RunLog
from nasbench.store.parquet import read_run
from tests.search.formula import FormulaAccuracy, FormulaDevice, toy_space

SAMPLERS = ["random", "tpe", "nsga2", "evolution"]


class UnevenAccuracy(FormulaAccuracy):
    """Takes a time that nobody can foresee."""

    paused = 0

    def __init__(self, seed=0, broken=()):
        super().__init__(broken)
        self.random = random.Random(seed)
        self.places = []

    def estimate(self, architecture, go_on):
        time.sleep(self.random.uniform(0, 0.02))
        return super().estimate(architecture, go_on)

    def pause(self, place):
        self.places.append(place)
        self.paused += 1

    def resume(self, place):
        self.paused -= 1


def plan(**changes):
    given = {"objectives": ("accuracy", "latency"), "limits": {}, "sampler": "tpe", "seed": 0, "timing": TimingPlan()}
    return SearchPlan(**{**given, **changes})


def manifest(of, devices=()):
    return {
        "objectives": list(of.objectives),
        "limits": dict(of.limits),
        "devices": [{"name": device.spec.name, "digest": ""} for device in devices],
    }


def pool(workers, seed=0):
    return AccuracyPool([UnevenAccuracy(seed + index) for index in range(workers)])


def run_search(folder, of, trials, accuracy=None, devices=None):
    devices = [FormulaDevice()] if devices is None else devices
    log = RunLog.open(folder) if (folder / "run.db").exists() else RunLog.create(folder, manifest(of, devices))
    with log:
        search = Search(toy_space(), of, log, accuracy or pool(of.workers), devices)
        search.run(Budget(trials, None))
    return search


def stored(folder):
    with RunLog.read(folder) as log:
        return [evaluation for evaluation, _ in log.evaluations()]


def told(folder):
    return [(e.trial, e.choices, e.status, e.score and e.score.value, e.of_trial) for e in stored(folder)]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_seed_and_a_number_of_workers_give_the_same_trials_whatever_finishes_first(tmp_path, sampler):
    of = plan(sampler=sampler, workers=3, early_stop=True)
    for name, seed in (("a", 1), ("b", 77)):
        run_search(tmp_path / name, of, 40, pool(3, seed))

    assert told(tmp_path / "a") == told(tmp_path / "b")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_run_of_several_workers_in_pieces_reaches_the_same_trials_as_one_in_one_go(tmp_path, sampler):
    of = plan(sampler=sampler, workers=2, early_stop=False)
    run_search(tmp_path / "whole", of, 40)
    for trials in (1, 2, 9, 23, 40):
        run_search(tmp_path / "pieces", of, trials)

    assert told(tmp_path / "whole")[:40] == told(tmp_path / "pieces")[:40]


def test_one_worker_gives_what_a_search_without_workers_gives(tmp_path):
    run_search(tmp_path / "pool", plan(workers=1), 30, pool(1))
    run_search(tmp_path / "plain", plan(), 30, FormulaAccuracy())

    assert told(tmp_path / "pool") == told(tmp_path / "plain")


def test_random_candidates_and_their_scores_do_not_depend_on_the_workers(tmp_path):
    for workers in (1, 2, 4):
        run_search(tmp_path / f"{workers}", plan(sampler="random", workers=workers, early_stop=False), 30)

    assert told(tmp_path / "1") == told(tmp_path / "2") == told(tmp_path / "4")


def test_as_many_estimates_run_at_a_time_as_there_are_workers(tmp_path):
    running, most, lock = 0, 0, threading.Lock()

    class Counting(FormulaAccuracy):
        def estimate(self, architecture, go_on):
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.02)
            with lock:
                running -= 1
            return super().estimate(architecture, go_on)

    run_search(tmp_path / "run", plan(workers=3), 24, AccuracyPool([Counting() for _ in range(3)]))

    assert most == 3


def test_a_slow_candidate_does_not_hold_up_the_others(tmp_path):
    others, seen = threading.Semaphore(0), []

    class Slow(FormulaAccuracy):
        def estimate(self, architecture, go_on):
            seen.append(all(others.acquire(timeout=60) for _ in range(3)))
            return super().estimate(architecture, go_on)

    class Quick(FormulaAccuracy):
        def estimate(self, architecture, go_on):
            others.release()
            return super().estimate(architecture, go_on)

    run_search(tmp_path / "run", plan(workers=2, sampler="random"), 4, AccuracyPool([Slow(), Quick()]))

    assert seen == [True]  # three were estimated while the slow one was


def test_what_trains_on_the_machine_of_a_device_is_paused_while_it_measures(tmp_path):
    accuracy = pool(2)
    seen = []

    class Watching(FormulaDevice):
        def take(self, architecture, plan):
            seen.append([member.paused for member in accuracy._members])
            return super().take(architecture, plan)

    run_search(tmp_path / "run", plan(workers=2), 12, accuracy, [Watching(place="node-7")])

    assert seen and all(counts == [1, 1] for counts in seen)
    assert all(member.paused == 0 and set(member.places) == {"node-7"} for member in accuracy._members)


def test_a_device_is_never_used_twice_at_a_time(tmp_path):
    busy = threading.Lock()

    class Exclusive(FormulaDevice):
        def take(self, architecture, plan):
            assert busy.acquire(blocking=False)
            time.sleep(0.002)
            busy.release()
            return super().take(architecture, plan)

    run_search(tmp_path / "run", plan(workers=4), 30, devices=[Exclusive()])

    assert all(evaluation.status in ("complete", "pruned", "duplicate") for evaluation in stored(tmp_path / "run"))


def test_a_failing_estimate_is_a_row_and_the_others_go_on(tmp_path):
    broken = AccuracyPool([UnevenAccuracy(broken=(2, 3)), UnevenAccuracy()])
    run_search(tmp_path / "run", plan(workers=2), 20, broken)

    statuses = [evaluation.status for evaluation in stored(tmp_path / "run")]
    assert statuses.count("crashed") == 2
    assert len([status for status in statuses if status != "duplicate"]) == 20


def test_a_device_that_is_gone_ends_the_search_with_what_came_before_it_stored(tmp_path):
    class Dying(FormulaDevice):
        def take(self, architecture, plan):
            if len(self.calls) == 10:
                raise DeviceError("unplugged")
            return super().take(architecture, plan)

    of = plan(workers=2)
    with pytest.raises(DeviceError, match="unplugged"):
        run_search(tmp_path / "run", of, 30, devices=[Dying()])
    before = told(tmp_path / "run")
    run_search(tmp_path / "run", of, 30)
    run_search(tmp_path / "whole", of, 30)

    assert 5 <= len([trial for trial in before if trial[2] != "duplicate"]) <= 10
    assert told(tmp_path / "run")[:30] == told(tmp_path / "whole")[:30]


class TestSeveralDevices:
    OBJECTIVES = ("accuracy", "latency@board", "latency@host")

    @pytest.fixture
    def devices(self):
        # On the board blocks cost, on the host hardly anything but arithmetic does: they rank differently.
        return [FormulaDevice(name="board", per_block_s=1e-2), FormulaDevice(name="host", per_block_s=1e-7)]

    @pytest.fixture
    def run(self, tmp_path, devices):
        run_search(tmp_path / "run", plan(objectives=self.OBJECTIVES, early_stop=False), 30, devices=devices)
        return read_run(tmp_path / "run")

    def test_every_candidate_is_measured_on_each(self, run, devices):
        rows = run.evaluations[run.evaluations["status"] == "complete"]

        assert rows[["latency_s@board", "latency_s@host"]].notna().all().all()
        assert (rows["latency_s"] == rows["latency_s@board"]).all()
        assert sorted(run.measurements["device"].unique()) == ["board", "host"]
        assert len(run.measurements) == 2 * len(rows)

    def test_there_is_a_front_for_each_and_one_for_all(self, run):
        rows = run.evaluations[run.evaluations["feasible"]]
        for device in ("board", "host"):
            points = rows[["accuracy", f"latency_s@{device}"]].to_numpy(dtype=float) * (-1, 1)
            beaten = [any((other <= point).all() and (other < point).any() for other in points) for point in points]
            assert (rows[f"on_front@{device}"].to_numpy() == ~np.array(beaten)).all()
        joint = rows[["accuracy", "latency_s@board", "latency_s@host"]].to_numpy(dtype=float) * (-1, 1, 1)
        beaten = [any((other <= point).all() and (other < point).any() for other in joint) for point in joint]
        assert (rows["on_front"].to_numpy() == ~np.array(beaten)).all()

    def test_a_limit_holds_for_its_device_and_what_is_beyond_it_is_measured_no_further(self, tmp_path, devices):
        of = plan(objectives=("accuracy", "latency@host"), limits={"latency@board": 0.05}, early_stop=False)
        run_search(tmp_path / "run", of, 30, devices=devices)
        run = read_run(tmp_path / "run")

        infeasible = run.evaluations[run.evaluations["status"] == "infeasible"]
        assert len(infeasible) and (infeasible["latency_s@board"] > 0.05).all()
        assert infeasible["latency_s@host"].isna().all() and infeasible["accuracy"].isna().all()
        assert (run.pareto["latency_s@board"] <= 0.05).all()

    def test_the_front_is_confirmed_on_each_device(self, tmp_path, devices):
        of = plan(objectives=self.OBJECTIVES, early_stop=False)
        run_search(tmp_path / "run", of, 20, devices=devices)
        with RunLog.open(tmp_path / "run") as log:
            search = Search(toy_space(), of, log, FormulaAccuracy(), devices)
            members = len(search.to_confirm())
            search.confirm_front(lambda text: None)
            assert search.to_confirm() == []
        run = read_run(tmp_path / "run")

        assert len(run.pareto) == members
        for device in ("board", "host"):
            assert run.pareto[f"confirmed_latency_s@{device}"].to_numpy() == pytest.approx(
                run.pareto[f"latency_s@{device}"].to_numpy(), rel=0.01
            )
        assert run.pareto["confirmed_on_front"].all()

    def test_the_device_of_an_objective_alone_is_confirmed_whatever_the_order(self, tmp_path, devices):
        from nasbench.cli.front import count_verdicts, front_rows

        of = plan(objectives=("latency@host", "accuracy"), early_stop=False)
        run_search(tmp_path / "run", of, 15, devices=devices)
        with RunLog.open(tmp_path / "run") as log:
            Search(toy_space(), of, log, FormulaAccuracy(), devices).confirm_front(lambda text: None)
        run = read_run(tmp_path / "run")

        assert run.pareto["confirmed_latency_s@host"].notna().all()
        assert run.pareto[["confirmed_latency_s", "confirmed_latency_s@board"]].isna().all().all()
        columns, rows = front_rows(run)
        assert {row[columns.index("front")].partition(",")[0] for row in rows} == {"stays"}
        assert count_verdicts(run) == f"{2 * len(run.pareto)} rows: {2 * len(run.pareto)} ok"

    def test_a_member_that_is_slower_on_one_device_alone_stays(self, tmp_path, devices):
        of = plan(objectives=self.OBJECTIVES, early_stop=False)
        search = run_search(tmp_path / "run", of, 20, devices=devices)
        slow = {member.architecture.digest: 1.0 for member in search.front.members[:1]}
        again = [FormulaDevice(slow, name="board", per_block_s=1e-2), devices[1]]
        with RunLog.open(tmp_path / "run") as log:
            Search(toy_space(), of, log, FormulaAccuracy(), again).confirm_front(lambda text: None)
        run = read_run(tmp_path / "run")

        doubled = run.pareto[run.pareto["architecture"].isin(slow)]
        assert (doubled["confirmed_latency_s@board"] / doubled["latency_s@board"]).to_numpy() == pytest.approx(
            2, rel=0.01
        )
        assert doubled["confirmed_on_front"].all()

    def test_a_network_that_fails_on_one_device_is_a_row_and_on_no_front(self, tmp_path, devices):
        class Broken(FormulaDevice):
            def take(self, architecture, plan):
                if len(self.calls) == 3:
                    self.calls.append(None)
                    raise Crashed("SIGSEGV")
                return super().take(architecture, plan)

        run_search(
            tmp_path / "run",
            plan(objectives=self.OBJECTIVES, early_stop=False),
            12,
            devices=[devices[0], Broken(name="host", per_block_s=1e-7)],
        )
        run = read_run(tmp_path / "run")

        failed = run.evaluations[run.evaluations["status"] == "crashed"]
        assert len(failed) == 1 and not failed["feasible"].any()
        assert failed["latency_s@board"].notna().all() and failed["latency_s@host"].isna().all()
