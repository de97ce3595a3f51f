"""What a user types, and the network that it stands for."""

import random
import sys
from pathlib import Path

import pytest
import torch

from nasbench.errors import DefinitionError, RunNameError, UnknownNameError
from nasbench.measure.networks import (
    all_families,
    find_network,
    is_factory,
    is_timm_name,
    parse_trial,
    sample_networks,
)
from nasbench.records import Cost, Evaluation
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block
from nasbench.space.load import list_spaces, load_space
from nasbench.store.log import RunLog
from nasbench.store.parquet import flush

SPACE = "mnist_tiny"


@pytest.fixture
def run(tmp_path):
    """Give the folder of a run whose trial 17 is a network of mnist_tiny, and that network."""
    _, architecture = load_space(SPACE).sample(random.Random(1))
    with RunLog.create(tmp_path / "first", {"objectives": ["params", "macs"], "limits": {}}) as log:
        log.append(Evaluation(17, "complete", {}, architecture))
    return tmp_path / "first", architecture


def test_a_published_name_is_found_in_its_space():
    name, architecture = find_network("resnet_18")

    assert (name, architecture.space) == ("resnet_18", "resnet")


def test_a_wrong_name_is_answered_with_the_closest():
    with pytest.raises(UnknownNameError, match="Did you mean 'resnet_18'"):
        find_network("resnet_81")


def test_a_file_with_no_choice_left_is_a_network(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "schema: 1\nname: mine\nclasses: 10\ninput: {channels: 3, size: 32}\n"
        "stem: {block: conv, out: 8, kernel: 3, stride: 2}\nstages:\n"
        "  - {block: mbconv, repeat: 1, out: 8, kernel: 3, expand: 2, stride: 1}\nhead: {block: pool_linear}\n"
    )

    name, architecture = find_network(str(path))

    assert (name, architecture.input_shape, len(architecture.blocks)) == ("mine", (3, 32, 32), 3)


def test_a_trial_of_a_stored_run_is_the_network_that_it_evaluated(run):
    folder, architecture = run

    assert find_network(f"{folder}#17") == ("first#17", architecture)


def test_a_trial_on_the_front_is_found_in_the_parquet_files_alone(run):
    folder, architecture = run
    with RunLog.open(folder) as log:
        from nasbench.model.cost import count

        log.append(Evaluation(18, "complete", {}, architecture, cost=count(architecture)))
    flush(folder)
    (folder / "run.db").unlink()

    assert find_network(f"{folder}#18")[1] == architecture
    with pytest.raises(DefinitionError, match="of its front alone the networks are stored: trials 18"):
        find_network(f"{folder}#17")


@pytest.mark.parametrize(
    ("trial", "text"),
    [
        ("3", "has no trial 3; it has 1"),
        ("last", "'last' is no trial"),
        ("", "'' is no trial"),
        ("²", "'²' is no trial"),
    ],
)
def test_a_trial_that_is_not_there_is_said(run, trial, text):
    with pytest.raises(DefinitionError, match=text):
        find_network(f"{run[0]}#{trial}")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("results/first#17", (Path("results/first"), 17)),
        ("results/a#b#3", (Path("results/a#b"), 3)),
        ("resnet_18", None),
    ],
)
def test_a_trial_is_read_as_its_run_and_its_number(text, read):
    assert parse_trial(text) == read


@pytest.mark.parametrize("kept", ["log", "front"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("factory", {"target": "package.module:function", "sha256": "0" * 64}),
        ("onnx_file", {"path": "/etc/passwd", "sha256": "0" * 64}),
    ],
)
def test_a_run_cannot_have_us_run_a_function_or_file_that_it_names(tmp_path, kept, kind, options):
    architecture = Architecture((3, 8, 8), 0, (make_block(kind, 3, 3, 1, options, kind),))
    with RunLog.create(tmp_path / "theirs", {"objectives": ["params", "macs"], "limits": {}}) as log:
        log.append(Evaluation(4, "complete", {}, architecture, cost=Cost(1, 1, 1, 1)))
    if kept == "front":
        flush(tmp_path / "theirs")
        (tmp_path / "theirs" / "run.db").unlink()

    with pytest.raises(DefinitionError, match="trial 4 is a network of the user's own; name its file or factory"):
        find_network(f"{tmp_path / 'theirs'}#4")


