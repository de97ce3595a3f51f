"""Commands as a user types them."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from nasbench.cli.main import app
from nasbench.cli.search import describe_enlarging
from nasbench.search import settings
from nasbench.space.load import load_space
from tests.search.formula import FormulaDevice

GUESSED = ("mnist_tiny", "--accuracy", "mine:guess", "--objective", "accuracy", "--objective", "params")


@pytest.mark.parametrize(
    "words", [("--help",), ("search", "--help"), ("ls", "blocks"), ("ls", "samplers"), ("ls", "spaces")]
)
def test_help_and_lists_import_no_heavy_package(words):
    code = (
        "import sys; from nasbench.cli.main import app\n"
        f"try: app({list(words)!r})\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'optuna', 'pandas', 'pyarrow', 'matplotlib'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert done.stderr.splitlines()[-1] == "[]"


def test_every_command_and_option_has_help():
    for command in app.registered_commands:
        assert command.callback.__doc__, command.name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("search", "mnist_tny"), "no search space is named 'mnist_tny'. Did you mean 'mnist_tiny'?"),
        (("search", "mnist_tiny", "--sampler", "nsga"), "no sampler is named 'nsga'. Did you mean 'nsga"),
        (("search", "mnist_tiny", "--device", "gpu"), "no device is named 'gpu'."),
        (("search", "mnist_tiny", "--data", "mnist"), "no data set is named 'mnist'. Did you mean 'mnist5k'?"),
        (("search", "mnist_tiny", "--data", "cifar10=nowhere.npz"), "nowhere.npz"),
        (("search", "mnist_tiny", "--dtype", "fp99"), "the runtime 'eager' does not compute in 'fp99'"),
        (("search", *GUESSED, "--fresh"), "--fresh has no effect without --objective latency or memory or energy"),
        (("search", *GUESSED, "--confirm-processes", "5"), "--confirm-processes has no effect without"),
        (
            ("search", *GUESSED, "--max", "latency=1s", "--confirm-processes", "5"),
            "--confirm-processes has no effect without --objective latency",
        ),
        (("search", "mnist_tiny", "--no-confirm", "--confirm-processes", "5"), "has no effect with --no-confirm"),
        (("search", "mnist_tiny", "--threads", "9999"), "--threads 9999 is too many: a thread takes a physical core"),
        (("search", *GUESSED, "--trials", "1", "--run", "a b"), "a run cannot be named 'a b'"),
        (("search", "--resume", "nowhere"), "nowhere holds no run"),
        (("plot", "nowhere"), "nowhere holds no run"),
        (("search", "mnist_tiny", "--max", "energy=5"), "'5' is not an energy; write for example 500uJ"),
        (("search", "mnist_tiny", "--objective", "params", "--device", "cpu"), "--device has no effect without"),
        (("search", *GUESSED, "--data", "mnist5k"), "--data"),
        (("search", *GUESSED, "--final"), "--final scores on the test split, and this search's accuracy has none"),
        (("search", "mnist_tiny", "--max", "latency=5"), "'5' is not a duration; write for example 5ms"),
        (("search", "mnist_tiny", "--max", "latencies=5ms"), "no figure to limit is named 'latencies'. Did you mean"),
        (("search", "mnist_tiny", "--max", "accuracy=0.9"), "--max accuracy is not a limit"),
        (("search", "mnist_tiny", "--objective", "speed"), "no objective is named 'speed'."),
        (("search", "mnist_tiny", "--time", "soon"), "'soon' is not a duration"),
        (("search", "mnist_tiny", "--sampler", "grid"), "the sampler 'grid' would visit all 145,152 points"),
        (("search", "mnist_tiny", "--accuracy", "nowhere:guess"), "nowhere"),
        (("search",), "which search space?"),
        (("search", "absent.yaml"), "absent.yaml: there is no such file"),
        (("show", "mobilenet_v2"), "no architecture is named 'mobilenet_v2'. Did you mean 'mobilenet_v2_"),
        (("ls", "architectures", "--family", "shuflenet_v2"), "Did you mean 'shufflenet_v2'?"),
        (("ls", "spaces", "--family", "resnet"), "--family has an effect on `nasbench ls architectures` alone"),
        (("bench", "--family", "shuflenet_v2"), "Did you mean 'shufflenet_v2'?"),
        (("ls", "space"), "no list is named 'space'. Did you mean 'spaces'?"),
        (("check", "nowhere.yaml"), "nowhere.yaml: there is no such file"),
    ],
)
def test_bad_input_ends_with_one_line_and_exit_code_2(here, words, message):
    done = here(*words)

    assert done.returncode == 2
    assert message in done.stderr
    assert len([line for line in done.stderr.splitlines() if line]) == 1
    assert not (here.folder / "results").exists()


def test_the_exit_code_and_the_one_line_reach_the_shell(nasbench):
    done = nasbench("search", "mnist_tny", check=2)

    assert done.stdout == ""
    assert [line[:25] for line in done.stderr.splitlines()] == ["error: no search space is"]


def test_a_typo_in_a_space_of_ones_own_is_shown_with_its_line(here):
    space = load_space("mnist_tiny")
    text = Path(space.path).read_text().replace("stride: [1, 2]", "strides: [1, 2]", 1)
    (here.folder / "my_space.yaml").write_text(text)
    done = here("check", "my_space.yaml", check=2)

    assert done.stderr.startswith("error: my_space.yaml:7: stem has the unknown key 'strides'. Did you mean 'stride'?")


def test_check_says_the_size_the_choices_and_the_span_of_costs(here):
    said = json.loads(here("check", "mnist_tiny", "--sample", 20, "--json", check=0).stdout)

    assert said["size"] == load_space("mnist_tiny").size()
    assert set(said["choices"]) == {choice.name for choice in load_space("mnist_tiny").choices}
    smallest, median, largest = said["spans"]["params"]
    assert 0 < smallest <= median <= largest


@pytest.mark.parametrize("what", ["spaces", "devices", "architectures", "blocks", "samplers", "datasets", "runs"])
def test_every_list_can_be_printed_and_read_as_json(here, what):
    assert json.loads(here("ls", what, "--json", check=0).stdout)[what] is not None
    assert here("ls", what, check=0).stdout.strip()


def test_show_prints_rows_costs_and_published_figures(here):
    done = here("show", "mobilenet_v2_1.0", check=0)

    assert "3,504,872 params" in done.stdout and "top-1 72.0 %" in done.stdout


def test_show_says_what_the_deployed_form_takes_and_which_form_a_paper_counts(here):
    done = here("show", "mobileone_s0", check=0)

    assert "counted: 5,293,272 params" in done.stdout
    assert "deployed: 2,078,504 params, 275 M MACs" in done.stdout
    assert "top-1 71.4 %, deployed form (" in done.stdout


def test_a_search_without_a_device_writes_a_front_that_explains_itself(nasbench):
    done = nasbench("search", *GUESSED, "--trials", 12, "--run", "results/first", check=0)
    front = pd.read_parquet(nasbench.folder / "results/first/pareto.parquet")

    assert "hypervolume" in done.stdout and "results/first/" in done.stdout
    assert (nasbench.folder / "results/first/front.png").stat().st_size > 10_000
    assert {"accuracy", "params", "macs", "architecture", "choices"} <= set(front.columns)
    assert front["params"].is_monotonic_increasing and front["accuracy"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("space", "data", "words"),
    [
        (
            "repvit",
            {"name": "mnist5k", "size": [28, 28]},
            "224 x 224 and those of mnist5k are 28 x 28: enlarged, they take about 64",
        ),
        ("repvit", {"name": "image_folder", "size": [160, 200]}, ""),
        ("mnist_tiny", {"name": "mnist5k", "size": [28, 28]}, ""),
        ("repvit", None, ""),
    ],
)
def test_a_search_warns_of_images_that_must_be_enlarged_much(space, data, words):
    said = describe_enlarging(load_space(space), {"data": data} if data else {})

    assert words in said and bool(words) == bool(said)


def test_a_search_says_how_many_of_its_starting_points_it_could_not_beat(here):
    words = ("search", "mnist_tiny", "--objective", "params", "--objective", "macs", "--trials", 3)
    done = here(*words, "--run", "results/a", check=0)

    assert "\n1 of 2 named starting points on the front\n" in done.stdout
    assert "starting points" not in here(*words, "--no-warm-start", "--run", "results/b", check=0).stdout


@pytest.mark.slow
def test_a_finished_run_goes_on_with_its_own_settings_and_refuses_others(nasbench):
    nasbench("search", *GUESSED, "--trials", 6, "--run", "results/a", "--seed", 3, check=0)
    nasbench("search", "--resume", "results/a", "--trials", 10, check=0)
    nasbench("search", *GUESSED, "--trials", 10, "--run", "results/b", "--seed", 3, check=0)
    a, b = (pd.read_parquet(nasbench.folder / f"results/{name}/evaluations.parquet") for name in "ab")

    assert list(a["architecture"]) == list(b["architecture"])
    done = nasbench("search", "--resume", "results/a", "--sampler", "random", check=2)
    assert "the run was started with sampler surrogate, not random" in done.stderr
    done = nasbench("search", *GUESSED, "--run", "results/a", check=2)
    assert "choose another name, or go on with it: nasbench search --resume results/a" in done.stderr


def test_a_search_with_limits_that_cannot_be_met_is_refused_and_leaves_no_folder(here):
    done = here("search", *GUESSED, "--max", "params=10", "--run", "results/a", check=2)

    assert "none of 200 architectures sampled from mnist_tiny meets --max params=10" in done.stderr
    assert not (here.folder / "results").exists()


def test_an_interrupted_run_goes_on_to_the_trials_it_was_started_with(here):
    here("search", *GUESSED, "--trials", 9, "--run", "results/a", check=0)
    here("search", "--resume", "results/a", "--trials", 11, check=0)
    assert "of 11 evaluated" in here("search", "--resume", "results/a", check=0).stdout


def test_a_run_is_listed_plotted_and_exported(here):
    here("search", *GUESSED, "--trials", 6, "--run", "results/a", check=0)
    assert "results/a" in here("ls", "runs", check=0).stdout
    here("plot", "results/a", "--out", "front.svg", check=0)
    assert "<text" in (here.folder / "front.svg").read_text()
    assert "jpg" in here("plot", "results/a", "--out", "front.jpg", check=2).stderr

    trial = int(pd.read_parquet(here.folder / "results/a/pareto.parquet")["trial"].iloc[0])
    here("export", "results/a", "--trial", trial, "--format", "yaml", "--out", "mine.yaml", check=0)
    digest = pd.read_parquet(here.folder / "results/a/pareto.parquet")["architecture"].iloc[0]
    assert json.loads(here("show", "mine.yaml", "--json", check=0).stdout)["digest"] == digest
    assert "has no trial 999" in here("export", "results/a", "--trial", 999, check=2).stderr


def test_an_interrupted_search_keeps_its_trials_and_says_how_to_go_on(nasbench):
    import signal

    process = subprocess.Popen(
        [sys.executable, "-m", "nasbench", "search", *GUESSED, "--trials", "100000", "--run", "results/a"],
        cwd=nasbench.folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if line.startswith("trial 5"):
            break
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait(timeout=60) == 130

    assert "nasbench search --resume results/a" in rest
    assert len(pd.read_parquet(nasbench.folder / "results/a/evaluations.parquet")) >= 5


def test_a_search_for_one_objective_alone_ends_with_its_best(here):
    done = here("search", "mnist_tiny", "--objective", "params", "--trials", 4, "--run", "results/a", check=0)

    assert "1 on the front of 4 evaluated candidates" in done.stdout
    assert not (here.folder / "results/a/front.png").exists()


@pytest.mark.slow
def test_a_front_is_confirmed_on_this_machine_and_not_again_when_the_run_is_resumed(nasbench):
    words = ("mnist_tiny", "--accuracy", "mine:guess", "--trials", 1, "--confirm-processes", 2, "--run", "results/a")
    done = nasbench("search", *words, check=0, timeout=300)
    front = pd.read_parquet(nasbench.folder / "results/a/pareto.parquet")

    assert "confirming all 1 on the front, interleaved, 2 processes each: about 0:" in done.stderr
    assert "confirmed latency" in done.stdout and "\n1 row: 1 " in done.stdout
    assert front["confirmed_processes"].tolist() == [2] and front["confirmed_on_front"].tolist() == [True]
    assert front["runtime"].tolist() == ["eager"] and front["threads"].tolist() == [1]
    assert "confirming" not in nasbench("search", "--resume", "results/a", check=0).stderr


@pytest.fixture
def on_a_formula(monkeypatch, tmp_path):
    """Run a search of latency here, on a device that is a formula; gives what it printed."""
    monkeypatch.chdir(tmp_path)
    asked = ("search", "mnist_tiny", "--objective", "params", "--objective", "latency", "--run", "results/a")

    def run(device, *words):
        monkeypatch.setattr(settings, "open_device", lambda spec: device)
        done = CliRunner().invoke(app, [*asked, "--trials", "8", *map(str, words)], catch_exceptions=False)
        assert done.exit_code == 0
        return done

    return run


def test_a_confirmed_front_is_announced_beforehand_and_shown_with_its_processes_and_verdicts(on_a_formula):
    done = on_a_formula(FormulaDevice())
    count = len(pd.read_parquet("results/a/pareto.parquet"))

    assert f"confirming all {count} on the front, interleaved, 5 to 15 processes each: about " in done.stderr
    assert "confirmed latency" in done.stdout and f"\n{count} row{'' if count == 1 else 's'}: {count} ok" in done.stdout


def test_what_fell_off_when_it_was_confirmed_is_said(on_a_formula):
    class Slow(dict):
        def get(self, digest, default):
            return 1000.0

    done = on_a_formula(FormulaDevice(slower=Slow(always=True)), "--max", "latency=100ms", "--json")
    said = json.loads(done.stdout)

    stored = pd.read_parquet("results/a/pareto.parquet")
    assert said["front"] == [] and set(said["fell_off"]) == {str(trial) for trial in stored["trial"]}
    for text in said["fell_off"].values():
        assert text in done.stderr and text.endswith("; the limit is 100 ms")


def test_a_front_printed_as_json_has_its_members_with_their_confirmed_latencies(on_a_formula):
    said = json.loads(on_a_formula(FormulaDevice(), "--json").stdout)
    stored = pd.read_parquet("results/a/pareto.parquet")

    assert [member["trial"] for member in said["front"]] == list(stored["trial"])
    assert [member["latency_s"] for member in said["front"]] == list(stored["confirmed_latency_s"])
    assert {member["verdict"] for member in said["front"]} == {"ok"}


def test_a_front_is_left_as_the_search_found_it_when_that_is_asked_for(on_a_formula):
    device = FormulaDevice()
    done = on_a_formula(device, "--no-confirm", "--fresh")

    assert "confirm" not in done.stdout + done.stderr
    assert {level for _, level in device.calls} == {"screen"}


def test_candidates_that_another_run_measured_are_marked(on_a_formula):
    on_a_formula(FormulaDevice(), "--seed", 41)
    device = FormulaDevice()
    done = on_a_formula(device, "--seed", 41, "--run", "results/b", "--no-confirm")
    rows = pd.read_parquet("results/b/evaluations.parquet")

    assert not device.calls and "latency, measured before" in done.stderr
    assert " reused (--fresh measures again)" in done.stdout
    assert rows.loc[rows["latency_s"].notna(), "reused_from"].str.startswith("a at ").all()
