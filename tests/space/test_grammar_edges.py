"""The edges of the grammar: what is refused when a file is read, and what must stay quick."""

import random
from dataclasses import replace

import pytest

from nasbench.definitions import find_definition, parse_definition
from nasbench.errors import DefinitionError
from nasbench.space.choice import Choice
from tests.space.test_grammar import POINT, SMALL, every_point, space


def with_stage(row, text=SMALL):
    return text.replace("head:", f"  - {row}\nhead:")


@pytest.mark.parametrize("out", ["20000", "[8, 20000]", "{from: 8, to: 20000, step: 8}"])
def test_channels_that_only_a_large_width_makes_too_many_are_refused_when_the_file_is_read(out):
    wide = SMALL.replace("width: [0.5, 1.0]", "width: [0.5, 1.0, 60, 2]")
    with pytest.raises(
        DefinitionError, match=r"stages\[2\]\.out reaches 1200000 channels at the width 60; .* to 1,000,000 is needed"
    ):
        space(with_stage(f"{{block: conv, out: {out}}}", wide))

    space(with_stage(f"{{block: conv, out: {out}, scale: never}}", wide))


def test_two_choices_of_one_name_are_our_own_bug():
    stack = replace(space().skeleton, width=Choice("act", (0.5, 1.0)))

    with pytest.raises(AssertionError, match="two choices are named act"):
        _ = stack.choices


def test_a_shared_choice_of_distant_rows_is_counted_as_by_brute_force():
    text = (
        "schema: 1\nname: far\ninput: {channels: 3, size: 8}\nclasses: 2\nshared: {d: [0, 1, 2], k: [3, 5]}\n"
        "stem: {block: conv, out: 4}\nstages:\n"
        "  - {block: [conv, identity], repeat: $d, out: 8, kernel: $k}\n"
        "  - {block: [conv, identity], out: [8, 16]}\n"
        "  - {block: [conv, identity], repeat: $d, out: 8, kernel: $k}\n"
        "  - {block: conv, repeat: $d, out: 8}\nhead: {block: pool_linear}\n"
    )

    assert space(text).size() == len(every_point(space(text)))


def test_fixed_groups_beside_a_choice_of_group_widths_encode():
    of = space(with_stage("{block: bottleneck, out: 64, groups: 4, group_width: [0, 8]}"))
    for seed in range(20):
        _, architecture = of.sample(random.Random(seed))
        assert of.decode_choices(of.encode(architecture)) == architecture


def test_an_unknown_key_of_a_row_lists_each_allowed_key_once():
    with pytest.raises(DefinitionError, match=r"Allowed: block, repeat, out"):
        space(SMALL.replace("expand:", "expond:"))


def test_one_value_for_each_repeat_follows_a_shared_number_of_repeats():
    text = SMALL.replace("hswish]}", "hswish], d: [1, 2]}").replace("repeat: [1, 2]", "repeat: $d")
    point = POINT.replace("stage0.repeat: 2", "d: 1").replace("[3, 5]", "3")

    assert space(text + point).find_architecture("best").choices["stage0.kernel.0"] == 3


REGNET = """\
schema: 1
name: small
skeleton: regnet
input: {channels: 3, size: 224}
classes: 10
stem: 32
rule:
  depth: {from: 1, to: 28, step: 1}
  w0: {from: 24, to: 320, step: 8}
  wa: {from: 8, to: 120, step: 0.01}
  wm: {from: 1.05, to: 1.2, step: 0.01}
  group_width: [8, 16, 64]
  se: 0.0
"""


def test_a_regnet_of_many_narrow_steps_encodes():
    of = space(REGNET)
    for seed in range(50):
        _, architecture = of.sample(random.Random(seed))
        assert of.decode_choices(of.encode(architecture)) == architecture


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("wa: {from: 8, to: 120, step: 0.01}", "wa: 1e308", r"rule\.wa is 1e\+308; a number above 0, at most 1000"),
        ("wm: {from: 1.05, to: 1.2, step: 0.01}", "wm: 17", r"rule\.wm is 17; a number above 1, at most 16"),
        ("w0: {from: 24, to: 320, step: 8}", "w0: 8200", r"rule\.w0 is 8200; a multiple of 8, at most 8192"),
        ("depth: {from: 1,", "depth: {from: 0,", r"rule\.depth reaches 0; a whole number from 1 to 64"),
    ],
)
def test_the_numbers_of_a_regnet_rule_are_bounded(old, new, message):
    with pytest.raises(DefinitionError, match=message):
        space(REGNET.replace(old, new))


@pytest.mark.parametrize("key", ["stages: [{block: conv, out: 8}]", "width: 2", "head: {block: pool_linear}"])
def test_a_table_of_a_regnet_takes_only_the_keys_of_a_regnet(key):
    with pytest.raises(DefinitionError, match=r"architectures\.own\.table has the unknown key .*: input, stem, rule\."):
        space(REGNET + f"architectures:\n  own:\n    table: {{{key}}}\n")


WRONG = [
    ("schema: 1", "schema: true", r"schema is not 1"),
    ("name: small", "name: a/b", r"name is the text 'a/b'; from 1 to 40 letters"),
    ("name: small", "name: " + "x" * 41, r"name is the text 'x+'; from 1 to 40 letters"),
    ("shared: {act", "shared: {width: [16, 32], act", r"shared\.width has the name of the width multiplier's choice"),
    ("width: [0.5, 1.0]", "width: $act", r"small\.yaml:5: width is '\$act', but only rows share choices"),
    ("size: [32, 64]", "size: $act", r"input\.size is '\$act', but only rows share choices"),
    (
        "head:",
        "  - {block: bottleneck, out: 64, groups: [1, 2], group_width: [0, 8]}\nhead:",
        r"stages\[2\]\.groups is a choice, but has no effect where group_width is above 0",
    ),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG)
def test_a_mistake_at_the_edge_of_the_grammar_is_one_line_with_its_place(old, new, message):
    with pytest.raises(DefinitionError, match=message):
        space(SMALL.replace(old, new, 1))


@pytest.mark.parametrize("name", ["x" * 5000, "x" * 5000 + ".yaml", "a\0.yaml"])
def test_a_name_that_no_file_can_have_is_one_short_line(name):
    with pytest.raises(DefinitionError) as caught:
        find_definition("search space", "search_spaces", name)
    assert len(str(caught.value)) < 1000 and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["a: 1\n&b c: 1", "!!str a: 1"])
def test_tags_and_anchors_on_keys_are_refused(text):
    with pytest.raises(DefinitionError, match="not allowed"):
        parse_definition(text, "x")


@pytest.mark.parametrize("step", ["1.0e-31", "1.0e-320"])
def test_steps_that_nobody_can_count_are_refused(step):
    with pytest.raises(DefinitionError, match=r"stages\[2\]\.expand has more values than can be counted"):
        space(with_stage(f"{{block: mbconv, out: 8, expand: {{from: 1, to: 3, step: {step}}}}}"))
