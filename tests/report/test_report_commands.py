"""The commands of a page do again what its rows say, for the rows that allow it, and nothing that a stranger wrote."""

import shlex
from dataclasses import replace

import pytest
from report_runs import COMMAND, make_bench, make_search, search_evaluations, write_run
from run_samples import make_architecture, make_evaluation, make_measurement

from nasbench.model.foreign import foreign_architecture
from nasbench.records import TimingPlan
from nasbench.report.describe import _USUAL, describe_run, repeat_command, row_commands
from nasbench.search.settings import Settings
from nasbench.store.parquet import read_run

LIKE_THE_DEVICE = {"runtime": None, "dtype": None, "threads": []}
"""What the settings of a bench hold that was not told how to measure."""


def commands_of(folder, verb):
    """Give the commands of a page that begin so, and the rows that they are for; None is all."""
    return [
        (one.text, one.trials) for one in row_commands(read_run(folder)) if one.text.startswith(f"nasbench {verb} ")
    ]


def bench_row(trial, architecture=None, name="net_0", runtime="eager", threads=1, cache="hot", batch=1, dtype="fp32"):
    """Give a row of a bench with its settings, as `nasbench.measure.bench.evaluate` does."""
    architecture = architecture or make_architecture(8 * (1 + trial))
    plan = TimingPlan(level="confirm", batch=batch, dtype=dtype, cache=cache)
    settings = {"runtime": runtime, "threads": threads}
    return make_evaluation(
        trial,
        score=None,
        published=name,
        architecture=architecture,
        choices={"device": "cpu", "batch": batch, "dtype": dtype, "cache": cache, **settings},
        measurements=(make_measurement(architecture, plan=plan, settings=settings),),
    )


def write_bench(folder, rows, settings=None, published=("net_0",), with_log=True):
    stated = {name: {"family": "net"} for name in published}
    manifest = {"kind": "bench", "objectives": [], "space": None, "published": stated}
    write_run(folder, rows, manifest | {"settings": settings or {}})
    if not with_log:
        (folder / "run.db").unlink()
    return folder


def test_a_row_is_measured_again_as_it_was_measured(tmp_path):
    rows = [
        bench_row(0),
        bench_row(1, batch=8, dtype="bf16", runtime="openvino", threads=4, cache="cold"),
        replace(bench_row(2, batch=8, runtime="onnx"), measurements=(), status="crashed", error="it fell over"),
    ]
    folder = write_bench(tmp_path / "run", rows, {"runtime": "best", "dtype": None, "threads": [1, 4]})

    assert commands_of(folder, "bench") == [
        (f"nasbench bench {folder}#{{trial}} --device cpu {options} --fresh", [trial])
        for trial, options in enumerate(
            (
                "--dtype fp32 --runtime eager --threads 1",
                "--batch 8 --dtype bf16 --runtime openvino --threads 4 --cache cold",
                "--batch 8 --dtype fp32 --runtime onnx --threads 1",
            )
        )
    ]


def test_what_was_left_to_the_device_is_left_to_it_again(tmp_path):
    folder = write_bench(tmp_path / "run", [bench_row(0), bench_row(1)], LIKE_THE_DEVICE)

    assert commands_of(folder, "bench") == [(f"nasbench bench {folder}#{{trial}} --device cpu --fresh", None)]


def test_a_search_measures_all_its_candidates_in_one_way(tmp_path):
    """One of them failed before it was measured."""
    measured = [make_evaluation(trial) for trial in range(2)]
    plan = TimingPlan(batch=4, dtype="fp16")
    rows = [
        replace(one, measurements=(make_measurement(one.architecture, plan=plan, settings={"runtime": "onnx"}),))
        for one in measured
    ]
    rows.append(make_evaluation(2, status="crashed", error="it fell over", score=None, measurements=()))
    folder = write_run(tmp_path / "run", rows, {"settings": {"dtype": "fp16", "threads": None}})

    assert commands_of(folder, "bench") == [
        (f"nasbench bench {folder}#{{trial}} --device cpu --batch 4 --dtype fp16 --runtime onnx --fresh", None)
    ]


