"""`magi.alerts.series` and `store`: what is kept, and what is let go."""

import random
import sys

import pytest

from magi.alerts.expression import compiled
from magi.alerts.series import Keep, Series
from magi.alerts.store import Store

DAY = 86_400.0


def test_a_day_is_kept_thinned_and_no_increase_is_lost() -> None:
    chance = random.Random(1)
    whole, thinned = Series((), Keep(3 * DAY, 3 * DAY)), Series((), Keep(3900, DAY + 600))
    value = 0.0
    for at in range(0, int(2 * DAY), 15):
        value = 0.0 if chance.random() < 0.001 else value + chance.randint(0, 3)
        whole.append(at, value)
        thinned.append(at, value)
    assert len(thinned.times) < 600
    now = 2 * DAY - 15
    for back in (600, 3600, 6 * 3600, DAY):
        exact, first = whole.between(now - back, now), thinned.between(now - back, now)[0]
        start = thinned.times[first]
        assert start - (now - back) <= 376  # the next one that is left
        same = whole.times.index(start)
        assert thinned.gained(first, len(thinned.times) - 1) == whole.gained(same, exact[1] - 1)


def test_a_series_that_is_looked_back_on_for_an_hour_takes_five_kilobytes() -> None:
    series = Series((("voter", "casper"),), Keep(3600, 3600))
    for at in range(0, 20_000, 15):
        series.append(at, at)
    assert sys.getsizeof(series.times) + sys.getsizeof(series.values) < 8000
    assert series.times[0] <= 20_000 - 3600


def test_what_no_rule_asks_for_is_not_kept_and_what_is_gone_is_let_go() -> None:
    (selector,) = compiled('x{a="1"}').selectors
    store = Store([selector])
    one, other = ("x", (("a", "1"),)), ("x", (("a", "2"),))
    store.take({one: 1.0, other: 1.0}, 0.0, ())
    assert (store.size, len(selector.series)) == (1, 1)
    store.take({other: 1.0}, 15.0, [one])
    assert selector.series[0].at(14.9) == 1.0
    assert selector.series[0].at(15.0) is None
    store.take({}, 1000.0, [])
    assert (store.size, selector.series) == (0, [])


def test_a_sample_that_is_not_newer_is_dropped_and_one_speaks_for_five_minutes() -> None:
    series = Series((), Keep())
    series.append(10, 1)
    series.append(10, 2)
    series.append(5, 3)
    assert list(series.values) == [1]
    assert (series.at(9), series.at(10), series.at(309.9), series.at(310)) == (None, 1, 1, None)


def test_labels_that_never_come_again_fill_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("magi.alerts.store.log.error", lambda event, **_: told.append(event), raising=False)
    (selector,) = compiled("x").selectors
    store = Store([selector], most=50)
    for round_ in range(200):
        samples = {(name, (("n", f"{round_}-{i}"),)): 1.0 for name in ("x", "y") for i in range(20)}
        store.take(samples, round_ * 15.0, ())
        assert store.size <= 50
        assert store.known <= 150
    assert 1 <= len(told) <= 30  # once a sweep, not once a series
    assert len(selector.series) == store.size
    store.take({("x", (("n", "new"),)): 1.0}, 200 * 15.0 + 3600, ())
    store.take({("x", (("n", "new"),)): 2.0}, 200 * 15.0 + 3615, ())
    assert [series.values[-1] for series in selector.series] == [2.0]  # there is room again
