import pytest
from hypothesis import given
from hypothesis import strategies as st

from magi.eventstore.recent import Figures, Recent, percentile_95


def test_nothing_judged_leaves_all_figures_at_zero() -> None:
    assert Recent().figures(0) == Figures()


def test_votes_and_failures_are_counted_apart_and_only_votes_have_a_duration() -> None:
    recent = Recent()
    for took in range(1, 101):
        recent.succeeded(took, now=0)
    recent.failed(now=0)
    assert recent.figures(0) == Figures(95, 100, 1)


def test_what_is_older_than_the_window_is_forgotten() -> None:
    recent = Recent(window_ms=1000)
    recent.succeeded(900, now=0)
    recent.failed(now=500)
    recent.succeeded(5, now=1500)
    assert recent.figures(1000) == Figures(900, 2, 1)
    assert recent.figures(1501) == Figures(5, 1, 0)


def test_no_more_than_so_many_are_remembered_the_last_ones() -> None:
    recent = Recent(most=3)
    for took in (1, 2, 3, 4):
        recent.succeeded(took, now=0)
    assert recent.figures(0) == Figures(4, 3, 0)


@pytest.mark.parametrize(("values", "p95"), [([], 0), ([7], 7), ([1, 2], 2), (list(range(1, 21)), 19)])
def test_the_percentile_of_a_few(values: list[int], p95: int) -> None:
    assert percentile_95(values) == p95


@given(st.lists(st.integers(0, 10_000), min_size=1))
def test_at_least_95_percent_do_not_exceed_it_and_less_of_any_lower_value(values: list[int]) -> None:
    p95 = percentile_95(sorted(values))
    assert sum(value <= p95 for value in values) * 100 >= 95 * len(values)
    assert sum(value < p95 for value in values) * 100 < 95 * len(values)
