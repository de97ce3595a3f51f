"""`nasbench export`: what it takes, what it writes, and what it refuses."""

import json
import sys
from pathlib import Path

import onnx
import onnxruntime
import pytest
import safetensors
import torch

from nasbench.errors import NasbenchError
from nasbench.model.build import build
from nasbench.model.deploy import deploy
from nasbench.model.export import load_torch, to_onnx
from nasbench.model.standalone import load_source
from nasbench.records import Cost, Evaluation
from nasbench.runtime.agreement import check_agreement
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block
from nasbench.space.load import find_architecture
from nasbench.store.log import RunLog
from nasbench.store.parquet import read_run

REFERENCE = Path(__file__).parents[2] / "results" / "reference" / "mnist_tiny-cpu-confirmed"


def test_a_published_network_is_written_as_source_by_the_suffix(here, capsys):
    done = here("export", "mnist_tiny_small", "--out", "small.py", "--seed", 3, check=0)

    assert done.stdout.startswith("wrote small.py: mnist_tiny_small, architecture 41cee57fa67d605b, random weights of")
    text = (here.folder / "small.py").read_text()
    assert "# written by:   nasbench 0.1.0: nasbench export mnist_tiny_small --out small.py --seed 3\n" in text
    assert "import nasbench" not in text and "from nasbench" not in text
    weights = load_source(here.folder / "small.py").Network().state_dict()
    expected = build(find_architecture("mnist_tiny_small")[1].architecture, seed=3).state_dict()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


@pytest.mark.parametrize("words", [("--out", "{}"), ("--out={}",)])
def test_the_comment_on_the_command_names_no_folder_of_this_machine(here, words):
    path = here.folder / "small.py"

    here("export", "mnist_tiny_small", *(word.format(path) for word in words), check=0)

    assert f": nasbench export mnist_tiny_small {' '.join(words).format('small.py')}\n" in path.read_text()
    assert str(here.folder) not in path.read_text()


def test_weights_are_written_by_name_with_the_rows_beside_them(here):
    here("export", "mnist_tiny_small", "--format", "safetensors", "--seed", 3, check=0)

    with safetensors.safe_open(here.folder / "mnist_tiny_small.safetensors", "pt") as file:
        architecture = Architecture.from_dict(json.loads(file.metadata()["architecture"]))
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    expected = build(architecture, seed=3).state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_a_trial_of_a_run_without_a_log_is_written(here):
    done = here("export", f"{REFERENCE}#11", "--format", "pytorch", check=0)

    assert "wrote mnist_tiny-cpu-confirmed-trial11.pt: trial 11, architecture a049cb46" in done.stdout
    assert load_torch(here.folder / "mnist_tiny-cpu-confirmed-trial11.pt")[0].digest.startswith("a049cb46")
    assert "stored: trials 0, 15, 13" in here("export", f"{REFERENCE}#5", check=2).stderr


@pytest.mark.parametrize(
    ("run", "can_train"), [("mnist_tiny-cpu-confirmed", True), ("nasbench201-tables-random", False)]
)
def test_training_is_offered_where_the_search_has_trained(here, run, can_train):
    trial = read_run(REFERENCE.parent / run).pareto["trial"].iloc[0]
    done = here("export", f"{REFERENCE.parent / run}#{trial}", "--format", "pytorch", check=0)

    assert done.stdout.rstrip().endswith("random weights of seed 0" + (" (--train trains it)" if can_train else ""))


@pytest.mark.slow
def test_trained_weights_lie_beside_the_source_and_are_those_of_the_run(here, capsys):
    done = here("export", f"{REFERENCE}#0", "--out", "found.py", "--train", check=0)

    assert done.stdout.startswith("wrote found.py and found.safetensors: trial 0")
    assert "to 93.80 % on val" in done.stderr
    exported = load_source(here.folder / "found.py")
    assert exported.main() == 0
    assert capsys.readouterr().out.count("equal to the bit") == 2
    text = " ".join((here.folder / "found.py").read_text().replace("#", "").split())
    assert "published as mnist_tiny_small; accuracy 93.80 % as its search estimated it" in text


