import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magi.domain.clock import milliseconds, rfc3339

TIMES = st.integers(0, milliseconds("9999-12-31T23:59:59.999Z"))


def test_a_time_is_written_in_utc_with_milliseconds() -> None:
    assert rfc3339(1_769_860_800_250) == "2026-01-31T12:00:00.250Z"
    assert rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert rfc3339(-1) == "1969-12-31T23:59:59.999Z"


@settings(max_examples=200, deadline=None)
@given(TIMES)
def test_what_is_written_is_read_back(time: int) -> None:
    assert milliseconds(rfc3339(time)) == time


@settings(max_examples=100, deadline=None)
@given(TIMES, TIMES)
def test_times_sort_as_their_texts_do(one: int, other: int) -> None:
    assert (one < other) == (rfc3339(one) < rfc3339(other))


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-31T12:00:00Z", 1_769_860_800_000),
        ("2026-01-31T13:00:00+01:00", 1_769_860_800_000),
        ("2026-01-31T12:00:00.1234Z", 1_769_860_800_123),
        ("2026-01-31T12:00:00.1236Z", 1_769_860_800_124),
        ("2026-01-31T12:00:00.9999Z", 1_769_860_801_000),
    ],
)
def test_other_zones_and_precisions_are_read(text: str, time: int) -> None:
    assert milliseconds(text) == time


@pytest.mark.parametrize("text", ["2026-01-31T12:00:00", "2026-01-31", "", "now", "2026-02-30T00:00:00Z", "1769860800"])
def test_what_is_no_time_with_a_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        milliseconds(text)
