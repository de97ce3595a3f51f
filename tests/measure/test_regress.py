"""Two stored runs against each other."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nasbench.errors import DefinitionError
from nasbench.measure.regress import changes_between, compare_runs
from nasbench.measure.statistics import PER_LOOK
from nasbench.records import CONFIRM, TimingPlan
from nasbench.store.parquet import flush, read_run
from tests.store.run_samples import MANIFEST, make_architecture, make_evaluation, make_measurement, write_run

HOST = {"host": "abc123", "cpu_model": "Some CPU", "kernel": "6.1.0", "software": {"torch": "2.13.0"}}
SETTINGS = {"threads": 1, "runtime": "eager"}
SPREAD = np.array([-0.004, 0.001, -0.002, 0.003, 0.002])
MONDAY, FRIDAY = "2026-11-16T10:00:00+00:00", "2026-11-20T10:00:00+00:00"


def measured(latency_s=0.004, width=16, canary_s=0.001, **changes):
    """Give a confirmed measurement of a network, of five processes that lie around a latency."""
    medians = tuple(latency_s * np.exp(SPREAD))
    values = {
        "plan": CONFIRM,
        "process_medians_s": medians,
        "process_samples": (2,) * 4,
        "settings": SETTINGS,
        "host": HOST,
        "noise": {"canary_s": [canary_s, None, canary_s]},
        "started_at": MONDAY,
    }
    return make_measurement(make_architecture(width), latency_s, **(values | changes))


def stored(folder, *measurements):
    """Store one trial a measurement, and read the run."""
    evaluations = [
        make_evaluation(trial, architecture=_architecture(one), measurements=(one,))
        for trial, one in enumerate(measurements)
    ]
    write_run(folder, evaluations, {**MANIFEST, "objectives": []})
    flush(folder)
    return read_run(folder)


def _architecture(measurement):
    widths = {make_architecture(width).digest: width for width in range(8, 400, 8)}
    return make_architecture(widths[measurement.architecture])


def compared(tmp_path, before, after, **options):
    before, after = (stored(tmp_path / name, *some) for name, some in (("monday", before), ("friday", after)))
    return compare_runs(before, after, **options)


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.10, "slower"), (0.90, "faster"), (1.005, "tie"), (1.018, "undecided"), (1.03, "slower")]
)
def test_a_change_of_the_process_medians_is_claimed_by_its_interval(tmp_path, factor, verdict):
    scattered = measured(0.004 * factor, started_at=FRIDAY)
    if verdict == "undecided":
        scattered = replace(scattered, process_medians_s=tuple(0.004 * factor * np.exp(8 * SPREAD)))
    (one,) = compared(tmp_path, [measured()], [scattered])

    assert one.verdict == verdict, one.reason
    assert one.ratio == pytest.approx(factor, rel=1e-9)
    assert one.low < one.ratio < one.high


def test_the_margin_of_a_tie_can_be_chosen(tmp_path):
    (one,) = compared(tmp_path, [measured()], [measured(0.0044, started_at=FRIDAY)], margin=0.15)

    assert one.verdict == "tie"


def test_intervals_are_welchs_at_a_level_shared_between_the_rows(tmp_path):
    before = [measured(0.004, 16), measured(0.006, 24), measured(0.008, 32)]
    after = [measured(0.0041, 16, started_at=FRIDAY), measured(0.0061, 24, started_at=FRIDAY)]
    for one in compared(tmp_path, before, after):
        old, new = (
            next(m for m in some if m.architecture == one.alike.architecture).process_medians_s
            for some in (before, after)
        )
        welch = stats.ttest_ind(np.log(new), np.log(old), equal_var=False)
        expected = np.exp(welch.confidence_interval(1 - (1 - PER_LOOK) / 2))

        assert (one.low, one.high) == pytest.approx(tuple(expected), rel=1e-9)


def test_equal_networks_are_rarely_called_different_though_twenty_are_compared(tmp_path):
    count, repeats = 20, 200
    run = stored(tmp_path / "monday", *(measured(width=8 * index) for index in range(1, count + 1)))
    draw = np.random.default_rng(5)
    table, wrong = run.measurements, 0
    for _ in range(repeats):
        tables = []
        for day in (MONDAY, FRIDAY):
            medians = list(0.004 * draw.lognormal(0, 0.03, (count, 5)))
            latencies = [stats.gmean(some) for some in medians]
            tables.append(table.assign(process_medians_s=medians, latency_s=latencies, started_at=day))
        before, after = (replace(run) for _ in tables)
        for one, drawn in zip((before, after), tables, strict=True):
            vars(one)["measurements"] = drawn
        wrong += any(one.verdict in ("faster", "slower") for one in compare_runs(before, after))

    # Without sharing the level it would be 64 % of the repeats.
    assert wrong <= stats.binom(repeats, 0.05).ppf(0.999)


def test_a_screen_claims_nothing(tmp_path):
    screens = [
        make_measurement(make_architecture(16), latency_s, host=HOST, settings=SETTINGS, started_at=day)
        for latency_s, day in ((0.004, MONDAY), (0.008, FRIDAY))
    ]
    (one,) = compared(tmp_path, screens[:1], screens[1:])

    assert (one.verdict, one.low, one.high) == ("no claim", None, None)
    assert one.ratio == pytest.approx(2)
    assert "nasbench bench --level confirm" in one.reason


def test_a_canary_that_moved_makes_it_drift_and_is_taken_out(tmp_path):
    (one,) = compared(tmp_path, [measured()], [measured(0.0044, canary_s=0.0011, started_at=FRIDAY)])

    assert one.verdict == "drift"
    assert one.canary_ratio == pytest.approx(1.1)
    assert one.relative == pytest.approx(1.0)
    assert "the machine changed" in one.reason and "the ratio is 1.000" in one.reason


def test_canaries_of_two_devices_say_nothing_of_the_machine(tmp_path):
    on = {"canary_s": [0.0011], "canary_on": "another device"}
    (one,) = compared(tmp_path, [measured()], [measured(0.0044, noise=on, started_at=FRIDAY)])

    assert (one.verdict, one.canary_ratio) == ("slower", None)


def test_a_measurement_that_was_throttled_claims_nothing(tmp_path):
    hot = measured(0.008, verdict="throttled", reasons=("the clock moved",), started_at=FRIDAY)
    (one,) = compared(tmp_path, [measured()], [hot])

    assert one.verdict == "undecided"
    assert one.reason == "the measurement after was throttled: the clock moved"


def test_one_measurement_in_both_runs_is_not_compared_with_itself(tmp_path):
    (one,) = compared(tmp_path, [measured()], [measured(reused_from="monday, 10:00")])

    assert one.verdict == "no claim"
    assert "--fresh" in one.reason


def test_a_single_process_bounds_no_ratio(tmp_path):
    (one,) = compared(tmp_path, [measured(process_medians_s=())], [measured(0.008, started_at=FRIDAY)])

    assert (one.verdict, one.low) == ("undecided", None)


def test_only_what_was_measured_alike_is_put_side_by_side_and_the_last_of_several_counts(tmp_path):
    before = [measured(0.004, 16), measured(0.006, 24), measured(0.001, 16, plan=replace(CONFIRM, batch=8))]
    after = [measured(0.009, 16, started_at=MONDAY), measured(0.005, 16, started_at=FRIDAY), measured(0.007, 32)]
    (one,) = compared(tmp_path, before, after)

    assert (one.before_s, one.after_s) == (pytest.approx(0.004, rel=1e-3), pytest.approx(0.005, rel=1e-3))
    assert one.alike.batch == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device_digest": "f" * 16}, "device_digest is 0123456789abcdef before and ffffffffffffffff after"),
        ({"host": HOST | {"host": "def456"}}, "host.host is abc123 before and def456 after"),
        ({"host": HOST | {"cpu_model": "Another"}}, "host.cpu_model is Some CPU before and Another after"),
        ({"host": HOST | {"gpu": "H200"}}, "host.gpu is not known before and H200 after"),
        ({"plan": replace(CONFIRM, cache="cold")}, "plan.cache is hot before and cold after"),
        ({"plan": replace(CONFIRM, min_samples=7)}, "plan.min_samples is 30 before and 7 after"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_field_and_both_values(tmp_path, changes, message):
    with pytest.raises(DefinitionError) as caught:
        compared(tmp_path, [measured()], [measured(started_at=FRIDAY, **changes)])

    assert f"cannot be compared: {message}" in str(caught.value)


def test_what_differs_in_networks_that_are_not_compared_does_not_matter(tmp_path):
    other = measured(width=24, host=HOST | {"host": "def456"})

    assert len(compared(tmp_path, [measured(), other], [measured(started_at=FRIDAY)])) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"plan": replace(CONFIRM, batch=8)}, "networks in both: 1, but batch is 1 before and 8 after"),
        ({"plan": TimingPlan()}, "but level is confirm before and screen after"),
        ({"settings": SETTINGS | {"runtime": "onnx"}}, "but runtime is eager before and onnx after"),
        ({"device": "cuda"}, "but device is cpu before and cuda after"),
        ({"width": 24}, "have nothing to compare: 1 and 1 measurements with a latency, networks in both: 0"),
    ],
)
def test_runs_with_nothing_alike_are_refused_with_counts_and_what_differs(tmp_path, changes, message):
    with pytest.raises(DefinitionError, match=message):
        compared(tmp_path, [measured()], [measured(started_at=FRIDAY, **changes)])


def test_versions_that_differ_are_named_and_do_not_hinder(tmp_path):
    newer = HOST | {"kernel": "6.2.0", "software": {"torch": "2.14.0"}, "git": {"commit": "ab" * 20, "changed": False}}
    before, after = stored(tmp_path / "monday", measured()), stored(tmp_path / "friday", measured(host=newer))

    assert set(changes_between(before, after)) == {
        "kernel: 6.1.0 before, 6.2.0 after",
        "torch: 2.13.0 before, 2.14.0 after",
        "nasbench commit: not known before, abababababab after",
    }


def test_what_an_older_file_lacks_had_its_default(tmp_path):
    before, after = stored(tmp_path / "monday", measured()), stored(tmp_path / "friday", measured(0.008))
    older = before.measurements.drop(columns=["plan_cache"])
    vars(before)["measurements"] = older.assign(plan_energy=None, plan_min_processes=pd.NA, process_medians_s=pd.NA)
    vars(after)["measurements"] = after.measurements.assign(plan_min_processes=TimingPlan().min_processes)
    (one,) = compare_runs(before, after)

    assert (one.verdict, one.ratio) == ("undecided", pytest.approx(2, rel=0.01))


def test_names_are_published_ones_or_space_and_digest(tmp_path):
    architecture = make_architecture(16)
    for name, published in (("monday", None), ("friday", "tiny_1.0")):
        evaluation = make_evaluation(architecture=architecture, measurements=(measured(),), published=published)
        write_run(tmp_path / name, [evaluation], {**MANIFEST, "objectives": []})
    monday, friday = (read_run(tmp_path / name) for name in ("monday", "friday"))

    assert compare_runs(monday, friday)[0].name == "tiny_1.0"
    assert compare_runs(monday, monday)[0].name == f"tiny/{architecture.digest[:8]}"
