"""Which networks of a bench are the ones that papers state something of."""

from pathlib import Path

import pytest

from nasbench.measure.published import find_published
from nasbench.space.load import find_architecture, load_space
from nasbench.store.published import Published

MINE = """
schema: 1
name: mine
classes: 10
input: {channels: 3, size: 32}
stem: {block: conv, out: 8, kernel: 3, stride: 2}
stages:
  - {block: mbconv, repeat: 1, out: [8, 16], kernel: 3, expand: 2, stride: 1}
head: {block: pool_linear}
architectures:
  mine_small: {choose: {stage0.out: 8}, published: {top1: 50, source: my own}}
"""


def named(*names):
    return {name: find_architecture(name)[1].architecture for name in names}


def test_a_published_architecture_has_the_figures_and_the_family_of_its_definition():
    found = find_published(named("mobilenet_v2_1.0", "resnet_18"))

    # MobileNetV2's table 4: 72.0 %, 3.4 M parameters, 300 M multiply-adds, 75 ms on a Pixel 1
    assert (found["mobilenet_v2_1.0"].family, found["mobilenet_v2_1.0"].top1) == ("mobilenet_v2", 0.72)
    assert (found["mobilenet_v2_1.0"].params, found["mobilenet_v2_1.0"].macs) == (3_400_000, 300_000_000)
    assert found["resnet_18"].family == "resnet"


def test_another_network_of_the_same_name_has_nothing_of_it():
    networks = {"mobilenet_v2_1.0": named("resnet_18")["resnet_18"], "model.onnx": named("resnet_18")["resnet_18"]}

    assert find_published(networks) == {}


def test_a_copy_of_a_definition_with_other_images_has_no_figures_of_the_networks_it_came_from(tmp_path):
    text = Path(load_space("starnet").path).read_text().replace("size: 224", "size: 32")
    (tmp_path / "starnet_32.yaml").write_text(text.replace("\nname: starnet\n", "\nname: starnet_32\n"))
    space = load_space(tmp_path / "starnet_32.yaml")
    networks = {one.name: one.architecture for one in space.architectures}

    assert "starnet_s1" in networks
    assert find_published(networks, [space.path]) == {}


def test_a_family_in_a_file_of_the_user_is_looked_in_too(tmp_path):
    (tmp_path / "mine.yaml").write_text(MINE)
    space = load_space(tmp_path / "mine.yaml")
    networks = {"mine_small": space.architectures[0].architecture}

    assert find_published(networks) == {}
    assert find_published(networks, [str(tmp_path / "mine.yaml")]) == {"mine_small": Published("my own", "mine", 0.5)}


def test_figures_of_networks_that_no_space_names_can_be_stated():
    stated = {"model.onnx": Published("a card", top1=0.8), "absent": Published("a card", top1=0.9)}
    networks = named("resnet_18") | {"model.onnx": named("resnet_34")["resnet_34"]}

    found = find_published(networks, stated=stated)

    assert list(found) == ["resnet_18", "model.onnx"]
    assert found["model.onnx"] == Published("a card", top1=0.8)


@pytest.mark.parametrize("text", ["architectures: {resnet_18: {}}\n", "[resnet_18", "schema: 9  # resnet_18\n"])
def test_a_wrong_definition_that_was_not_asked_for_hinders_nothing(tmp_path, monkeypatch, text):
    (tmp_path / "search_spaces").mkdir()
    (tmp_path / "search_spaces" / "broken.yaml").write_text(text)
    networks = named("resnet_18")
    monkeypatch.chdir(tmp_path)

    assert find_published(networks)["resnet_18"].family == "resnet"