def test_devices_that_are_tables_are_not_measured_again(tmp_path):
    plan = TimingPlan(batch=2)
    looked_up = make_measurement(make_architecture(), device="pi", verdict="table", plan=plan)
    two = (looked_up, make_measurement(make_architecture(), plan=plan))

    def command(name, measurements, objectives):
        devices = [{"name": one.device, "digest": one.device_digest} for one in measurements]
        trial = make_evaluation(0, architecture=make_architecture(), measurements=measurements)
        manifest = {"objectives": ["accuracy", *objectives], "devices": devices, "settings": {"dtype": None}}
        folder = write_run(tmp_path / name, [trial], manifest)
        return [shlex.split(text)[3:-1] for text, _ in commands_of(folder, "bench")]

    assert command("table", two[:1], ["latency"]) == []
    assert command("both", two, ["latency@pi", "latency@cpu"]) == [["--device", "cpu", "--batch", "2"]]


@pytest.mark.parametrize("device", ["a\x1b[201~\nid", "--fresh"])
def test_a_device_that_cannot_be_typed_is_in_no_command(tmp_path, device):
    folder = make_bench(tmp_path / "run", device=device)

    assert commands_of(folder, "bench") == [] and len(commands_of(folder, "export")) == 2


def test_without_its_log_a_search_is_asked_for_its_front_alone(tmp_path):
    folder = make_search(tmp_path / "run", 12)
    (folder / "run.db").unlink()
    run = read_run(folder)

    for command in row_commands(run):
        assert sorted(command.trials) == sorted(run.pareto["trial"]) and len(command.trials) < 12


def foreign_rows():
    """Give rows of a search space, a file, a function, and of timm by its name and by a trial of a run."""
    shape = (3, 32, 32)
    timm = [foreign_architecture("timm", shape, classes, name="x", version="1") for classes in (0, 1000)]
    return [
        bench_row(0),
        bench_row(1, foreign_architecture("onnx_file", shape, path="/a/x.onnx", sha256="0" * 64), "x.onnx"),
        bench_row(2, foreign_architecture("factory", shape, target="a.b:c", sha256="0" * 64), "a.b:c"),
        bench_row(3, timm[0], "timm/x"),
        bench_row(4, timm[1], "first#7"),
        bench_row(5, name="tiny/01234567"),
    ]


def test_with_its_log_a_bench_is_asked_for_what_is_nobodys_own_and_written_where_there_are_rows(tmp_path):
    folder = write_bench(tmp_path / "run", foreign_rows(), LIKE_THE_DEVICE)

    assert [(one.text.split()[1], one.trials) for one in row_commands(read_run(folder))] == [
        ("bench", [0, 3, 4, 5]),
        ("export", [0, 3, 4, 5]),
        ("export", [0, 5]),
        ("nasbench.measure.networks", [0, 5]),
    ]


@pytest.mark.parametrize("says_what_is_published", [True, False])
def test_without_its_log_a_bench_is_asked_for_names_that_others_have(tmp_path, says_what_is_published):
    folder = write_bench(tmp_path / "run", foreign_rows(), LIKE_THE_DEVICE, with_log=False)
    run = read_run(folder)
    if not says_what_is_published:  # as an earlier nasbench wrote it
        run.evaluations["family"] = None
        run = replace(run, manifest={key: value for key, value in run.manifest.items() if key != "published"})

    again, in_python = row_commands(run)
    assert again.text == "nasbench bench {shell} --device cpu --fresh" and again.named and in_python.named
    assert again.trials == [0, 3] and in_python.trials == [0]


