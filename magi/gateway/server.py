"""The gateway as a part: listens, lets clients in, watches over their connections, and takes its leave of them."""

import asyncio
import http
import weakref
from typing import Any

import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import NegotiationError
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from magi.domain.directory import DirectoryEvent, Principal
from magi.domain.voting_request import RequestEvent
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.directory import DirectoryView
from magi.eventstore.log import JetStreamLog
from magi.gateway.hub import Hub
from magi.gateway.session import Services, Session, authenticate
from magi.gateway.settings import GatewaySettings

log = structlog.get_logger(__name__)

SUBPROTOCOL = Subprotocol("magi.v1")
INITIATOR_PATHS = frozenset({"/", "/v1/initiator"})
SHUTTING_DOWN = 1012
_SWEEPS = 10
"""How often a connection is looked at within `stuck_seconds`."""
_PING = 20.0


class CannotListen(Exception):
    """The address can't be listened on."""


class Gateway:
    """Serves Initiators. Any number of gateways can run side by side."""

    def __init__(
        self, bus: Bus, settings: GatewaySettings, *, partitions: int, panel_size: int, default_group: str
    ) -> None:
        self._bus = bus
        self._settings = settings
        self._log: JetStreamLog[RequestEvent] = JetStreamLog(bus, subjects.LOG, subjects.LOG_PREFIX, RequestEvent)
        self._directory = DirectoryView(bus, self._on_directory)
        self._hub = Hub(bus)
        self._services = Services(
            bus, self._log, self._directory, self._hub, partitions, panel_size, default_group, settings.limits
        )
        self._sessions: set[Session] = set()
        self._connections: weakref.WeakSet[ServerConnection] = weakref.WeakSet()
        """Every connection, also those that have not said yet what they want."""
        self._server: Server | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def port(self) -> int:
        """The port that it listens on."""
        assert self._server is not None
        return int(next(iter(self._server.sockets)).getsockname()[1])

    @property
    def failed(self) -> asyncio.Future[None]:
        """Set when it can't go on: its copy of the directory is broken."""
        return self._directory.failed

    @property
    def ready(self) -> bool:
        """Whether requests can be served now."""
        return self._server is not None and self._bus.nc.is_connected and not self._stopping

    async def start(self) -> None:
        """Begin to serve. Raises CannotListen, BusError."""
        await self._log.start()
        await self._directory.start()
        await self._hub.start()
        try:
            self._server = await serve(
                self._serve,
                self._settings.host,
                self._settings.port,
                process_request=self._admit,
                select_subprotocol=_select_subprotocol,
                subprotocols=[SUBPROTOCOL],
                compression=None,  # 55 instead of 15 KiB a connection, and content leaks through its size
                max_size=self._settings.limits.message_bytes,
                max_queue=4,  # frames read ahead: bounds memory to four messages a connection
                ping_interval=_PING,
                ping_timeout=_PING,
                close_timeout=1,
                server_header=None,
                create_connection=self._connect,  # type: ignore[arg-type]  # it is only ever called
            )
        except OSError as error:
            raise CannotListen(f"can't listen on {self._settings.host}:{self._settings.port}: {error}") from error
        self._sweeper = asyncio.create_task(self._sweep())
        log.info("gateway_listens", host=self._settings.host, port=self.port)

    async def stop(self) -> None:
        """Let nobody in, flush what is owed, close with 1012, and abort who is left when the grace is over."""
        self._stopping = True
        if self._server:
            self._server.close(close_connections=False)
        for session in list(self._sessions):
            session.outbound.close(SHUTTING_DOWN, "shutting down")
        if self._sessions:
            waits = [asyncio.create_task(session.outbound.finished()) for session in self._sessions]
            await asyncio.wait(waits, timeout=self._settings.grace_seconds)
        for session in list(self._sessions):
            session.abort()
        for connection in list(self._connections):  # who never finished the handshake, too
            connection.transport.abort()
        if self._server:
            await self._server.wait_closed()
        if self._sweeper:
            self._sweeper.cancel()
        await self._hub.stop()
        await self._directory.stop()

    def _connect(self, *args: Any, **kwargs: Any) -> ServerConnection:
        connection = ServerConnection(*args, **kwargs)
        self._connections.add(connection)
        return connection

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer what is no handshake of an Initiator, and whoever shows a bad token."""
        path = request.path.partition("?")[0]
        if path == "/healthz":
            return connection.respond(http.HTTPStatus.OK, "alive\n")
        if path == "/readyz":
            if self.ready:
                return connection.respond(http.HTTPStatus.OK, "ready\n")
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "not ready\n")
        if path not in INITIATOR_PATHS:
            return connection.respond(http.HTTPStatus.NOT_FOUND, "no such path\n")
        if self._stopping:
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "shutting down\n")
        token = _bearer(request.headers)
        if token is None:
            return None
        principal = authenticate(self._services, token)
        if principal is None:
            response = connection.respond(http.HTTPStatus.UNAUTHORIZED, "token: unknown, expired or revoked\n")
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
        connection.magi_principal = principal  # type: ignore[attr-defined]
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        principal: Principal | None = getattr(connection, "magi_principal", None)
        session = Session(connection, self._services, principal)
        self._sessions.add(session)
        try:
            session.check_token()  # revoked between the handshake and now
            if self._stopping:
                session.outbound.close(SHUTTING_DOWN, "shutting down")
            await session.run()
        finally:
            self._sessions.discard(session)

    async def _sweep(self) -> None:
        """Cut off clients that take nothing off their connection: the check costs one pass in a while, not a timer a
        frame."""
        loop = asyncio.get_running_loop()
        stuck = self._settings.limits.stuck_seconds
        interval = stuck / _SWEEPS
        while True:
            await asyncio.sleep(interval)
            oldest = loop.time() - stuck + interval
            for session in list(self._sessions):
                since = session.outbound.stuck_since
                if since is not None and since < oldest:
                    session.outbound.cut_off()

    async def _on_directory(self, event: DirectoryEvent) -> None:
        if event.originator_id.startswith("initiator."):
            for session in self._sessions:
                session.check_token()


def _bearer(headers: Headers) -> str | None:
    """The token of an Authorization header; an empty one when the header is there and holds none."""
    values = headers.get_all("Authorization")
    if not values:
        return None
    scheme, _, token = values[0].partition(" ")
    return token.strip() if len(values) == 1 and scheme.lower() == "bearer" else ""


def _select_subprotocol(connection: Any, offered: Any) -> Subprotocol | None:
    """`magi.v1` when it is offered, none when nothing is, else HTTP 400."""
    if not offered:
        return None
    if SUBPROTOCOL in offered:
        return SUBPROTOCOL
    raise NegotiationError(f"expected the subprotocol {SUBPROTOCOL}")
