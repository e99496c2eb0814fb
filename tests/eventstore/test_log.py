"""The log on a real nats-server: the contract, and what only a server that fails can show."""

import asyncio
import time

import pytest

from magi.domain.ids import AggregateId
from magi.domain.voting_request import RequestEvent
from magi.eventstore.bus import Bus
from magi.eventstore.codec import Codec, pack, unpack
from magi.eventstore.history import EMPTY, AppendConflict, CorruptHistory, StoreUnavailable
from magi.eventstore.log import EXPECTED, JetStreamLog
from tests.eventstore.contract import (
    OTHER,
    REQUEST,
    Store,
    StoreContract,
    append_each,
    check_chain,
    head_of,
    progress,
    read,
    statuses,
)
from tests.eventstore.logs import PREFIX, delete_message, make_log, make_stream
from tests.proxy import Proxy
from tests.servers import NatsServer
from tests.waiting import stopwatch, until

SUBJECT = f"{PREFIX}{REQUEST}"


class TestJetStreamLog(StoreContract):
    @pytest.fixture
    async def store(self, bus: Bus, log_stream: str) -> Store:
        return await make_log(bus, log_stream)


@pytest.fixture
async def store(bus: Bus, log_stream: str) -> JetStreamLog[RequestEvent]:
    return await make_log(bus, log_stream)


@pytest.fixture
async def shaky_log(shaky: Bus, store: JetStreamLog[RequestEvent]) -> JetStreamLog[RequestEvent]:
    """The same log as `store`, over a connection that can be cut."""
    return await make_log(shaky, store.stream)


async def lose_the_answer(proxy: Proxy, store: JetStreamLog[RequestEvent], stored: int) -> None:
    """Lose what the server says until `stored` messages are in the stream, then cut the connection."""
    proxy.lose_answers()

    async def arrived() -> bool:
        return await store.last_sequence() == stored and proxy.lost > 0

    await until(arrived, "the event is stored and its acknowledgement lost")
    proxy.cut()


async def test_after_a_lost_acknowledgement_the_event_is_stored_once_and_its_sequence_returned(
    proxy: Proxy, shaky_log: JetStreamLog[RequestEvent], store: JetStreamLog[RequestEvent]
) -> None:
    await store.append(OTHER, [progress("before")], EMPTY)
    losing = asyncio.create_task(lose_the_answer(proxy, store, 2))
    await asyncio.sleep(0)  # the task begins to lose answers
    appended = await shaky_log.append(REQUEST, [progress("once")], EMPTY)
    await losing
    assert [r.sequence for r in appended] == [2]
    assert await store.load(REQUEST) == appended
    assert await store.last_sequence() == 2
    assert proxy.connections == 2


async def test_after_a_lost_acknowledgement_of_several_events_they_are_stored_once_as_one_message(
    proxy: Proxy, shaky_log: JetStreamLog[RequestEvent], store: JetStreamLog[RequestEvent]
) -> None:
    before = await store.append(REQUEST, [progress("before")], EMPTY)
    losing = asyncio.create_task(lose_the_answer(proxy, store, 2))
    await asyncio.sleep(0)  # the task begins to lose answers
    appended = await shaky_log.append(REQUEST, [progress("a"), progress("b"), progress("c")], before[-1].head)
    await losing
    assert [(r.sequence, r.head.version) for r in appended] == [(2, 2), (2, 3), (2, 4)]
    assert await store.load(REQUEST) == before + appended
    assert await store.last_sequence() == 2
    assert shaky_log.bus.lost_acks[store.stream] == 1


async def test_what_another_writer_stored_there_is_not_ours_though_it_holds_several(
    proxy: Proxy, shaky_log: JetStreamLog[RequestEvent], store: JetStreamLog[RequestEvent]
) -> None:
    proxy.cut()
    theirs = await store.append(REQUEST, [progress("x"), progress("y")], EMPTY)
    with pytest.raises(AppendConflict):
        await shaky_log.append(REQUEST, [progress("x"), progress("y")], EMPTY)
    assert await store.load(REQUEST) == theirs
    assert shaky_log.bus.lost_acks[store.stream] == 0


