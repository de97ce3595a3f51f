"""NAS-Bench-201's own names of its cells: the architecture string and the index, from and to our choices.

Source: Dong and Yang, NAS-Bench-201, 2020, arXiv:2001.00326, section 2.4. The choices are those of
`search_spaces/nasbench201.yaml`: `edge_a_b` is the operation from node a to node b.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from functools import cache
from itertools import product

from nasbench.errors import DefinitionError
from nasbench.space.architecture import Scalar
from nasbench.space.kinds.nasbench201 import NB201_OPERATIONS

EDGES = tuple((start, end) for end in range(1, 4) for start in range(end))
"""The edges of a cell as (from node, to node), in the order of the benchmark's string."""

COUNT = len(NB201_OPERATIONS) ** len(EDGES)
"""How many cells the benchmark has; an index is below it."""

_EXAMPLE = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"
_PATTERN = re.compile(
    r"\+".join(r"\|" + "".join(rf"(\w+)~{start}\|" for start in range(end)) for end in range(1, 4)), re.ASCII
)


def parse_architecture(text: str) -> dict[str, Scalar]:
    """Give the choices that an architecture string of the benchmark stands for.

    Raises:
        DefinitionError: the text has another form, or names an operation that there is not.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise DefinitionError(f"{text[:120]!r} is no architecture of NAS-Bench-201; one is written like {_EXAMPLE}")
    choices: dict[str, Scalar] = {_name(edge): operation for edge, operation in zip(EDGES, match.groups(), strict=True)}
    _operations(choices)
    return choices


def format_architecture(choices: Mapping[str, Scalar]) -> str:
    """Give the benchmark's architecture string; raises DefinitionError as `index_of`."""
    operations = dict(zip(EDGES, _operations(choices), strict=True))
    nodes = ("".join(f"{operations[start, end]}~{start}|" for start in range(end)) for end in range(1, 4))
    return "+".join(f"|{node}" for node in nodes)


def architecture_of_index(index: int) -> dict[str, Scalar]:
    """Give the choices of the cell that the benchmark lists at `index`.

    Raises:
        DefinitionError: the index is not from 0 to 15,624.
    """
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < COUNT:
        raise DefinitionError(
            f"the index in NAS-Bench-201 is {index!r}; a whole number from 0 to {COUNT - 1} is needed"
        )
    return dict(zip(map(_name, EDGES), _order()[index], strict=True))


def index_of(choices: Mapping[str, Scalar]) -> int:
    """Give the index at which the benchmark lists a cell.

    Raises:
        DefinitionError: a choice is missing or unknown, or an operation is none of the five.
    """
    return _index()[_operations(choices)]


def _name(edge: tuple[int, int]) -> str:
    return f"edge_{edge[0]}_{edge[1]}"


def _operations(choices: Mapping[str, Scalar]) -> tuple[str, ...]:
    names = [_name(edge) for edge in EDGES]
    if set(choices) != set(names):
        raise DefinitionError(f"a cell of NAS-Bench-201 has the choices {', '.join(names)}, not {sorted(choices)}")
    for name in names:
        if choices[name] not in NB201_OPERATIONS:
            raise DefinitionError(f"{name} is {choices[name]!r}; allowed: {', '.join(NB201_OPERATIONS)}")
    return tuple(str(choices[name]) for name in names)


@cache
def _order() -> tuple[tuple[str, ...], ...]:
    """List the cells in the benchmark's order: all combinations, shuffled by Python's generator with the seed 88.

    The seed is the authors' (AutoDL-Projects, exps/NAS-Bench-201/main.py); a test compares all 15,625 with the
    benchmark's table, which shows that the Python at hand still shuffles as theirs did.
    """
    cells = list(product(NB201_OPERATIONS, repeat=len(EDGES)))
    random.Random(88).shuffle(cells)
    return tuple(cells)


@cache
def _index() -> dict[tuple[str, ...], int]:
    return {cell: index for index, cell in enumerate(_order())}
