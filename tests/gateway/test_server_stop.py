"""The gateway's end, and clients that don't read: nobody can hold it up, and nobody is held up by them."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from structlog.testing import capture_logs
from websockets.exceptions import InvalidHandshake, InvalidStatus

from magi.gateway.server import Gateway
from magi.gateway.settings import Limits
from tests.gateway.client import Client, request, seqs, small_socket
from tests.gateway.stack import QUICK, SlowReading, Stack, running
from tests.servers import NatsServer
from tests.waiting import stopwatch, until

LOOPS = ("asyncio", "uvloop")
GRACE = 0.3
STUCK = Limits(outbound_bytes=16_384, stuck_seconds=0.5, messages_per_second=100_000, burst=100_000)


async def stop(gateway: Gateway) -> float:
    """Stop it and return how many seconds it took."""
    async with stopwatch() as watch:
        await asyncio.wait_for(gateway.stop(), 30)
    return watch.seconds


@asynccontextmanager
async def deaf_client(stack: Stack, gateway: Gateway | None = None) -> AsyncIterator[Client]:
    """An authenticated client that stops reading, with little room for what it doesn't read."""
    gateway = gateway or stack.gateway
    assert gateway._server is not None
    for listening in gateway._server.sockets:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    sock = small_socket(gateway.port)
    async with Client.connect(gateway.port, stack.token, sock=sock, max_queue=1) as client:
        assert await client.silent()
        client.connection.transport.pause_reading()
        try:
            yield client
        finally:
            client.connection.transport.abort()


async def flood(stack: Stack, client: Client, gateway: Gateway | None = None) -> None:
    """Ask a deaf client's gateway for more than it takes, and return when the gateway is stuck with it."""
    for _ in range(200):
        await client.send({"type": "get_voters"})
    await until_stuck(gateway or stack.gateway)


async def until_stuck(gateway: Gateway, for_seconds: float = 0.0) -> None:
    """Return when the gateway couldn't send for that long."""

    async def stuck() -> bool:
        since = [session.outbound.stuck_since for session in gateway._sessions]
        latest = asyncio.get_running_loop().time() - for_seconds
        return any(begun is not None and begun <= latest for begun in since)

    await until(stuck, "the gateway can't send")


class TestStop:
    async def test_everybody_is_told_1012(self, stack: Stack, client: Client) -> None:
        async with Client.connect(stack.gateway.port) as unauthenticated, stack.client() as other:
            await client.send(request(metadata={"voter_1": "held"}))
            await client.until_type("acknowledged")
            took = await stop(stack.gateway)
            assert [await c.closed() for c in (client, unauthenticated, other)] == [1012, 1012, 1012]
            assert took < 1.0

    async def test_nobody_is_let_in_any_more(self, stack: Stack) -> None:
        port = stack.gateway.port
        await stop(stack.gateway)
        with pytest.raises((InvalidStatus, OSError)):
            async with Client.connect(port, stack.token):
                pass

    async def test_what_a_client_is_owed_it_gets(self, stack: Stack) -> None:
        gateway = await stack.start_gateway(grace=5.0)
        async with deaf_client(stack, gateway) as slow:
            await flood(stack, slow, gateway)
            stopping = asyncio.create_task(stop(gateway))
            await asyncio.sleep(0)
            slow.connection.transport.resume_reading()
            assert (await slow.receive())["type"] == "voters"
            assert await slow.closed() == 1012
            assert await stopping < 5.0

    async def test_whoever_comes_at_that_moment_is_refused_or_told_1012(self, stack: Stack) -> None:
        async def come() -> int:
            try:
                async with stack.client() as client:
                    return await client.closed()
            except (InvalidHandshake, OSError):
                return 1012

        coming = [asyncio.create_task(come()) for _ in range(50)]

        async def first() -> bool:
            return bool(stack.gateway._sessions)

        await until(first, "the first is in")
        await stop(stack.gateway)
        assert set(await asyncio.gather(*coming)) == {1012}

    async def test_nothing_of_it_is_left_on_its_connection(self, stack: Stack) -> None:
        await stop(stack.gateway)
        assert stack.gateway._bus.on_reconnected == []

    async def test_requests_go_on_without_it(self, stack: Stack, client: Client) -> None:
        second = await stack.start_gateway()
        await client.send(request(metadata={"voter_1": "held"}))
        await client.until_type("acknowledged")
        await stop(stack.gateway)
        assert await client.closed() == 1012
        async with stack.client(gateway=second) as again:
            before = await again.resume("abc123")
            stack.release("abc123")
            after = await again.until_type("final_result")
            assert seqs(before + after) == list(range(1, 9))


