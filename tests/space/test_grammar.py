"""From YAML to architectures and back."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench.definitions import parse_definition
from nasbench.errors import DefinitionError
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import KINDS, make_block
from nasbench.space.load import find_architecture, list_spaces, load_space, read_space

SMALL = """\
schema: 1
name: small
input: {channels: 3, size: [32, 64]}
classes: 10
width: [0.5, 1.0]
shared: {act: [relu, hswish]}
stem: {block: conv, out: 16, stride: 2, act: $act}
stages:
  - {block: [mbconv, conv, identity], repeat: [1, 2], out: [16, 24], kernel: {each: [3, 5]}, expand: [2, 4]}
  - {block: mbconv, repeat: [0, 1, 2], out: 40, expand: {from: 1, to: 3, step: 1}, stride: 2, act: $act}
head: {block: pool_linear, hidden: 64}
"""


def space(text=SMALL):
    return read_space(parse_definition(text, "small.yaml"))


def every_point(of):
    """List all choices by brute force: try every value wherever a choice is asked."""
    found, open_paths = [], [[]]
    while open_paths:
        path = open_paths.pop()
        made = {}

        class Asked(Exception):
            pass

        def pick(choice, path=path, made=made, asked=Asked):
            if len(made) == len(path):
                raise asked(choice)
            made[choice.name] = path[len(made)]
            return made[choice.name]

        try:
            found.append((made, of.decode(pick)))
        except Asked as stop:
            open_paths += [[*path, value] for value in stop.args[0].values]
    return found


def test_the_size_equals_a_count_by_brute_force():
    points = every_point(space())

    assert space().size() == len(points)


def test_a_shared_choice_is_counted_once_and_only_where_it_is_used():
    text = SMALL.replace("act: $act}\nstages", "act: relu}\nstages")

    assert space(text).size() == len(every_point(space(text)))


def test_every_point_encodes_to_choices_that_decode_to_it():
    of = space()
    for _, architecture in every_point(of)[::7]:
        assert of.decode_choices(of.encode(architecture)) == architecture


def test_equal_networks_have_equal_digests_whatever_space_they_come_from():
    architectures = {}
    for _, architecture in every_point(space()):
        architectures.setdefault(architecture.digest, architecture)
        assert architectures[architecture.digest] == architecture
    elsewhere = space(SMALL.replace("name: small", "name: other"))
    choices, architecture = elsewhere.sample(random.Random(1))
    assert space().decode_choices(choices).digest == architecture.digest


def test_choices_without_effect_do_not_exist():
    asked = [set(made) for made, _ in every_point(space())]

    assert all("stage1.out" not in made for made in asked)
    for made, _ in every_point(space()):
        if made["stage0.block"] == "identity":
            assert not {"stage0.out", "stage0.kernel.0", "stage0.expand"} & set(made)
        if made["stage0.block"] == "conv":
            assert "stage0.expand" not in made
        if made["stage0.repeat"] == 1:
            assert "stage0.kernel.1" not in made
        if made["stage1.repeat"] == 0:
            assert "stage1.expand" not in made


def test_a_default_written_out_changes_no_digest():
    plain = space(SMALL.replace("hidden: 64", "hidden: 64, hidden_bias: true"))
    choices, architecture = space().sample(random.Random(3))

    assert plain.decode_choices(choices).digest == architecture.digest


def test_an_option_without_effect_changes_no_digest():
    loud = space(SMALL.replace("stride: 2, act: $act}\nhead", "stride: 2, act: $act, se_gate: sigmoid}\nhead"))
    choices, architecture = space().sample(random.Random(3))

    assert loud.decode_choices(choices).digest == architecture.digest
    assert loud.encode(architecture)


def test_an_architecture_survives_json():
    for _, architecture in every_point(space())[::50]:
        assert Architecture.from_dict(architecture.as_dict()) == architecture


def test_an_architecture_outside_the_space_does_not_encode():
    of = space()
    _, other = space(SMALL.replace("size: [32, 64]", "size: 96")).sample(random.Random(0))

    with pytest.raises(DefinitionError, match="is not in the space 'small'"):
        of.encode(other)


def test_another_number_of_classes_changes_the_head_alone():
    choices, architecture = space().sample(random.Random(5))
    changed = space().with_classes(7).decode_choices(choices)

    assert changed.blocks[:-1] == architecture.blocks[:-1]
    assert changed.blocks[-1].out_channels == changed.classes == 7


WRONG = [
    ("kernel:", "kernal:", r"small\.yaml:9: stages\[0\] has the unknown key 'kernal'\. Did you mean 'kernel'"),
    ("[3, 5]", "[3, 4]", r"small\.yaml:9: stages\[0\]\.kernel\.each\[1\] is 4; an odd number"),
    ("[3, 5]", "[3, 3]", r"stages\[0\]\.kernel\.each holds a value twice"),
    ("[3, 5]", "[3]", r"stages\[0\]\.kernel\.each is a list of one value"),
    ("[3, 5]", "[]", r"stages\[0\]\.kernel\.each is an empty list"),
    ("[mbconv, conv, identity]", "mbconf", r"is the text 'mbconf', and no block is named so\. Did you mean 'mbconv'\?"),
    (
        "[mbconv, conv, identity]",
        "large_kernel",
        r"named so\. Did you mean 'unireplknet' or 'van'\? `nasbench ls blocks`",
    ),
    ("out: 40, ", "", r"small\.yaml:10: stages\[1\] lacks the key 'out'"),
    ("hidden: 64", "hidden: 64, out: 5", r"head\.out is given, but the output channels of pool_linear are the number"),
    (
        "act: $act}\nstages",
        "act: $akt}\nstages",
        r"stem\.act names '\$akt', which `shared:` does not have\. Did you mean",
    ),
    ("shared: {act: [relu, hswish]}", "shared: {act: [relu, 3]}", r"shared\.act holds 3, but stem\.act needs one of"),
    ("classes: 10", "classes: ten", r"small\.yaml:4: classes is the text 'ten'; a whole number"),
    ("classes: 10", "classes: true", r"classes is true; a whole number"),
    ("schema: 1", "schema: 2", r"schema is not 1"),
    ("from: 1, to: 3", "from: 3, to: 1", r"stages\[1\]\.expand must go up"),
    ("from: 1, to: 3", "from: no, to: 3", r"stages\[1\]\.expand\.from is the text 'no'; a number"),
    ("pool_linear, hidden: 64", "conv, out: 3", r"head must end in the classes"),
    (
        "stride: 2, act: $act}\nhead",
        "stride: 2, se: [0.0, 0.5], se_gate: [sigmoid, hard_sigmoid]}\nhead",
        r"no effect where se is 0",
    ),
    ("stride: 2, act: $act}\nhead", "stride: {each: [1, 2]}}\nhead", r"cannot be chosen for each repeat"),
    ("name: small", "name: small\nname: again", r"small\.yaml:3: the key 'name' is given twice"),
    ("input: {channels: 3, size: [32, 64]}", "input: 3", r"input is 3; a mapping is needed"),
    ("shared: {act: [relu, hswish]}", "shared: {act: [relu, hswish], width: [1, 2]}", r"width"),
    ("width: [0.5, 1.0]", "width: $act", r"width"),
    ("name: small", "name: ../small", r"name is .*A-Z"),
    ("schema: 1", "schema: true", r"schema"),
    ("channels: 3", "&a channels: 3", r"anchors and aliases are not allowed"),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG, ids=[w[1][:40] for w in WRONG])
def test_a_mistake_is_one_line_with_its_place(old, new, message):
    assert old in SMALL
    with pytest.raises(DefinitionError, match=message) as caught:
        space(SMALL.replace(old, new, 1))
    assert "\n" not in str(caught.value)


POINT = """\
architectures:
  best:
    choose: {input.size: 32, width: 1.0, act: relu, stage0.block: mbconv, stage0.repeat: 2,
             stage0.out: 16, stage0.kernel: [3, 5], stage0.expand: 4, stage1.repeat: 0}