async def test_a_lost_acknowledgement_counts_even_when_another_writer_went_on_from_there(
    proxy: Proxy, shaky_log: JetStreamLog[RequestEvent], store: JetStreamLog[RequestEvent]
) -> None:
    proxy.lose_answers()
    appending = asyncio.create_task(shaky_log.append(REQUEST, [progress("mine"), progress("as well")], EMPTY))

    async def stored() -> bool:
        return await store.last_sequence() == 1 and proxy.lost > 0

    await until(stored, "the event is stored and its acknowledgement lost")
    await store.append(REQUEST, [progress("theirs")], head_of(await store.load(REQUEST)))
    proxy.cut()
    assert statuses(await appending) == ["mine", "as well"]
    assert statuses(await store.load(REQUEST)) == ["mine", "as well", "theirs"]


async def test_a_lost_publish_is_a_conflict_when_another_writer_came_in_between(
    proxy: Proxy, shaky_log: JetStreamLog[RequestEvent], store: JetStreamLog[RequestEvent]
) -> None:
    appended = await store.append(REQUEST, [progress("a")], EMPTY)
    proxy.cut()
    await store.append(REQUEST, [progress("foreign")], appended[-1].head)
    with pytest.raises(AppendConflict, match="wrong last sequence"):
        await shaky_log.append(REQUEST, [progress("mine")], appended[-1].head)
    assert statuses(await store.load(REQUEST)) == ["a", "foreign"]


async def test_foreign_bytes_in_between_are_no_acknowledgement(bus: Bus, store: JetStreamLog[RequestEvent]) -> None:
    theirs, data = Codec[RequestEvent](RequestEvent).stamp(progress("theirs"), REQUEST, EMPTY)
    await bus.store(SUBJECT, data)
    with pytest.raises(AppendConflict):
        await store.append(REQUEST, [progress("mine")], EMPTY)
    assert [r.event for r in await store.load(REQUEST)] == [theirs]


async def test_kill_9_amid_two_hundred_appends_loses_nothing_and_stores_nothing_twice(fresh_nats: NatsServer) -> None:
    bus = await Bus.connect(fresh_nats.url, name="test")
    store = await make_log(bus, await make_stream(bus, "TEST_LOG", "test.log.>"), patience=30.0)
    requests = [AggregateId(f"acme.{n:04d}") for n in range(200)]
    acked: dict[AggregateId, list[int]] = {request: [] for request in requests}

    async def write(request: AggregateId) -> None:
        head = EMPTY
        for texts in ("a", "bc", "d", "e", "fg"):
            stored = await store.append(request, [progress(text) for text in texts], head)
            head = stored[-1].head
            acked[request] += [recorded.sequence for recorded in stored]

    writers = asyncio.gather(*(write(request) for request in requests))

    async def halfway() -> bool:
        return sum(map(len, acked.values())) > 300

    await until(halfway, "some are stored")
    fresh_nats.kill()
    assert not writers.done()
    fresh_nats.start()
    await writers
    assert bus.reconnects == 1
    for request in requests:
        history = await store.load(request)
        check_chain(history, request)
        assert statuses(history) == list("abcdefg")
        assert [r.sequence for r in history] == acked[request]
    assert await store.last_sequence() == 1000
    await bus.close()


async def test_an_append_during_an_outage_waits_for_its_end(fresh_nats: NatsServer) -> None:
    bus = await Bus.connect(fresh_nats.url, name="test")
    store = await make_log(bus, await make_stream(bus, "TEST_LOG", "test.log.>"))
    fresh_nats.stop()
    appending = asyncio.create_task(store.append(REQUEST, [progress()], EMPTY))
    fresh_nats.start()
    assert [r.sequence for r in await appending] == [1]
    await bus.close()


async def test_a_missing_stream_is_unavailable_after_the_patience_is_spent(bus: Bus) -> None:
    store = await make_log(bus, "NO_SUCH_LOG", patience=0.3)
    for operation in (
        lambda: store.append(REQUEST, [progress()], EMPTY),
        lambda: store.load(REQUEST),
        store.last_sequence,
        lambda: read(store),
    ):
        started = time.monotonic()
        async with stopwatch() as watch:
            with pytest.raises(StoreUnavailable, match="NO_SUCH_LOG"):
                await operation()
        assert time.monotonic() - started > 0.05
        assert watch.seconds < 2.0


