"""Following: everything, once, in order, whatever happens to the consumer, the connection or the server."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from nats.aio.msg import Msg

from magi.domain.ids import AggregateId
from magi.domain.voting_request import RequestEvent
from magi.eventstore import follow
from magi.eventstore.bus import Bus, NoStream
from magi.eventstore.follow import Follower, HoleInStream
from magi.eventstore.history import EMPTY, CorruptHistory, Recorded
from magi.eventstore.log import JetStreamLog
from magi.eventstore.pull import PullConsumer
from tests.eventstore.contract import REQUEST, check_chain, progress, statuses
from tests.eventstore.logs import PREFIX, api, consumer_state, delete_message, make_log, make_stream, new_name
from tests.proxy import Proxy
from tests.servers import NatsServer
from tests.waiting import until


class Copy:
    """A follower and what it was given."""

    def __init__(self, log: JetStreamLog[RequestEvent], start: int = 1) -> None:
        self.got: list[Recorded[RequestEvent]] = []
        self.gate = asyncio.Event()
        """What `on_event` waits for."""
        self.gate.set()
        self.follower = Follower(log.bus, log.stream, log.codec, self._take, start)

    async def _take(self, recorded: Recorded[RequestEvent]) -> None:
        await self.gate.wait()
        self.got.append(recorded)

    @property
    def sequences(self) -> list[int]:
        return [recorded.sequence for recorded in self.got]

    async def has(self, count: int) -> None:
        async def holds() -> bool:
            return len(self.got) >= count or self.follower.failed.done()

        await until(holds, f"{count} events came")


@pytest.fixture
async def log(bus: Bus, log_stream: str) -> JetStreamLog[RequestEvent]:
    return await make_log(bus, log_stream)


@pytest.fixture
async def copy(log: JetStreamLog[RequestEvent]) -> AsyncIterator[Copy]:
    """A copy of `log`, to be started."""
    copy = Copy(log)
    yield copy
    await copy.follower.stop()


async def write(log: JetStreamLog[RequestEvent], count: int) -> None:
    """Append `count` events, each to an aggregate of its own."""
    await asyncio.gather(*(log.append(AggregateId(f"acme.{new_name('x')}"), [progress()], EMPTY) for _ in range(count)))


async def consumers(bus: Bus, stream: str) -> list[str]:
    answer = msgspec.json.decode(await api(bus, f"CONSUMER.NAMES.{stream}", b"{}"))
    return answer["consumers"] or []


async def delete_its_consumer(bus: Bus, stream: str) -> None:
    """Delete the consumer that is read, once it is: a request that meets the deletion is lost without a word."""

    async def asked() -> bool:
        names = await consumers(bus, stream)
        return len(names) == 1 and (await consumer_state(bus, stream, names[0])).num_waiting == 1

    await until(asked, "one consumer is read")
    for name in await consumers(bus, stream):
        await api(bus, f"CONSUMER.DELETE.{stream}.{name}")


async def test_it_gives_what_is_stored_and_then_what_comes(log: JetStreamLog[RequestEvent], copy: Copy) -> None:
    stored = await log.append(REQUEST, [progress("a"), progress("b")], EMPTY)
    await copy.follower.start()
    await asyncio.wait_for(copy.follower.caught_up.wait(), 30)
    assert copy.got == stored
    await log.append(REQUEST, [progress("c")], stored[-1].head)
    await copy.has(3)
    assert statuses(copy.got) == ["a", "b", "c"]


async def test_the_events_of_a_message_come_in_their_order_and_share_its_sequence(
    log: JetStreamLog[RequestEvent], copy: Copy
) -> None:
    stored = await log.append(REQUEST, [progress("a"), progress("b"), progress("c")], EMPTY)
    stored += await log.append(REQUEST, [progress("d")], stored[-1].head)
    await copy.follower.start()
    await asyncio.wait_for(copy.follower.caught_up.wait(), 30)
    stored += await log.append(REQUEST, [progress("e"), progress("f")], stored[-1].head)
    await copy.has(6)
    assert copy.got == stored
    assert copy.sequences == [1, 1, 1, 2, 3, 3]
    check_chain(copy.got, REQUEST)


async def test_it_begins_with_the_first_event_of_a_message(log: JetStreamLog[RequestEvent]) -> None:
    stored = await log.append(REQUEST, [progress("a"), progress("b")], EMPTY)
    stored += await log.append(REQUEST, [progress("c"), progress("d")], stored[-1].head)
    copy = Copy(log, start=2)
    await copy.follower.start()
    await copy.has(2)
    assert copy.got == stored[2:]
    await copy.follower.stop()


async def test_it_begins_at_a_position(log: JetStreamLog[RequestEvent]) -> None:
    await write(log, 10)
    copy = Copy(log, start=8)
    await copy.follower.start()
    await write(log, 2)
    await copy.has(5)
    assert copy.sequences == [8, 9, 10, 11, 12]
    await copy.follower.stop()


async def test_a_position_that_is_yet_to_come_is_waited_for(log: JetStreamLog[RequestEvent]) -> None:
    await write(log, 2)
    copy = Copy(log, start=3)
    await copy.follower.start()
    assert copy.follower.caught_up.is_set()
    await write(log, 2)
    await copy.has(2)
    assert copy.sequences == [3, 4]
    await copy.follower.stop()


async def test_it_is_caught_up_with_an_empty_stream_at_once(copy: Copy) -> None:
    await copy.follower.start()
    assert copy.follower.caught_up.is_set()


async def test_it_is_caught_up_once_what_was_there_at_its_start_is_delivered(
    log: JetStreamLog[RequestEvent], copy: Copy
) -> None:
    await write(log, 3)
    copy.gate.clear()
    await copy.follower.start()
    await write(log, 3)
    assert not copy.follower.caught_up.is_set()
    copy.gate.set()
    await asyncio.wait_for(copy.follower.caught_up.wait(), 30)
    assert len(copy.got) >= 3


async def test_thousands_come_in_order_while_more_are_written(log: JetStreamLog[RequestEvent], copy: Copy) -> None:
    await write(log, 3000)
    await copy.follower.start()
    await write(log, 2000)
    await copy.has(5000)
    assert copy.sequences == list(range(1, 5001))


async def test_a_stream_that_is_missing_is_told_at_the_start(bus: Bus) -> None:
    copy = Copy(await make_log(bus, "NO_SUCH_LOG"))
    with pytest.raises(NoStream, match="NO_SUCH_LOG"):
        await copy.follower.start()
    await copy.follower.stop()


# --- What stops it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [1, 4])
async def test_a_hole_stops_it(bus: Bus, log: JetStreamLog[RequestEvent], copy: Copy, missing: int) -> None:
    await write(log, 8)
    await delete_message(bus, log.stream, missing)
    await copy.follower.start()
    with pytest.raises(HoleInStream, match=f"{log.stream}: {missing + 1} came where {missing} was expected"):
        await asyncio.wait_for(copy.follower.failed, 30)
    assert copy.sequences == list(range(1, missing))


@pytest.mark.parametrize("data", [b"not json", b"[]", b'[{"type":"voter_progress","voter_id":"a","status":""},{}]'])
async def test_bytes_that_are_no_event_stop_it(
    bus: Bus, log: JetStreamLog[RequestEvent], copy: Copy, data: bytes
) -> None:
    await write(log, 2)
    await bus.store(f"{PREFIX}acme.x", data)
    await write(log, 2)
    await copy.follower.start()
    with pytest.raises(CorruptHistory):
        await asyncio.wait_for(copy.follower.failed, 30)
    assert copy.sequences == [1, 2]


async def test_what_the_callback_raises_stops_it_and_its_consumer_goes(
    bus: Bus, log: JetStreamLog[RequestEvent]
) -> None:
    seen: list[int] = []

    async def fail(recorded: Recorded[RequestEvent]) -> None:
        seen.append(recorded.sequence)
        if recorded.sequence == 3:
            raise RuntimeError("no third one")

    await write(log, 6)
    follower = Follower(bus, log.stream, log.codec, fail)
    await follower.start()
    with pytest.raises(RuntimeError, match="no third one"):
        await asyncio.wait_for(follower.failed, 30)

    async def gone() -> bool:
        return await consumers(bus, log.stream) == []

    await until(gone, "nothing is read any more")
    assert seen == [1, 2, 3]
    await follower.stop()


async def test_what_the_callback_raises_amid_a_message_keeps_the_rest_of_it_back(
    bus: Bus, log: JetStreamLog[RequestEvent]
) -> None:
    seen: list[int] = []

    async def fail(recorded: Recorded[RequestEvent]) -> None:
        seen.append(recorded.head.version)
        if recorded.head.version == 2:
            raise RuntimeError("no second one")

    await log.append(REQUEST, [progress("a"), progress("b"), progress("c")], EMPTY)
    await write(log, 1)
    follower = Follower(bus, log.stream, log.codec, fail)
    await follower.start()
    with pytest.raises(RuntimeError, match="no second one"):
        await asyncio.wait_for(follower.failed, 30)
    assert seen == [1, 2]
    assert not follower.caught_up.is_set()
    await follower.stop()


async def test_stopping_removes_the_consumer_and_delivers_no_more(
    bus: Bus, log: JetStreamLog[RequestEvent], copy: Copy
) -> None:
    await copy.follower.start()
    await write(log, 2)
    await copy.has(2)
    await copy.follower.stop()
    assert await consumers(bus, log.stream) == []
    await write(log, 2)
    assert copy.sequences == [1, 2]
    assert copy.follower.failed.cancelled()


# --- What doesn't -----------------------------------------------------------------------------------------------------


async def test_it_goes_on_when_its_consumer_is_deleted(bus: Bus, log: JetStreamLog[RequestEvent], copy: Copy) -> None:
    await copy.follower.start()
    for _ in range(3):
        await write(log, 50)
        await delete_its_consumer(bus, log.stream)
        await write(log, 50)
    await copy.has(300)
    assert copy.sequences == list(range(1, 301))


async def test_a_message_at_hand_is_neither_cut_short_nor_given_twice(
    bus: Bus, log: JetStreamLog[RequestEvent], copy: Copy
) -> None:
    copy.gate.clear()
    await copy.follower.start()
    await log.append(REQUEST, [progress("a"), progress("b"), progress("c")], EMPTY)
    await write(log, 2)
    await delete_its_consumer(bus, log.stream)
    await write(log, 2)
    copy.gate.set()
    await copy.has(7)
    assert copy.sequences == [1, 1, 1, 2, 3, 4, 5]
    assert statuses(copy.got)[:3] == ["a", "b", "c"]


async def test_it_goes_on_when_the_connection_is_cut_in_full_flight(
    log: JetStreamLog[RequestEvent], proxy: Proxy, shaky: Bus
) -> None:
    await write(log, 4000)
    copy = Copy(await make_log(shaky, log.stream))
    await copy.follower.start()
    for count in (500, 1500, 2500):
        await copy.has(count)
        proxy.cut()  # what is on its way is lost: it has no acknowledgements
    await write(log, 10)
    await copy.has(4010)
    assert copy.sequences == list(range(1, 4011))
    await copy.follower.stop()


async def test_it_misses_nothing_that_was_lost_when_nothing_follows(
    log: JetStreamLog[RequestEvent], proxy: Proxy, shaky: Bus
) -> None:
    copy = Copy(await make_log(shaky, log.stream))
    await copy.follower.start()
    await write(log, 1)
    await copy.has(1)
    proxy.lose_answers()
    await write(log, 5)

    async def lost() -> bool:
        return proxy.lost > 1000

    await until(lost, "the events are lost")
    proxy.cut()
    await copy.has(6)
    assert copy.sequences == [1, 2, 3, 4, 5, 6]
    await copy.follower.stop()


async def test_a_hole_that_the_stream_does_not_have_is_read_again(
    log: JetStreamLog[RequestEvent], proxy: Proxy, shaky: Bus
) -> None:
    copy = Copy(await make_log(shaky, log.stream))
    await copy.follower.start()
    await write(log, 1)
    await copy.has(1)
    proxy.lose_answers()
    await write(log, 5)

    async def lost() -> bool:
        return proxy.lost > 1000

    await until(lost, "the events are lost")
    proxy.pass_answers()
    await write(log, 5)
    await copy.has(11)
    assert copy.sequences == list(range(1, 12))
    await copy.follower.stop()


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_it_goes_on_when_the_server_is_started_anew(fresh_nats: NatsServer, end: str) -> None:
    bus = await Bus.connect(fresh_nats.url, name="test")
    log = await make_log(bus, await make_stream(bus, new_name("LOG"), "test.log.>"))
    copy = Copy(log)
    await copy.follower.start()
    for round_ in range(1, 3):
        await write(log, 20)
        await copy.has(40 * round_ - 20)
        fresh_nats.kill() if end == "kill" else fresh_nats.stop()
        fresh_nats.start()
        await write(log, 20)
        await copy.has(40 * round_)
    assert copy.sequences == list(range(1, 81))
    await copy.follower.stop()
    await bus.close()


async def test_the_last_message_is_looked_for_when_it_was_lost_on_the_way(
    log: JetStreamLog[RequestEvent], copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "LOOK_EVERY", 0.05)
    await copy.follower.start()
    (name,) = await consumers(log.bus, log.stream)
    stolen = asyncio.Event()

    async def steal(msg: Msg) -> None:
        stolen.set()

    thief = PullConsumer(log.bus, log.stream, name, steal, want=1)
    await thief.start()
    written = 0
    while not stolen.is_set():  # the server gives to both in turn
        await write(log, 1)
        written += 1

        async def came() -> bool:
            return stolen.is_set() or len(copy.got) == written  # noqa: B023 - awaited at once

        await until(came, "somebody has it", 20)
    await thief.abandon()
    await copy.has(written)
    assert copy.sequences == list(range(1, written + 1))


async def test_what_was_deleted_behind_the_last_one_is_not_looked_for_again_and_again(
    log: JetStreamLog[RequestEvent], copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(log, 3)
    for sequence in (2, 3):
        await delete_message(log.bus, log.stream, sequence)
    monkeypatch.setattr(follow, "LOOK_EVERY", 0.02)
    attach, attached = copy.follower._attach, []

    async def counted() -> int:
        attached.append(await attach())
        return attached[-1]

    monkeypatch.setattr(copy.follower, "_attach", counted)
    await copy.follower.start()

    async def looked_again() -> bool:
        return len(attached) == 2

    await until(looked_again, "it looked for what should come", 20)
    looks = copy.follower._direct.last_sequence
    count = 0

    async def looking() -> int:
        nonlocal count
        count += 1
        return await looks()

    monkeypatch.setattr(copy.follower._direct, "last_sequence", looking)

    async def thrice() -> bool:
        return count >= 3

    await until(thrice, "it looked thrice more", 20)
    assert len(attached) == 2
    assert not copy.follower.failed.done()
