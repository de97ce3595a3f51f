"""Numbers for eyes and from the command line."""

import pytest

from nasbench import units
from nasbench.errors import DefinitionError


@pytest.mark.parametrize(
    ("text", "seconds"), [("5ms", 0.005), ("30s", 30), ("20m", 1200), ("1.5h", 5400), ("250us", 250e-6), ("1e3ms", 1)]
)
def test_durations_are_read_with_their_unit(text, seconds):
    assert units.parse_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["5", "ms", "5 parsecs", "-1s", "nan", "inf s", "1e999s", ""])
def test_a_duration_without_a_known_unit_is_refused(text):
    with pytest.raises(DefinitionError, match="is not a duration"):
        units.parse_seconds(text)


@pytest.mark.parametrize(("text", "count"), [("5M", 5e6), ("500k", 5e5), ("1.2G", 1.2e9), ("300e6", 3e8), ("7", 7)])
def test_counts_are_read_with_their_suffix(text, count):
    assert units.parse_count(text) == pytest.approx(count)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(None, "-"), (0.0034129, "3.41 ms"), (2.5e-5, "25 us"), (12.04, "12 s"), (4e-8, "40 ns")]
)
def test_durations_are_shown_with_three_digits_and_a_unit(seconds, shown):
    assert units.format_seconds(seconds) == shown


@pytest.mark.parametrize(("count", "shown"), [(3504872, "3.5 M"), (300e6, "300 M"), (12, "12"), (None, "-")])
def test_counts_are_shown_with_three_digits(count, shown):
    assert units.format_count(count) == shown


def test_long_durations_are_shown_as_a_clock():
    assert (units.format_clock(245), units.format_clock(3723)) == ("4:05", "1:02:03")


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (1, "1"),
        (15_625, "15,625"),
        (999_999_999, "999,999,999"),
        (10**9, "1e+09"),
        (544 * 10**18, "5.44e+20"),
        (9_999_999_999, "1e+10"),
        pytest.param(25 * 10**6000, "2.5e+6001", id="beyond-float"),
    ],
)
def test_the_size_of_a_space_is_shown_however_large_it_is(count, shown):
    assert units.format_size(count) == shown


@pytest.mark.parametrize("show", [units.format_seconds, units.format_count, units.format_bytes, units.format_percent])
def test_what_is_not_a_number_is_shown_as_absent(show):
    assert show(float("nan")) == show(None) == "-"