def test_source_and_weights_are_replaced_together_or_not_at_all(here, monkeypatch):
    """A network that computes what the source of its rows does not."""

    def train_another(candidate):
        network = build(candidate.architecture)
        network.register_forward_hook(lambda network, images, logits: logits + 1)
        return network

    monkeypatch.setattr("nasbench.cli.export_training.train_again", train_another)
    old = {"found.py": "old source", "found.safetensors": "old weights", "mine.py": ""}
    for name, text in old.items():
        (here.folder / name).write_text(text)

    done = here("export", f"{REFERENCE}#0", "--out", "found.py", "--train", check=1)

    assert "found.py is not written: with found.safetensors it computes something else" in done.stderr
    assert {path.name: path.read_text() for path in here.folder.iterdir()} == old


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("mnist_tiny_smal",), "no architecture is named 'mnist_tiny_smal'. Did you mean 'mnist_tiny_small'"),
        (("mnist_tiny_small", "--format", "onx"), "Did you mean 'onnx'"),
        (("mnist_tiny_small", "--out", "small.exe"), "small.exe: its name does not say what to write; end it with"),
        (("mnist_tiny_small", "--format", "torch", "--out", "small.txt"), "end the file's name with .py"),
        (("mnist_tiny_small", "--around", 1, "--out", "small", "--format", "yaml"), "end the file's name with .yaml"),
        (("mnist_tiny_small", "--train"), "--train repeats a run's training, and mnist_tiny_small is of no run"),
        (("mnist_tiny_small", "--format", "yaml", "--train"), "a yaml definition holds none"),
        (("mnist_tiny_small", "--out", "absent/small.py"), "there is no folder absent"),
        ((REFERENCE,), "is a folder; say which trial of the run with --trial N"),
        (("absent", "--trial", 3), "absent"),
        (("absent#last",), "'last' is no trial; write RUN#TRIAL"),
        (("small.onnx",), "is exported already"),
        (("mnist_tiny_small", "--batch", "0"), "--batch '0' is neither a whole number from 1 to 9,999 nor any"),
        (("mnist_tiny_small", "--format", "torch", "--opset", 18), "--batch and --opset are of onnx files; torch has"),
        (("package.module:function", "--format", "torch"), "package"),
    ],
)
def test_what_cannot_be_exported_ends_with_one_line(here, words, said):
    done = here("export", *words, check=2)

    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(here.folder.iterdir()) == [here.folder / "mine.py"]


def test_without_safetensors_it_is_said_what_to_install_before_anything_is_trained(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)

    for words in (("--format", "safetensors"), ("--format", "torch", "--train")):
        done = here("export", f"{REFERENCE}#11", *words, check=1)
        assert done.stderr == (
            "error: weights as safetensors need the package safetensors: pip install nasbench[export]\n"
        )


@pytest.mark.parametrize("accuracy", ["mine:accuracy", "table:t.csv#acc", None])
def test_training_again_opens_nothing_that_a_run_names(here, monkeypatch, accuracy):
    """A run of somebody else may name a module that lies beside it."""
    settings = {"space": "mnist_tiny", "objectives": ["accuracy", "params"], "accuracy": accuracy or "train"}
    stored = {"settings": settings, "accuracy": {"method": "mine"} if accuracy else None, "objectives": ["accuracy"]}
    architecture = find_architecture("mnist_tiny_small")[1].architecture
    with RunLog.create(here.folder / "results/theirs", stored) as log:
        log.append(Evaluation(0, "complete", {}, architecture, cost=Cost(1, 1, 1, 4)), {}, None)
    (here.folder / "mine.py").write_text("raise SystemExit('it was imported')")
    opened = []
    monkeypatch.setattr("nasbench.search.settings.open_accuracy_of", opened.append)

    done = here("export", "results/theirs#0", "--train", check=2)

    assert "this run's accuracy was not trained" in done.stderr and not opened


@pytest.mark.parametrize("what", ["mnist_tiny_small", f"{REFERENCE}#11"])
def test_the_space_around_a_network_can_be_searched(here, what):
    done = here("export", what, "--around", 1, "--out", "near.yaml", check=0)

    assert "Search it: nasbench search near.yaml\n" in done.stdout
    words = ("search", "near.yaml", "--objective", "params", "--objective", "macs", "--trials", 5, "--run", "results/a")
    assert "of 5 evaluated candidates" in here(*words, check=0).stdout
    assert "of 1 named starting points" in here(*words[:-1], "results/b", check=0).stdout


