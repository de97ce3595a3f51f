"""Which networks compute the same, against what is known of NAS-Bench-201."""

import itertools

import pytest

from nasbench.accuracy.function import digest_function
from nasbench.definitions import parse_definition
from nasbench.search.plan import Budget
from nasbench.search.run import SAME_FUNCTION, Search
from nasbench.space.kinds.nasbench201 import NB201_OPERATIONS
from nasbench.space.load import read_space
from nasbench.store.log import RunLog
from tests.search.formula import FormulaAccuracy, FormulaDevice, toy_space
from tests.search.test_search import manifest, plan, stored

EDGES = ("edge_0_1", "edge_0_2", "edge_1_2", "edge_0_3", "edge_1_3", "edge_2_3")
CELL = f"""\
schema: 1
name: cell
input: {{channels: 3, size: 8}}
classes: 4
shared:
{chr(10).join(f"  {edge}: [{', '.join(NB201_OPERATIONS)}]" for edge in EDGES)}
stem: {{block: conv, out: 8, kernel: 3, act: none}}
stages:
  - {{block: nb201_cell, repeat: 1, {", ".join(f"{edge}: ${edge}" for edge in EDGES)}}}
head: {{block: pool_linear}}
"""
NONE, SKIP, C1, C3, POOL = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


@pytest.fixture(scope="module")
def cell():
    return read_space(parse_definition(CELL, "cell.yaml"))


def digest(cell, *operations):
    return digest_function(cell.decode_choices(dict(zip(EDGES, operations, strict=True))))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # nodes 1 and 2 change places
        ((C3, C1, NONE, NONE, SKIP, C3), (C1, C3, NONE, NONE, C3, SKIP)),
        # a convolution whose node leads nowhere
        ((C3, C1, NONE, C3, NONE, SKIP), (NONE, C1, NONE, C3, NONE, SKIP)),
        # a pooling of nothing
        ((NONE, C3, POOL, SKIP, NONE, C1), (NONE, C3, NONE, SKIP, NONE, C1)),
        # any convolution of nothing is the bias of its norm
        ((NONE, C3, C3, SKIP, NONE, C1), (NONE, C3, C1, SKIP, NONE, C1)),
        # an identity before or after
        ((SKIP, NONE, NONE, NONE, C3, NONE), (C3, NONE, NONE, NONE, SKIP, NONE)),
    ],
)
def test_cells_that_compute_the_same_share_a_digest(cell, one, other):
    assert digest(cell, *one) == digest(cell, *other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((C3, NONE, NONE, NONE, C3, NONE), (C1, NONE, NONE, NONE, C3, NONE)),
        ((C3, NONE, NONE, NONE, C1, NONE), (C1, NONE, NONE, NONE, C3, NONE)),
        ((POOL, NONE, NONE, NONE, C3, NONE), (SKIP, NONE, NONE, NONE, C3, NONE)),
        ((NONE, C3, C3, SKIP, NONE, C1), (NONE, C3, NONE, SKIP, NONE, C1)),
        # one convolution used twice and two used once: equal with equal weights, which training makes different
        ((C3, NONE, SKIP, NONE, SKIP, SKIP), (C3, C3, NONE, NONE, SKIP, SKIP)),
    ],
)
def test_cells_that_do_not_have_different_ones(cell, one, other):
    assert digest(cell, *one) != digest(cell, *other)


def unrolled(operations):
    """Write a cell as the sum that it computes: an oracle that knows nothing of tensors.

    A node is a multiset of terms: the input, a convolution of a node, or a pooling of a term, since the pooling of a
    sum is the sum of poolings and that of a constant the constant. Two convolutions of equal operands are two terms;
    one that is used twice is told from them by how often it comes.
    """
    edge = dict(zip(((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)), operations, strict=True))
    nodes = [(("x", ()),)]
    for end in range(1, 4):
        terms = []
        for start in range(end):
            operation = edge[start, end]
            if operation == SKIP:
                terms += nodes[start]
            elif operation in (C1, C3):
                terms.append((operation if nodes[start] else "bias", nodes[start], (start, end)))
            elif operation == POOL:
                terms += [term if term[0] == "bias" else (operation, (term,), ()) for term in nodes[start]]
        nodes.append(tuple(terms))
    return _canonical(nodes[3])


def _canonical(terms):
    """Name equal things equally, whatever edge a convolution is on: its edge only tells how often one is used."""
    marks = {}

    def walk(node):
        return tuple(sorted((strip(term) for term in node), key=repr))

    def strip(term):
        return term[0] if term[0] == "x" else (term[0], walk(term[1]))

    def count(node):
        for term in node:
            if term[0] == "x":
                continue
            marks.setdefault((strip(term), term[2]), 0)
            marks[strip(term), term[2]] += 1
            count(term[1])

    count(terms)
    used = sorted(((repr(name), times) for (name, mark), times in marks.items() if mark), key=repr)
    return repr((walk(terms), used))


def test_digests_part_cells_as_writing_out_their_sums_does(cell):
    """Every 31st of the 15,625 cells: equal digests where and only where the sums are equal."""
    cells = list(itertools.islice(itertools.product(NB201_OPERATIONS, repeat=6), 0, None, 31))
    by_sum, by_digest = {}, {}
    for operations in cells:
        by_sum.setdefault(unrolled(operations), set()).add(operations)
        by_digest.setdefault(digest(cell, *operations), set()).add(operations)

    assert sorted(map(sorted, by_sum.values())) == sorted(map(sorted, by_digest.values()))
    assert len(by_digest) < len(cells)


class Same(FormulaAccuracy):
    """Says that networks with as many blocks compute the same."""

    def identify(self, architecture):
        return f"{len(architecture.blocks)} blocks"


def test_networks_that_compute_the_same_are_trained_once_and_say_whose_score_they_have(tmp_path):
    accuracy = Same()
    for folder in ("whole", "pieces", "pieces"):
        trials = 8 if (folder == "pieces" and not (tmp_path / folder).exists()) else 15
        exists = (tmp_path / folder / "run.db").exists()
        of = plan(sampler="random", share_equal=True, early_stop=False, warm_start=False)
        log = RunLog.open(tmp_path / folder) if exists else RunLog.create(tmp_path / folder, manifest(of))
        with log:
            Search(toy_space(), of, log, accuracy, [FormulaDevice()]).run(Budget(trials, None))
    rows = [e for e in stored(tmp_path / "whole") if e.status == "complete"]
    shared = [e for e in rows if SAME_FUNCTION in e.score.details]
    trained = {len(e.architecture.blocks): e for e in rows if e not in shared}

    assert len(trained) == len(rows) - len(shared) < len(rows)
    for one in shared:
        first = trained[len(one.architecture.blocks)]
        assert one.score.details[SAME_FUNCTION] == first.trial and one.score.value == first.score.value
    assert [(e.trial, e.score and e.score.value) for e in stored(tmp_path / "pieces")] == [
        (e.trial, e.score and e.score.value) for e in stored(tmp_path / "whole")
    ]
