"""Rows of every kind with several options each, for tests that must hold for all blocks."""

from nasbench.space.kinds import make_block

CELLS = ("333132", "421211", "000000", "300003", "111111", "024130")
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ("edge_0_1", "edge_0_2", "edge_1_2", "edge_0_3", "edge_1_3", "edge_2_3")


def cell_options(digits):
    """Give the options of a cell from the six digits of the benchmark's table."""
    return {edge: OPERATIONS[int(digit)] for edge, digit in zip(EDGES, digits, strict=True)}


ROWS = [
    make_block(kind, in_channels, out_channels, stride, options, kind)
    for kind, in_channels, out_channels, stride, options in (
        ("conv", 3, 16, 2, {}),
        ("conv", 8, 12, 1, {"kernel": 1, "act": "none", "bias": True}),
        ("conv", 8, 16, 1, {"kernel": 5, "groups": 4, "act": "hswish", "norm": False}),
        ("conv", 8, 16, 3, {"act": "gelu", "bias": True, "norm": False}),
        ("max_pool", 8, 8, 2, {}),
        ("max_pool", 8, 8, 1, {"kernel": 5}),
        ("norm_act", 8, 8, 1, {}),
        ("norm_act", 8, 8, 1, {"act": "none"}),
        ("dw_separable", 8, 16, 1, {}),
        ("dw_separable", 8, 8, 2, {"kernel": 5, "act": "relu6"}),
        ("mbconv", 16, 16, 1, {}),
        ("mbconv", 16, 24, 2, {"kernel": 5, "expand": 3, "se": 0.25, "act": "hswish"}),
        ("mbconv", 16, 16, 1, {"expand": 1, "se": 0.25, "se_gate": "sigmoid", "act": "silu"}),
        ("mbconv", 16, 24, 1, {"expand": 3.67, "kernel": 7, "act": "relu6"}),
        ("shuffle_v2", 16, 16, 1, {}),
        ("shuffle_v2", 16, 36, 2, {"kernel": 5, "act": "hswish"}),
        ("basic", 16, 16, 1, {}),
        ("basic", 16, 32, 2, {"kernel": 5, "act": "silu"}),
        ("bottleneck", 32, 32, 1, {}),
        ("bottleneck", 32, 64, 2, {"ratio": 0.5, "groups": 8, "kernel": 5, "act": "relu6"}),
        ("bottleneck", 32, 48, 2, {"ratio": 1.0, "group_width": 16, "se": 0.25}),
        *(("nb201_cell", 16, 16, 1, cell_options(digits)) for digits in CELLS),
        ("nb201_reduction", 16, 32, 2, {}),
        ("nb201_reduction", 16, 32, 1, {}),
        ("pool_linear", 16, 10, 1, {}),
        ("pool_linear", 16, 10, 1, {"hidden": 32}),
        ("pool_linear", 16, 10, 1, {"hidden": 32, "hidden_bias": False, "act": "relu"}),
    )
]


def name_of(block):
    """Name a row as a parameter of a test."""
    shape = f"{block.kind}-{block.in_channels}-{block.out_channels}-{block.stride}"
    return "-".join([shape, *(f"{name}={value}" for name, value in block.options)])