def test_a_run_that_is_not_there_is_said(tmp_path):
    with pytest.raises(RunNameError, match="nowhere"):
        find_network(f"{tmp_path / 'nowhere'}#1")


def test_a_network_of_timm_in_a_stored_run_is_found_without_timm(tmp_path, monkeypatch):
    options = {"name": "resnet18.a1_in1k", "version": "1.0.31"}
    architecture = Architecture((3, 224, 224), 1000, (make_block("timm", 3, 3, 1, options, "timm"),))
    with RunLog.create(tmp_path / "theirs", {"objectives": [], "limits": {}}) as log:
        log.append(Evaluation(4, "complete", {}, architecture))
    monkeypatch.setitem(sys.modules, "timm", None)

    assert find_network(f"{tmp_path / 'theirs'}#4") == ("theirs#4", architecture)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("timm/resnet18", True),
        ("resnet18", False),
        ("timm/own.onnx", False),
        ("timm/own.yaml", False),
        ("timm/a#3", False),
    ],
)
def test_a_network_of_timm_is_told_by_what_stands_before_its_name(text, answer):
    assert is_timm_name(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("package.module:factory", True),
        ("resnet_18", False),
        ("results/a:b#3", False),
        ("odd:name.onnx", False),
        ("timm/hf-hub:user/network", False),
    ],
)
def test_a_factory_is_told_by_its_colon(text, answer):
    assert is_factory(text) == answer


def test_a_factory_of_the_user_is_a_network_with_the_input_that_is_said(tmp_path, monkeypatch):
    (tmp_path / "my_networks.py").write_text("import torch\n\ndef small():\n    return torch.nn.Conv2d(1, 4, 3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)

    name, architecture = find_network("my_networks:small", (1, 28, 28))

    assert (name, architecture.input_shape) == ("my_networks:small", (1, 28, 28))


def test_an_onnx_file_of_the_user_is_a_network_with_the_input_that_it_declares(tmp_path):
    from nasbench.model.export import to_onnx

    to_onnx(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)).eval(), tmp_path / "model.onnx", (3, 24, 20))

    name, architecture = find_network(str(tmp_path / "model.onnx"))

    assert (name, architecture.input_shape) == ("model.onnx", (3, 24, 20))


def test_a_sample_holds_different_networks_named_by_their_digests():
    sampled = sample_networks(load_space(SPACE), 12, seed=0)

    assert len({architecture.digest for _, architecture in sampled}) == 12
    assert all(name == f"{SPACE}/{architecture.digest[:8]}" for name, architecture in sampled)


def test_a_larger_sample_of_the_same_seed_begins_with_the_smaller_one():
    space = load_space(SPACE)

    assert sample_networks(space, 9, seed=4)[:5] == sample_networks(space, 5, seed=4)
    assert sample_networks(space, 5, seed=5) != sample_networks(space, 5, seed=4)


def test_more_networks_than_a_space_has_are_refused(tmp_path):
    path = tmp_path / "two.yaml"
    path.write_text(
        "schema: 1\nname: two\nclasses: 10\ninput: {channels: 3, size: 32}\n"
        "stem: {block: conv, out: 8, kernel: 3, stride: 2}\nstages:\n"
        "  - {block: mbconv, repeat: 1, out: [8, 16], kernel: 3, expand: 2, stride: 1}\nhead: {block: pool_linear}\n"
    )

    with pytest.raises(DefinitionError, match="3 different networks were to be drawn from two, and only 2"):
        sample_networks(load_space(path), 3, seed=0)


def test_all_families_are_the_spaces_that_have_published_architectures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "search_spaces").mkdir()
    (tmp_path / "search_spaces" / "bare.yaml").write_text(
        "schema: 1\nname: bare\nclasses: 10\ninput: {channels: 3, size: 32}\nstem: {block: conv, out: 8}\n"
        "stages: [{block: mbconv, repeat: [1, 2], out: 8}]\nhead: {block: pool_linear}\n"
    )

    assert list(all_families()) == [name for name in list_spaces() if name != "bare"]
