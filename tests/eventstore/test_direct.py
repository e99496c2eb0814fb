"""Direct get: what is read, in which order, and what a stream that doesn't answer leads to."""

import asyncio

import pytest

from magi.eventstore.bus import Bus, NoAck, NoStream
from magi.eventstore.direct import BATCH, DirectReader, StoredMessage
from tests.eventstore.logs import delete_message
from tests.proxy import Proxy
from tests.waiting import until


@pytest.fixture
async def reader(bus: Bus, log_stream: str) -> DirectReader:
    """Of a stream with the messages 1 to 6, alternately on test.log.a and test.log.b."""
    for n in range(1, 7):
        await bus.store("test.log.a" if n % 2 else "test.log.b", str(n).encode(), {"Number": str(n)})
    return await reader_of(bus, log_stream)


async def reader_of(bus: Bus, stream: str) -> DirectReader:
    reader = DirectReader(bus, stream)
    await reader.start()
    return reader


def sequences(messages: list[StoredMessage]) -> list[int]:
    return [message.sequence for message in messages]


async def test_a_message_comes_with_its_sequence_subject_data_and_headers(reader: DirectReader) -> None:
    message = (await reader.batch(2, 1))[0]
    assert (message.sequence, message.subject, message.data) == (2, "test.log.b", b"2")
    assert message.headers["Number"] == "2"


async def test_a_subject_is_read_in_order_from_a_sequence_on(reader: DirectReader) -> None:
    assert sequences(await reader.of_subject("test.log.a")) == [1, 3, 5]
    assert sequences(await reader.of_subject("test.log.a", start=2)) == [3, 5]
    assert await reader.of_subject("test.log.a", start=6) == []
    assert await reader.of_subject("test.log.unknown") == []


async def test_the_next_and_the_last_of_a_subject(reader: DirectReader) -> None:
    following, last = await reader.next_of_subject("test.log.a", 2), await reader.last_of_subject("test.log.b")
    assert following is not None
    assert last is not None
    assert (following.sequence, last.sequence) == (3, 6)
    assert await reader.next_of_subject("test.log.a", 6) is None
    assert await reader.last_of_subject("test.log.unknown") is None


async def test_the_last_of_each_subject_of_a_filter(reader: DirectReader) -> None:
    found = await reader.last_of_each(["test.log.*"])
    assert {message.subject: message.sequence for message in found} == {"test.log.a": 5, "test.log.b": 6}
    assert sequences(await reader.last_of_each(["test.log.b", "test.log.none"])) == [6]
    assert await reader.last_of_each(["test.log.none"]) == []


async def test_a_batch_is_short_only_at_the_end_of_the_stream(reader: DirectReader) -> None:
    assert sequences(await reader.batch(2, 3)) == [2, 3, 4]
    assert sequences(await reader.batch(5, 3)) == [5, 6]
    assert await reader.batch(7, 3) == []
    assert await reader.last_sequence() == 6


async def test_a_deleted_message_is_passed_over(bus: Bus, log_stream: str, reader: DirectReader) -> None:
    await delete_message(bus, log_stream, 3)
    assert sequences(await reader.batch(2, 3)) == [2, 4, 5]
    assert sequences(await reader.of_subject("test.log.a")) == [1, 5]


async def test_more_than_a_batch_comes_whole_and_in_order(bus: Bus, log_stream: str) -> None:
    count = BATCH * 2 + 1
    await asyncio.gather(*(bus.store("test.log.a", b"x") for _ in range(count)))
    reader = await reader_of(bus, log_stream)
    assert sequences(await reader.of_subject("test.log.a")) == list(range(1, count + 1))
    assert sequences(await reader.batch(1, count + 50)) == list(range(1, count + 1))


async def test_many_reads_at_once_get_their_own_messages(reader: DirectReader) -> None:
    subjects = ["test.log.a", "test.log.b", "test.log.none"] * 50
    found = await asyncio.gather(*(reader.of_subject(subject) for subject in subjects))
    assert [sequences(messages) for messages in found] == [[1, 3, 5], [2, 4, 6], []] * 50


async def test_a_missing_stream_is_no_stream(bus: Bus) -> None:
    reader = await reader_of(bus, "NO_SUCH_STREAM")
    for reading in (
        reader.of_subject("a"),
        reader.last_of_subject("a"),
        reader.last_of_each(["a"]),
        reader.batch(1),
        reader.last_sequence(),
    ):
        with pytest.raises(NoStream, match="NO_SUCH_STREAM"):
            await reading


async def test_a_lost_connection_ends_the_waiting_at_once(
    reader: DirectReader, log_stream: str, proxy: Proxy, shaky: Bus
) -> None:
    shaky_reader = await reader_of(shaky, log_stream)
    proxy.lose_answers()
    reading = asyncio.create_task(shaky_reader.batch(1))

    async def lost() -> bool:
        return proxy.lost > 0

    await until(lost, "the answer is lost")
    proxy.cut()
    with pytest.raises(NoAck, match="lost"):
        await asyncio.wait_for(reading, 3)
    assert sequences(await shaky_reader.batch(1)) == [1, 2, 3, 4, 5, 6]