"""


def test_a_named_point_takes_a_list_for_a_choice_of_each_repeat():
    named = space(SMALL + POINT).find_architecture("best")

    assert named.choices["stage0.kernel.0"] == 3 and named.choices["stage0.kernel.1"] == 5
    assert [dict(b.options).get("kernel", 3) for b in named.architecture.blocks] == [3, 3, 5, 3]


def test_an_architecture_is_found_again_after_its_file_changed(tmp_path, monkeypatch):
    (tmp_path / "search_spaces").mkdir()
    monkeypatch.chdir(tmp_path)
    own = Path("search_spaces/small.yaml")

    own.write_text(SMALL + POINT)
    before = expansions("best")
    own.write_text(SMALL + POINT.replace("stage0.expand: 4", "stage0.expand: 2"))

    assert (before, expansions("best")) == ({4, None}, {2, None})


def expansions(name):
    return {dict(block.options).get("expand") for block in find_architecture(name)[1].architecture.blocks}


def test_an_architecture_is_found_beside_files_that_are_wrong_and_name_it_nowhere(tmp_path, monkeypatch):
    (tmp_path / "search_spaces").mkdir()
    monkeypatch.chdir(tmp_path)
    Path("search_spaces/another.yaml").write_text("schema: [")
    Path("search_spaces/small.yaml").write_text(SMALL + POINT)

    assert find_architecture("best")[0].name == "small"
    with pytest.raises(DefinitionError, match=r"another\.yaml"):
        find_architecture("worst")


def test_an_architecture_whose_name_is_written_with_escapes_is_found(tmp_path, monkeypatch):
    (tmp_path / "search_spaces").mkdir()
    monkeypatch.chdir(tmp_path)
    Path("search_spaces/small.yaml").write_text(SMALL + POINT.replace("best:", '"\\x62est":'))

    assert find_architecture("best")[0].name == "small"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("stage0.expand: 4, ", "", r"architectures\.best is not possible: the choice stage0\.expand is not made"),
        ("stage0.out: 16", "stage0.out: 17", r"stage0\.out is 17; allowed: 16, 24"),
        ("stage1.repeat: 0", "stage1.repeat: 0, stage1.expand: 1", r"stage1\.expand has no effect"),
        ("stage0.out", "stage0.ouch", r"no choice is named 'stage0\.ouch'\. Did you mean 'stage0\.out'"),
    ],
)
def test_a_named_point_must_make_every_choice_that_exists_and_no_other(old, new, message):
    with pytest.raises(DefinitionError, match=message):
        space(SMALL + POINT.replace(old, new, 1))


@pytest.mark.parametrize("name", list(list_spaces()))
def test_a_bundled_space_round_trips_and_its_published_points_are_in_it(name):
    of = load_space(name)
    rng = random.Random(0)
    for _ in range(20):
        choices, architecture = of.sample(rng)
        assert of.decode_choices(choices) == architecture
        assert of.decode_choices(of.encode(architecture)) == architecture
    for named in of.architectures:
        if named.choices:
            assert of.decode_choices(of.encode(named.architecture)) == named.architecture


@pytest.mark.parametrize("name", list(list_spaces()))
def test_a_bundled_space_cites_its_paper_and_says_what_it_is(name):
    of = load_space(name)

    assert of.name == name and of.about and of.source
    assert of.architectures
    for named in of.architectures:
        assert find_architecture(named.name)[1].architecture == named.architecture


LINES = SMALL.splitlines(keepends=True)
TOKENS = [
    "out",
    "[3, 5]",
    "{each: [3]}",
    "1e-3",
    "no",
    "-1",
    "$act",
    "identity",
    "repeat: 99999999",
    "null",
    "''",
    "{}",
    "[[]]",
]


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_a_mutated_definition_loads_or_fails_with_one_line(data):
    text = SMALL
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text) - 1))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + data.draw(st.one_of(st.sampled_from(TOKENS), st.text(max_size=4))) + text[end:]
    try:
        of = space(text)
        of.size()
        of.sample(random.Random(0))
    except DefinitionError as error:
        assert "\n" not in str(error)


def test_many_shared_choices_are_counted_without_trying_their_combinations():
    shared = ", ".join(f"k{i}: [3, 5]" for i in range(24))
    stages = "".join(f"  - {{block: [conv, identity], out: 8, kernel: $k{i}}}\n" for i in range(24))
    text = SMALL.split("width:")[0] + f"shared: {{{shared}}}\nstem: {{block: conv, out: 8}}\nstages:\n{stages}"

    assert space(text + "head: {block: pool_linear}\n").size() == 2 * 3**24


def test_a_long_range_costs_nothing_to_read():
    text = SMALL.replace("out: 40", "out: {from: 1, to: 1000000, step: 1}").replace("width: [0.5, 1.0]\n", "")

    assert space(text).size() > 10**6


def test_groups_have_no_effect_beside_a_group_width_and_change_no_digest():
    rows = "stages:\n  - {block: bottleneck, out: 64, ratio: 1.0, group_width: 16%s}\nhead: {block: pool_linear}\n"
    start = SMALL.split("width:")[0].replace("[32, 64]", "32") + "stem: {block: conv, out: 16}\n"
    plain, loud = (space(start + rows % groups).sample(random.Random(0))[1] for groups in ("", ", groups: 2"))

    assert plain.digest == loud.digest
    with pytest.raises(DefinitionError, match="no effect"):
        space(start + rows % ", groups: [1, 2]")


def test_an_option_of_one_mixer_has_no_effect_beside_another_and_changes_no_digest():
    rows = "stages:\n  - {block: metanext, out: 64, mixer: %s%s}\nhead: {block: pool_linear}\n"
    start = SMALL.split("width:")[0].replace("[32, 64]", "32") + "stem: {block: conv, out: 16}\n"

    def digests(mixer):
        written = (space(start + rows % (mixer, more)) for more in ("", ", share: 0.25, band: 5"))
        return [one.sample(random.Random(0))[1].digest for one in written]

    assert len(set(digests("3x3"))) == 1
    assert len(set(digests("inception"))) == 2
    with pytest.raises(DefinitionError, match="no effect where mixer is not inception"):
        space(start + rows % ("[3x3, inception]", ", band: [5, 7]"))


@pytest.mark.parametrize(
    ("mixer", "seen"),
    [
        ("pooling", {"kernel"}),
        ("separable", {"kernel"}),
        ("attention", {"head_width"}),
        ("linear_attention", {"head_width"}),
        ("retention", {"head_width"}),
        ("identity", set()),
        ("random", set()),
        ("ssm", set()),
    ],
)
def test_an_option_of_some_mixers_leaves_a_trace_with_those_alone(mixer, seen):
    row = make_block("metaformer", 16, 16, 1, {"mixer": mixer, "kernel": 5, "head_width": 8}, "row")

    assert {name for name, _ in row.options} - {"mixer"} == seen


def test_a_choice_of_an_option_that_some_mixers_lack_names_those_that_have_it():
    text = (
        SMALL.split("width:")[0].replace("[32, 64]", "32")
        + "stem: {block: overlap_patchify, out: 16, stride: 4}\nstages:\n"
        + "  - {block: metaformer, out: 64, mixer: [%s], kernel: [3, 5]}\nhead: {block: pool_linear}\n"
    )

    assert space(text % "pooling, separable").size() == 4
    with pytest.raises(DefinitionError, match="no effect where mixer is not pooling or separable"):
        space(text % "pooling, identity")


@pytest.mark.parametrize("written", [{"state": 2}, {"expand": 3}, {"state": 2, "expand": 3}])
def test_options_of_a_scan_leave_no_trace_where_nothing_is_scanned(written):
    plain, loud = (make_block("mobilemamba", 16, 16, 1, {"scanned": 0, **more}, "row") for more in ({}, written))

    assert plain == loud


def test_every_condition_of_an_option_is_about_another_of_its_kind_and_values_that_it_may_have():
    for kind in KINDS.values():
        for option in kind.options:
            for other, _, _ in option.conditions():
                assert kind.has(other), (kind.name, option.name)
            if option.only is not None:
                other, values = option.only
                assert all(map(kind.option(other).rule.test, values)), (kind.name, option.name)


PUBLISHED = (
    SMALL
    + """\
