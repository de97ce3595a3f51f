"""The names and indices of NAS-Bench-201, against the benchmark's own table."""

import csv
import gzip
from pathlib import Path

import pytest

from nasbench.errors import DefinitionError
from nasbench.space.load import load_space
from nasbench.space.nasbench201 import COUNT, architecture_of_index, format_architecture, index_of, parse_architecture

TABLE = Path(__file__).parents[2].parent / "shared" / "data" / "nb201" / "accuracy.csv.gz"


@pytest.mark.skipif(not TABLE.exists(), reason="the table of NAS-Bench-201 is not beside this checkout")
def test_all_indices_and_strings_are_those_of_the_benchmark_both_ways():
    with gzip.open(TABLE, "rt") as file:
        rows = [(int(row["index"]), row["arch"]) for row in csv.DictReader(file)]

    assert len(rows) == COUNT == 15_625
    for index, text in rows:
        choices = architecture_of_index(index)
        assert format_architecture(choices) == text
        assert index_of(parse_architecture(text)) == index


def test_the_choices_of_an_index_are_those_of_the_search_space():
    space = load_space("nasbench201")
    best = space.find_architecture("nasbench201_best")

    assert space.decode_choices(architecture_of_index(6111)) == best.architecture


@pytest.mark.parametrize("index", [-1, COUNT, True, 1.0, "3"])
def test_an_index_outside_the_benchmark_is_refused(index):
    with pytest.raises(DefinitionError, match="0 to 15624"):
        architecture_of_index(index)


@pytest.mark.parametrize("text", ["", "|none~0|", "|nor_conv_5x5~0|+|none~0|none~1|+|none~0|none~1|none~2|"])
def test_a_string_that_is_no_cell_is_refused(text):
    with pytest.raises(DefinitionError):
        parse_architecture(text)
