from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magi.cli.top.counting import Growth, Totals, growth
from magi.cli.top.scraped import Reading
from magi.telemetry import declarations as d
from tests.cli.top.given import GATEWAY, ORCHESTRATOR, histogram, key, reading

RECEIVED = 'magi_submissions_total{outcome="received"}'


def grown(before: Reading | None, now: Reading) -> float:
    return growth(before, now).by.get(key(RECEIVED), 0.0)


def test_a_counter_grows_by_the_difference() -> None:
    assert grown(reading(0, {RECEIVED: 10}), reading(2, {RECEIVED: 15})) == 5


def test_what_was_counted_before_anybody_looked_is_no_growth() -> None:
    assert growth(None, reading(2, {RECEIVED: 15})).by == {}


def test_a_counter_that_fell_began_again() -> None:
    assert grown(reading(0, {RECEIVED: 10}), reading(2, {RECEIVED: 3})) == 3


def test_a_counter_of_another_process_began_again_even_if_it_is_higher() -> None:
    assert grown(reading(0, {RECEIVED: 10}), reading(2, {RECEIVED: 12}, started=2000)) == 12


def test_a_series_that_was_not_there_grew_from_nought() -> None:
    assert grown(reading(0, {}), reading(2, {RECEIVED: 4})) == 4


def test_a_gap_counts_with_its_whole_length() -> None:
    totals = Totals([growth(reading(0, {RECEIVED: 0}), reading(20, {RECEIVED: 100}))])
    assert totals.rate("magi_submissions_total") == 5


def test_gauges_do_not_grow() -> None:
    assert growth(reading(0, {"magi_open_requests": 1}), reading(2, {"magi_open_requests": 9})).by == {}


def test_rates_of_two_parts_are_added_each_over_its_own_time() -> None:
    totals = Totals(
        [
            growth(reading(0, {RECEIVED: 0}), reading(2, {RECEIVED: 10})),
            growth(reading(2, {RECEIVED: 10}), reading(4, {RECEIVED: 20})),
            growth(reading(0, {RECEIVED: 0}, GATEWAY), reading(1, {RECEIVED: 3}, GATEWAY)),
        ]
    )
    assert totals.rate("magi_submissions_total", outcome="received") == 5 + 3
    assert totals.grown("magi_submissions_total") == 23
    assert totals.by("magi_submissions_total", "outcome") == {"received": 23}
    assert totals.rate("magi_submissions_total", outcome="refused") == 0


@given(st.lists(st.integers(0, 100), min_size=1, max_size=20), st.sets(st.integers(0, 19)))
def test_nothing_is_lost_or_invented_over_resets_that_a_look_saw(steps: list[int], resets: set[int]) -> None:
    value, before, found = 0.0, reading(0, {RECEIVED: 0}), []
    for number, step in enumerate(steps):
        started = 1000.0 + number if number in resets else before.samples["process_start_time_seconds", ()]
        value = step if number in resets else value + step
        now = reading(number + 1.0, {RECEIVED: value}, started=started)
        found.append(growth(before, now))
        before = now
    assert Totals(found).grown("magi_submissions_total") == sum(steps)


@dataclass
class Case:
    q: float
    expected: float


@pytest.mark.parametrize("case", [Case(0.25, 0.03), Case(0.5, 0.05), Case(0.99, 0.1), Case(1.0, 0.1)], ids=str)
def test_a_quantile_lies_within_its_bucket(case: Case) -> None:
    counts = {"0.01": 0, "0.05": 50, "0.1": 90, "0.25": 90, "+Inf": 100}
    if case.q > 0.9:
        counts["+Inf"] = 90
    samples = histogram(d.REQUEST_SECONDS.name, counts, 'decided_by="votes"')
    totals = Totals.since_start([reading(0, samples)])
    found = totals.quantile(d.REQUEST_SECONDS.name, case.q)
    assert found == pytest.approx(case.expected, abs=0.002)


def test_a_quantile_beyond_the_last_bound_is_that_bound() -> None:
    samples = histogram(d.REQUEST_SECONDS.name, {"0.01": 0, "3600.0": 1, "+Inf": 10})
    assert Totals.since_start([reading(0, samples)]).quantile(d.REQUEST_SECONDS.name, 0.99) == 3600


def test_there_is_no_quantile_of_nothing() -> None:
    assert Totals([Growth(ORCHESTRATOR.address, 2.0, {})]).quantile(d.REQUEST_SECONDS.name, 0.5) is None