class TestStopIsNotHeldUp:
    """It ends within the grace and a second, whatever its clients do."""

    async def test_by_a_client_that_does_not_read(self, stack: Stack) -> None:
        gateway = await stack.start_gateway(grace=GRACE)
        async with deaf_client(stack, gateway) as deaf:
            await flood(stack, deaf, gateway)
            assert await stop(gateway) < GRACE + 1

    async def test_by_a_client_that_never_answers_the_goodbye(self, stack: Stack) -> None:
        gateway = await stack.start_gateway(grace=GRACE)
        async with deaf_client(stack, gateway):
            assert await stop(gateway) < GRACE + 1

    async def test_by_somebody_who_connects_and_says_nothing(self, stack: Stack) -> None:
        gateway = await stack.start_gateway(grace=GRACE)
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"GET /v1/initiator HTTP/1.1\r\n")
        assert await stop(gateway) < GRACE + 1
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 30)
        writer.transport.abort()

    async def test_by_one_that_waits_for_the_log(self, stack: Stack) -> None:
        gateway = await stack.start_gateway(grace=GRACE)
        async with stack.client(gateway=gateway) as client:
            reading = SlowReading(gateway)
            await client.send({"type": "resume", "request_id": "abc123"})
            await reading.answered()  # and it doesn't go on
            assert await stop(gateway) < GRACE + 1
            assert await client.closed() in (1006, 1012)

    async def test_twice_is_once(self, stack: Stack) -> None:
        await stop(stack.gateway)
        assert await stop(stack.gateway) < 0.5


class TestAClientThatDoesNotRead:
    async def test_it_is_cut_off_with_4001_in_time(self, nats_server: NatsServer) -> None:
        async with running(nats_server.url, STUCK) as stack, deaf_client(stack) as deaf:
            with capture_logs() as logs:
                await flood(stack, deaf)

                async def cut_off() -> bool:
                    return any(entry["event"] == "client_cut_off" for entry in logs)

                async with stopwatch() as watch:
                    await until(cut_off, "it is cut off")
            assert watch.seconds < STUCK.stuck_seconds + 0.5
            deaf.connection.transport.resume_reading()
            assert await deaf.closed() == 4001

    async def test_one_that_never_reads_again_is_gone(self, nats_server: NatsServer) -> None:
        async with running(nats_server.url, STUCK) as stack, deaf_client(stack) as deaf:
            await flood(stack, deaf)

            async def gone() -> bool:
                return not stack.gateway._sessions

            async with stopwatch() as watch:
                await until(gone, "its session has ended")
            assert watch.seconds < STUCK.stuck_seconds + 2

    async def test_a_slow_one_that_reads_in_the_end_is_left_alone(self, nats_server: NatsServer) -> None:
        limits = msgspec.structs.replace(QUICK, stuck_seconds=2.0)
        async with running(nats_server.url, limits) as stack, deaf_client(stack) as slow:
            await flood(stack, slow)
            await until_stuck(stack.gateway, for_seconds=0.5)
            slow.connection.transport.resume_reading()
            for _ in range(200):
                assert (await slow.receive())["type"] == "voters"
            assert await slow.silent()

    async def test_a_long_replay_does_not_cut_off_a_slow_one(self, stack: Stack, client: Client) -> None:
        gateway = await stack.start_gateway(Limits(outbound_bytes=16_384))
        events = await client.judged(request(metadata={"padding": 4000}))
        async with deaf_client(stack, gateway) as slow:
            for _ in range(10):
                await slow.send({"type": "resume", "request_id": "abc123"})
            await until_stuck(gateway)
            slow.connection.transport.resume_reading()
            for _ in range(10):
                assert [await slow.receive() for _ in events] == events
                assert (await slow.receive())["type"] == "resumed"

    async def test_nobody_else_waits_for_it(self, nats_server: NatsServer) -> None:
        limits = msgspec.structs.replace(QUICK, stuck_seconds=90.0)
        async with running(nats_server.url, limits) as stack, deaf_client(stack) as deaf, stack.client() as client:
            await flood(stack, deaf)
            async with asyncio.timeout(30):  # and not the time after which it is cut off
                await deaf.send({"type": "resume", "request_id": "r0"})
                for number in range(10):
                    events = await client.judged(request(f"r{number}"))
                    assert seqs(events) == list(range(1, 9))

    async def test_events_that_pile_up_cut_it_off(self, nats_server: NatsServer) -> None:
        limits = msgspec.structs.replace(STUCK, stuck_seconds=90.0)  # it is not that which cuts it off
        async with running(nats_server.url, limits) as stack, deaf_client(stack) as deaf:
            with capture_logs() as logs:
                for number in range(20):
                    await deaf.send(request(f"r{number}", metadata={"padding": 4000}))

                async def cut_off() -> bool:
                    return any(entry["event"] == "client_cut_off" for entry in logs)

                await until(cut_off, "it is cut off")
            deaf.connection.transport.resume_reading()
            assert await deaf.closed() == 4001
