"""What an idle connection costs: so many authenticated clients that say nothing, on one `magi gateway` process.

    python -m bench.idle_connections [--connections 10000] [--steps 5] [--hold 25]

Prints KiB of the gateway's resident memory a connection, over all of them and between steps, after `hold` seconds in
which they are pinged and answer, and the processor time that pinging them takes. The clients are sockets of this
process, which know just enough of WebSocket to shake hands and to answer pings. Needs as many file descriptors.
"""

import argparse
import asyncio
import itertools
import resource
import tempfile
import time
from pathlib import Path
from typing import cast

import psutil
import uvloop

from bench.environment import cpu_seconds, describe
from magi.cli.local import issue_token
from magi.domain import initiator as initiators
from magi.eventstore.bus import Bus
from magi.eventstore.declarations import load_declarations
from magi.eventstore.directory import change_initiator, directory_log
from magi.eventstore.presence import now_ms
from magi.eventstore.streams import apply
from tests.gateway.hostile.raw import PING, PONG, frame, handshake
from tests.gateway.process import GatewayProcess, gateway_process
from tests.servers import NatsServer
from tests.waiting import until

AT_ONCE = 100
"""Handshakes under way at one time; the listening socket's backlog holds 128."""
INITIATORS = 10


class Idle(asyncio.Protocol):
    """A client that does nothing but answer pings (which come alone, in a frame of their own)."""

    def __init__(self, token: str) -> None:
        self._token = token
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.pings = 0
        self.lost = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self.transport.write(handshake(self._token))

    def data_received(self, data: bytes) -> None:
        if not self.open.done():
            head, _, data = data.partition(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 101"):
                self.open.set_exception(ConnectionError(head.decode(errors="replace")))
                return
            self.open.set_result(None)
        if data and data[0] & 0x0F == PING:
            self.pings += 1
            self.transport.write(frame(data[2:], PONG))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


async def connect(port: int, tokens: list[str], count: int) -> list[Idle]:
    loop = asyncio.get_running_loop()
    room = asyncio.Semaphore(AT_ONCE)
    turns = itertools.cycle(tokens)

    async def one() -> Idle:
        async with room:
            _, idle = await loop.create_connection(lambda: Idle(next(turns)), "127.0.0.1", port)
            await asyncio.wait_for(idle.open, 60)
            return idle

    return list(await asyncio.gather(*(one() for _ in range(count))))


async def initiators_tokens(url: str) -> list[str]:
    """A token of each of a few Initiators, on a nats-server that gets its streams here."""
    bus = await Bus.connect(url, name="bench")
    await apply(bus.nc, load_declarations())
    directory = directory_log(bus)
    await directory.start()
    tokens = []
    for number in range(INITIATORS):
        await change_initiator(directory, initiators.Register(f"idle-{number}", "", "bench", now_ms()))
        tokens.append(await issue_token(directory, f"idle-{number}", "bench"))
    await bus.close()
    return tokens


async def measure(gateway: GatewayProcess, tokens: list[str], count: int, steps: int, hold: float) -> None:
    process = psutil.Process(gateway.pid)

    def kib() -> float:
        return float(process.memory_info().rss) / 1024

    clients = await connect(gateway.port, tokens, 100)  # what is made once, whoever connects, is made now
    base = before = kib()
    print(f"{'connections':>11} {'RSS MiB':>8} {'KiB each':>9} {'handshakes/s':>13}")
    for _ in range(steps):
        began = time.perf_counter()
        clients += await connect(gateway.port, tokens, count // steps)
        took = time.perf_counter() - began
        now = kib()
        each = (now - before) / (count // steps)
        print(f"{len(clients):>11} {now / 1024:8.0f} {each:9.1f} {count // steps / took:13.0f}")
        before = now
    used, began = cpu_seconds(gateway.pid), time.perf_counter()
    await asyncio.sleep(hold)
    cpu = (cpu_seconds(gateway.pid) - used) / (time.perf_counter() - began)
    lost = sum(client.lost for client in clients)
    pings = sum(client.pings for client in clients)
    each = (kib() - base) / (len(clients) - 100)
    print(
        f"\nafter {hold:.0f} s of {pings} pings: {each:.1f} KiB a connection, {lost} lost, {cpu:.0%} of a core,"
        f" {cpu / len(clients) * 1e6:.1f} µs/s each"
    )
    for client in clients:
        client.transport.abort()

    async def alone() -> bool:
        return len(process.net_connections()) < 10

    await until(alone, "the gateway has noticed that they are gone", 60)
    await asyncio.sleep(1)
    print(f"RSS when all are gone: {kib() / 1024:.0f} MiB, {base / 1024:.0f} before they came", end="")
    await connect(gateway.port, tokens, count)
    print(f", {kib() / 1024:.0f} when as many came again")


async def main(count: int, steps: int, hold: float) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits[1] < count + 200:
        raise SystemExit(f"{count} connections need as many file descriptors: the hard limit is {limits[1]}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))  # the gateway gets it from us
    print(describe(connections=count, hold=hold))
    with tempfile.TemporaryDirectory() as folder, NatsServer(Path(folder) / "nats") as server:
        tokens = await initiators_tokens(server.url)
        settings = {"limits_connections": count + 100, "limits_ping_seconds": 20, "log__level": "warning"}
        settings |= {"quotas_connections": 0}
        async with gateway_process(Path(folder) / "gateway", server.url, **settings) as gateway:
            await measure(gateway, tokens, count, steps, hold)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--hold", type=float, default=25.0)
    options = parser.parse_args()
    uvloop.run(main(options.connections, options.steps, options.hold))
