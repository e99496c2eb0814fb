"""Reading a log: everything once and in order, whatever is missing, and as fast as the reader can take it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from magi.audit import source as module
from magi.audit.source import LogSource
from magi.domain.clock import rfc3339
from magi.eventstore.bus import Bus
from magi.eventstore.direct import StoredMessage
from magi.eventstore.history import StoreUnavailable
from magi.eventstore.patience import patiently
from tests.audit.stored import Written
from tests.eventstore.damage import MESSAGES, with_a_broken_block
from tests.eventstore.logs import delete_message, make_stream, new_name
from tests.servers import NatsServer

COUNT = 2500
"""More than the reader reads ahead, and than the server is asked for at once."""


@pytest.fixture
async def bus(nats_server: NatsServer) -> AsyncIterator[Bus]:
    bus = await Bus.connect(nats_server.url, name="test")
    yield bus
    await bus.close()


async def filled(bus: Bus, count: int) -> LogSource:
    """A stream with `count` messages of ten aggregates, decided a second after each other from 1970 on."""
    name = await make_stream(bus, new_name("SOURCE"), "source.*")
    data = [b'{"at":"%s"}' % rfc3339(number * 1000).encode() for number in range(count)]
    for start in range(0, count, 500):
        block = range(start, min(start + 500, count))
        await asyncio.gather(*(bus.store(f"source.{number % 10}", data[number]) for number in block))
    source = LogSource(bus, name, "source.")
    await source.start()
    return source


async def sequences(source: LogSource, start: int = 1, stop: int | None = None) -> list[int]:
    last = await source.last_sequence() if stop is None else stop
    return [m.sequence async for batch in source.batches(start, last) for m in batch]


async def test_everything_comes_once_and_in_order(bus: Bus) -> None:
    source = await filled(bus, COUNT)
    assert await sequences(source) == list(range(1, COUNT + 1))
    assert await sequences(source, 2400) == list(range(2400, COUNT + 1))
    assert await sequences(source, 5, 9) == [5, 6, 7, 8, 9]
    assert await sequences(source, COUNT + 1) == []


async def test_an_empty_stream_gives_nothing(bus: Bus) -> None:
    assert await sequences(await filled(bus, 0)) == []


async def test_holes_are_gone_past_wherever_they_are(bus: Bus) -> None:
    source = await filled(bus, 30)
    gone = {1, 2, 10, 15, 16, 17, 29, 30}
    for sequence in gone:
        await delete_message(bus, source.stream, sequence)
    assert await sequences(source) == [s for s in range(1, 31) if s not in gone]
    assert [m.sequence async for m in source.backwards(30)] == [s for s in range(30, 0, -1) if s not in gone]


async def test_a_slow_reader_is_not_run_over(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AHEAD", 10)
    source = await filled(bus, 300)
    seen = []
    async for batch in source.batches(1, 300):
        assert len(batch) <= 10
        seen += [m.sequence for m in batch]
        await asyncio.sleep(0)
    assert seen == list(range(1, 301))


async def test_what_comes_meanwhile_is_left_for_the_next_time(bus: Bus) -> None:
    source = await filled(bus, 20)
    seen = []
    async for batch in source.batches(1, 20):
        await bus.store("source.0", b"{}")
        seen += [m.sequence for m in batch]
    assert seen == list(range(1, 21))


async def test_leaving_in_the_middle_leaves_nothing_behind(bus: Bus) -> None:
    source = await filled(bus, COUNT)
    before = asyncio.all_tasks()
    async with aclosing(source.batches(1, COUNT)) as batches:
        await anext(batches)
    assert not {t for t in asyncio.all_tasks() - before if not t.done() and "Follower" in repr(t.get_coro())}


async def test_a_history_is_all_of_one_subject(bus: Bus) -> None:
    source = await filled(bus, 100)
    assert [m.sequence for m in await source.history("3")] == list(range(4, 101, 10))
    assert [m.sequence for m in await source.history("3", 50)] == [54, 64, 74, 84, 94]
    assert await source.history("none") == []
    found = await source.histories(["1", "2", "1", "none"])
    assert {name: len(messages) for name, messages in found.items()} == {"1": 10, "2": 10, "none": 0}


async def test_backwards_is_the_reverse(bus: Bus) -> None:
    source = await filled(bus, 1300)
    assert [m.sequence async for m in source.backwards(1300)] == list(range(1300, 0, -1))
    assert [m.sequence async for m in source.backwards(3)] == [3, 2, 1]


async def test_a_time_leads_to_a_sequence_before_which_nothing_is_younger(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MARGIN", 5_000)
    source = await filled(bus, 200)
    assert await source.sequence_at(0) == 1
    assert await source.sequence_at(100_000) == 96
    assert await source.sequence_at(10_000_000) == 201
    await bus.store("source.0", b"junk")
    assert await source.sequence_at(10_000_000) == 201


async def test_a_missing_stream_is_unavailable(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    async def impatient(operation, stream):  # type: ignore[no-untyped-def]
        return await patiently(operation, stream, 0.1)

    monkeypatch.setattr(module, "patiently", impatient)
    source = LogSource(bus, "NO_SUCH_STREAM", "source.")
    await source.start()
    with pytest.raises(StoreUnavailable):
        await source.last_sequence()
    with pytest.raises(StoreUnavailable):
        await sequences(source, 1, 10)


async def test_a_server_that_is_killed_and_started_again_is_waited_for(fresh_nats: NatsServer) -> None:
    bus = await Bus.connect(fresh_nats.url, name="test")
    source = await filled(bus, COUNT)
    seen: list[int] = []
    async for batch in source.batches(1, COUNT):
        if not seen:
            fresh_nats.kill()
            fresh_nats.start()
        seen += [m.sequence for m in batch]
    assert seen == list(range(1, COUNT + 1))
    await bus.close()


async def test_a_block_that_can_not_be_read_any_more_is_gone_past(
    fresh_nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server says nothing of it to a consumer, ever."""
    monkeypatch.setattr(module, "SILENCE", 0.3)
    name = await with_a_broken_block(fresh_nats, "source.")
    bus = await Bus.connect(fresh_nats.url, name="test")
    source = LogSource(bus, name, "source.")
    await source.start()
    async with asyncio.timeout(30):
        found = await sequences(source)
    assert found == list(range(found[0], MESSAGES + 1))
    assert 1 < found[0] < MESSAGES
    await bus.close()


async def test_the_real_log_and_its_directory_are_read(log: Written) -> None:
    assert [m.sequence for m in log.messages] == list(range(1, len(log.messages) + 1))
    assert all(isinstance(m, StoredMessage) and m.subject.startswith("magi.log.agent.") for m in log.messages)
    assert {m.subject for m in log.directory} >= {"magi.directory.voter.a", "magi.directory.initiator.agent"}
