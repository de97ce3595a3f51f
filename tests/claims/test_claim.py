"""Claims as data: those that come with nasbench, what a file may say, and how its mistakes are told."""

import re
from dataclasses import replace

import pytest

from nasbench.claims.claim import choose_claims, load_claims, vary
from nasbench.errors import DefinitionError, UnknownNameError
from nasbench.model.cost import count
from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block
from nasbench.space.load import find_architecture, list_spaces

OURS = load_claims()
TEXT = """
schema: 1
claims:
  one:
    families: [resnet]
    source: A paper
    says: it is faster
    claimed_on: a phone
    equal: accuracy
    first: resnet_18
    second: resnet_34
    at_most: 0.5
"""


def read(tmp_path, text):
    path = tmp_path / "claims.yaml"
    path.write_text(text)
    return load_claims(path)


def test_there_are_25_claims_that_can_be_checked_and_reasons_for_the_others():
    assert sum(claim.pair is not None for claim in OURS) >= 25
    assert len({claim.name for claim in OURS}) == len(OURS) > sum(claim.pair is not None for claim in OURS)


def test_claims_are_about_spaces_that_there_are():
    assert {family for claim in OURS for family in claim.families} <= set(list_spaces())


@pytest.mark.parametrize("claim", [claim for claim in OURS if claim.pair], ids=lambda claim: claim.name)
def test_both_sides_of_a_claim_are_different_networks_and_the_families_are_theirs(claim):
    built = [side.architecture for side in (claim.pair.first, claim.pair.second) if side.architecture]

    assert len(set(built)) == len(built)
    assert {architecture.space for architecture in built if architecture.space} <= set(claim.families)


def test_a_claim_is_read(tmp_path):
    (claim,) = read(tmp_path, TEXT)

    assert (claim.name, claim.families, claim.pair.at_most, claim.pair.bound) == ("one", ("resnet",), 0.5, 0.525)
    assert claim.pair.second.architecture == find_architecture("resnet_34")[1].architecture


def test_options_are_set_where_rows_are_as_said():
    mobilenet = find_architecture("mobilenet_v2_1.0")[1].architecture

    large = vary(mobilenet, {"kernel": 7}, {"kernel": 3, "expand": 6})

    kernels = {dict(row.options).get("kernel", 3) for row in large.blocks if row.kind == "mbconv"}
    assert kernels == {3, 7}  # the first block does not expand
    assert count(large).macs > count(mobilenet).macs


def test_a_variation_that_changes_nothing_is_refused():
    with pytest.raises(DefinitionError, match="changes nothing: no row has kernel with other values"):
        vary(find_architecture("resnet_18")[1].architecture, {"kernel": 3}, {"kernel": 5})


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("resnet_18", "resnet_81", r"claims.yaml:10: claims.one.first is the text 'resnet_81': no architecture"),
        ("at_most: 0.5", "at_most: -1", r"claims.yaml:12: claims.one.at_most is -1; a number from 0.001 to 1000"),
        ("at_most: 0.5", "", "lacks the key 'at_most', and has no not_here"),
        ("at_most: 0.5", "not_here: no", r"claims.one.first is given for a claim that is not checked"),
        ("at_most: 0.5", "at_most: 0.5\n    figure: speed", "Allowed: latency, params, macs"),
        ("second: resnet_34", "second: {called: X, stated: 5}", "states a count, and a latency is claimed"),
        ("second: resnet_34", "second: {of: resnet_34, options: {kernal: 3}}", "changes nothing: no row has kernal"),
        ("equal", "equals", "unknown key 'equals'. Did you mean 'equal'"),
        (
            "at_most: 0.5",
            "at_most: 0.5\n    runtime: onxx",
            r"claims.yaml:13: claims.one.runtime is the text 'onxx'. Did you mean 'onnx'\? Allowed: eager, ",
        ),
        ("at_most: 0.5", "at_most: 0.5\n    batch: 1025", r"claims.one.batch is 1025; a whole number from 1 to 1024"),
        ("at_most: 0.5", "at_most: 0.5\n    figure: macs\n    batch: 4", "batch is given for a claim of macs"),
        (
            "at_most: 0.5",
            "at_most: 0.5\n    figure: params\n    runtime: onnx",
            "runtime is given for a claim of params",
        ),
        ("first: resnet_18\n    second: resnet_34\n    at_most: 0.5", "not_here: no\n    batch: 4", "not checked"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path, old, new, words):
    with pytest.raises(DefinitionError, match=words):
        read(tmp_path, TEXT.replace(old, new))


INLINE = """second:
      called: a few convolutions
      input: {channels: 3, size: 16}
      classes: 10
      table:
        - {block: conv, repeat: 2, out: 8, kernel: 3, stride: 2}
        - {block: pool_linear}
"""


