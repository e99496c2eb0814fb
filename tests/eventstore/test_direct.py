"""Direct get: what is read, in which order, and what a stream that doesn't answer leads to."""

import asyncio

import pytest
from nats.aio.msg import Msg

from magi.eventstore.bus import Bus, NoAck, NoStream
from magi.eventstore.direct import BATCH, DirectReader, StoredMessage, _Config, _Info, _State
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


async def test_a_copy_that_is_behind_has_not_answered(
    bus: Bus, reader: DirectReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the leader of a replicated stream says is played: it has a message more than who answers."""
    asked = []

    async def leader(query: dict[str, str]) -> _Info:
        asked.append(query)
        return _Info(_Config(num_replicas=3), _State(7, {"test.log.a": 4}))

    monkeypatch.setattr(reader, "_info", leader)
    with pytest.raises(NoAck, match="3 of 4"):
        await reader.of_subject("test.log.a")
    with pytest.raises(NoAck, match="3 of 4"):
        await reader.next_of_subject("test.log.a", 6)
    assert sequences(await reader.of_subject("test.log.b")) == [2, 4, 6]
    await bus.store("test.log.a", b"7")
    assert sequences(await reader.of_subject("test.log.a")) == [1, 3, 5, 7]
    following = await reader.next_of_subject("test.log.a", 6)
    assert following is not None
    assert following.sequence == 7
    assert {"subjects_filter": "test.log.a"} in asked


async def test_of_a_stream_with_one_copy_nobody_is_asked_again_and_again(
    reader: DirectReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, ask = [], reader._info

    async def counted(query: dict[str, str]) -> _Info:
        asked.append(query)
        return await ask(query)

    monkeypatch.setattr(reader, "_info", counted)
    for _ in range(3):
        assert sequences(await reader.of_subject("test.log.a")) == [1, 3, 5]
    assert not await reader.replicated()
    assert len(asked) == 1


@pytest.mark.parametrize("lost", [1, 2, 3])
async def test_a_message_of_an_answer_that_was_lost_is_noticed(
    bus: Bus, log_stream: str, reader: DirectReader, lost: int
) -> None:
    """As between the servers of a cluster, where one connection carries it and another one doesn't."""
    came = 0

    class Lossy(DirectReader):
        async def _receive(self, msg: Msg) -> None:
            nonlocal came
            came += 1
            if came != lost:
                await super()._receive(msg)

    lossy = Lossy(bus, log_stream)
    await lossy.start()
    with pytest.raises(NoAck, match="lost"):
        await lossy.of_subject("test.log.a")
    assert sequences(await lossy.of_subject("test.log.a")) == [1, 3, 5]


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
        await asyncio.wait_for(reading, 30)
    assert sequences(await shaky_reader.batch(1)) == [1, 2, 3, 4, 5, 6]
