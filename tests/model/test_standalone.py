"""Networks written out as source compute and train as ours do, in a process that has no nasbench."""

import ast
import copy
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from block_rows import ROWS, input_of, shape_of
from exported import HOSTILE, SMALL

from nasbench.errors import BuildError, DefinitionError, NasbenchError
from nasbench.model.build import build, initialize
from nasbench.model.deploy import deploy, fold
from nasbench.model.foreign import foreign_architecture
from nasbench.model.gather import write_imports
from nasbench.model.standalone import Origin, gather_blocks, load_source, make_picture, run, to_source, write_source
from nasbench.model.trace import make_module
from nasbench.space.kinds import find_kind
from nasbench.space.load import find_architecture, list_spaces, load_space

ROWS_ALONE = """
answer = []
for name, arguments, options, weights, flow in given:
    block = getattr(exported, name)(*arguments, **options)
    exported.initialize(block, 5)
    drawn = {key: value.clone() for key, value in block.state_dict().items()}
    trained = block.train()(flow)
    block.load_state_dict(weights)
    looked = block.eval()(flow)
    with torch.no_grad():
        deployed = exported.fold(block)(flow)
    answer.append((drawn, trained, looked, deployed))
"""

NETWORK_ALONE = """
network = exported.Network()
network.load_state_dict(given["weights"])
with torch.no_grad():
    logits = network.eval()(given["images"])
    answer = {"logits": logits, "state": exported.Network(4).state_dict()}
"""


ONE_A_KIND = list({row.kind: row for row in ROWS}.values())


def streams_of(flow):
    return (flow,) if isinstance(flow, torch.Tensor) else flow


def all_equal(ones, others):
    return all(torch.equal(*pair) for pair in zip(streams_of(ones), streams_of(others), strict=True))


@pytest.mark.parametrize("rows", [ONE_A_KIND, pytest.param(ROWS, marks=pytest.mark.slow)], ids=["one_a_kind", "all"])
def test_blocks_draw_train_and_compute_as_ours_with_those_of_all_modules_in_one_file(rows, alone, tmp_path):
    gathered = gather_blocks(rows)
    given, expected = [], []
    for row in rows:
        module = make_module(row, shape_of(row))
        options = find_kind(row.kind).values(dict(row.options))
        options |= {"shape": shape_of(row)} if find_kind(row.kind).sized else {}
        flow = input_of(row)
        initialize(module, 5)
        drawn = copy.deepcopy(module.state_dict())
        trained = module.train()(flow)  # which moves the statistics of norms
        weights = copy.deepcopy(module.state_dict())
        looked = module.eval()(flow)
        with torch.no_grad():
            expected.append((drawn, trained, looked, fold(module)(flow)))
        name = gathered.names[type(make_module(row, shape_of(row))).__module__, type(module).__name__]
        given.append((name, (row.in_channels, row.out_channels, row.stride), options, weights, flow))
    text = "\n\n".join([write_imports(gathered.imports), *(text for *_, text in gathered.sections)])

    answers = alone.run("from __future__ import annotations\n" + text, given, ROWS_ALONE, tmp_path)

    assert len(answers) == len(rows)
    for row, (drawn, *flows), (our_drawn, *our_flows) in zip(rows, answers, expected, strict=True):
        assert list(drawn) == list(our_drawn), row
        assert all(torch.equal(drawn[key], our_drawn[key]) for key in drawn), row
        for what, ones, others in zip(("training", "evaluation", "deployed"), flows, our_flows, strict=True):
            assert all_equal(ones, others), (what, row)


QUICK = [
    "fd_mobilenet_0.25",
    "hybrid_mnist_convolutions",
    "mnist_tiny_small",
    "mobileformer_26m",
    "mobilenet_v1_0.25_128",
    "mobilenet_v2_1.0_96",
    "ofa_mobilenet_v3_smallest",
    "nasbench201_resnet",
    "pp_lcnet_x0_25",
    "shufflenet_v2_0.5",
    "starnet_s050",
    "wavemix_lite_8_10",
]
SLOW = [
    "affnet_et",
    "convformer_s18",
    "convit_tiny",
    "convnext_atto",
    "densenet_121",
    "edgenext_xx_small",
    "efficientformer_l1",
    "efficientnet_lite0",
    "efficientvim_m1",
    "efficientvmamba_t",
    "emo_1m",
    "emov2_1m",
    "genet_small",
    "hardnet_39ds",
    "iformer_t",
    "inceptionnext_atto",
    "mambaout_femto",
    "mobilemamba_t2",
    "mobilenet_v4_conv_small",
    "mobileone_s1",
    "moganet_xtiny",
    "poolformer_s12",
    "identityformer_s12",
    "regnetx_200mf",
    "repnext_m0",
    "repvit_m0_6",
    "resnet_10t",
    "se_resnext_26t_32x4d",
    "rexnet_1.0",
    "shvit_s1",
    "tnt_s",
    "mobilenet_v2_ulsam_160",
    "unireplknet_a",
    "van_b0",
    "deit_tiny",
    "ese_vovnet_19b_slim_dw",
    "wavemix_lite_256_7",
]
"""The smallest network of every space, those that take some time apart; every block is looked at by itself above."""

SPACES = [load_space(path) for path in list_spaces().values()]
OTHERS = [named.name for space in SPACES for named in space.architectures if named.name not in (*QUICK, *SLOW)]


