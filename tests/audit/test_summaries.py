"""Finding requests in the log."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest

from magi.audit import source as source_module
from magi.audit import summaries
from magi.audit.events import request_event
from magi.audit.source import LogSource
from magi.audit.summaries import Backwards, Query, Summary, find_in_log
from magi.eventstore.bus import Bus
from magi.eventstore.direct import StoredMessage
from tests.audit.histories import PANEL, START, Book
from tests.audit.stored import copy

MINUTE = 60_000


def book() -> Book:
    book = Book()
    book.request("first", a="pass", b="pass", c="pass")
    book.request("second", now=START + 10 * MINUTE, a="fail", b="fail", c="fail")
    late = book.receive("slow", now=START + 20 * MINUTE, strategy="unanimous", timeout_ms=86_400_000)
    book.request("pair", now=START + 30 * MINUTE, panel=("a", "b"), a="pass", b="fail")
    for voter in PANEL:
        book.vote(late, voter, "pass", START + 60 * MINUTE)
    book.receive("waiting", now=START + 61 * MINUTE)
    return book


async def find(bus: Bus, messages: Sequence[StoredMessage], **query: Any) -> list[Summary]:
    async with copy(bus, messages) as source:
        return [summary async for summary in find_in_log(source, Query(**query))]


async def names(bus: Bus, messages: Sequence[StoredMessage] | None = None, **query: Any) -> list[str]:
    return [one.request_id for one in await find(bus, messages or book().messages, **query)]


async def test_the_newest_come_first_with_all_that_a_list_tells(bus: Bus) -> None:
    found = await find(bus, book().messages)
    assert [one.request_id for one in found] == ["waiting", "pair", "slow", "second", "first"]
    assert [one.verdict for one in found] == ["open", "fail", "pass", "fail", "pass"]
    slow = found[2]
    assert (slow.strategy, slow.outcome_reason, slow.decided_by, slow.votes) == ("unanimous", "unanimous", "votes", 3)
    assert (slow.received_at, slow.decided_at) == ("2026-01-31T12:20:00.000Z", "2026-01-31T13:00:00.000Z")
    assert found[0].decided_at == ""


async def test_filters_and_the_limit(bus: Bus) -> None:
    assert await names(bus, limit=2) == ["waiting", "pair"]
    assert await names(bus, verdict="fail") == ["pair", "second"]
    assert await names(bus, verdict="open") == ["waiting"]
    assert await names(bus, strategy="unanimous") == ["slow"]
    assert await names(bus, voter="c", verdict="fail") == ["second"]
    assert await names(bus, initiator="nobody") == []
    assert await names(bus, initiator="agent", limit=1, verdict="pass") == ["slow"]


async def test_times_are_those_of_the_reception(bus: Bus) -> None:
    assert await names(bus, since=START + 10 * MINUTE, until=START + 30 * MINUTE) == ["slow", "second"]
    assert await names(bus, since=START + 30 * MINUTE) == ["waiting", "pair"]
    assert await names(bus, until=START) == []


async def test_what_is_decided_behind_the_end_of_the_time_has_its_verdict(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (summaries, source_module):
        monkeypatch.setattr(module, "MARGIN", 0)
    [slow] = await find(bus, book().messages, since=START + 15 * MINUTE, until=START + 25 * MINUTE)
    assert (slow.verdict, slow.votes) == ("pass", 3)


async def test_only_as_much_is_read_as_is_needed(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "BACKWARDS", 4)
    read = 0
    original = LogSource.backwards

    async def counted(self: LogSource, start: int) -> AsyncIterator[StoredMessage]:
        nonlocal read
        async for message in original(self, start):
            read += 1
            yield message

    monkeypatch.setattr(LogSource, "backwards", counted)
    assert await names(bus, limit=1) == ["waiting"]
    assert read == 1


async def test_events_that_can_not_be_read_are_left_out(bus: Bus) -> None:
    messages = book().messages
    messages[0] = msgspec.structs.replace(messages[0], data=b"junk")
    assert await names(bus, messages) == ["waiting", "pair", "slow", "second"]


def test_nothing_is_remembered_of_a_request_once_its_reception_was_read() -> None:
    backwards = Backwards()
    for message in reversed(book().messages):
        backwards.take(request_event(message.data))
    assert not backwards._later
