"""Durations and sizes: what is written is read back exactly, what is neither is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magi.eventstore.units import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("4s", 4 * 10**9),
        ("2m", 120 * 10**9),
        ("1m30s", 90 * 10**9),
        ("24h", 86_400 * 10**9),
        ("1d", 86_400 * 10**9),
        ("1.5s", 1_500_000_000),
        ("250ms", 250_000_000),
        ("9ns", 9),
    ],
)
def test_durations_are_nanoseconds(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "4", "s", "4 s", "-4s", "4s ", "4weeks", "4s and more", "1,5s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10**18))
def test_a_written_duration_reads_back_the_same(nanoseconds: int) -> None:
    assert parse_duration(format_duration(nanoseconds)) == nanoseconds


@given(st.integers(min_value=0, max_value=2**50))
def test_a_written_size_reads_back_the_same(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize("text", ["", "64", "64MB", "MiB", "-1MiB", "1.5MiB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size"):
        parse_size(text)


def test_the_largest_unit_that_is_exact_is_written() -> None:
    assert (format_duration(90_000 * 10**9), format_duration(1_500_000_000)) == ("25h", "1500ms")
    assert (format_size(64 * 2**20), format_size(1000)) == ("64MiB", "1000B")
