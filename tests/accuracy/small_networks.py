"""Small networks that the tests of this room train."""

from __future__ import annotations

from nasbench.space.architecture import Architecture
from nasbench.space.kinds import make_block


def network(rows, shape=(1, 28, 28), classes=10):
    """Chain rows of (kind, out_channels, stride, options)."""
    blocks, channels = [], shape[0]
    for kind, out_channels, stride, options in rows:
        blocks.append(make_block(kind, channels, out_channels, stride, options, "test"))
        channels = out_channels
    return Architecture(shape, classes, tuple(blocks))


def small_network(shape=(1, 28, 28), classes=10, width=8):
    rows = [("conv", width, 4, {"kernel": 5}), ("conv", 2 * width, 2, {}), ("pool_linear", classes, 1, {})]
    return network(rows, shape, classes)


def depthwise_network():
    """About 16,000 parameters."""
    rows = [
        ("conv", 16, 2, {}),
        ("dw_separable", 32, 1, {}),
        ("dw_separable", 64, 2, {}),
        ("dw_separable", 64, 1, {}),
        ("dw_separable", 96, 1, {}),
        ("pool_linear", 10, 1, {}),
    ]
    return network(rows)
