"""The short way in and out of nats-py: what comes is read whole and once, what goes can't become something else."""

import asyncio
import os
import signal

import pytest
from nats import errors

from magi.eventstore.bus import Bus
from magi.eventstore.client import LONGEST_LINE, FastClient, Listening, Message, encode_headers
from tests.servers import NatsServer
from tests.waiting import until

WIRE = (
    b"MSG news.a 1 5\r\nhello\r\n"
    b"+OK\r\n"
    b"MSG news.b 1 answer.here 2\r\n\r\n\r\n"
    b"PONG\r\n"
    b"HMSG news.c 1 12 16\r\nNATS/1.0\r\n\r\nMSG \r\n"
    b"HMSG news.d 1 $JS.ACK.x 32 32\r\nNATS/1.0\r\nKind: x\r\nOdd:y: z \r\n\r\n\r\n"
    b"HMSG news.e 1 28 28\r\nNATS/1.0 404 No Messages\r\n\r\n\r\n"
    b"MSG news.f 9 7\r\nunknown\r\n"
    b"MSG news.g 1 0\r\n\r\n"
)
READ = [
    ("news.a", "", b"hello", None),
    ("news.b", "answer.here", b"\r\n", None),
    ("news.c", "", b"MSG ", None),
    ("news.d", "$JS.ACK.x", b"", {"Kind": "x", "Odd": "y: z"}),
    ("news.e", "", b"", {"Status": "404", "Description": "No Messages"}),
    ("news.g", "", b"", None),
]


async def reader() -> tuple[FastClient, list[Message]]:
    """A client that isn't connected, and what its one subscription, number 1, is handed."""
    client, got = FastClient(), list[Message]()
    client._subs[1] = Listening(client, 1, "news.*", got.append)
    return client, got


def shown(got: list[Message]) -> list[tuple[str, str, bytes, dict[str, str] | None]]:
    return [(msg.subject, msg.reply, msg.data, msg.headers) for msg in got]


# --- Reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 7, 40, 10_000])
async def test_messages_are_read_whole_wherever_the_network_cuts_them(size: int) -> None:
    client, got = await reader()
    for start in range(0, len(WIRE), size):
        await client._ps.parse(WIRE[start : start + size])
    assert shown(got) == READ


async def test_what_came_of_a_lost_connection_is_forgotten() -> None:
    client, got = await reader()
    await client._ps.parse(WIRE[:18])
    client._ps.reset()
    await client._ps.parse(WIRE)
    assert shown(got) == READ


@pytest.mark.parametrize(
    "line", [b"HELLO\r\n", b"MSG a\r\n", b"MSG a 1 -2\r\n", b"MSG a 1 x\r\n", b"HMSG a 1 5 3\r\n", b"INFO {\r\n"]
)
async def test_what_is_not_nats_ends_the_reading(line: bytes) -> None:
    client, _ = await reader()
    with pytest.raises(errors.ProtocolError):
        await client._ps.parse(line)


async def test_a_line_without_an_end_is_not_collected_for_ever() -> None:
    client, _ = await reader()
    await client._ps.parse(b"x" * (LONGEST_LINE // 2))
    with pytest.raises(errors.ProtocolError):
        await client._ps.parse(b"x" * LONGEST_LINE)


async def test_a_listener_that_fails_keeps_nobody_from_reading(bus: Bus) -> None:
    got: list[Message] = []

    def fail(_: Message) -> None:
        raise RuntimeError("a listener of its own")

    await bus.listen("news", fail)
    await bus.listen("news", got.append)
    await bus.publish("news", b"1")

    async def heard() -> bool:
        return len(got) == 1

    await until(heard, "the other has heard it")
    assert b"streams" in await bus.request("$JS.API.INFO")


# --- Sending ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "a b", "a\r\nPING", "a\nb", "a\tb", "a\x00"])
async def test_no_subject_becomes_a_command(bus: Bus, text: str) -> None:
    with pytest.raises(errors.BadSubjectError):
        bus.nc.put(text, "", b"", b"")
    if text:
        with pytest.raises(errors.BadSubjectError):
            bus.nc.put("a", text, b"", b"")


@pytest.mark.parametrize("headers", [{"A": "x\r\nB: y"}, {"A\r\nB": "x"}, {"A": "x\n"}])
def test_no_header_becomes_another(headers: dict[str, str]) -> None:
    with pytest.raises(errors.BadHeaderError):
        encode_headers(headers)


async def test_a_server_that_takes_nothing_makes_whoever_sends_wait_and_gets_all_of_it_later(
    fresh_nats: NatsServer,
) -> None:
    bus, other = [await Bus.connect(fresh_nats.url, name=name) for name in ("sender", "reader")]
    got: list[Message] = []
    await other.listen("bulk", got.append)
    assert b"streams" in await other.request("$JS.API.INFO")  # and so it has heard of the subscription
    os.kill(fresh_nats.pid, signal.SIGSTOP)
    sent = 0

    async def send() -> None:
        nonlocal sent
        while sent < 300:
            await bus.publish("bulk", b"%8d" % sent + bytes(128 * 1024))
            sent += 1
            await asyncio.sleep(0)

    sending = asyncio.create_task(send())
    try:

        async def waits() -> bool:
            return bus.nc.congested

        await until(waits, "it waits")
        assert sent < 300
    finally:
        os.kill(fresh_nats.pid, signal.SIGCONT)
    await sending

    async def arrived() -> bool:
        return len(got) == 300

    await until(arrived, "all of it has come", 30)
    assert [int(msg.data[:8]) for msg in got] == list(range(300))
    await bus.close()
    await other.close()
