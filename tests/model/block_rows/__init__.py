"""Rows of every kind with several options each, for tests that must hold for all blocks; a file a family.

A family's `ROWS` are what `make_block` takes; its `SHAPES`, if there, say what flows into kinds for which an image of
12 x 12, or 17 tokens, will not do.
"""

import importlib

import torch

from block_rows.nasbench201 import CELLS, EDGES, OPERATIONS, cell_options
from nasbench.space.kinds import FAMILIES, find_kind, make_block

__all__ = ["CELLS", "EDGES", "OPERATIONS", "ROWS", "SHAPES", "cell_options", "input_of", "name_of", "shape_of"]

_MODULES = [importlib.import_module(f"block_rows.{family.__name__.rpartition('.')[2]}") for family in FAMILIES]
SHAPES = {kind: shape for module in _MODULES for kind, shape in getattr(module, "SHAPES", {}).items()}
ROWS = [
    make_block(kind, in_channels, out_channels, stride, options, kind)
    for module in _MODULES
    for kind, in_channels, out_channels, stride, options in module.ROWS
]


def name_of(block):
    """Name a row as a parameter of a test."""
    shape = f"{block.kind}-{block.in_channels}-{block.out_channels}-{block.stride}"
    return "-".join([shape, *(f"{name}={value}" for name, value in block.options)])


def shape_of(block):
    """Give the shape of what flows into a row."""
    if block.kind in SHAPES:
        return SHAPES[block.kind]
    return (17, block.in_channels) if find_kind(block.kind).takes == ("tokens",) else (block.in_channels, 12, 12)


def input_of(block, batch=2, seed=1):
    """Draw what flows into a row: a tensor, or a pair of them."""
    generator = torch.Generator().manual_seed(seed)
    shape = shape_of(block)
    streams = shape if isinstance(shape[0], tuple) else (shape,)
    drawn = tuple(torch.randn(batch, *stream, generator=generator) for stream in streams)
    return drawn if len(drawn) > 1 else drawn[0]
