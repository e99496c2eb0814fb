"""However events are grouped into messages, everybody who reads the log comes to the same."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from magi.audit.audits import Audit, audit_log
from magi.audit.directory_check import check_directory
from magi.audit.events import digest, raw_events
from magi.audit.exported import ExportSource, open_export
from magi.audit.exporting import ExportWriter
from magi.audit.findings import Findings
from magi.audit.replay import Replay, Replayed, replay_log
from magi.audit.rolling import Head
from magi.audit.source import MARGIN, LogSource
from magi.audit.state_at import Moment, up_to
from magi.audit.summaries import Query, Summary, find_in_log
from magi.audit.verify import Scope
from magi.audit.what_if import Alternative
from magi.domain.clock import rfc3339
from magi.eventstore import subjects
from magi.eventstore.codec import pack
from magi.eventstore.direct import StoredMessage
from tests.audit.histories import LATER, PANEL, START, TIMEOUT, Book, directory, registry, renumbered
from tests.audit.together import regrouped

MINUTE = 60_000
chances = st.integers(0, 2**32 - 1).map(Random)
"""Every choice that `Random` has is as likely as it should be; those of `st.randoms` are nearly all the same."""


often = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class InMemory(LogSource):
    """The real source, over these messages."""

    def __init__(self, messages: Sequence[StoredMessage]) -> None:
        self.stream, self.prefix = subjects.LOG, subjects.LOG_PREFIX
        self._messages = messages

    async def last_sequence(self) -> int:
        return len(self._messages)

    async def history(self, aggregate: str, start: int = 1) -> list[StoredMessage]:
        return [m for m in self._messages[start - 1 :] if m.subject == f"{self.prefix}{aggregate}"]

    async def batches(self, start: int, stop: int) -> AsyncGenerator[list[StoredMessage], None]:
        yield list(self._messages[start - 1 : stop])

    async def _from(self, start: int, limit: int) -> list[StoredMessage]:
        return list(self._messages[start - 1 : start - 1 + limit])


@st.composite
def books(draw: st.DrawFn) -> Book:
    """Up to four requests at the same time or minutes apart, judged in any order; some stay open, some expire."""
    chance, book, now = draw(chances), Book(), START
    open_: dict[str, list[Callable[[int], None]]] = {}
    """What is still to be said of each request."""
    for number in range(draw(st.integers(1, 4))):
        if chance.random() < 0.3:
            now = _expire(book, open_, now)
        aggregate = book.receive(f"request {number}", now)
        said: list[Callable[[int], None]] = []
        for voter in chance.sample(PANEL, 3):
            vote: Any = chance.choice(["pass", "pass", "fail", "abstain"])
            if chance.random() < 0.7:
                said.append(lambda at, a=aggregate, v=voter: book.progress(a, v, at))  # type: ignore[misc]
            if chance.random() < 0.9:
                said.append(lambda at, a=aggregate, v=voter, w=vote: book.vote(a, v, w, at))  # type: ignore[misc]
        open_[aggregate] = said
        for _ in range(chance.randrange(12)):
            if waiting := [said for said in open_.values() if said]:
                chance.choice(waiting).pop(0)(now)
                now += chance.choice([0, 3, 300])
    if chance.random() < 0.5:
        _expire(book, open_, now)
    return book


def _expire(book: Book, open_: dict[str, list[Callable[[int], None]]], now: int) -> int:
    """Minutes pass: nobody says anything any more."""
    now += TIMEOUT + 10 * MINUTE
    for aggregate in open_:
        book.expire(aggregate, now)  # type: ignore[arg-type]
    open_.clear()
    return now


@st.composite
def damaged(draw: st.DrawFn) -> list[StoredMessage]:
    """A log, each event in a message of its own, that somebody has been at."""
    messages, chance = draw(books()).messages, draw(chances)
    place = chance.randrange(len(messages))
    one = messages[place]
    other = chance.choice([i for i, m in enumerate(messages) if m.subject == one.subject])
    match draw(st.sampled_from(["changed", "dropped", "doubled", "swapped", "strange"])):
        case "changed":
            messages[place] = msgspec.structs.replace(one, data=one.data.replace(b'"at":"2026', b'"at":"2025'))
        case "dropped":
            del messages[place]
        case "doubled":
            messages.insert(other, one)
        case "swapped":
            messages[place], messages[other] = messages[other], one
        case "strange":
            messages[place] = msgspec.structs.replace(one, data=b'{"type":"of a later version"}')
    return renumbered(messages)


def events_in(messages: Iterable[StoredMessage]) -> list[bytes]:
    return [event.data for event in raw_events(messages)]


def head_of(messages: Iterable[StoredMessage]) -> Head:
    head = Head()
    for message in messages:
        head = head.then(message.sequence, digest(message.data))
    return head


def audit(messages: Sequence[StoredMessage], scope: Scope = "whole", since: Head | None = None) -> Audit:
    return asyncio.run(
        audit_log(InMemory(messages), registry(), Findings(), LATER + 60 * MINUTE, scope=scope, since=since)
    )


def found_by(audit: Audit) -> list[tuple[str, int, str, str]]:
    return sorted((f.aggregate, f.version, f.kind, f.message) for f in audit.findings.first)


def counted(audit: Audit) -> tuple[Any, ...]:
    read = audit.read
    return read.events, read.requests, read.votes, read.verdicts, read.open


@often
@given(books().map(lambda book: book.messages) | damaged(), chances)
def test_an_audit_finds_and_counts_the_same(messages: list[StoredMessage], chance: Random) -> None:
    grouped = regrouped(messages, chance)
    was, now = audit(messages), audit(grouped)
    assert found_by(now) == found_by(was)
    assert counted(now) == counted(was)
    assert (now.outcome, now.read.last) == (was.outcome, len(grouped))
    for finding in now.findings.first:
        if finding.sequence:
            assert grouped[finding.sequence - 1].subject == f"{subjects.LOG_PREFIX}{finding.aggregate}"


@often
@given(books(), chances)
def test_an_audit_goes_on_behind_any_message_of_an_earlier_one(book: Book, chance: Random) -> None:
    messages = regrouped(book.messages, chance)
    place = chance.randrange(len(messages))
    head = head_of(messages[:place])
    tail = audit(messages, "tail", head)
    whole = audit(messages, since=head)
    assert set(found_by(tail)) <= set(found_by(whole))  # it says nothing of requests that nothing came of since
    assert tail.outcome == whole.outcome == "fine"
    assert tail.head == whole.head == head_of(messages)
    assert tail.read.events == len(events_in(messages[place:]))


def replayed(messages: Sequence[StoredMessage], alternative: Alternative | None) -> dict[str, Any]:
    replay, each = Replay(alternative), list[Replayed]()
    asyncio.run(replay_log(InMemory(messages), replay, on_replayed=each.append))
    counts = {name: value for name, value in vars(replay).items() if isinstance(value, int | dict)}
    return {**counts, "open": replay.open, "each": sorted(map(repr, each))}


@often
@given(books().map(lambda book: book.messages) | damaged(), chances, st.sampled_from([None, Alternative("veto")]))
def test_a_replay_comes_to_the_same(
    messages: list[StoredMessage], chance: Random, alternative: Alternative | None
) -> None:
    was = replayed(messages, alternative)
    assert was["events"] == len(messages)
    assert replayed(regrouped(messages, chance), alternative) == was


@often
@given(books().map(lambda book: book.messages) | damaged(), chances)
def test_a_history_is_the_same_and_was_the_same_at_any_version_and_time(
    messages: list[StoredMessage], chance: Random
) -> None:
    grouped = regrouped(messages, chance)
    for subject in {message.subject for message in messages}:
        was, now = ([m for m in log if m.subject == subject] for log in (messages, grouped))
        assert events_in(now) == events_in(was)
        for moment in (Moment("version", chance.randrange(9)), Moment("time", START + chance.randrange(3000))):
            assert [e.data for e in up_to(now, moment)] == [e.data for e in up_to(was, moment)]
        one = chance.choice(now)
        then = [e.data for e in up_to(now, Moment("sequence", one.sequence))]
        assert then == events_in(m for m in now if m.sequence <= one.sequence)


async def _find(messages: Sequence[StoredMessage], query: Query) -> list[Summary]:
    return [summary async for summary in find_in_log(InMemory(messages), query)]


@often
@given(books(), chances)
def test_requests_are_found_as_before(book: Book, chance: Random) -> None:
    grouped = regrouped(book.messages, chance)
    at = START + chance.randrange(4) * 5 * MINUTE
    for query in (Query(), Query(limit=1), Query(since=at), Query(until=at), Query(verdict="open"), Query(voter="a")):
        assert asyncio.run(_find(grouped, query)) == asyncio.run(_find(book.messages, query))


def test_a_time_leads_to_the_message_with_the_last_event_before_it() -> None:
    """Each holds what was decided at the beginning and at the end of a minute."""
    data = [
        pack([b'{"at":"%s"}' % rfc3339(at).encode() for at in (number * MINUTE, number * MINUTE + 59_000)])
        for number in range(20)
    ]
    source = InMemory([StoredMessage(place, "magi.log.agent.x", one) for place, one in enumerate(data, 1)])
    assert asyncio.run(source.sequence_at(10 * MINUTE + 30_000 + MARGIN)) == 11
    broken = InMemory([StoredMessage(1, "magi.log.agent.x", data[0][:-1])])
    assert asyncio.run(broken.sequence_at(START)) == 1  # nothing can be said of it


async def _through_a_file(messages: Sequence[StoredMessage]) -> Audit:
    """Exported, and audited without a server."""
    with tempfile.TemporaryDirectory() as folder:
        path, findings = Path(folder, "log.jsonl"), Findings()
        _export(path, messages)
        export = open_export(path, findings)
        source, who = ExportSource(export), check_directory(export.directory, findings)
        assert [m async for batch in source.batches(1, export.last_sequence) for m in batch] == list(messages)
        return await audit_log(source, who, findings, LATER + 60 * MINUTE)


def _export(path: Path, messages: Iterable[StoredMessage]) -> None:
    with path.open("wb") as file:
        writer = ExportWriter(file, "2026-01-31T14:00:00.000Z", "the whole log", "whole")
        for message in messages:
            writer.message(message)
        writer.directory(directory())
        writer.finish()


@often
@given(books().map(lambda book: book.messages) | damaged(), chances)
def test_an_export_holds_the_same_and_is_checked_to_the_same(messages: list[StoredMessage], chance: Random) -> None:
    grouped = regrouped(messages, chance)
    offline, here = asyncio.run(_through_a_file(grouped)), audit(messages)
    assert found_by(offline) == found_by(here)  # nothing about the manifest is among it
    assert counted(offline) == counted(here)
