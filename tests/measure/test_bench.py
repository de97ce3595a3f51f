"""A bench: which rows there are, what becomes of them, and which runtime is best."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from bench_device import BENCH, BRIEF, CPU, SCREEN, AnsweringDevice, make_entries, make_network, run_bench

from nasbench.errors import BuildError, Crashed, DefinitionError, DeviceError, UnknownNameError
from nasbench.measure import bench as module
from nasbench.measure.bench import Bench, open_devices, origin_of, plan_entries, tail_s, vary_devices, verdicts
from nasbench.measure.best import agrees, find_best, speed_up
from nasbench.measure.cache import MeasurementCache
from nasbench.runtime.base import RUNTIMES, RuntimeKind
from nasbench.store.log import RunLog
from nasbench.store.parquet import read_run


def runtimes_of(settings):
    return [setting.spec.runtime for setting in settings]


def rows_of(folder):
    with RunLog.read(folder) as log:
        return [evaluation for evaluation, _ in log.evaluations()]


# Which rows there are


def test_every_network_meets_every_device_thread_count_and_batch():
    settings, _ = vary_devices([CPU, replace(CPU, name="other", runtime="onnx")], (1, 2), None, None)
    devices = [(AnsweringDevice(setting.spec), setting.dtype) for setting in settings]

    entries = plan_entries([("a", "A"), ("b", "B")], devices, (1, 8), SCREEN)

    seen = {(e.network, *e.settings.values()) for e in entries}
    assert len(entries) == len(seen) == 2 * 2 * 2 * 2
    assert ("b", "other", "onnx", "fp32", 8, 2, "screen", "hot") in seen


def test_threads_runtime_and_dtype_are_the_devices_own_when_nothing_is_said():
    spec = replace(CPU, name="mine", runtime="onnx", threads=3, dtype="int8")

    (setting,), notes = vary_devices([spec], (), None, None)

    assert (setting.spec, setting.dtype, notes) == (spec, "int8", [])


def test_the_definition_of_a_device_stays_as_it_is_when_another_number_format_is_asked_for():
    (setting,), _ = vary_devices([CPU], (), None, "bf16")

    assert (setting.spec.digest, setting.dtype) == (CPU.digest, "bf16")


def test_what_two_names_have_in_common_is_measured_once_and_said():
    settings, notes = vary_devices([CPU, CPU, replace(CPU, name="cpu-onnx", runtime="onnx")], (1,), "onnx", None)

    assert runtimes_of(settings) == ["onnx"]
    assert notes == [
        "cpu (onnx, fp32, threads 1) is what cpu (onnx, fp32, threads 1) is; measured once",
        "cpu-onnx (onnx, fp32, threads 1) is what cpu (onnx, fp32, threads 1) is; measured once",
    ]


@pytest.mark.parametrize(
    ("runtime", "dtype", "error", "text"),
    [
        ("onx", None, UnknownNameError, "Did you mean 'onnx'"),
        ("onnx", "bf16", DefinitionError, "does not compute in 'bf16'"),
        ("cuda_graph", None, DefinitionError, "does not run on the backend 'cpu'"),
        ("best", "fp8", DefinitionError, "no runtime for 'cpu' computes in 'fp8' here; others do in bf16, fp16, fp32"),
    ],
)
def test_what_a_device_cannot_do_is_refused_before_anything_is_opened(runtime, dtype, error, text):
    with pytest.raises(error, match=text):
        vary_devices([CPU], (), runtime, dtype)


def test_best_is_every_runtime_of_the_backend_that_computes_in_the_number_format():
    settings, _ = vary_devices([CPU], (), "best", "bf16")

    expected = [kind.name for kind in RUNTIMES.values() if "cpu" in kind.backends and "bf16" in kind.dtypes]
    assert runtimes_of(settings) == expected


def test_best_leaves_out_training_which_is_another_question():
    settings, notes = vary_devices([CPU, replace(CPU, runtime="training")], (), "best", None)

    expected = [kind.name for kind in RUNTIMES.values() if "cpu" in kind.backends and kind.name != "training"]
    assert runtimes_of(settings) == expected
    assert all("measured once" in note for note in notes)


def test_best_keeps_eager_in_fp32_as_the_yardstick_where_eager_lacks_the_number_format():
    settings, _ = vary_devices([CPU], (), "best", "int8")

    assert [(s.spec.runtime, s.dtype) for s in settings] == [
        ("eager", "fp32"),
        ("onnx", "int8"),
        ("openvino", "int8"),
    ]


def test_best_leaves_out_what_is_not_installed_and_says_so(monkeypatch):
    absent = RuntimeKind("absent", "", ("cpu",), "torch", {"fp32": 1.0}, ("no-such-package",), "", extra="absent")
    monkeypatch.setitem(RUNTIMES, "absent", absent)

    settings, notes = vary_devices([CPU], (), "best", None)

    assert "absent" not in runtimes_of(settings)
    assert notes == [
        "left out: runtime 'absent' cannot be used: no-such-package is not installed; pip install nasbench[absent]"
    ]


def test_a_device_is_opened_once_for_all_its_rows(monkeypatch):
    opened = []
    monkeypatch.setattr(module, "open_device", lambda spec: opened.append(spec) or AnsweringDevice(spec))

    with open_devices([CPU, CPU, replace(CPU, threads=2)]) as devices:
        assert list(devices) == opened == [CPU, replace(CPU, threads=2)]


# What becomes of them


@pytest.mark.slow
def test_a_row_of_training_is_measured_and_compared_with_nothing(tmp_path):
    plan = replace(SCREEN, min_warmup_s=0.02, max_warmup_s=0.3, min_sampling_s=0.02, max_sampling_s=0.3)
    (setting,), _ = vary_devices([CPU], (), "training", None)

    with open_devices([setting.spec]) as devices:
        entries = plan_entries([("small", make_network(8))], [(devices[setting.spec], setting.dtype)], (2,), plan)
        (row,) = run_bench(tmp_path / "run", entries)

    assert row.measurement.settings["runtime"] == "training"
    assert row.measurement.latency_s > 0
    assert (row.measurement.output_error, row.measurement.settings["output_agrees"]) == (None, None)
    assert agrees(row)


@pytest.mark.parametrize("plan", [SCREEN, BRIEF])
def test_rows_are_stored_in_the_order_of_the_entries(tmp_path, plan):
    entries = make_entries(batches=(1, 8), plan=plan)

    rows = run_bench(tmp_path / "run", entries)

    stored = rows_of(tmp_path / "run")
    assert [row.entry for row in rows] == entries
    assert stored == [row.evaluation for row in rows]
    assert [(e.trial, e.published, e.choices["batch"], e.status) for e in stored] == [
        (0, "small", 1, "complete"),
        (1, "small", 8, "complete"),
        (2, "large", 1, "complete"),
        (3, "large", 8, "complete"),
    ]
    assert all(e.measurements[0].plan.level == plan.level for e in stored)


def test_entries_to_confirm_take_turns(tmp_path):
    order = []
    take = AnsweringDevice.take
    entries = make_entries(plan=BRIEF, change=lambda device: None)
    device = entries[0].device
    device.take = lambda architecture, plan: order.append(architecture.digest) or take(device, architecture, plan)

    run_bench(tmp_path / "run", entries)

    small, large = (entry.architecture.digest for entry in entries)
    first_of_each = order.index(small), order.index(large)
    assert max(first_of_each) < len(order) - 1 - order[::-1].index(small)
    assert max(first_of_each) < len(order) - 1 - order[::-1].index(large)


def test_an_entry_that_fails_is_a_row_with_the_reason_and_the_others_go_on(tmp_path):
    def break_onnx(device):
        device.fails = {"onnx": BuildError("ONNX Runtime cannot run this network: no kernel")}

    rows = run_bench(tmp_path / "run", make_entries(runtimes=("onnx", "eager"), change=break_onnx))

    assert [e.status for e in rows_of(tmp_path / "run")] == ["build_error", "complete", "build_error", "complete"]
    assert rows[0].evaluation.error == "ONNX Runtime cannot run this network: no kernel"
    assert rows[0].evaluation.choices["runtime"] == "onnx"
    assert verdicts(rows) == {"failed": 2, "ok": 2}


def test_what_was_counted_is_stored_beside(tmp_path):
    rows = run_bench(tmp_path / "run", make_entries(networks=("small",)))

    # by hand: conv 3 x 8 x 3 x 3 and its norm's 16, then 8 x 10 and 10 biases
    assert rows[0].evaluation.cost.params == 3 * 8 * 9 + 16 + 8 * 10 + 10


def test_a_row_that_was_measured_before_is_reused_and_marked(tmp_path):
    cache = tmp_path / "cache.db"
    run_bench(tmp_path / "first", make_entries(networks=("small",)), cache)

    entries = make_entries(networks=("small", "large"))
    rows = run_bench(tmp_path / "second", entries, cache)

    reused, measured = (row.measurement for row in rows)
    assert reused.reused_from.startswith("first of 20")
    assert reused.reused_from.endswith("#0 at 2026-11-21T10:00:00.000+00:00")
    assert f"{origin_of(reused)}#0" in reused.reused_from and origin_of(measured) is None
    assert [architecture for architecture, _ in entries[0].device.taken] == [entries[1].architecture]
    table = read_run(tmp_path / "second").measurements
    assert table["reused_from"].notna().tolist() == [True, False]


def test_fresh_measures_what_was_measured_before(tmp_path):
    cache = tmp_path / "cache.db"
    run_bench(tmp_path / "first", make_entries(), cache)

    rows = run_bench(tmp_path / "second", make_entries(), cache, fresh=True)

    assert [row.measurement.reused_from for row in rows] == [None, None]


def test_a_search_that_measured_something_before_is_its_origin(tmp_path):
    measurement = run_bench(tmp_path / "run", make_entries(("small",)))[0].measurement

    assert origin_of(replace(measurement, reused_from="first at 2026-11-21T10:00:00+00:00")) == "first"


@pytest.mark.parametrize("again", [{"whole_groups": True}, {"whole_groups": False}])
def test_runtimes_to_be_compared_are_reused_only_if_one_run_measured_them_all(tmp_path, again):
    cache, runtimes = tmp_path / "cache.db", ("eager", "onnx")
    run_bench(tmp_path / "whole", make_entries(("small",), runtimes), cache)
    run_bench(tmp_path / "eager", make_entries(("small", "large")), cache, fresh=True)
    run_bench(tmp_path / "third", [make_entries(("", "", "third"), runtimes)[index] for index in (4, 5)], cache)

    rows = run_bench(tmp_path / "again", make_entries(("small", "large", "third"), runtimes), cache, **again)

    reused = [row.measurement.reused_from is not None for row in rows]
    if again["whole_groups"]:
        assert reused == [False, False, False, False, True, True]
    else:
        assert reused == [True, True, True, False, True, True]


@pytest.mark.parametrize("plan", [SCREEN, BRIEF])
def test_a_row_spans_from_its_first_process_to_its_end_and_a_reused_one_takes_no_time(tmp_path, monkeypatch, plan):
    entries, cache = make_entries(plan=plan), tmp_path / "cache.db"
    clock, took_s, take = [0.0], {"small": 2.0, "large": 5.0}, AnsweringDevice.take
    names = {entry.architecture.digest: entry.network for entry in entries}

    def take_long(architecture, plan):
        clock[0] += took_s.get(names.get(architecture.digest), 1.0)
        return take(entries[0].device, architecture, plan)

    entries[0].device.take = take_long
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])

    first = [row.evaluation.seconds for row in run_bench(tmp_path / "first", entries, cache)]
    second = [row.evaluation.seconds for row in run_bench(tmp_path / "second", entries, cache)]

    if plan == SCREEN:
        assert first == [2.0, 5.0]
    else:  # three rounds of both and the canary: all but what came before a row's first process
        assert all(3 * 8 - 6 <= seconds <= 3 * 8 for seconds in first) and max(first) >= 3 * 8 - 1
    assert second == [0.0, 0.0]


@pytest.mark.parametrize("error", [KeyboardInterrupt, DeviceError])
def test_an_end_in_the_middle_leaves_the_finished_rows_in_log_and_tables(tmp_path, error):
    entries = make_entries(networks=("one", "two", "three"))

    def watch(progress):
        if progress.processes == 2:
            raise error("here")

    with (
        MeasurementCache(tmp_path / "cache.db") as cache,
        RunLog.create(tmp_path / "run", BENCH) as log,
        pytest.raises(error),
    ):
        Bench(entries, log, cache).run(watch)

    assert [e.published for e in rows_of(tmp_path / "run")] == ["one", "two"]
    assert pd.read_parquet(tmp_path / "run" / "evaluations.parquet")["published"].tolist() == ["one", "two"]
    again = run_bench(tmp_path / "again", entries, tmp_path / "cache.db")
    assert [row.measurement.reused_from is not None for row in again] == [True, True, False]


# Which runtime is best


def bench_of_runtimes(tmp_path, change=lambda device: None, plan=BRIEF, networks=("small",)):
    runtimes = ("eager", "channels_last", "onnx", "openvino")
    return run_bench(tmp_path / "run", make_entries(networks, runtimes, plan=plan, change=change))


def runtime(rows, index):
    return rows[index].entry.device.spec.runtime


def test_the_fastest_runtime_of_every_network_is_found(tmp_path):
    rows = bench_of_runtimes(tmp_path, networks=("small", "large"))

    found = find_best(rows)

    assert [(rows[best.row].entry.network, runtime(rows, best.row)) for best in found] == [
        ("small", "openvino"),
        ("large", "openvino"),
    ]
    ratio, low, high = speed_up(rows[found[0].row], rows[found[0].yardstick])
    assert low < 2.5 < high and ratio == pytest.approx(2.5, rel=0.01)


def test_a_runtime_whose_output_disagrees_is_not_the_best(tmp_path):
    def answer_wrongly(device):
        device.errors = {"openvino": 0.5, "onnx": 1e-6}

    rows = bench_of_runtimes(tmp_path, answer_wrongly)

    assert [agrees(row) for row in rows] == [True, True, True, False]
    assert runtime(rows, find_best(rows)[0].row) == "onnx"


def test_a_runtime_that_fails_is_not_the_best_and_keeps_nobody_from_it(tmp_path):
    def crash(device):
        device.fails = {"openvino": Crashed("it died"), "eager": Crashed("it died")}

    rows = bench_of_runtimes(tmp_path, crash)

    (best,) = find_best(rows)
    assert (runtime(rows, best.row), best.yardstick) == ("onnx", None)


def test_the_best_of_nothing_that_agrees_is_nothing(tmp_path):
    rows = bench_of_runtimes(tmp_path, lambda device: setattr(device, "fails", {device.spec.runtime: Crashed("died")}))

    assert find_best(rows) == []


def test_runtimes_that_the_intervals_do_not_tell_apart_are_a_tie(tmp_path, monkeypatch):
    from bench_device import FACTORS

    monkeypatch.setitem(FACTORS, "onnx", FACTORS["openvino"])
    rows = bench_of_runtimes(tmp_path, lambda device: setattr(device, "scatter", 0.02))

    (best,) = find_best(rows)
    assert {runtime(rows, index) for index in (best.row, *best.ties)} == {"onnx", "openvino"}


def test_what_different_runs_measured_has_a_ratio_without_interval_and_no_tie(tmp_path, monkeypatch):
    from bench_device import FACTORS

    monkeypatch.setitem(FACTORS, "onnx", FACTORS["openvino"])
    rows = bench_of_runtimes(tmp_path, lambda device: setattr(device, "scatter", 0.02))
    origins = ("a#0 at x", "b#1 at x", None, "a#3 at x")
    rows = [
        replace(row, evaluation=replace(row.evaluation, measurements=(replace(row.measurement, reused_from=origin),)))
        for row, origin in zip(rows, origins, strict=True)
    ]

    assert find_best(rows)[0].ties == ()
    assert [speed_up(row, rows[0])[1] > 0 for row in rows] == [True, False, False, True]


@pytest.mark.parametrize("claims", [1, 3])
def test_the_interval_of_a_ratio_is_welchs_at_the_confidence_of_a_look_shared_by_all_claims(tmp_path, claims):
    from scipy import stats

    rows = bench_of_runtimes(tmp_path, lambda device: setattr(device, "scatter", 0.02))

    medians = (np.log(rows[index].measurement.process_medians_s) for index in (0, 1))
    expected = stats.ttest_ind(*medians, equal_var=False).confidence_interval(1 - 0.03 / claims)
    assert speed_up(rows[1], rows[0], claims)[1:] == pytest.approx((np.exp(expected.low), np.exp(expected.high)))


def test_single_processes_give_no_interval_and_so_no_tie(tmp_path):
    rows = bench_of_runtimes(tmp_path, plan=SCREEN)

    (best,) = find_best(rows)
    assert (runtime(rows, best.row), best.ties) == ("openvino", ())


def test_eager_that_is_there_as_the_yardstick_alone_is_never_the_best(tmp_path):
    entries = make_entries(("small",), ("eager", "onnx"))
    slow = {"onnx": 3.0}
    entries[1] = replace(entries[1], plan=replace(entries[1].plan, dtype="int8"))
    entries[1].device.latency_s = lambda architecture, plan: slow["onnx"]

    rows = run_bench(tmp_path / "run", entries)

    (best,) = find_best(rows)
    assert (best.row, best.yardstick) == (1, 0)


# Percentiles


@pytest.mark.parametrize(("percent", "fewest"), [(90, 64), (95, 130), (99, 662)])
def test_a_percentile_needs_enough_samples(tmp_path, percent, fewest):
    measurement = run_bench(tmp_path / "run", make_entries(("small",)))[0].measurement
    samples = tuple(np.random.default_rng(0).uniform(1, 2, fewest).tolist())

    enough = replace(measurement, latencies_s=samples, kept=(True,) * fewest)
    too_few = replace(measurement, latencies_s=samples, kept=(False,) + (True,) * (fewest - 1))

    assert tail_s(enough, percent) == pytest.approx(np.percentile(samples, percent))
    assert tail_s(too_few, percent) is None


def test_a_mean_of_several_inferences_has_no_tail(tmp_path):
    measurement = run_bench(tmp_path / "run", make_entries(("small",)))[0].measurement

    assert tail_s(measurement, 90) is not None
    assert tail_s(replace(measurement, settings={"inner_loops": 4}), 90) is None
