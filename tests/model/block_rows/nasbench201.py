"""Rows of the cell of NAS-Bench-201."""

CELLS = ("333132", "421211", "000000", "300003", "111111", "024130")
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ("edge_0_1", "edge_0_2", "edge_1_2", "edge_0_3", "edge_1_3", "edge_2_3")


def cell_options(digits):
    """Give the options of a cell from the six digits of the benchmark's table."""
    return {edge: OPERATIONS[int(digit)] for edge, digit in zip(EDGES, digits, strict=True)}


ROWS = (
    *(("nb201_cell", 16, 16, 1, cell_options(digits)) for digits in CELLS),
    ("nb201_reduction", 16, 32, 2, {}),
    ("nb201_reduction", 16, 32, 1, {}),
)