def test_a_side_may_be_a_network_row_by_row(tmp_path):
    (claim,) = read(tmp_path, TEXT.replace("second: resnet_34\n", INLINE))

    second = claim.pair.second
    assert (second.name, second.stated, second.architecture.space) == ("a few convolutions", None, "")
    assert second.architecture == Architecture(
        (3, 16, 16),
        10,
        (
            make_block("conv", 3, 8, 2, {}, "here"),
            make_block("conv", 8, 8, 1, {}, "here"),
            make_block("pool_linear", 8, 10, 1, {}, "here"),
        ),
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("block: conv", "block: conf", r"claims.yaml:16: claims.one.second.table\[0\].block is the text 'conf'"),
        ("kernel: 3", "kernal: 3", r"claims.yaml:16: .*unknown key 'kernal'. Did you mean 'kernel'"),
        (
            "kernel: 3",
            "kernel: [3, 5]",
            "claims.one.second leaves the choices stage0.kernel; an architecture leaves none",
        ),
        ("size: 16", "size: [16, 32]", "leaves the choices input.size"),
        ("block: pool_linear", "block: conv, out: 8", r"table\[1\] must end in the classes"),
        ("classes: 10", "claases: 10", "unknown key 'claases'. Did you mean 'classes'"),
        ("{block: pool_linear}", "{block: pool_linear}\n        - {block: pool_linear}", "which belongs at the head"),
        ("      classes: 10\n", "", "claims.one.second lacks the key 'classes'"),
    ],
)
def test_a_mistake_in_a_network_is_told_with_its_line(tmp_path, old, new, words):
    text = TEXT.replace("second: resnet_34\n", INLINE.replace(old, new))

    with pytest.raises(DefinitionError, match=words):
        read(tmp_path, text)


def test_a_claim_may_bring_a_runtime_and_a_batch(tmp_path):
    (plain,) = read(tmp_path, TEXT)
    (other,) = read(tmp_path, TEXT + "    runtime: onnx\n    batch: 4\n")

    assert (plain.pair.runtime, plain.pair.batch, plain.pair.words) == (None, 1, "latency")
    assert (other.pair.runtime, other.pair.batch, other.pair.words) == ("onnx", 4, "latency, onnx, batch 4")


def test_the_blocks_of_mobile_mqa_differ_in_their_keys_and_values_alone():
    (claim,) = [claim for claim in OURS if claim.name == "mobilenet_v4_mqa"]
    shared, own = (
        [row for row in side.architecture.blocks if row.kind == "mobile_mqa"]
        for side in (claim.pair.first, claim.pair.second)
    )

    assert len(shared) == 3
    assert own == [replace(row, options=(*row.options, ("keys", "own"))) for row in shared]


def test_claims_are_chosen_by_family_and_by_name():
    chosen = choose_claims(OURS, ["hardnet"], ["pp_lcnet_hswish"])

    assert all("hardnet" in claim.families for claim in chosen[:-1])
    assert chosen[-1].name == "pp_lcnet_hswish"
    assert len(chosen) == 1 + sum("hardnet" in claim.families for claim in OURS)
    assert choose_claims(OURS, [], []) == list(OURS)


@pytest.mark.parametrize(("families", "names"), [(["hardnets"], []), ([], ["pp_lcnet_hswich"])])
def test_a_family_or_a_claim_that_there_is_not_is_told(families, names):
    with pytest.raises(UnknownNameError, match="Did you mean"):
        choose_claims(OURS, families, names)


def test_a_claimed_ratio_is_that_of_the_two_figures_that_the_source_states():
    checked = 0
    for claim in OURS:
        if claim.pair is None:
            continue
        if found := re.search(r"takes ([\d.]+) ms and .* ([\d.]+) ms$", claim.says):
            first, second = map(float, found.groups())
        elif found := re.search(r"infers ([\d,]+) and .* ([\d,]+) images a second$", claim.says):
            second, first = (float(text.replace(",", "")) for text in found.groups())
        else:
            continue
        assert claim.pair.at_most == pytest.approx(first / second, abs=0.001), claim.name
        checked += 1
    assert checked >= 15


def test_a_row_is_chosen_by_its_kind():
    mobilenet = find_architecture("mobilenet_v2_1.0")[1].architecture

    large = vary(mobilenet, {"kernel": 7}, {"block": "mbconv"})

    assert {(row.kind, dict(row.options).get("kernel", 3)) for row in large.blocks if row.kind != "pool_linear"} == {
        ("conv", 3),
        ("conv", 1),
        ("mbconv", 7),
    }
