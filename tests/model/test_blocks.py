"""The modules that rows stand for."""

import inspect

import pytest
import torch
from block_rows import CELLS, ROWS, cell_options, input_of, name_of, shape_of
from torch import nn

from nasbench.errors import BuildError, ShapeError
from nasbench.model.blocks import BLOCKS
from nasbench.model.blocks.layers import make_activation, make_gate
from nasbench.model.trace import make_module, trace_row
from nasbench.space.kinds import KINDS, make_block
from nasbench.space.kinds.nasbench201 import NB201_OPERATION
from nasbench.space.kinds.rules import ACTIVATION, GATE


def streams_of(flow):
    return (flow,) if isinstance(flow, torch.Tensor) else flow


def shapes_of(flow):
    shapes = tuple(tuple(stream.shape[1:]) for stream in streams_of(flow))
    return shapes if len(shapes) > 1 else shapes[0]


def test_every_kind_has_a_class_and_every_class_a_kind():
    assert set(BLOCKS) == set(KINDS) - {"identity"}


@pytest.mark.parametrize("name", list(BLOCKS))
def test_the_options_of_a_class_are_those_of_its_kind_and_have_no_second_default(name):
    signature = inspect.signature(BLOCKS.find(name).__init__)
    options = [p for p in signature.parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    sized = {"shape"} if KINDS[name].sized else set()

    assert {option.name for option in options} == {option.name for option in KINDS[name].options} | sized
    assert all(option.default is inspect.Parameter.empty for option in options)


@pytest.mark.parametrize("name", list(BLOCKS))
def test_every_class_cites_its_source(name):
    assert "Source: " in BLOCKS.find(name).__doc__


def test_the_rows_tested_here_cover_every_kind_and_set_every_option():
    tested = {(block.kind, name) for block in ROWS for name, _ in block.options}

    assert tested == {(kind.name, option.name) for kind in KINDS.values() for option in kind.options}


def test_every_word_that_an_option_allows_is_understood():
    words = {rule: rule.words.removeprefix("one of ").split(", ") for rule in (ACTIVATION, GATE, NB201_OPERATION)}
    for name in words[ACTIVATION]:
        assert isinstance(make_activation(name), nn.Module)
    for name in words[GATE]:
        assert isinstance(make_gate(name), nn.Module)
    for name in words[NB201_OPERATION]:
        make_module(make_block("nb201_cell", 4, 4, 1, {"edge_0_1": name}, "cell"))


@pytest.mark.parametrize("block", ROWS, ids=name_of)
def test_a_real_forward_has_the_shape_that_the_trace_says(block):
    shape = shape_of(block)

    output = make_module(block, shape)(input_of(block))

    assert shapes_of(output) == trace_row(block, shape).output_shape


@pytest.mark.parametrize("block", ROWS, ids=name_of)
def test_a_block_does_not_change_its_input(block):
    flow = input_of(block)

    make_module(block, shape_of(block))(flow)

    assert all(torch.equal(*pair) for pair in zip(streams_of(flow), streams_of(input_of(block)), strict=True))


@pytest.mark.parametrize(
    "block",
    # other cells have edges that lead nowhere
    [
        row
        for row in ROWS
        if row.kind != "nb201_cell"
        or row.options == make_block("nb201_cell", 16, 16, 1, cell_options(CELLS[0]), "row").options
    ],
    ids=name_of,
)
def test_gradients_reach_every_parameter(block):
    module = make_module(block, shape_of(block))
    flow = input_of(block)
    for stream in streams_of(flow):
        stream.requires_grad_()

    sum(stream.square().sum() for stream in streams_of(module(flow))).backward()

    assert not [name for name, parameter in module.named_parameters() if parameter.grad is None]


def test_an_inverted_residual_adds_its_input_only_when_the_shapes_agree():
    def residual(in_channels, out_channels, stride):
        return make_module(make_block("mbconv", in_channels, out_channels, stride, {}, "row")).residual

    assert residual(16, 16, 1)
    assert not residual(16, 16, 2)
    assert not residual(16, 24, 1)


def test_a_cell_without_edges_gives_zeros():
    images = torch.randn(2, 4, 8, 8)

    assert torch.equal(make_module(make_block("nb201_cell", 4, 4, 1, {}, "cell"))(images), torch.zeros_like(images))


def test_a_cell_sums_over_the_paths_from_its_input():
    images = torch.randn(2, 4, 8, 8)
    all_skip = make_module(make_block("nb201_cell", 4, 4, 1, cell_options("111111"), "cell"))

    # one path over no, two over one and one over two inner nodes
    assert torch.allclose(all_skip(images), 4 * images)


@pytest.mark.parametrize(
    ("kind", "in_channels", "out_channels", "stride", "options", "error", "message"),
    [
        ("conv", 16, 30, 1, {"groups": 4}, BuildError, "4 groups do not divide 16 input and 30 output channels"),
        ("shuffle_v2", 116, 232, 1, {}, ShapeError, "116 channels cannot become 232"),
        ("shuffle_v2", 16, 33, 2, {}, ShapeError, "33 output channels cannot be split in two halves"),
        ("bottleneck", 64, 64, 1, {"ratio": 1.0, "group_width": 24}, BuildError, "no multiple of the group width 24"),
        ("bottleneck", 64, 64, 1, {"groups": 32}, BuildError, "32 groups do not divide 16"),
    ],
)
def test_impossible_numbers_are_explained(kind, in_channels, out_channels, stride, options, error, message):
    with pytest.raises(error, match=message):
        make_module(make_block(kind, in_channels, out_channels, stride, options, "row"))
