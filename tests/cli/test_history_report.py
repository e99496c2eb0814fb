"""A request as a timeline, in the room that there is."""

import pytest
from rich.text import Text

from magi.audit.events import request_event
from magi.cli.history_report import (
    Unreadable,
    event_lines,
    excerpt,
    head_lines,
    layout,
    rule_text,
    state_lines,
    title_line,
)
from magi.domain.strategies import Rule
from magi.domain.voting_request import INITIAL, Adjudicated, Received, RequestEvent, fold
from tests.audit.histories import PANEL, START, Book

LONG = "because the second paragraph contradicts the first one and its code compiles with no version of the language"


@pytest.fixture
def events() -> list[RequestEvent]:
    book = Book()
    aggregate = book.receive("one", timeout_ms=86_400_000)
    book.progress(aggregate, "a", START + 12)
    book.vote(aggregate, "a", "fail", START + 90_000, LONG)
    book.vote(aggregate, "b", "fail", START + 90_000)
    book.vote(aggregate, "c", "abstain", START + 7_200_000)
    return [request_event(message.data) for message in book.messages]


def shown(events: list[RequestEvent], width: int | None) -> list[str]:
    shape = layout(PANEL, START, width)
    return [line.plain for event in events for line in event_lines(event, shape)]


def received(events: list[RequestEvent]) -> Received:
    assert isinstance(events[0], Received)
    return events[0]


@pytest.mark.parametrize("width", [20, 40, 60, 72, 80, 110, 200])
def test_no_line_is_wider_than_the_terminal_and_no_word_is_lost(events: list[RequestEvent], width: int) -> None:
    lines = [*shown(events, width), *(line.plain for line in head_lines(received(events), width))]
    if width >= 40:
        assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    assert set(LONG.split()) <= set(words)


def test_a_pipe_gets_one_line_an_event_with_whole_times(events: list[RequestEvent]) -> None:
    lines = shown(events, None)
    assert len(lines) == len(events)
    assert all("2026-01-31T" in line for line in lines)
    assert LONG in lines[2]


def test_columns_stand_under_their_headings(events: list[RequestEvent]) -> None:
    title = title_line(layout(PANEL, START, 100)).plain
    lines = shown(events, 100)
    assert lines[1].index("voter_progress") == title.index("event")
    assert lines[2].index("fail") == title.index("vote ")
    assert lines[2].index("because") == title.index("reason")


def test_the_time_since_the_reception_grows_with_its_unit(events: list[RequestEvent]) -> None:
    since = [line.split()[2] for line in shown(events, None)]
    assert since[:5] == ["+0.000", "+0.012", "+1m30s", "+1m30s", "+2h00m"]


def test_votes_are_coloured(events: list[RequestEvent]) -> None:
    [line, *_] = event_lines(events[2], layout(PANEL, START, None))
    assert [str(span.style) for span in line.spans if line.plain[span.start : span.end] == "fail"] == ["red"]


def test_the_head_says_who_asked_what_and_by_which_rule(events: list[RequestEvent]) -> None:
    text = "\n".join(line.plain for line in head_lines(received(events), None))
    assert "request   one of agent" in text
    assert "query     Write a poem" in text
    assert "panel     a, b, c" in text
    assert "rule      minority_rule (quorum=2)" in text
    assert "(after 1d00h)" in text


def test_a_long_answer_is_cut_and_its_length_told() -> None:
    assert excerpt("x" * 160) == "x" * 160
    assert excerpt("x" * 1161) == "x" * 160 + "… (1,161 characters)"


def test_parameters_that_are_not_set_are_not_shown() -> None:
    assert rule_text(Rule("threshold", {"k": 2, "ratio": None})) == "threshold (k=2)"
    assert rule_text(Rule("unanimous", {})) == "unanimous"


def test_an_unreadable_event_is_told_safely() -> None:
    [line] = event_lines(Unreadable(4, "not an event: \x1b[2J"), layout(PANEL, START, None))
    assert line.plain == r"  4  not an event: \x1b[2J"


def test_a_long_name_does_not_move_the_columns() -> None:
    book = Book()
    aggregate = book.receive("one", panel=("a" * 64, "b"))
    book.vote(aggregate, "a" * 64, "pass")
    shape = layout(("a" * 64, "b"), START, 120)
    [line] = event_lines(request_event(book.messages[1].data), shape)
    assert "a" * 23 + "…  pass" in line.plain


def plain(lines: list[Text]) -> list[str]:
    return [line.plain for line in lines]


def test_the_state_says_who_voted_and_who_is_awaited(events: list[RequestEvent]) -> None:
    assert plain(state_lines(INITIAL, None)) == ["nothing was stored of it"]
    assert plain(state_lines(fold(events[:2]), None)) == [
        "votes     nobody has voted",
        "open      waiting for a, b, c",
    ]
    assert plain(state_lines(fold(events[:4]), None)) == ["votes     a fail, b fail", "open      waiting for c"]
    decided = fold(events)
    assert isinstance(events[-1], Adjudicated)
    assert plain(state_lines(decided, None))[0].startswith("verdict   fail (")