async def test_an_event_that_is_too_large_is_refused_at_once(store: JetStreamLog[RequestEvent]) -> None:
    async with stopwatch() as watch:
        with pytest.raises(StoreUnavailable, match="message size exceeds"):
            await store.append(REQUEST, [progress("x" * 1_100_000)], EMPTY)
    assert watch.seconds < 2.0
    assert len(await store.append(REQUEST, [progress("small")], EMPTY)) == 1


@pytest.mark.parametrize(
    "data", [b"not json", b'{"type":"who_knows"}', b"\xff\xfe", b"[" * 5000, b"", b"[]", b'[{"type":"who_knows"}]']
)
async def test_bytes_that_are_no_event_are_corrupt_and_the_aggregate_is_named(
    bus: Bus, store: JetStreamLog[RequestEvent], data: bytes
) -> None:
    head = head_of(await store.append(REQUEST, [progress()], EMPTY))
    await bus.store(SUBJECT, data)
    with pytest.raises(CorruptHistory, match=rf"{REQUEST}.*sequence 2 of {store.stream}"):
        await store.load(REQUEST)
    with pytest.raises(CorruptHistory, match=str(REQUEST)):
        await read(store)
    with pytest.raises(CorruptHistory, match=str(REQUEST)):
        await store.append(REQUEST, [progress()], head)
    assert await store.load(OTHER) == []


async def test_a_missing_version_is_corrupt(bus: Bus, store: JetStreamLog[RequestEvent]) -> None:
    await append_each(store, "abc")
    await delete_message(bus, store.stream, 2)
    with pytest.raises(CorruptHistory, match=f"{REQUEST}: version 3 where 2 was expected"):
        await store.load(REQUEST)


async def test_a_version_that_is_there_twice_is_corrupt(bus: Bus, store: JetStreamLog[RequestEvent]) -> None:
    appended = await store.append(REQUEST, [progress("a")], EMPTY)
    await bus.store(SUBJECT, appended[0].data, {EXPECTED: "1"})
    with pytest.raises(CorruptHistory, match=f"{REQUEST}: version 1 where 2 was expected"):
        await store.load(REQUEST)


@pytest.mark.parametrize(("order", "wrong"), [("01123", 2), ("0213", 3), ("023", 3), ("123", 2)])
async def test_a_message_whose_events_are_not_its_aggregates_next_ones_in_order_is_corrupt(
    bus: Bus, store: JetStreamLog[RequestEvent], order: str, wrong: int
) -> None:
    stamped = store.codec.stamp_all([progress(text) for text in "abcd"], REQUEST, EMPTY)
    await bus.store(SUBJECT, pack([stamped[int(number)][1] for number in order]))
    with pytest.raises(CorruptHistory, match=rf"{REQUEST}: version {wrong} where \d was expected"):
        await store.load(REQUEST)


async def test_reading_halts_at_a_hole(bus: Bus, store: JetStreamLog[RequestEvent]) -> None:
    await append_each(store, "abcd")
    await delete_message(bus, store.stream, 3)
    assert statuses(await read(store, 1, 2)) == ["a", "b"]
    with pytest.raises(CorruptHistory, match="4 came where 3 was expected"):
        await read(store)


async def test_the_only_header_that_is_stored_is_the_expected_sequence(store: JetStreamLog[RequestEvent]) -> None:
    head = head_of(await store.append(REQUEST, [progress("a")], EMPTY))
    together = await store.append(REQUEST, [progress("b"), progress("c")], head)
    message = await store.direct.last_of_subject(SUBJECT)
    assert message is not None
    assert unpack(message.data) == [r.data for r in together]
    of_the_reply = {"Stream", "Subject", "Sequence", "Time-Stamp", "Num-Pending", "Last-Sequence", "UpTo-Sequence"}
    stored = {name: value for name, value in message.headers.items() if name.removeprefix("Nats-") not in of_the_reply}
    assert stored == {EXPECTED: "1"}
