"""What every event store has to do: run against each of them by a subclass whose fixture `store` yields one."""

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from magi.domain.ids import AggregateId, VoterId
from magi.domain.messages import Submission
from magi.domain.panel import Candidate, Snapshot
from magi.domain.voting_request import INITIAL, RequestEvent, Submit, VoterProgress, decide
from magi.eventstore.codec import digest
from magi.eventstore.history import EMPTY, AppendConflict, EventStore, Head, Recorded

Store = EventStore[RequestEvent]

REQUEST = AggregateId("acme.7d1c5cde-1111-4222-8333-944444444444")
OTHER = AggregateId("acme.7d1c5cde-1111-4222-8333-955555555555")
MORE_THAN_A_BATCH = 1050
"""Direct get gives a thousand messages at once."""
DIRECTORY = Snapshot({VoterId("casper"): Candidate("active")})


def progress(text: str = "processing") -> RequestEvent:
    return VoterProgress(at="2026-01-01T00:00:00.000Z", voter_id="casper", status=text)


def received(answer: str) -> RequestEvent:
    submission = Submission(initiator_id="acme", request_id="r1", user_query="?", agent_answer=answer)
    return decide(INITIAL, Submit(submission, DIRECTORY, now=1_767_225_600_000))[0]


def statuses(history: list[Recorded[RequestEvent]]) -> list[str]:
    return [r.event.status for r in history if isinstance(r.event, VoterProgress)]


async def append_each(store: Store, texts: Iterable[str], head: Head = EMPTY) -> list[Recorded[RequestEvent]]:
    """Append events behind `head`, each as a message of its own."""
    stored: list[Recorded[RequestEvent]] = []
    for text in texts:
        stored += await store.append(REQUEST, [progress(text)], head)
        head = stored[-1].head
    return stored


async def read(store: Store, *bounds: int) -> list[Recorded[RequestEvent]]:
    return [recorded async for recorded in store.read(*bounds)]


def head_of(history: list[Recorded[RequestEvent]]) -> Head:
    return history[-1].head if history else EMPTY


def check_chain(history: list[Recorded[RequestEvent]], aggregate: AggregateId) -> None:
    """Versions count from 1, and every event holds the digest of the stored bytes before it, whether they are in one
    message or in two."""
    before, last = "", 0
    for version, recorded in enumerate(history, 1):
        event = recorded.event
        assert recorded.sequence >= last
        assert (event.originator_id, event.originator_version, event.prev) == (aggregate, version, before)
        assert recorded.head == Head(version, recorded.sequence, digest(recorded.data))
        before, last = digest(recorded.data), recorded.sequence
    ids = [recorded.event.id for recorded in history]
    assert all(ids)
    assert len(set(ids)) == len(ids)


