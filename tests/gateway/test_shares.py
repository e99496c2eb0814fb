"""How a quota is divided: fair, whole, and with something for who comes next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magi.gateway.shares import RESERVE, share

rates = st.floats(0, 10_000, allow_subnormal=False)


def shares(quota: float, *asked: float) -> list[float]:
    """What each of some gateways takes, when all have heard of each other."""
    return [share(quota, one, [*asked[:i], *asked[i + 1 :]]) for i, one in enumerate(asked)]


def test_who_is_alone_has_all_of_it() -> None:
    assert share(100, 0, []) == share(100, 1000, []) == 100


def test_what_nobody_asks_for_is_divided_evenly() -> None:
    assert shares(100, 0, 0) == [50, 50]
    assert shares(100, 20, 30) == [45, 55]


def test_who_asks_for_less_than_its_part_gets_it_and_the_rest_is_divided() -> None:
    assert shares(90, 10, 500, 500) == [10, 40, 40]
    assert shares(100, 500, 200) == [50, 50]


def test_where_nothing_is_asked_there_is_something_for_who_comes_next() -> None:
    assert shares(100, 0, 500) == [100 * RESERVE / 2, 100 - 100 * RESERVE / 2]


@given(quota=st.floats(0.01, 10_000), asked=st.lists(rates, min_size=1, max_size=6))
def test_the_parts_add_up_to_the_quota_and_nobody_has_none(quota: float, asked: list[float]) -> None:
    found = shares(quota, *asked)
    assert sum(found) == pytest.approx(quota)
    assert min(found) >= quota * RESERVE / len(asked) * 0.999


@given(quota=st.floats(0.01, 10_000), asked=st.lists(rates, min_size=2, max_size=6))
def test_who_asks_for_more_never_gets_less(quota: float, asked: list[float]) -> None:
    found = shares(quota, *sorted(asked))
    assert found == pytest.approx(sorted(found))