def test_a_network_of_every_space_is_looked_at():
    seen = [[named.name for named in space.architectures if named.name in (*QUICK, *SLOW)] for space in SPACES]

    assert all(len(names) == 1 for space, names in zip(SPACES, seen, strict=True) if space.architectures)


@pytest.mark.parametrize(
    "name",
    [
        *QUICK,
        *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW),
        *(pytest.param(name, marks=pytest.mark.points) for name in OTHERS),
    ],
)
def test_a_network_written_out_computes_the_same_to_the_bit(name, alone, tmp_path):
    space, named = find_architecture(name)
    network = build(named.architecture, seed=7)
    images = make_picture(named.architecture.input_shape)
    given = {"weights": network.state_dict(), "images": images}

    answer = alone.run(write_source(named.architecture, Origin(name, space.source)), given, NETWORK_ALONE, tmp_path)

    assert torch.equal(answer["logits"], run(network, images))
    expected = build(named.architecture, seed=4).state_dict()
    assert list(answer["state"]) == list(expected)
    assert all(torch.equal(answer["state"][key], expected[key]) for key in expected)


def test_the_deployed_form_of_a_file_is_that_which_is_measured(tmp_path):
    to_source(SMALL, tmp_path / "small.py", Origin("small"))
    exported = load_source(tmp_path / "small.py")
    images = torch.randn(2, *SMALL.input_shape)

    ours, theirs = deploy(build(SMALL)), exported.deploy(exported.Network())

    assert torch.equal(run(theirs, images), run(ours, images))
    assert list(theirs.state_dict()) == list(ours.state_dict())


def test_a_file_checks_itself_and_finds_that_it_was_changed(tmp_path, capsys):
    path = tmp_path / "small.py"
    to_source(SMALL, path, Origin("small"))

    assert load_source(path).main() == 0
    assert "equal to the bit" in capsys.readouterr().out

    text = path.read_text()
    assert 'act="hswish"' in text
    path.write_text(text.replace('act="hswish"', 'act="relu"', 1))
    assert load_source(path).main() == 1
    assert "this is another network" in capsys.readouterr().out


def test_trained_weights_beside_a_file_are_checked_too(tmp_path, capsys):
    path, trained = tmp_path / "small.py", build(SMALL, seed=11)
    to_source(SMALL, path, Origin("small"), trained=trained)

    assert load_source(path).main() == 0
    assert "small.safetensors\n  is not beside this file" in capsys.readouterr().out
    safetensors.torch.save_file(trained.state_dict(), tmp_path / "small.safetensors")
    assert load_source(path).main() == 0
    assert capsys.readouterr().out.count("equal to the bit") == 2
    safetensors.torch.save_file(build(SMALL, seed=12).state_dict(), tmp_path / "small.safetensors")
    assert load_source(path).main() == 1


def test_a_source_that_computes_something_else_leaves_the_file_of_before(tmp_path):
    other = build(SMALL)
    other.register_forward_hook(lambda network, images, logits: logits + 1)
    (tmp_path / "small.py").write_text("old")

    with pytest.raises(NasbenchError, match=r"^small\.py is not written: with small\.safetensors it computes some"):
        to_source(SMALL, tmp_path / "small.py", Origin("small"), trained=other)

    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("small.py", "old")]


def test_equal_rows_are_written_once():
    text = write_source(SMALL, Origin("small"))

    assert "# rows 2 to 3: 24x4x4 -> 24x4x4" in text
    assert text.count(" MobileOne(24, ") == text.count("for _ in range(2)\n") == 1


@pytest.mark.parametrize("field", ["name", "source", "published", "command", "space"])
def test_no_name_and_no_text_of_a_definition_becomes_code(field, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plain = ast.parse(write_source(SMALL, Origin("x")))
    given = {} if field == "space" else {field: HOSTILE}
    architecture = replace(SMALL, space=HOSTILE) if field == "space" else SMALL
    to_source(architecture, tmp_path / "hostile.py", Origin(**{"name": "x", **given}))
    text = (tmp_path / "hostile.py").read_text(encoding="utf-8")

    load_source(tmp_path / "hostile.py")

    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {"hostile.py"}
    parsed = ast.parse(text)
    for tree in (plain, parsed):
        changing = {"NAME", "EXPECTED"}
        tree.body = [
            node for node in tree.body if not isinstance(node, ast.Assign) or node.targets[0].id not in changing
        ]
    assert ast.dump(parsed) == ast.dump(plain)


def test_a_hostile_name_of_the_file_itself_stays_a_text(tmp_path):
    path = tmp_path / 'a"\n);b.py'
    to_source(SMALL, path, Origin("small"), trained=build(SMALL, seed=1))

    assert list(load_source(path).EXPECTED) == ["weights drawn from seed 0", 'a"\n);b.safetensors']


def test_a_network_that_is_not_made_of_rows_has_no_source_here(tmp_path):
    timm = foreign_architecture("timm", (3, 224, 224), name="resnet18", version="1")

    with pytest.raises(BuildError, match="only networks of rows are written as source"):
        to_source(timm, tmp_path / "timm.py", Origin("timm"))


def test_a_folder_that_is_absent_is_named_before_anything_is_built(tmp_path):
    with pytest.raises(DefinitionError, match="there is no folder"):
        to_source(SMALL, tmp_path / "absent" / "small.py", Origin("small"))