def test_a_definition_of_one_network_is_no_space_to_search_and_says_how_to_get_one(here):
    here("export", "mnist_tiny_small", "--out", "one.yaml", check=0)

    assert "`nasbench export --around 1` writes a space" in here("search", "one.yaml", check=2).stderr
    here("export", "one.yaml", "--around", 1, "--out", "near.yaml", check=0)
    assert len(here("check", "near.yaml", check=0).stdout) > 0
    assert "take --format yaml" in here("export", "one.yaml", "--around", 1, "--out", "near.onnx", check=2).stderr


def test_an_onnx_file_takes_any_number_of_images_and_has_the_operators_asked_for(here):
    done = here("export", "mnist_tiny_small", "--out", "small.onnx", "--batch", "any", "--opset", 20, check=0)

    assert done.stdout.startswith("wrote small.onnx: mnist_tiny_small")
    assert "ONNX Runtime gives torch's logits within" in done.stderr
    path = here.folder / "small.onnx"
    assert [one.version for one in onnx.load(path).opset_import if not one.domain] == [20]
    network = deploy(build(find_architecture("mnist_tiny_small")[1].architecture))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for batch in (1, 5):
        images = torch.randn(batch, 1, 28, 28)
        (logits,) = session.run(None, {"images": images.numpy()})
        torch.testing.assert_close(torch.from_numpy(logits), network(images), rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("opset", [17, 99])
def test_operators_that_cannot_be_written_are_refused_and_leave_no_file(here, opset):
    done = here("export", "mnist_tiny_small", "--out", "small.onnx", "--opset", opset)

    assert done.returncode in (1, 2) and done.stderr.count("\n") == 1
    assert list(here.folder.iterdir()) == [here.folder / "mine.py"]


FACTORY = """
import torch


class Network(torch.nn.Module):
    def forward(self, images):
        logits = images.mean((2, 3))
        return WRITTEN if torch.compiler.is_exporting() else logits


make = Network
"""


@pytest.fixture
def factory(here, monkeypatch):
    """Give a function that makes a user's factory, whose file computes a given expression."""

    def make(name, written):
        (here.folder / f"{name}.py").write_text(FACTORY.replace("WRITTEN", written))
        monkeypatch.syspath_prepend(here.folder)
        return f"{name}:make"

    return make


def test_the_weights_of_a_user_s_function_are_not_called_random(here, factory):
    done = here("export", factory("user_right", "logits"), "--out", "right.onnx", check=0)

    assert done.stdout.endswith(", weights as the function gives them\n")
    assert "random" not in done.stdout


def test_a_file_that_computes_something_else_does_not_take_the_place_of_another(here, factory):
    what = factory("user_wrong", "2 * logits")
    (here.folder / "wrong.onnx").write_text("old")
    files = sorted(here.folder.iterdir())

    done = here("export", what, "--out", "wrong.onnx", check=1)

    assert done.stderr.startswith("error: wrong.onnx is not written: its logits differ by")
    assert (here.folder / "wrong.onnx").read_text() == "old"
    assert [path for path in sorted(here.folder.iterdir()) if path.name != "__pycache__"] == files


def test_a_file_that_computes_something_else_is_not_called_right(tmp_path):
    architecture = find_architecture("mnist_tiny_small")[1].architecture
    to_onnx(build(architecture, seed=1), tmp_path / "small.onnx", architecture.input_shape)

    with pytest.raises(NasbenchError, match="more than rounding"):
        check_agreement(tmp_path / "small.onnx", build(architecture, seed=2).eval(), architecture.input_shape, (1,))


def test_a_run_cannot_have_us_run_a_function_that_it_names(here):
    row = make_block("factory", 3, 3, 1, {"target": "mine:guess", "sha256": "0" * 64}, "row")
    with RunLog.create(here.folder / "theirs", {"objectives": ["params", "macs"], "limits": {}}) as log:
        log.append(Evaluation(4, "complete", {}, Architecture((3, 8, 8), 0, (row,)), cost=Cost(1, 1, 1, 1)))

    assert "trial 4 is a network of the user's own" in here("export", "theirs#4", check=2).stderr
