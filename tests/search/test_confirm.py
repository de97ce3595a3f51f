"""Confirming a front, with a formula in the place of timing."""

from dataclasses import replace

import pytest

from nasbench.errors import DeviceError
from nasbench.measure import levels
from nasbench.measure.cache import MeasurementCache
from nasbench.measure.canary import CANARY
from nasbench.records import CONFIRM, TimingPlan
from nasbench.search.confirm import estimate_s
from nasbench.search.plan import Budget, SearchPlan
from nasbench.search.run import Search
from nasbench.store.log import RunLog
from nasbench.store.parquet import flush, read_run
from tests.search.formula import FormulaAccuracy, FormulaDevice, toy_space


def plan(**changes):
    return SearchPlan(("accuracy", "latency"), {}, "random", 0, TimingPlan(), **changes)


class Sought:
    """A search that has ended, before its front is confirmed."""

    def __init__(self, folder, of=None, cache=None, trials=25):
        self.folder, self.plan, self.cache, self.said = folder, of or plan(), cache, []
        self.device = FormulaDevice()
        manifest = {"objectives": list(self.plan.objectives), "limits": dict(self.plan.limits)}
        with RunLog.create(folder, manifest) as log:
            search = self._search(log)
            search.run(Budget(trials, None))
        self.members = {m.trial: m for m in search.front.members}

    def _search(self, log):
        return Search(toy_space(), self.plan, log, FormulaAccuracy(), [self.device], self.cache)

    def confirm(self, device=None, watch=lambda progress: None):
        self.device = device or FormulaDevice()
        with RunLog.open(self.folder) as log:
            self._search(log).confirm_front(self.said.append, watch)
        return read_run(self.folder)

    def confirmed_digests(self):
        return [digest for digest, level in self.device.calls if level == "confirm"]


@pytest.fixture
def sought(tmp_path):
    return Sought(tmp_path / "run")


def test_every_member_is_measured_in_as_many_processes_as_the_level_asks_and_stays_when_nothing_changed(sought):
    run = sought.confirm()

    assert set(run.pareto["trial"]) == set(sought.members)
    assert run.pareto["confirmed_on_front"].all()
    assert (run.pareto["confirmed_processes"] == CONFIRM.min_processes).all()
    assert run.pareto["confirmed_latency_s"].to_numpy() == pytest.approx(run.pareto["latency_s"].to_numpy(), rel=0.01)
    assert run.pareto["fell_off"].isna().all()


def test_members_are_measured_in_turns_and_not_one_after_the_other(sought):
    sought.confirm()

    digests = sought.confirmed_digests()
    assert len(set(digests[: len(sought.members) + 1])) == len(sought.members) + 1  # the canary is one of them


def test_a_member_that_is_slower_than_the_search_found_falls_off_and_it_is_said_what_beats_it(sought):
    by_accuracy = sorted(sought.members.values(), key=lambda m: m.score.value)
    slow = by_accuracy[0]
    run = sought.confirm(FormulaDevice(slower={slow.architecture.digest: 50.0}))

    row = run.pareto.set_index("trial").loc[slow.trial]
    assert not row["confirmed_on_front"]
    assert row["dominated_by"] in sought.members
    assert row["fell_off"].startswith(f"trial {row['dominated_by']} has higher accuracy and is faster by ")
    assert row["latency_s"] == slow.measurements[0].latency_s


def test_a_member_that_fails_is_said_and_keeps_the_figure_of_the_search(sought):
    broken = next(iter(sought.members.values()))
    run = sought.confirm(FormulaDevice(broken={(broken.architecture.digest, "confirm")}))

    row = run.pareto.set_index("trial").loc[broken.trial]
    assert row["confirmed_verdict"] == "failed" and row["confirmed_on_front"] is None
    assert row["latency_s"] == broken.measurements[0].latency_s
    assert f"trial {broken.trial} could not be confirmed" in sought.said[0] and "SIGSEGV" in sought.said[0]


def test_a_front_that_was_confirmed_is_not_measured_again(sought):
    sought.confirm()
    sought.confirm()

    assert not sought.confirmed_digests()


def test_a_new_member_has_the_whole_front_confirmed_again_since_figures_of_two_times_do_not_compare(sought):
    sought.confirm()
    with RunLog.open(sought.folder) as log:
        search = sought._search(log)
        search.run(Budget(120, None))
    members = {m.trial: m.architecture.digest for m in search.front.members}
    assert set(members) - set(sought.members) and set(members) & set(sought.members)

    sought.confirm()

    assert set(sought.confirmed_digests()) - {CANARY.digest} == set(members.values())
    with RunLog.read(sought.folder) as log:
        assert set(log.confirmed()) == set(members)
    assert "does not compare" in sought.said[0]


def test_another_plan_confirms_the_front_anew(sought):
    sought.confirm()
    sought.plan = replace(sought.plan, confirm_processes=3)
    run = sought.confirm()

    assert (run.pareto["confirmed_processes"] == 3).all()


