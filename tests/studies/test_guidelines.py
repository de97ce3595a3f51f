"""The guidelines' networks differ in what the guideline is about and in nothing that is counted as work."""

from functools import partial

import pytest
from study_rows import compared
from turning_device import TurningDevice

from nasbench.errors import BuildError
from nasbench.measure.compare import compare
from nasbench.studies.guidelines import check_guidelines, guidelines

ALL = [(guideline, variant) for guideline in guidelines() for variant in guideline.slower]


@pytest.mark.parametrize(("guideline", "variant"), ALL, ids=[f"{g.name}-{v.name}" for g, v in ALL])
def test_variants_have_equal_macs_but_for_the_head(guideline, variant):
    fast, slow = guideline.fast.cost, variant.cost
    heads = [one.architecture.blocks[-1].in_channels * 10 for one in (guideline.fast, variant)]

    assert slow.deployed_macs - heads[1] == fast.deployed_macs - heads[0]


def test_unequal_widths_groups_and_fragments_move_more_memory():
    for guideline in guidelines()[:3]:
        assert all(variant.cost.traffic > guideline.fast.cost.traffic for variant in guideline.slower)


def test_element_wise_operators_are_no_work_that_is_counted():
    g4 = guidelines()[3]

    assert {variant.cost for variant in g4.slower} == {g4.fast.cost}


def test_channels_are_whole_blocks_of_16():
    for guideline in guidelines():
        for variant in (guideline.fast, *guideline.slower):
            assert all(block.in_channels % 16 == 0 for block in variant.architecture.blocks)


def test_each_variant_is_judged_against_what_its_guideline_calls_fast():
    truth = {"G1": 1.3, "G2": 0.8, "G3": 1.0, "G4": 1.1}
    latencies = {}
    for guideline in guidelines():
        latencies[guideline.fast.architecture.digest] = 0.01
        for variant in guideline.slower:
            latencies[variant.architecture.digest] = truth[guideline.name] * 0.01
    device = TurningDevice(latencies, instance=0.001, noise=0.005)

    found = list(check_guidelines(device, comparing=partial(compare, pause=lambda _: None, clock=device.clock)))

    assert [(one.guideline.name, one.variant.name) for one in found] == [(g.name, v.name) for g, v in ALL]
    verdicts = {name: {one.verdict for one in found if one.guideline.name == name} for name in truth}
    assert verdicts == {"G1": {"supported"}, "G2": {"contradicted"}, "G3": {"no difference"}, "G4": {"supported"}}
    for one in found:
        assert one.comparison.ratio == pytest.approx(truth[one.guideline.name], rel=0.01)


def test_a_network_that_fails_is_a_finding_and_the_others_go_on():
    def comparing(device, first, second, plan, *, names, **options):
        if names[0].startswith("32"):
            raise BuildError("too wide")
        return compared(1.5)

    found = list(check_guidelines(TurningDevice({}), comparing=comparing))

    assert len(found) == len(ALL)
    (failed,) = (one for one in found if one.verdict == "failed")
    assert (failed.variant.name, failed.comparison, failed.reason) == ("32 to 512", None, "too wide")
