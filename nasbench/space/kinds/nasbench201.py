"""The cell of NAS-Bench-201, and what lies between cells."""

from __future__ import annotations

from nasbench.space.kinds.rules import Option, make_kind, one_of

NB201_OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NB201_OPERATION = one_of(*NB201_OPERATIONS)

KINDS = (
    make_kind(
        "nb201_cell",
        "a cell of four nodes, an operation on each of six edges",
        "Dong and Yang 2020, arXiv:2001.00326, figure 1",
        *(Option(f"edge_{a}_{b}", NB201_OPERATION, "none") for b in range(4) for a in range(b)),
        out="same",
        strided=False,
    ),
    make_kind(
        "nb201_reduction",
        "residual block that halves the size, with average pooling on the shortcut",
        "Dong and Yang 2020, arXiv:2001.00326, figure 1",
    ),
)
