"""What a page holds is what the parquet files say, and only runs that compare stand on one."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_runs import HOSTILE, failure, make_bench, make_failures, make_hostile, make_search, write_run
from run_samples import MANIFEST, make_architecture, make_confirmation, make_evaluation, make_measurement

from nasbench.errors import DefinitionError
from nasbench.plot.curves import find_curves
from nasbench.report.data import make_document
from nasbench.report.document import to_json
from nasbench.store.log import RunLog
from nasbench.store.parquet import flush, read_run


def document_of(*folders, **options):
    return json.loads(to_json(make_document([read_run(folder) for folder in folders], **options)))


def test_the_columns_of_a_page_are_those_of_the_parquet_file(tmp_path):
    folder = make_search(tmp_path / "first", 20)
    stored = pd.read_parquet(folder / "evaluations.parquet")

    rows = document_of(folder)["runs"][0]["rows"]

    assert rows["trial"] == stored["trial"].tolist() and rows["architecture"] == stored["architecture"].tolist()
    for key, column in {"accuracy": "accuracy", "latency": "latency_s", "params": "params", "macs": "macs"}.items():
        np.testing.assert_allclose(rows["figures"][key]["value"], stored[column], rtol=1e-8)
    np.testing.assert_allclose(rows["figures"]["latency"]["low"], stored["latency_low_s"], rtol=1e-8)
    np.testing.assert_allclose(rows["hypervolume"], stored["hypervolume"], rtol=1e-6)
    width = rows["choices"]["stage0.out"]
    assert [width["names"][code] for code in width["codes"]] == [
        str(json.loads(text)["stage0.out"]) for text in stored["choices"]
    ]


def test_the_front_has_the_confirmed_latencies_and_who_fell_off(tmp_path):
    slow, fast = (make_evaluation(t, 0.8, latency_s) for t, latency_s in ((0, 0.0040), (1, 0.0039)))
    better = make_evaluation(2, 0.9, 0.008)
    folder = write_run(tmp_path / "run", [slow, fast, better], confirmed=[(1, 0.006), (2, 0.003)])
    stored = pd.read_parquet(folder / "pareto.parquet").set_index("trial")

    run = document_of(folder)["runs"][0]

    assert run["confirmed"] and [member["row"] for member in run["members"]] == stored.index.tolist()
    latencies = run["rows"]["figures"]["latency"]["value"]
    np.testing.assert_allclose([latencies[1], latencies[2]], stored.loc[[1, 2], "confirmed_latency_s"])
    fallen = {member["row"]: member["standing"] for member in run["members"] if member["fell"]}
    assert set(fallen) == {1} and "trial 2 has higher accuracy" in fallen[1]
    assert run["members"][0]["searched"]["latency"] == pytest.approx(stored["latency_s"].iloc[0])


def test_samples_are_quantiles_of_each_process(tmp_path):
    one = make_evaluation(0, 0.8, 0.004)
    folder = write_run(tmp_path / "run", [one], confirmed=[(0, 0.005)])
    stored = pd.read_parquet(folder / "measurements.parquet").iloc[-1]
    split = np.split(stored["latencies_s"], np.cumsum(stored["process_samples"])[:-1])
    assert len(split) > 1

    (samples,) = document_of(folder)["runs"][0]["samples"]

    assert samples["count"] == len(stored["latencies_s"]) and len(samples["processes"]) == len(split)
    for quantiles, values in zip(samples["processes"], split, strict=True):
        np.testing.assert_allclose(quantiles, np.quantile(values, np.linspace(0, 1, 21)), rtol=1e-4)


def test_two_runs_share_the_box_of_their_hypervolumes(tmp_path):
    """A lone run's own box is smaller, so its share of the common one is another."""
    one = write_run(tmp_path / "one", [make_evaluation(0, 0.5, 0.002)])
    two = write_run(tmp_path / "two", [make_evaluation(0, 0.5, 0.004)])

    alone, together = document_of(one), document_of(one, two)

    # The box reaches to 1.1 of the slowest: 0.5 * (1 - 2 / 2.2) alone, 0.5 * (1 - 2 / 4.4) beside the other.
    assert alone["runs"][0]["rows"]["hypervolume"] == pytest.approx([0.5 * (1 - 1 / 1.1)], rel=1e-6)
    assert together["runs"][0]["rows"]["hypervolume"] == pytest.approx([0.5 * (1 - 0.5 / 1.1)], rel=1e-6)