@pytest.mark.parametrize(
    "command",
    [["rm", "search", "-rf", "."], ["nasbench", "search", "tiny\x1b[201~\nid"], ["nasbench", "rm"], ["nasbench"], "rm"],
)
def test_a_command_that_is_none_of_nasbench_or_cannot_be_typed_is_not_shown(tmp_path, command):
    folder = make_bench(tmp_path / "run")
    run = read_run(folder)

    assert repeat_command(run) == shlex.join(COMMAND["command"])
    assert repeat_command(replace(run, manifest={**run.manifest, "command": command})) == ""


def repeated(tmp_path, settings, **manifest):
    settings = {"space": "tiny", "devices": ["cpu"], "objectives": ["accuracy", "latency"], **settings}
    command = ["nasbench", "--debug", "search", "tiny"]
    folder = write_run(tmp_path / "run", search_evaluations(1), {"command": command, "settings": settings, **manifest})
    return repeat_command(read_run(folder))


def test_settings_that_cannot_be_typed_are_no_command(tmp_path):
    assert repeated(tmp_path, {"space": "tiny\x1b[201~\nid"}) == ""


def test_a_command_from_settings_has_all_that_decides_which_candidates_come(tmp_path):
    """The command line reads back what was written down."""
    import typer.main

    from nasbench.cli.main import app

    settings = {
        "space": "tiny",
        "workers": 3,
        "cluster": "10.0.0.2:6379",
        "worker_gpus": 0.5,
        "share_equal": False,
        "fresh": True,
        "confirm_processes": 5,
        "batch": 2,
        "seed": 4,
        "trials": 9,
        "early_stop": False,
    }

    words = shlex.split(repeated(tmp_path, settings | {"start_from": "/runs/a run", "limits": {"latency": 0.005}}))

    read = typer.main.get_command(app).commands["search"].make_context("search", words[2:]).params
    assert {name: read[name] for name in settings} == settings
    assert (read["device"], read["limit"], str(read["start_from"])) == (["cpu"], ["latency=0.005s"], "/runs/a run")


def test_a_command_from_settings_leaves_out_what_a_search_may_refuse_to_be_told(tmp_path):
    """A table has no batch and its format is unknown, and counted figures need no device."""
    looked_up = {"devices": ["table:a.csv#pi"], "accuracy": "table:a.csv#top1", "dtype": "unknown", "share_equal": True}
    default = {name: Settings.__dataclass_fields__[name].default for name in _USUAL}

    assert default == _USUAL
    assert repeated(tmp_path, {**default, **looked_up}) == (
        "nasbench search tiny --device 'table:a.csv#pi' --objective accuracy --objective latency "
        "--accuracy 'table:a.csv#top1'"
    )


def test_a_search_of_counted_figures_is_repeated_without_a_device(tmp_path):
    settings = {"objectives": ["params", "macs"], "share_equal": True}

    assert repeated(tmp_path, settings) == "nasbench search tiny --objective params --objective macs"


def test_a_run_from_before_equal_functions_were_trained_once_is_repeated_so(tmp_path):
    assert repeated(tmp_path, {}).endswith(" --no-share-equal")


def test_the_fastest_of_a_bench_has_a_verdict_that_counts(tmp_path):
    rows = [bench_row(trial, name=f"net_{trial}") for trial in range(3)]
    for trial, (verdict, latency_s) in enumerate((("invalid", 0.001), ("failed", 0.002), ("ok", 0.003))):
        measured = make_measurement(rows[trial].architecture, latency_s, verdict=verdict)
        rows[trial] = replace(rows[trial], measurements=(measured,))
    run = read_run(write_bench(tmp_path / "run", rows))

    facts, sentence = describe_run(run, run.evaluations, [], None, False)
    none, silence = describe_run(run, run.evaluations[:2], [], None, False)

    assert "The fastest is net_2 with 3 ms." in sentence and dict(facts)["Fastest"] == "3 ms, net_2"
    assert "fastest" not in silence and "Fastest" not in dict(none)
