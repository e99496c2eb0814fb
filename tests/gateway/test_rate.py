"""The token bucket, with a clock of the test's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magi.gateway.rate import Bucket


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def taken(bucket: Bucket, tries: int) -> int:
    return sum(1 for _ in range(tries) if bucket.take() == 0)


def test_a_burst_is_let_through_and_no_more(clock: Clock) -> None:
    bucket = Bucket(200, 400, clock)
    assert taken(bucket, 400) == 400
    assert bucket.take() > 0


def test_tokens_come_back_at_the_rate(clock: Clock) -> None:
    bucket = Bucket(200, 400, clock)
    taken(bucket, 400)
    clock.now += 0.1
    assert taken(bucket, 100) == 20


def test_no_more_than_a_burst_is_saved_up(clock: Clock) -> None:
    bucket = Bucket(200, 400, clock)
    clock.now += 3600
    assert taken(bucket, 1000) == 400


def test_the_wait_it_names_is_enough(clock: Clock) -> None:
    bucket = Bucket(3, 1, clock)
    assert bucket.take() == 0
    wait = bucket.take()
    assert wait == 333
    clock.now += wait / 1000 - 0.01
    assert bucket.take() > 0
    clock.now += 0.011
    assert bucket.take() == 0


def test_asking_in_vain_costs_nothing(clock: Clock) -> None:
    bucket = Bucket(10, 1, clock)
    bucket.take()
    for _ in range(50):
        bucket.take()
    clock.now += 0.1
    assert bucket.take() == 0


@given(
    rate=st.integers(1, 1000),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 0.05, allow_subnormal=False), max_size=100),
)
def test_over_any_time_at_most_the_burst_and_the_rate_are_let_through(
    rate: int, burst: int, pauses: list[float]
) -> None:
    clock = Clock()
    bucket = Bucket(rate, burst, clock)
    let = 0
    for pause in pauses:
        clock.now += pause
        wait = bucket.take()
        assert wait >= 0
        let += wait == 0
    assert let <= burst + rate * (clock.now - 1000.0) + 1e-6


def test_with_another_rate_what_is_saved_up_stays_as_far_as_the_burst_allows(clock: Clock) -> None:
    bucket = Bucket(100, 100, clock)
    taken(bucket, 70)
    bucket.refit(10, 20)
    assert taken(bucket, 100) == 20
    bucket.refit(50, 50)
    assert bucket.take() > 0
    clock.now += 0.5
    assert taken(bucket, 100) == 25


def test_it_is_full_when_nothing_was_taken_for_long_enough(clock: Clock) -> None:
    bucket = Bucket(10, 10, clock)
    found = [bucket.full]
    taken(bucket, 5)
    found.append(bucket.full)
    clock.now += 0.5
    assert [*found, bucket.full] == [True, False, True]