def test_failures_that_differ_in_numbers_alone_are_one_reason(tmp_path):
    run = document_of(make_failures(tmp_path / "failed"))["runs"][0]

    assert [(one["status"], one["count"]) for one in run["failures"]] == [("crashed", 4), ("timeout", 3)]
    assert run["failures"][1]["error"] == "the build took 31 s" and run["failures"][1]["trials"] == [1, 3, 5]
    assert "7 candidates were tried: 7 failed. None was complete" in run["sentence"] and run["members"] == []


def test_an_empty_run_and_one_of_pruned_trials_have_a_page(tmp_path):
    empty = document_of(write_run(tmp_path / "empty", []))["runs"][0]
    pruned = [make_evaluation(trial, status="pruned") for trial in range(12)]
    only = document_of(write_run(tmp_path / "pruned", pruned))["runs"][0]

    assert empty["sentence"] == "0 candidates were tried." and empty["rows"]["trial"] == []
    assert "12 ended early" in only["sentence"] and only["members"] == []


def test_a_bench_beside_a_search_stands_at_its_published_top1(tmp_path):
    search, bench = make_search(tmp_path / "first", 5), make_bench(tmp_path / "bench")

    document = document_of(search, bench)

    assert [run["kind"] for run in document["runs"]] == ["search", "bench"]
    assert document["runs"][1]["rows"]["figures"]["accuracy"]["value"] == [0.7, 0.75]


def differing(tmp_path, name, **changes):
    architecture = make_architecture()
    measured = make_measurement(architecture, **changes)
    return write_run(tmp_path / name, [make_evaluation(0, architecture=architecture, measurements=(measured,))])


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("device", {"device": "other"}),
        ("device_digest", {"device_digest": "f" * 16}),
        ("host", {"host": {"host": "elsewhere"}}),
    ],
)
def test_what_differs_is_refused_by_its_name(tmp_path, field, changes):
    here = differing(tmp_path, "here", host={"host": "here"})
    there = differing(tmp_path, "there", **({"host": {"host": "here"}} | changes))

    with pytest.raises(DefinitionError, match=rf"^runs that differ in {field} cannot share axes: .*here.*there"):
        document_of(here, there)


def test_a_bench_on_another_device_is_refused(tmp_path):
    search, bench = make_search(tmp_path / "first", 3), make_bench(tmp_path / "bench", device="gpu")

    with pytest.raises(DefinitionError, match="differ in device cannot share axes: bench has gpu; first has cpu"):
        document_of(search, bench)


def test_a_run_given_twice_is_refused(tmp_path):
    folder = make_search(tmp_path / "first", 3)

    with pytest.raises(DefinitionError, match="is given twice"):
        document_of(folder, tmp_path / "." / "first")


def test_nothing_in_the_data_can_end_its_script(tmp_path):
    text = to_json(make_document([read_run(make_hostile(tmp_path / "hostile"))]))

    assert not set(text) & set("<>&\u2028\u2029")
    assert set(HOSTILE) <= set(json.loads(text)["runs"][0]["rows"]["name"]["names"])


def test_errors_lose_their_control_characters(tmp_path):
    folder = write_run(tmp_path / "run", [failure(0, error="a\x1b[31mred\x00\n line" + "x" * 900)])

    reason = document_of(folder)["runs"][0]["failures"][0]["error"]
    assert reason.startswith("a [31mred line") and len(reason) < 410


def test_a_start_that_the_run_does_not_tell_is_written_from_its_settings(tmp_path):
    settings = {
        "space": "tiny",
        "devices": ["cpu"],
        "objectives": ["accuracy", "latency"],
        "limits": {"latency": 0.005},
    }
    manifest = {"command": None, "settings": {**settings, "trials": 9, "seconds": None, "warm_start": False}}
    folder = make_search(tmp_path / "first", 3, manifest=manifest)

    assert document_of(folder)["runs"][0]["repeat"] == (
        "nasbench search tiny --device cpu --objective accuracy --objective latency --max latency=0.005s --trials 9 "
        "--no-warm-start --no-share-equal"
    )


