"""Times, places in a history and strategies as people type them."""

from typing import Any

import pytest

from magi.audit.state_at import Moment
from magi.cli.times import duration, parse_expiry, parse_moment, parse_span, parse_strategy, parse_time

NOW = 1_769_860_800_000  # 2026-01-31T12:00:00Z


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T12:00:00Z", NOW),
        ("2026-01-31T13:00:00+01:00", NOW),
        ("2026-01-31T12:00:00.250Z", NOW + 250),
        ("2026-01-31 12:00", NOW),
        ("2026-01-31", NOW - 12 * 3_600_000),
        ("90s", NOW - 90_000),
        ("15m", NOW - 15 * 60_000),
        ("2h", NOW - 2 * 3_600_000),
        ("7d", NOW - 7 * 86_400_000),
        (" 1w ", NOW - 7 * 86_400_000),
        ("999999w", -62_135_596_800_000),  # for ever: there are no dates before the year 1
    ],
)
def test_a_time_is_read(text: str, expected: int) -> None:
    assert parse_time(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "soon", "12", "2h ago", "-2h", "2026-02-30", "2026-01-31T25:00:00Z", "1y"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a time"):
        parse_time(text, NOW)


def test_a_moment_is_a_version_a_place_in_the_log_or_a_time() -> None:
    assert parse_moment("3", NOW) == Moment("version", 3)
    assert parse_moment("log:4711", NOW) == Moment("sequence", 4711)
    assert parse_moment("2h", NOW) == Moment("time", NOW - 7_200_000)
    for text in ("log:", "log:x", "³", "0x3", "-1"):
        with pytest.raises(ValueError, match="expected a time"):
            parse_moment(text, NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("veto", "veto"),
        ("threshold:k=2", {"name": "threshold", "k": 2}),
        ("threshold:ratio=0.6", {"name": "threshold", "ratio": 0.6}),
        ("veto:holders=a+b,quorum=2", {"name": "veto", "holders": ["a", "b"], "quorum": 2}),
        ("veto:holders=a", {"name": "veto", "holders": ["a"]}),
        ("weighted:weights.a=2,weights.b=0.5", {"name": "weighted", "weights": {"a": 2, "b": 0.5}}),
        ('{"name": "threshold", "k": 2}', {"name": "threshold", "k": 2}),
        ("unheard_of:x=y", {"name": "unheard_of", "x": "y"}),
    ],
)
def test_a_strategy_is_read(text: str, expected: Any) -> None:
    assert parse_strategy(text) == expected


@pytest.mark.parametrize("text", ["veto:", "veto:quorum", "veto:=2", "{", '{"name"', "[]:x"])
def test_what_names_no_strategy_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="strategy"):
        parse_strategy(text)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0.000 s"),
        (250, "0.250 s"),
        (59_999, "59.999 s"),
        (125_000, "2m05s"),
        (11_040_000, "3h04m"),
        (183_600_000, "2d03h"),
        (-250, "-0.250 s"),
        (-125_000, "-2m05s"),
    ],
)
def test_a_duration_is_short(ms: int, text: str) -> None:
    assert duration(ms) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("30d", "2026-03-02T12:00:00.000Z"),
        ("90s", "2026-01-31T12:01:30.000Z"),
        ("2027-01-31", "2027-01-31T00:00:00.000Z"),
        ("2027-01-31T12:00:00+01:00", "2027-01-31T11:00:00.000Z"),
    ],
)
def test_a_time_to_come_is_read(text: str, expected: str) -> None:
    assert parse_expiry(text, NOW) == expected


@pytest.mark.parametrize("text", ["30", "soon", "-1d", "999999w", "2027-13-01"])
def test_what_is_no_time_to_come_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a time span such as 30d, or a time to come, got"):
        parse_expiry(text, NOW)


def test_a_span_is_read() -> None:
    assert (parse_span("1h"), parse_span("90s")) == (3_600_000, 90_000)
    with pytest.raises(ValueError, match="expected a time span"):
        parse_span("1")
