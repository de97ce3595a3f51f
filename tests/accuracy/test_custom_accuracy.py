import pytest
from small_networks import small_network

from nasbench.accuracy.custom import CustomAccuracy
from nasbench.accuracy.load import open_accuracy
from nasbench.accuracy.train import TrainedAccuracy
from nasbench.errors import (
    CandidateError,
    Crashed,
    DefinitionError,
    NanOutputError,
    OutOfMemory,
    TimeLimitExceeded,
    UnknownNameError,
)
from nasbench.testing import AccuracyContract

ESTIMATOR = """
import os
import time

calls = 0

def width(architecture):
    for before, after in zip(architecture.blocks, architecture.blocks[1:]):
        if before.out_channels != after.in_channels:
            raise ValueError("the rows do not fit")
    return architecture.blocks[0].out_channels / 100

def rich(architecture):
    global calls
    calls += 1
    return {"value": 0.5, "metric": "share", "details": {"calls": calls, "shape": list(architecture.input_shape)}}

def builds(architecture):
    from nasbench.model.build import build
    return min(1.0, sum(p.numel() for p in build(architecture, 0).parameters()) / 1e6)

def gives(value):
    return lambda architecture: value

nan, infinite, high, negative = gives(float("nan")), gives(float("inf")), gives(1.5), gives(-0.1)
word, nothing, flag, listed = gives("0.9"), gives(None), gives(True), gives([0.9])
odd, no_json = gives({"accuracy": 0.9}), gives({"value": 0.9, "details": {"x": {1, 2}}})
constant = 0.9

def raises(architecture):
    raise RuntimeError("no such luck")

def dies(architecture):
    os.abort()

def hangs(architecture):
    while True:
        pass

def eats(architecture):
    kept = []
    while True:
        kept.append(bytearray(1 << 26))
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A module in the working directory, which nobody put on the path."""
    (tmp_path / "my_estimator.py").write_text(ESTIMATOR)
    monkeypatch.chdir(tmp_path)
    return "my_estimator"


def always(epoch, value):
    return True


def estimate(text, **options):
    with CustomAccuracy(text, **options) as accuracy:
        return accuracy.estimate(small_network(), always)


class TestCustomAccuracy(AccuracyContract):
    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _module(cls, tmp_path_factory):
        folder = tmp_path_factory.mktemp("contract")
        (folder / "my_estimator.py").write_text(ESTIMATOR)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            yield

    def make_accuracy(self):
        return CustomAccuracy("my_estimator:width")


def test_a_function_in_the_working_directory_is_found(place):
    score = estimate(f"{place}:width")

    assert (score.value, score.metric, score.method, score.finished) == (0.08, "custom", "custom", True)


def test_a_function_may_build_the_network(place):
    assert estimate(f"{place}:builds").value > 0


def test_a_mapping_brings_its_metric_and_details_and_the_process_is_kept(place):
    with CustomAccuracy(f"{place}:rich") as accuracy:
        accuracy.estimate(small_network(), always)
        score = accuracy.estimate(small_network(), always)

    assert (score.value, score.metric) == (0.5, "share")
    assert score.details == {"calls": 2, "shape": [1, 28, 28]}


@pytest.mark.parametrize("name", ["nan", "infinite"])
def test_nan_and_infinity_are_refused(place, name):
    with pytest.raises(NanOutputError, match=rf"my_estimator:{name} gave (nan|inf)"):
        estimate(f"{place}:{name}")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("high", r"gave 1\.5; a share from 0 to 1"),
        ("negative", r"gave -0\.1; a share from 0 to 1"),
        ("word", r"gave '0\.9'; a number"),
        ("nothing", r"gave None; a number"),
        ("flag", r"gave True; a number"),
        ("listed", r"gave \[0\.9\]; a number"),
        ("odd", r"a mapping with \['accuracy'\]"),
        ("no_json", r"no JSON data"),
        ("raises", r"RuntimeError: no such luck; in raises \(.*my_estimator\.py:\d+\)"),
    ],
)
def test_a_wrong_answer_is_an_error_of_the_candidate(place, name, said):
    with pytest.raises(CandidateError, match=said):
        estimate(f"{place}:{name}")


def test_a_crash_a_hang_and_a_flood_are_survived(place):
    with pytest.raises(Crashed, match="SIGABRT"):
        estimate(f"{place}:dies")
    with pytest.raises(TimeLimitExceeded, match=r"'estimate' took longer than its limit of 0\.3 s"):
        estimate(f"{place}:hangs", limit_s=0.3)
    with pytest.raises(OutOfMemory):
        estimate(f"{place}:eats", memory_limit_bytes=1 << 29)


def test_the_same_estimator_goes_on_after_a_crash(place):
    with CustomAccuracy(f"{place}:dies") as accuracy:
        for _ in range(2):
            with pytest.raises(Crashed):
                accuracy.estimate(small_network(), always)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no_such_module:f", r"no module 'no_such_module'"),
        ("my_estimator:widht", r"'widht'.*'width'"),
        ("my_estimator:constant", r"it is float, and a function is needed"),
        ("broken:f", r"importing it raised SyntaxError"),
        ("quits:f", r"cannot be imported: SystemExit"),
    ],
)
def test_a_function_that_cannot_be_had_is_said_before_the_first_trial(place, tmp_path, text, said):
    (tmp_path / "broken.py").write_text("def f(:\n")
    (tmp_path / "quits.py").write_text("raise SystemExit(3)\n")

    with CustomAccuracyUnopened(text) as accuracy, pytest.raises(DefinitionError, match=said):
        accuracy.open()


class CustomAccuracyUnopened(CustomAccuracy):
    """Closes, but does not open, as a context manager."""

    def __enter__(self):
        return self


@pytest.mark.parametrize("text", [":f", "module:", "a/b:f", "m:f()", "m:f:g", "os.path:..", "m :f"])
def test_a_text_that_names_no_function_is_refused_at_once(text):
    with pytest.raises(DefinitionError, match=r"write package\.module:function"):
        CustomAccuracy(text)


def test_a_changed_estimator_is_described_as_another(place, tmp_path):
    with CustomAccuracy(f"{place}:width") as accuracy:
        before = accuracy.description
    (tmp_path / "my_estimator.py").write_text("def width(architecture):\n    return 0.1\n")
    with CustomAccuracy(f"{place}:width") as accuracy:
        after = accuracy.description

    assert before["file_sha256"] != after["file_sha256"]


# what --accuracy takes


def test_a_colon_means_a_function_and_a_word_a_method(place):
    assert isinstance(open_accuracy("my_estimator:width"), CustomAccuracy)
    assert isinstance(open_accuracy("train"), TrainedAccuracy)


def test_options_reach_the_recipe():
    accuracy = open_accuracy("train", "mnist5k", epochs=3, seed=5)

    assert (accuracy.recipe.epochs, accuracy.recipe.seed, accuracy.rungs) == (3, 5, (1, 2))


def test_an_unknown_method_gets_a_suggestion_and_the_list():
    with pytest.raises(UnknownNameError, match=r"'trian'.*'train'.*package\.module:function, train"):
        open_accuracy("trian")


def test_data_and_epochs_do_not_go_with_a_function():
    with pytest.raises(DefinitionError, match=r"--data mnist5k: --accuracy m:f takes none"):
        open_accuracy("m:f", "mnist5k")
    with pytest.raises(DefinitionError, match=r"--epochs 3"):
        open_accuracy("m:f", epochs=3)