def test_the_commands_of_a_row_are_those_that_its_run_can_answer(tmp_path):
    """What is shown as Python is run, for a member of the front of a run with its log and without it."""
    folder = make_search(tmp_path / "first", 12)
    with_log = document_of(folder)["runs"][0]
    (folder / "run.db").unlink()
    without = document_of(folder)["runs"][0]

    assert [command["text"].split()[1] for command in with_log["commands"][:-1]] == ["bench", "export", "export"]
    assert [command["text"].split()[1] for command in without["commands"][:-1]] == ["bench"]
    row = without["members"][0]["row"]
    for run in (with_log, without):
        known = {}
        exec(run["commands"][-1]["text"].replace("{trial}", str(run["rows"]["trial"][row])), known)  # noqa: S102
        assert known["architecture"].digest == run["rows"]["architecture"][row]
        assert sum(parameter.numel() for parameter in known["model"].parameters()) > 0


def test_searches_that_list_their_objectives_in_another_order_share_the_box(tmp_path):
    forth = make_search(tmp_path / "forth", 12)
    back = make_search(tmp_path / "back", 12, manifest={"objectives": ["latency", "accuracy"]})

    one, other = document_of(forth, back)["runs"]

    assert one["rows"]["hypervolume"] == pytest.approx(other["rows"]["hypervolume"], rel=1e-6)
    assert one["rows"]["hypervolume"] == pytest.approx(document_of(forth)["runs"][0]["rows"]["hypervolume"], rel=1e-6)


def test_over_time_the_hypervolume_grows_as_trials_end(tmp_path):
    """The first trial is the best and ends last; one without a time is not in the curve."""
    spans = [("10:00:00", 60.0), ("10:00:00", 5.0), ("10:00:10", 5.0)]
    accuracies = (0.9, 0.5, 0.6)
    trials = [
        make_evaluation(trial, accuracy, 0.004, started_at=f"2026-11-21T{at}+00:00", seconds=seconds)
        for trial, (accuracy, (at, seconds)) in enumerate(zip(accuracies, spans, strict=True))
    ]
    run = read_run(write_run(tmp_path / "run", trials))
    (curve,) = find_curves([run], over_time=True)

    rows = json.loads(to_json(make_document([run])))["runs"][0]["rows"]
    found = rows["over_time"]

    assert found["row"] == [1, 2, 0] and found["ended_s"] == [5, 15, 60]
    assert found["hypervolume"] == pytest.approx(curve.shares.tolist(), rel=1e-6)
    assert (
        found["hypervolume"] == sorted(found["hypervolume"]) and rows["hypervolume"] == [found["hypervolume"][-1]] * 3
    )

    run.evaluations.loc[0, "duration_s"] = float("nan")
    shorter = json.loads(to_json(make_document([run])))["runs"][0]["rows"]["over_time"]
    assert shorter["row"] == [1, 2] and shorter["ended_s"] == [5, 15]


def make_raced(folder):
    """Write a bench of a race over two networks whose winner was measured then."""
    rows = []
    for trial, (level, index, latency_s) in enumerate((("race", 0, 0.001), ("race", 1, 0.003), ("screen", 0, 0.002))):
        architecture = make_architecture(8 * (index + 1))
        plan = replace(make_measurement(architecture).plan, level=level)
        measured = make_measurement(architecture, latency_s, plan=plan)
        named = {"score": None, "architecture": architecture, "published": f"net_{index}"}
        rows.append(make_evaluation(trial, measurements=(measured,), **named))
    stated = {f"net_{index}": {"top1": 0.7, "family": "net"} for index in range(2)}
    return write_run(folder, rows, {"kind": "bench", "objectives": [], "space": None, "published": stated})


