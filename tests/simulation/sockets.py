"""WebSockets without sockets: what a gateway's sessions ask of `websockets`, over a connection in memory."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError
from websockets.http11 import Request, Response

from tests.simulation.loop import Process, current_process
from tests.simulation.pipe import Network, _Way, networks

_PING, _PONG, _CLOSE = "\0ping", "\0pong", "\0close"

Handler = Callable[["ServerEnd"], Awaitable[None]]


class Refused(OSError):
    """There is no gateway, or it lets nobody in."""


class _End:
    """One side of a WebSocket."""

    def __init__(self, socket: "Socket", process: Process) -> None:
        self.socket = socket
        self.process = process
        self._frames: asyncio.Queue[str | None] = asyncio.Queue()
        self._pings: list[asyncio.Future[float]] = []
        self.closed = False
        process.on_death.append(self.socket.over)

    def arrived(self, data: bytes) -> None:
        """Called outside of the processes."""
        frame = data.decode()
        if self.closed:
            return
        if frame == _PING:
            self.put(_PONG)
        elif frame == _PONG:
            pongs, self._pings = self._pings, []
            for pong in pongs:
                if not pong.done():
                    pong.set_result(0.0)
        elif frame == _CLOSE:
            self.socket.over()
        else:
            self._frames.put_nowait(frame)

    def put(self, frame: str) -> None:
        self.socket.way_from(self).send(frame.encode())

    def end(self) -> None:
        if not self.closed:
            self.closed = True
            self._frames.put_nowait(None)

    async def recv(self) -> str:
        frame = await self._frames.get()
        if frame is None:
            self._frames.put_nowait(None)
            raise ConnectionClosedError(None, None)
        return frame

    async def send(self, frame: bytes | str, text: bool | None = None) -> None:
        if self.closed:
            raise ConnectionClosedError(None, None)
        self.put(frame if isinstance(frame, str) else frame.decode())

    async def close(self, code: int = 1000, reason: str = "") -> None:
        if not self.closed:
            self.put(_CLOSE)
            self.closed = True
            self._frames.put_nowait(None)


class ServerEnd(_End):
    """Stands for a `magi.gateway.connection.Connection`."""

    remote_address = ("client", 0)

    def __init__(self, socket: "Socket", process: Process, token: str) -> None:
        super().__init__(socket, process)
        self.request = Request("/v1/initiator", Headers(Authorization=f"Bearer {token}"))
        self.transport = SimpleNamespace(abort=socket.over, get_extra_info=lambda name: None)
        self.recv_messages = SimpleNamespace(paused=False)
        self.protocol = SimpleNamespace(close_rcvd=None, close_sent=None, close_rcvd_then_sent=None)

    async def send_texts(self, frames: Iterable[bytes]) -> None:
        for frame in frames:
            await self.send(frame)

    def respond(self, status: HTTPStatus, text: str) -> Response:
        return Response(status.value, status.phrase, Headers(), text.encode())

    async def ping(self) -> "asyncio.Future[float]":
        if self.closed:
            raise ConnectionClosedError(None, None)
        pong: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._pings.append(pong)
        self.put(_PING)
        return pong


class Socket:
    """Both ends, and the ways between them."""

    def __init__(self, network: Network, client: Process, server: Process, token: str) -> None:
        self.network = network
        self.client = _End(self, client)
        self.server = ServerEnd(self, server, token)
        self._to_server = _Way(network, self.server.arrived)
        self._to_client = _Way(network, self.client.arrived)

    def way_from(self, end: _End) -> _Way:
        return self._to_server if end is self.client else self._to_client

    def over(self) -> None:
        """What is under way is lost."""
        self._to_server.broken = self._to_client.broken = True
        self.client.end()
        self.server.end()


class Listening:
    """What `serve` returns."""

    def __init__(self, name: str, process: Process, handler: Handler, admit: Any) -> None:
        self.name = name
        self.process = process
        self.handler = handler
        self.admit = admit
        self.sockets = [SimpleNamespace(getsockname=lambda: (name, 0))]


listening: dict[tuple[int, str], Listening] = {}
"""The gateways of each loop, by name."""


async def serve(handler: Handler, host: str, port: int, *, process_request: Any, **options: Any) -> Listening:
    """Instead of `websockets.asyncio.server.serve`. `host` is the gateway's name."""
    place = id(asyncio.get_running_loop()), host
    found = listening[place] = Listening(host, current_process(), handler, process_request)
    current_process().on_death.append(lambda: listening.pop(place, None))
    return found


async def connect(name: str, token: str) -> _End:
    """The client's end of a new connection to a gateway. Raises Refused."""
    loop = asyncio.get_running_loop()
    network = networks[id(loop)]
    await asyncio.sleep(network.latency())
    gateway = listening.get((id(loop), name))
    if gateway is None:
        raise Refused(f"nobody listens as {name}")
    socket = Socket(network, current_process(), gateway.process, token)
    network.loop.spawn(gateway.process, _serve(gateway, socket))
    return socket.client


async def _serve(gateway: Listening, socket: Socket) -> None:
    answer = gateway.admit(socket.server, socket.server.request)
    if asyncio.iscoroutine(answer):
        answer = await answer
    if answer is not None:
        await socket.server.close()
        return
    try:
        await gateway.handler(socket.server)
    finally:
        await socket.server.close()
