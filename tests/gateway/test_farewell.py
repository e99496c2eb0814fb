"""When clients are to come back: evenly spread, and in no order."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from magi.gateway.farewell import LEAST_SPREAD_MS, RECONNECTS_PER_SECOND, reason, retry_after, retry_times


@given(st.integers(1, 5000), st.integers(0, 2**32))
def test_no_more_come_in_any_second_than_can_be_served(count: int, seed: int) -> None:
    times = sorted(retry_times(count, Random(seed)))
    assert len(times) == count
    for earlier, later in zip(times, times[RECONNECTS_PER_SECOND + 1 :], strict=False):
        assert later - earlier > 1000 - 5  # each is whole milliseconds, somewhere in its turn


@given(st.integers(1, 400), st.integers(0, 2**32))
def test_a_few_have_a_second_among_them(count: int, seed: int) -> None:
    times = sorted(retry_times(count, Random(seed)))
    assert 0 <= times[0] <= LEAST_SPREAD_MS // count
    assert LEAST_SPREAD_MS * (count - 1) // count <= times[-1] <= LEAST_SPREAD_MS


def test_who_came_first_is_not_the_first_to_come_back() -> None:
    times = retry_times(100, Random(1))
    assert times != sorted(times)


def test_there_may_be_nobody() -> None:
    assert retry_times(0, Random(1)) == []


def test_a_close_frame_has_room_for_the_reason() -> None:
    assert len(reason(86_400_000).encode()) <= 123


def test_what_is_said_is_read_again() -> None:
    assert retry_after(reason(1234)) == 1.234


def test_another_reason_asks_for_no_waiting() -> None:
    for other in ("", "shutting down", "going away", reason(10**9), reason(-1), "x" + reason(1)):
        assert retry_after(other) == 0.0