def test_after_an_interruption_the_whole_front_is_confirmed_again(sought):
    quick, slow = list(sought.members.values())[:2]

    class Leaving(FormulaDevice):
        def take(self, architecture, plan):
            if self.confirmed == CONFIRM.min_processes * (len(sought.members) + 1):
                raise DeviceError("device 'formula' is gone")
            measurement = super().take(architecture, plan)
            self.confirmed += 1
            if architecture.digest == slow.architecture.digest:  # its processes never agree, so it goes on alone
                factor = 1 + 0.2 * (self.confirmed % 2)
                measurement = replace(measurement, latencies_s=tuple(s * factor for s in measurement.latencies_s))
            return measurement

        confirmed = 0

    with pytest.raises(DeviceError, match="is gone"):
        sought.confirm(Leaving())
    with RunLog.read(sought.folder) as log:
        stored = set(log.confirmed())
    assert quick.trial in stored and slow.trial not in stored

    run = sought.confirm()

    digests = {m.architecture.digest for m in sought.members.values()}
    assert set(sought.confirmed_digests()) - {CANARY.digest} == digests
    assert run.pareto["confirmed_on_front"].notna().all()


def test_figures_of_before_stay_until_the_first_member_is_confirmed_anew(sought):
    class Gone(FormulaDevice):
        def take(self, architecture, plan):
            raise DeviceError("device 'formula' is gone")

    before = sought.confirm()
    sought.plan = replace(sought.plan, confirm_processes=3)
    with pytest.raises(DeviceError, match="is gone"):
        sought.confirm(Gone())

    assert list(read_run(sought.folder).pareto["confirmed_latency_s"]) == list(before.pareto["confirmed_latency_s"])


def test_a_member_whose_confirmation_is_not_sound_is_said_and_decides_nothing(sought, monkeypatch):
    monkeypatch.setattr(levels, "BACK_OFFS_S", (0.0,))  # after a disturbed process, seconds in earnest
    hot = next(iter(sought.members.values()))

    class Throttled(FormulaDevice):
        def take(self, architecture, plan):
            measurement = super().take(architecture, plan)
            if architecture.digest != hot.architecture.digest:
                return measurement
            return replace(measurement, verdict="throttled", reasons=("its clock fell",))

    run = sought.confirm(Throttled())

    row = run.pareto.set_index("trial").loc[hot.trial]
    assert row["confirmed_verdict"] == "throttled" and row["confirmed_on_front"] is None
    assert sought.said[0].startswith(f"trial {hot.trial} could not be confirmed and keeps the search's figure: it was")


def test_a_search_that_does_not_look_at_latency_has_nothing_to_confirm(tmp_path):
    of = replace(plan(), objectives=("accuracy", "params"))
    sought = Sought(tmp_path / "run", of)

    with RunLog.open(sought.folder) as log:
        assert sought._search(log).to_confirm() == []


def test_the_plan_of_the_confirmation_has_the_number_format_and_batch_of_the_search():
    of = replace(plan(), timing=TimingPlan(batch=8, dtype="bf16", seed=3, energy=True))

    assert of.confirming == replace(CONFIRM, batch=8, dtype="bf16", seed=3)


def test_the_time_said_beforehand_counts_every_process_and_the_canary(sought):
    members = list(sought.members.values())
    quiet, noisy = estimate_s(members, CONFIRM)

    assert noisy == pytest.approx(quiet * CONFIRM.max_processes / CONFIRM.min_processes)
    assert quiet > CONFIRM.min_processes * (len(members) + 1) * (CONFIRM.min_sampling_s + CONFIRM.min_warmup_s)


def test_a_second_search_measures_nothing_that_the_first_has_measured(tmp_path):
    with MeasurementCache(tmp_path / "measurements.db") as cache:
        Sought(tmp_path / "first", cache=cache)
        second = Sought(tmp_path / "second", cache=cache)

    flush(second.folder)
    rows = read_run(second.folder).evaluations
    assert not second.device.calls
    assert rows.loc[rows["latency_s"].notna(), "reused_from"].str.startswith("first at ").all()


def test_a_front_is_confirmed_by_measuring_also_when_its_figures_are_cached(tmp_path):
    with MeasurementCache(tmp_path / "measurements.db") as cache:
        Sought(tmp_path / "first", cache=cache).confirm()
        second = Sought(tmp_path / "second", cache=cache)
        run = second.confirm()

    assert len(second.confirmed_digests()) == CONFIRM.min_processes * (len(second.members) + 1)
    assert run.pareto["confirmed_verdict"].notna().all()


def test_energy_is_taken_when_it_is_an_objective_and_stands_in_its_column(tmp_path):
    of = replace(plan(), objectives=("accuracy", "energy"), timing=TimingPlan(energy=True))
    sought = Sought(tmp_path / "run", of)
    flush(sought.folder)

    front = read_run(sought.folder).pareto
    assert front["energy_j"].is_monotonic_increasing and front["energy_j"].notna().all()
