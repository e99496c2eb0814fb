"""The queue to one client, over a real connection: nobody who doesn't read holds anything up, or gets away with it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from magi.gateway.connection import Connection
from magi.gateway.outbound import Outbound
from tests.gateway.client import small_socket
from tests.waiting import stopwatch, until

LOOPS = ("asyncio", "uvloop")
LIMIT = 50_000
FRAME = b"x" * 10_000


@asynccontextmanager
async def connected(limit: int = LIMIT) -> AsyncIterator[tuple[Outbound, ClientConnection]]:
    """An `Outbound` and the client at its other end, over sockets that hold only a few kilobytes."""
    made: asyncio.Future[Outbound] = asyncio.get_running_loop().create_future()

    async def serve_one(connection: ServerConnection) -> None:
        assert isinstance(connection, Connection)
        outbound = Outbound(connection, limit)
        made.set_result(outbound)
        await connection.wait_closed()
        await outbound.finished()

    async with serve(
        serve_one, "127.0.0.1", 0, compression=None, ping_interval=None, close_timeout=1, create_connection=Connection
    ) as server:
        listening = next(iter(server.sockets))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sock = small_socket(listening.getsockname()[1])
        async with connect("ws://test/", sock=sock, compression=None, max_queue=1, close_timeout=1) as client:
            outbound = await made
            try:
                yield outbound, client
            finally:
                outbound.abort()
                client.transport.abort()  # it may have stopped reading


async def read(client: ClientConnection) -> tuple[list[str | bytes], int]:
    """Everything up to the end of the connection, and the close code."""
    frames: list[str | bytes] = []
    try:
        async with asyncio.timeout(30):
            while True:
                frames.append(await client.recv())
    except ConnectionClosed as closed:
        return frames, closed.rcvd.code if closed.rcvd else 1006


class Writes:
    """Stands before a connection's transport and notes what is written."""

    def __init__(self, connection: Connection) -> None:
        self.sizes: list[int] = []
        self._transport = connection.transport
        connection.transport = self  # type: ignore[assignment]

    def write(self, data: bytes) -> None:
        self.sizes.append(len(data))
        self._transport.write(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)


async def fill(outbound: Outbound) -> None:
    """Send until the writer is stuck on a frame that the client doesn't take."""

    async def stuck() -> bool:
        if outbound.stuck_since is None:
            outbound.send(FRAME)
            return False
        return asyncio.get_running_loop().time() - outbound.stuck_since > 0.05

    await until(stuck, "the client takes nothing any more")


class TestSending:
    async def test_frames_come_in_order_and_as_text(self) -> None:
        async with connected() as (outbound, client):
            for number in range(100):
                outbound.send(b'{"number":%d}' % number)
            assert [await client.recv() for _ in range(100)] == [f'{{"number":{n}}}' for n in range(100)]

    async def test_frames_that_wait_are_one_write_up_to_a_size(self) -> None:
        async with connected() as (outbound, client):
            writes = Writes(outbound._connection)
            for number in range(8):
                outbound.send(b'{"number":%d}' % number)
            assert [await client.recv() for _ in range(8)] == [f'{{"number":{n}}}' for n in range(8)]
            assert len(writes.sizes) == 1
            for _ in range(5):
                outbound.send(FRAME)
            assert [await client.recv() for _ in range(5)] == [FRAME.decode()] * 5
            assert len(writes.sizes) == 1 + 3

    async def test_what_was_queued_is_sent_before_the_connection_is_closed(self) -> None:
        async with connected() as (outbound, client):
            for _ in range(5):
                outbound.send(FRAME)
            outbound.close(1012, "shutting down")
            outbound.send(b"too late")
            outbound.close(4505, "too late")
            frames, code = await read(client)
            assert frames == [FRAME.decode()] * 5
            assert code == 1012

    async def test_a_frame_larger_than_the_limit_can_be_had(self) -> None:
        async with connected() as (outbound, client):
            outbound.send(b"y" * (2 * LIMIT))
            assert len(await client.recv()) == 2 * LIMIT
            assert not outbound.closing

    async def test_a_client_that_reads_gets_any_amount_in_the_end(self) -> None:
        async with connected() as (outbound, client):

            async def produce() -> None:
                for _ in range(100):
                    await outbound.room()
                    outbound.send(FRAME)
                outbound.close(1000, "")

            producing = asyncio.create_task(produce())
            frames, code = await read(client)
            await producing
            assert (len(frames), code) == (100, 1000)

    async def test_when_the_client_is_gone_nothing_raises_and_nobody_waits(self) -> None:
        async with connected() as (outbound, client):
            client.transport.abort()
            await outbound._connection.wait_closed()
            for _ in range(20):
                outbound.send(FRAME)
                await asyncio.wait_for(outbound.room(), 30)
            assert outbound.closing


class TestAClientThatDoesNotRead:
    async def test_too_much_that_waits_closes_with_4001(self) -> None:
        async with connected() as (outbound, client):
            client.transport.pause_reading()
            await fill(outbound)
            while not outbound.closing:
                outbound.send(FRAME)
            client.transport.resume_reading()
            frames, code = await read(client)
            assert code == 4001
            assert len(frames) * len(FRAME) < 500_000

    async def test_to_cut_it_off_twice_is_once(self) -> None:
        async with connected() as (outbound, client):
            client.transport.pause_reading()
            await fill(outbound)
            outbound.cut_off()
            await asyncio.sleep(0)
            outbound.cut_off()
            client.transport.resume_reading()
            assert (await read(client))[1] == 4001

    async def test_one_that_never_reads_is_gone_within_two_seconds(self) -> None:
        async with connected() as (outbound, client):
            client.transport.pause_reading()
            await fill(outbound)
            outbound.cut_off()
            async with stopwatch() as watch, asyncio.timeout(30):
                await outbound.finished()
                await outbound._connection.wait_closed()
            assert watch.seconds < 2
            assert outbound.stuck_since is None

    async def test_its_writer_says_since_when_it_is_stuck(self) -> None:
        async with connected() as (outbound, client):
            assert outbound.stuck_since is None
            client.transport.pause_reading()
            await fill(outbound)
            client.transport.resume_reading()

            async def free() -> bool:
                await asyncio.wait_for(client.recv(), 30)
                return outbound.stuck_since is None

            await until(free, "it goes on")

    async def test_a_long_replay_waits_for_room(self) -> None:
        async with connected() as (outbound, client):
            client.transport.pause_reading()
            await fill(outbound)
            for _ in range(3):
                outbound.send(FRAME)
            waiting = asyncio.create_task(outbound.room())
            await asyncio.sleep(0)
            assert not waiting.done()
            client.transport.resume_reading()
            while not waiting.done():
                await asyncio.wait_for(client.recv(), 30)
            assert not outbound.closing

    @pytest.mark.parametrize("end", ["cut_off", "abort"])
    async def test_its_end_is_the_end_of_the_waiting(self, end: str) -> None:
        async with connected() as (outbound, client):
            client.transport.pause_reading()
            await fill(outbound)
            for _ in range(3):
                outbound.send(FRAME)
            waiting = asyncio.create_task(outbound.room())
            getattr(outbound, end)()
            await asyncio.wait_for(waiting, 30)
            assert outbound.closing

    async def test_closing_it_takes_no_longer_than_the_goodbye(self) -> None:
        async with connected() as (outbound, client):
            client.transport.pause_reading()
            await fill(outbound)
            outbound.close(1012, "shutting down")
            outbound.abort()
            async with stopwatch() as watch, asyncio.timeout(30):
                await outbound.finished()
                await outbound._connection.wait_closed()
            assert watch.seconds < 0.5
