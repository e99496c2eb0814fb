"""Connections between a process and the server: bytes in order, late by a little, until the connection breaks.

The client's end is a transport of nats-py: its own client runs on it, with its reader, its flusher and its way to come
back. The process that opened it may be paused or killed: what it has written arrives all the same, as from a kernel.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from nats.aio.transport import Transport

from tests.simulation.loop import Process, VirtualLoop, current_process

MTU = 65_536


class Listener(Protocol):
    """A server. All is called outside of the processes."""

    def accept(self, link: "Link") -> bool:
        """Somebody connects: whether there is anybody."""
        ...

    def receive(self, link: "Link", data: bytes) -> None: ...

    def closed(self, link: "Link") -> None:
        """The server has noticed that the connection is over."""
        ...


class Network:
    """Who listens where, and how long bytes take. One a loop: `network`."""

    def __init__(self, loop: VirtualLoop, seed: int | str) -> None:
        self.loop = loop
        self.draw = random.Random(f"network {seed}")
        self.listeners: dict[str, Listener] = {}
        self.links: list[Link] = []
        self.quickest, self.slowest = 0.0001, 0.002
        """Seconds that a chunk is under way."""

    def latency(self) -> float:
        return self.quickest + (self.slowest - self.quickest) * self.draw.random() ** 3

    def call(self, delay: float, callback: Callable[..., None], *args: Any) -> asyncio.TimerHandle:
        """Outside of all processes."""
        return self.loop.call_later(delay, callback, *args, context=self.loop.kernel.context)


networks: dict[int, Network] = {}
"""By the id of their loop."""


class _Way:
    """One direction of a connection."""

    def __init__(self, network: Network, arrive: Callable[[bytes], None]) -> None:
        self._network = network
        self._arrive = arrive
        self._under_way: deque[list[bytes]] = deque()
        self._last = 0.0
        self.stalled_until = 0.0
        self.broken = False

    def send(self, data: bytes) -> None:
        if self.broken:
            return
        loop = self._network.loop
        if self._under_way and self._under_way[-1][-1] != b"":
            self._under_way[-1].append(data)  # it travels with what is there already
            return
        self._under_way.append([data])
        at = max(loop.elapsed + self._network.latency(), self._last, self.stalled_until)
        self._last = at
        self._network.call(at - loop.elapsed, self._deliver)

    def _deliver(self) -> None:
        if self.broken or not self._under_way:
            return
        if self._network.loop.elapsed < self.stalled_until:
            self._network.call(self.stalled_until - self._network.loop.elapsed, self._deliver)
            return
        for data in self._under_way.popleft():
            if not self.broken:
                self._arrive(data)


class Link:
    """A connection. Empty bytes are its end."""

    def __init__(self, network: Network, listener: Listener) -> None:
        self.network = network
        self.process: Process = current_process()
        self.number = len(network.links)
        self.open = True
        """Whether the server believes in it."""
        self.reader = asyncio.StreamReader(limit=2**24)
        self._listener = listener
        self.up = _Way(network, self._to_server)
        self.down = _Way(network, self._to_client)
        self._eof = False
        self.process.on_death.append(self.close)
        network.links.append(self)

    def send(self, data: bytes) -> None:
        """From the server."""
        self.down.send(data)

    def close(self) -> None:
        """By the client: behind what it has sent."""
        self.up.send(b"")

    def cut(self, noticed_after: float = 0.0) -> None:
        """What is under way is lost, both ways. The server notices later."""
        if self.up.broken:
            return
        self.up.broken = self.down.broken = True
        if not self._eof:
            self._eof = True
            self.reader.set_exception(ConnectionResetError("cut"))
        self.network.call(noticed_after, self._over)

    def _to_server(self, data: bytes) -> None:
        if data:
            self._listener.receive(self, data)
        else:
            self.up.broken = self.down.broken = True
            self._over()

    def _to_client(self, data: bytes) -> None:
        if not self._eof:
            self.reader.feed_data(data)

    def _over(self) -> None:
        if self.open:
            self.open = False
            self._listener.closed(self)

    @property
    def broken(self) -> bool:
        return self.up.broken


class PipeTransport(Transport):
    """For nats-py, instead of TCP."""

    def __init__(self) -> None:
        self._link: Link | None = None

    async def connect(self, uri: Any, buffer_size: int, connect_timeout: int) -> None:
        network = networks[id(asyncio.get_running_loop())]
        await asyncio.sleep(network.latency())
        listener = network.listeners.get(uri.hostname)
        if listener is None:
            raise ConnectionRefusedError(f"nobody listens on {uri.hostname}")
        link = Link(network, listener)
        if not listener.accept(link):
            raise ConnectionRefusedError(f"{uri.hostname} refuses")
        self._link = link

    async def connect_tls(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError

    @property
    def _there(self) -> Link:
        assert self._link is not None
        return self._link

    def write(self, payload: bytes) -> None:
        self._there.up.send(bytes(payload))

    def writelines(self, payload: list[bytes]) -> None:
        if data := b"".join(payload):  # no bytes at all would be the end
            self._there.up.send(data)

    async def read(self, buffer_size: int) -> bytes:
        return await self._there.reader.read(MTU)

    async def readline(self) -> bytes:
        return await self._there.reader.readline()

    async def drain(self) -> None:
        if self._there.broken:
            raise ConnectionResetError("connection lost")

    async def wait_closed(self) -> None:
        pass

    def close(self) -> None:
        link = self._there
        link.close()
        if not link._eof:
            link._eof = True
            link.reader.feed_eof()

    def at_eof(self) -> bool:
        return self._link is None or self._link.reader.at_eof()

    def __bool__(self) -> bool:
        return self._link is not None
