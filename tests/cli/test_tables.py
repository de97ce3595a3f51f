"""Tables that fit the terminal."""

import pytest

from nasbench.cli.tables import split_columns

COLUMNS = ("name", "first", "second", "third")
ROWS = (("a" * 10, "1" * 8, "2" * 8, "3" * 30), ("b", "1", "2", "3"))


@pytest.mark.parametrize(
    ("width", "parts"),
    [
        (65, [(0, 1, 2, 3)]),
        (64, [(0, 1, 2), (0, 3)]),
        (32, [(0, 1, 2), (0, 3)]),
        (31, [(0, 1), (0, 2), (0, 3)]),
        (5, [(0, 1), (0, 2), (0, 3)]),
    ],
)
def test_a_table_wider_than_the_terminal_is_cut_and_each_part_keeps_the_keys(width, parts):
    assert split_columns(COLUMNS, ROWS, 1, width) == parts


def test_keys_alone_are_one_table():
    assert split_columns(("name",), (("a",),), 1, 80) == [(0,)]