architectures:
  small_paper:
    table:
      input: {channels: 3, size: 32}
      stem: {block: conv, out: 16}
      stages: [{block: conv, out: 16}]
      head: {block: pool_linear}
    published: {top1: 70, source: "table 1", latencies: LATENCIES}
"""
)


def test_a_published_latency_keeps_the_device_and_the_batch_that_its_paper_states():
    (named,) = space(
        PUBLISHED.replace("LATENCIES", "[{ms: 1.5, device: iPhone 12}, {ms: 20, device: A100, batch: 128}]")
    ).architectures

    assert [(one.latency_s, one.device, one.batch) for one in named.published_latencies] == [
        (0.0015, "iPhone 12", 1),
        (0.02, "A100", 128),
    ]
    assert "latencies" not in named.published


@pytest.mark.parametrize(
    ("latencies", "message"),
    [
        ("[{ms: 1.5}]", "lacks the key 'device'"),
        ("[{ms: fast, device: x}]", "a number from 1e-06 to 1e"),
        ("[{ms: 1, device: x, batch: 0}]", "a whole number from 1"),
        ("[{ms: 1, device: x, size: 3}]", "unknown key 'size'"),
    ],
)
def test_a_wrong_published_latency_is_refused(latencies, message):
    with pytest.raises(DefinitionError, match=message):
        space(PUBLISHED.replace("LATENCIES", latencies))


def test_published_figures_say_which_form_they_are_of():
    text = PUBLISHED.replace(", latencies: LATENCIES", "").replace("top1: 70", "params: 5, form: deployed")

    assert space(text).architectures[0].published == {"params": 5, "form": "deployed", "source": "table 1"}
    with pytest.raises(DefinitionError, match=r"published\.form is the text 'deploy'.*Did you mean 'deployed'"):
        space(text.replace("deployed", "deploy"))
