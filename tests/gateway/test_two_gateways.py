"""Two gateway processes behind one address, and one of them killed, under load: every client sees its whole history."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from magi.domain.ids import RequestId
from magi.gateway import wire
from tests.gateway.client import Client, Message, request
from tests.gateway.process import GatewayProcess, gateway_process
from tests.gateway.stack import PARTITIONS, Stack, running
from tests.proxy import Proxy
from tests.servers import NatsServer
from tests.waiting import until

CLIENTS = 8
IN_FLIGHT = 3
"""Requests that a client has open at one time."""
KILLS, MOST_KILLS = 2, 8
EVENTS = 8
"""Of a request with three voters."""
PAUSE = 0.05
"""Seconds until a client connects again."""


class Loyal:
    """Asks one request after the other, over whatever connection it can get, and keeps what it was told of each."""

    def __init__(self, name: str, port: int, token: str) -> None:
        self._name = name
        self._port = port
        self._token = token
        self.told: dict[str, list[Message]] = {}
        self.connections = 0
        self.resumed = 0
        self.enough = asyncio.Event()

    @property
    def done(self) -> list[str]:
        """The requests that have their verdict."""
        return [name for name, events in self.told.items() if len(events) == EVENTS]

    @property
    def open(self) -> list[str]:
        return [name for name, events in self.told.items() if len(events) < EVENTS]

    async def run(self) -> None:
        """Until it has had enough, and all that it asked is answered."""
        while self.open or not self.enough.is_set():
            with contextlib.suppress(OSError, ConnectionClosed, InvalidHandshake):
                async with Client.connect(self._port, self._token) as client:
                    self.connections += 1
                    await self._talk(client)
            await asyncio.sleep(PAUSE)

    async def _talk(self, client: Client) -> None:
        for name in self.open:
            if self.told[name]:
                self.resumed += 1
                await client.send({"type": "resume", "request_id": name, "after_seq": len(self.told[name])})
            else:
                await client.send(request(name))
        while self.open or not self.enough.is_set():
            while len(self.open) < IN_FLIGHT and not self.enough.is_set():
                name = f"{self._name}-{len(self.told)}"
                self.told[name] = []
                await client.send(request(name))
            message = await client.receive()
            if message["type"] != "resumed":
                assert "seq" in message, message
                self.told[message["request_id"]].append(message)


@pytest.fixture
async def stack(nats_server: NatsServer) -> AsyncIterator[Stack]:
    async with running(nats_server.url) as stack:
        yield stack


async def kill_one_after_the_other(gateways: list[GatewayProcess], clients: list[Loyal]) -> None:
    """Each time once every client has got something of its way, and until some were in the middle of something."""
    for number in range(MOST_KILLS):
        if number >= KILLS and sum(client.resumed for client in clients) >= KILLS:
            return
        before = [len(client.done) for client in clients]

        async def got_on(before: list[int] = before) -> bool:
            return all(len(client.done) >= n + 5 for client, n in zip(clients, before, strict=True))

        await until(got_on, "everybody is served", 60)
        gateway = gateways[number % 2]
        await gateway.kill()
        await gateway.start()


async def test_whoever_is_killed_each_sees_its_history_whole_and_in_order(stack: Stack, tmp_path: Path) -> None:
    async with AsyncExitStack() as exits:
        gateways = [
            await exits.enter_async_context(
                gateway_process(tmp_path / name, stack.nats_url, orchestrator__partitions=PARTITIONS)
            )
            for name in ("one", "two")
        ]
        address = await exits.enter_async_context(Proxy(*(gateway.port for gateway in gateways)))
        clients = [Loyal(f"client-{number}", address.port, stack.token) for number in range(CLIENTS)]
        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(client.run())
            await kill_one_after_the_other(gateways, clients)
            for client in clients:
                client.enough.set()
        told = {name: events for client in clients for name, events in client.told.items()}
        for name, events in told.items():
            assert [event["seq"] for event in events] == list(range(1, EVENTS + 1)), name
            stored = await stack.stored(name)
            assert events == [json.loads(wire.event(RequestId(name), recorded.event)) for recorded in stored]
        assert sum(client.connections for client in clients) >= CLIENTS + KILLS
        assert sum(client.resumed for client in clients) >= KILLS