def test_what_a_race_estimated_is_no_latency_of_a_bench(tmp_path):
    run = document_of(make_raced(tmp_path / "bench"))["runs"][0]

    assert run["rows"]["feasible"] == [0, 0, 1] and [one["row"] for one in run["samples"]] == [2]
    assert "The fastest is net_0 with 2 ms." in run["sentence"] and "2 are estimates of a race" in run["sentence"]
    assert "verdicts: 1 ok" in run["sentence"] and run["note"].startswith("2 rows are estimates of a race")
    names = run["rows"]["series"]["names"]
    assert [names[code].endswith("race") for code in run["rows"]["series"]["codes"]] == [True, True, False]


def test_the_texts_of_a_run_are_no_places_in_its_commands(tmp_path):
    """A folder or device may have braces; the page fills the rest in one pass, as str.format does."""
    folder = make_bench(tmp_path / "of {shell} {trial}" / "bench", device="cpu {literal}'")

    places = {"trial": 1, "shell": "'net; true'", "literal": '"net"'}
    with_log = [one["text"].format(**places) for one in document_of(folder)["runs"][0]["commands"]]
    (folder / "run.db").unlink()
    without = [one["text"].format(**places) for one in document_of(folder)["runs"][0]["commands"]]

    device = ["--device", "cpu {literal}'", "--dtype", "fp32", "--threads", "1"]
    assert shlex.split(with_log[0]) == ["nasbench", "bench", f"{folder}#1", *device, "--fresh"]
    assert shlex.split(with_log[1]) == ["nasbench", "export", str(folder), "--trial", "1"]
    assert f'find_network("{folder}#1")' in with_log[-1]
    assert shlex.split(without[0]) == ["nasbench", "bench", "net; true", *device, "--fresh"]
    assert 'find_network("net")' in without[-1]


def test_a_flush_between_two_files_does_no_harm(tmp_path):
    """The evaluations were read before a flush, and the front after it."""
    run = read_run(make_search(tmp_path / "run", 12, confirmed=[(0, 0.004)]))
    earlier = run.evaluations[run.evaluations["trial"] < run.pareto["trial"].max()]

    torn = json.loads(to_json(make_document([replace(run, evaluations=earlier)])))["runs"][0]

    assert len(torn["members"]) == len(run.pareto) - 1 and len(torn["rows"]["trial"]) == len(earlier)


def test_a_figure_of_a_table_has_no_samples():
    (run,) = document_of(Path(__file__).parents[2] / "results" / "reference" / "nasbench201-tables-random")["runs"]

    assert run["rows"]["trial"] and run["samples"] == []


def test_samples_are_those_of_the_latency_that_is_shown(tmp_path):
    """A confirmation that was not sound decided nothing, so the figure of the search stays, and its samples."""
    trials = [make_evaluation(0, 0.8, 0.004), make_evaluation(1, 0.9, 0.008)]
    folder = tmp_path / "run"
    with RunLog.create(folder, MANIFEST) as log:
        for trial in trials:
            log.append(trial)
        log.append_confirmed(0, make_confirmation(trials[0].architecture, 0.005, verdict="invalid"))
        log.append_confirmed(1, make_confirmation(trials[1].architecture, 0.009))
        flush(log)

    run = document_of(folder)["runs"][0]

    shown = run["rows"]["figures"]["latency"]["value"]
    assert [one["latency_s"] for one in run["samples"]] == pytest.approx([shown[one["row"]] for one in run["samples"]])
    assert [one["count"] for one in run["samples"]] == [8, 12]


def test_the_canaries_of_two_devices_are_two(tmp_path):
    architecture = make_architecture()
    both = [make_measurement(architecture, device=name, noise={"canary_s": [0.001, 0.001]}) for name in ("cpu", "gpu")]
    folder = write_run(tmp_path / "run", [make_evaluation(0, architecture=architecture, measurements=tuple(both))])

    assert [one["device"] for one in document_of(folder)["runs"][0]["canaries"]] == ["cpu", "gpu"]


def test_a_confirmation_without_an_interval_has_no_ends(tmp_path):
    run = read_run(write_run(tmp_path / "run", [make_evaluation(0)], confirmed=[(0, 0.004)]))
    run.pareto.loc[0, ["confirmed_low_s", "confirmed_high_s"]] = float("nan")

    latency = json.loads(to_json(make_document([run])))["runs"][0]["rows"]["figures"]["latency"]

    assert latency["value"][0] is not None and latency["low"][0] is None and latency["high"][0] is None