class StoreContract:
    """The contract. A subclass is named ``Test…`` and provides the fixture `store`: an empty one."""

    async def test_what_was_appended_is_loaded_as_it_was_returned(self, store: Store) -> None:
        appended = await store.append(REQUEST, [progress("a"), progress("b")], EMPTY)
        assert await store.load(REQUEST) == appended
        assert statuses(appended) == ["a", "b"]

    async def test_an_append_continues_from_the_head_it_is_given(self, store: Store) -> None:
        first = await store.append(REQUEST, [progress("a")], EMPTY)
        second = await store.append(REQUEST, [progress("b")], first[-1].head)
        assert await store.load(REQUEST) == first + second

    async def test_versions_and_chain_run_over_the_stored_bytes(self, store: Store) -> None:
        head = EMPTY
        for batch in (["a"], ["b", "c", "d"], ["e"]):
            head = head_of(await store.append(REQUEST, [progress(text) for text in batch], head))
        history = await store.load(REQUEST)
        check_chain(history, REQUEST)
        assert statuses(history) == ["a", "b", "c", "d", "e"]
        assert head_of(history) == head

    async def test_each_event_keeps_what_led_to_it(self, store: Store) -> None:
        led = [(17, "00-abc-def-01"), (19, ""), (18, "00-abc-xyz-01")]
        events = [msgspec.structs.replace(progress(), cause=cause, trace=trace) for cause, trace in led]
        await store.append(REQUEST, events, EMPTY)
        assert [(r.event.cause, r.event.trace) for r in await store.load(REQUEST)] == led

    async def test_what_is_appended_together_is_one_message_of_the_stream(self, store: Store) -> None:
        alone = await store.append(REQUEST, [progress("a")], EMPTY)
        together = await store.append(REQUEST, [progress(text) for text in "bcd"], alone[-1].head)
        assert [r.sequence for r in together] == [2, 2, 2]
        assert [r.head.version for r in together] == [2, 3, 4]
        assert await store.last_sequence() == 2
        after = await store.append(REQUEST, [progress("e")], together[-1].head)
        assert await store.load(REQUEST) == await read(store) == alone + together + after
        check_chain(alone + together + after, REQUEST)

    async def test_the_bytes_of_an_event_are_its_own_whatever_it_was_appended_with(self, store: Store) -> None:
        one, other = received("[1, 2]}, {"), progress('"}]')
        history = await store.append(REQUEST, [one, other, progress("z")], EMPTY)
        for recorded in await store.load(REQUEST):
            assert msgspec.json.encode(recorded.event) == recorded.data
        assert [r.data for r in await read(store)] == [r.data for r in history]

    async def test_a_stale_head_is_refused_and_stores_nothing(self, store: Store) -> None:
        first = await store.append(REQUEST, [progress("a")], EMPTY)
        await store.append(REQUEST, [progress("b")], first[-1].head)
        with pytest.raises(AppendConflict):
            await store.append(REQUEST, [progress("late")], first[-1].head)
        assert statuses(await store.load(REQUEST)) == ["a", "b"]

    async def test_of_several_none_is_stored_when_they_are_refused(self, store: Store) -> None:
        first = await store.append(REQUEST, [progress("a"), progress("b")], EMPTY)
        await store.append(REQUEST, [progress("c")], first[-1].head)
        for head in (first[-1].head, EMPTY):
            with pytest.raises(AppendConflict):
                await store.append(REQUEST, [progress("late"), progress("later")], head)
        assert statuses(await store.load(REQUEST)) == statuses(await read(store)) == ["a", "b", "c"]
        assert await store.last_sequence() == 2

    async def test_a_second_creation_is_refused(self, store: Store) -> None:
        await store.append(REQUEST, [progress("a")], EMPTY)
        with pytest.raises(AppendConflict):
            await store.append(REQUEST, [progress("again")], EMPTY)
        assert statuses(await store.load(REQUEST)) == ["a"]

    async def test_a_head_beyond_the_history_is_refused(self, store: Store) -> None:
        head = head_of(await store.append(OTHER, [progress("other")], EMPTY))
        with pytest.raises(AppendConflict):
            await store.append(REQUEST, [progress()], head)
        assert await store.load(REQUEST) == []

    async def test_of_ten_that_append_at_once_exactly_one_wins(self, store: Store) -> None:
        head = head_of(await store.append(REQUEST, [progress("first")], EMPTY))
        results = await asyncio.gather(
            *(store.append(REQUEST, [progress(str(n)), progress(f"{n} again")], head) for n in range(10)),
            return_exceptions=True,
        )
        won = [result for result in results if not isinstance(result, BaseException)]
        lost = [result for result in results if isinstance(result, AppendConflict)]
        assert (len(won), len(lost)) == (1, 9)
        history = await store.load(REQUEST)
        assert history[1:] == won[0]
        assert len(won[0]) == 2
        check_chain(history, REQUEST)

    async def test_losers_that_load_again_all_get_in(self, store: Store) -> None:
        async def insist(text: str) -> None:
            while True:
                head = head_of(await store.load(REQUEST))
                try:
                    await store.append(REQUEST, [progress(text)], head)
                    return
                except AppendConflict:
                    continue

        await asyncio.gather(*(insist(str(n)) for n in range(10)))
        history = await store.load(REQUEST)
        assert sorted(statuses(history)) == sorted(str(n) for n in range(10))
        check_chain(history, REQUEST)

    async def test_appending_nothing_does_nothing(self, store: Store) -> None:
        assert await store.append(REQUEST, [], EMPTY) == []
        assert await store.last_sequence() == 0

    async def test_an_empty_store_has_nothing_to_read(self, store: Store) -> None:
        assert await store.last_sequence() == 0
        assert await read(store) == []
        assert await store.load(REQUEST) == []

    async def test_an_unknown_aggregate_has_no_history(self, store: Store) -> None:
        await store.append(OTHER, [progress()], EMPTY)
        assert await store.load(REQUEST) == []

    async def test_aggregates_share_one_sequence_and_nothing_else(self, store: Store) -> None:
        a = await store.append(REQUEST, [progress("a1"), progress("a2")], EMPTY)
        b = await store.append(OTHER, [progress("b1")], EMPTY)
        a += await store.append(REQUEST, [progress("a3")], a[-1].head)
        assert [r.sequence for r in (*a[:2], *b, a[2])] == [1, 1, 2, 3]
        assert await store.load(REQUEST) == a
        assert await store.load(OTHER) == b
        assert await store.last_sequence() == 3
        assert await read(store) == [*a[:2], *b, a[2]]

    async def test_loading_after_a_version_gives_what_comes_later(self, store: Store) -> None:
        history = await append_each(store, "a")
        history += await store.append(REQUEST, [progress(text) for text in "bcd"], history[-1].head)
        assert await store.load(REQUEST, after=1) == history[1:]
        assert await store.load(REQUEST, after=2) == history[2:]
        assert await store.load(REQUEST, after=4) == []
        assert await store.load(REQUEST, after=9) == []

    @pytest.mark.parametrize(
        ("bounds", "expected"),
        [((1,), "abcdef"), ((3,), "cdef"), ((2, 4), "bcd"), ((6,), "f"), ((7,), ""), ((5, 99), "ef"), ((4, 3), "")],
    )
    async def test_reading_has_inclusive_bounds(self, store: Store, bounds: Any, expected: str) -> None:
        await append_each(store, "abcdef")
        assert "".join(statuses(await read(store, *bounds))) == expected

    @pytest.mark.parametrize(
        ("bounds", "expected"),
        [((1,), "abcdef"), ((1, 1), "a"), ((2, 2), "bcd"), ((1, 2), "abcd"), ((2, 3), "bcdef"), ((3, 9), "ef")],
    )
    async def test_of_a_message_all_events_are_read_or_none(self, store: Store, bounds: Any, expected: str) -> None:
        head = EMPTY
        for together in ("a", "bcd", "ef"):
            head = head_of(await store.append(REQUEST, [progress(text) for text in together], head))
        assert "".join(statuses(await read(store, *bounds))) == expected

    async def test_a_history_longer_than_a_batch_is_loaded_whole(self, store: Store) -> None:
        await append_each(store, map(str, range(MORE_THAN_A_BATCH)))
        history = await store.load(REQUEST)
        assert statuses(history) == [str(n) for n in range(MORE_THAN_A_BATCH)]
        check_chain(history, REQUEST)
        everything = await read(store)
        assert everything == history
        assert [r.sequence for r in everything] == list(range(1, MORE_THAN_A_BATCH + 1))
        assert await store.load(REQUEST, after=1040) == history[1040:]

    async def test_any_text_survives(self, store: Store) -> None:
        text = 'Grüße 🐈‍⬛ 哈哈 \u202e \\ " \x7f \n\r\n \x00 \U0010ffff'
        alone = await store.append(REQUEST, [progress(text)], EMPTY)
        await store.append(REQUEST, [progress(text), progress(f"[{text}]")], alone[-1].head)
        assert statuses(await store.load(REQUEST)) == [text, text, f"[{text}]"]

    async def test_a_submission_of_256_kib_survives(self, store: Store) -> None:
        event = received("x" * 256 * 1024)
        appended = await store.append(REQUEST, [event], EMPTY)
        assert await store.load(REQUEST) == appended
        assert len(appended[0].data) > 256 * 1024
