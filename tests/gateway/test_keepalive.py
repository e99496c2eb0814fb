"""Clients are pinged: who answers stays, who doesn't is closed with 4002."""

import asyncio

import msgspec

from tests.gateway.hostile.raw import PING, PONG, TEXT, Raw, frame
from tests.gateway.stack import QUICK, SlowReading, running
from tests.servers import NatsServer
from tests.waiting import stopwatch, until

LOOPS = ("asyncio", "uvloop")
LIMITS = msgspec.structs.replace(QUICK, ping_seconds=0.2)


async def test_whoever_answers_stays(nats_server: NatsServer) -> None:
    async with running(nats_server.url, LIMITS) as stack, Raw.open(stack.gateway.port, stack.token) as raw:
        for _ in range(5):
            found = await raw.next()
            assert found
            assert found.opcode == PING
            raw.write(frame(found.payload, PONG))


async def test_whoever_does_not_answer_is_closed_with_4002(nats_server: NatsServer) -> None:
    async with running(nats_server.url, LIMITS) as stack, Raw.open(stack.gateway.port, stack.token) as raw:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with stopwatch() as watch:
            assert await raw.closed() == 4002
        assert loop.time() - began > 0.3  # until the ping, and until the pong
        assert watch.seconds < 1.5


async def test_messages_are_no_pongs(nats_server: NatsServer) -> None:
    """A proxy may answer for a client that is gone, but not its pings; and a flood must not hide it."""
    async with running(nats_server.url, LIMITS) as stack, Raw.open(stack.gateway.port, stack.token) as raw:
        for _ in range(100):
            raw.write(frame('{"type":"ping"}', TEXT))
        assert await raw.closed() == 4002


async def test_whoever_never_authenticated_is_pinged_too(nats_server: NatsServer) -> None:
    async with running(nats_server.url, LIMITS) as stack, Raw.open(stack.gateway.port, None) as raw:
        assert await raw.closed() == 4002


async def test_a_pong_that_waits_for_us_to_read_it_counts(nats_server: NatsServer) -> None:
    """While the log is slow we read no frames of this client: its pong is behind them."""
    async with running(nats_server.url, LIMITS) as stack, stack.client() as client:
        reading = SlowReading(stack.gateway)
        await client.send({"type": "resume", "request_id": "abc123"})
        await reading.answered()
        for _ in range(20):
            await client.send({"type": "ping"})
        loop = asyncio.get_running_loop()
        began = loop.time()

        async def long_enough() -> bool:
            return loop.time() - began > 4 * LIMITS.ping_seconds

        await until(long_enough, "it would have been closed")
        reading.go_on()
        assert (await client.receive())["code"] == "unknown_request"
        for _ in range(20):
            assert await client.receive() == {"type": "pong"}
        assert await client.silent()
