"""The gateway as a part: listens, lets clients in, watches over their connections, and takes its leave of them."""

import asyncio
import random
import weakref
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import structlog
from websockets.asyncio.server import Server, ServerConnection, serve

from magi.domain.directory import DirectoryEvent
from magi.domain.initiator import InitiatorChanged
from magi.domain.voting_request import RequestEvent
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.declarations import Overrides, StreamDeclaration, load_declarations
from magi.eventstore.directory import DirectoryView
from magi.eventstore.log import JetStreamLog
from magi.eventstore.tls import BadTlsFile
from magi.gateway import farewell
from magi.gateway.admission import SUBPROTOCOL, VOTER_PATH, Admission, is_other_version, path_of, select_subprotocol
from magi.gateway.client import SHUTTING_DOWN, ClientSession
from magi.gateway.coming_and_going import how_it_ended
from magi.gateway.connection import Connection
from magi.gateway.hub import Hub
from magi.gateway.last_use import LastUse
from magi.gateway.metrics import CLIENTS
from magi.gateway.quotas import Quotas
from magi.gateway.readiness import Readiness
from magi.gateway.session import Services, Session
from magi.gateway.settings import GatewaySettings
from magi.gateway.tls import Certificate, find_certificate
from magi.gateway.voters.session import VoterServices, VoterSession
from magi.telemetry import declarations as d
from magi.telemetry.instruments import Reading

log = structlog.get_logger(__name__)

UNSUPPORTED_VERSION = 4506
LEAVE = 0.4
"""Seconds past the grace to take leave of NATS, which takes milliseconds, or for ever when it hangs."""
LOOK_EVERY = 5.0
"""Seconds between two looks at requests of which nothing comes any more (see `Tracker.look`)."""
_SWEEPS = 10
"""How often a connection is looked at within `stuck_seconds`, and within `ping_seconds`."""


class CannotListen(Exception):
    """The address can't be listened on."""


class Gateway:
    """Serves Initiators and voters. Any number of gateways can run side by side."""

    def __init__(
        self,
        bus: Bus,
        settings: GatewaySettings,
        *,
        partitions: int,
        panel_size: int,
        default_group: str,
        default_panel: str = "",
        declared: Sequence[StreamDeclaration] | None = None,
    ) -> None:
        """`declared` is what the streams have to be, by default what is shipped."""
        self._bus = bus
        self._settings = settings
        self._log: JetStreamLog[RequestEvent] = JetStreamLog(bus, subjects.LOG, subjects.LOG_PREFIX, RequestEvent)
        self._directory = DirectoryView(bus, self._on_directory)
        self._hub = Hub(bus)
        self._readiness = Readiness(
            bus, self._hub, declared or load_declarations(overrides=Overrides(partitions=partitions))
        )
        self._quotas = Quotas(bus, self._directory, self._log, self._hub, settings.quotas)
        self._last_use = LastUse(bus, self._tokens_in_use)
        self._services = Services(
            bus,
            self._log,
            self._directory,
            self._hub,
            self._quotas,
            partitions,
            panel_size,
            default_group,
            settings.limits,
            default_panel,
        )
        self._figures = self._services.figures
        self._voters = VoterServices(bus, self._directory, settings.limits, Counter(), figures=self._figures)
        self._admission = Admission(self._services, self._voters, self._readiness, settings.origins)
        self._sessions: set[ClientSession[Any]] = set()
        self._connections: weakref.WeakSet[Connection] = weakref.WeakSet()
        """Every connection, also those that have not said yet what they want."""
        self._server: Server | None = None
        self._certificate: Certificate | None = None
        self._tasks: list[asyncio.Task[None]] = []

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
    def stops_within(self) -> float:
        """Seconds that `stop` takes at most."""
        return self._settings.grace_seconds + LEAVE

    async def start(self) -> None:
        """Begin to serve. Raises CannotListen, BusError."""
        try:
            self._certificate = find_certificate(self._settings.tls_cert, self._settings.tls_key)
        except BadTlsFile as error:
            raise CannotListen(f"gateway.tls_cert and gateway.tls_key: {error}") from error
        await self._log.start()
        await self._directory.start()
        await self._hub.start()
        await self._quotas.start()
        self._last_use.start()
        try:
            self._server = await serve(
                self._serve,
                self._settings.host,
                self._settings.port,
                process_request=self._admission.admit,
                select_subprotocol=select_subprotocol,
                subprotocols=[SUBPROTOCOL],
                compression=None,  # 55 instead of 15 KiB a connection, and content leaks through its size
                max_size=self._settings.limits.message_bytes,
                max_queue=4,  # frames read ahead: bounds memory to four messages a connection
                open_timeout=self._settings.limits.handshake_seconds,
                ping_interval=None,  # `Outbound.look` pings: theirs waits for ever for a client that doesn't read
                close_timeout=1,
                server_header=None,
                ssl=self._certificate.context if self._certificate else None,
                create_connection=self._connect,  # type: ignore[arg-type]  # it is only ever called
            )
        except OSError as error:
            raise CannotListen(f"can't listen on {self._settings.host}:{self._settings.port}: {error}") from error
        work = [self._sweep(), self._look(), *([self._certificate.watch()] if self._certificate else [])]
        self._tasks = [asyncio.create_task(one) for one in work]
        log.info("gateway_listens", host=self._settings.host, port=self.port)

    async def stop(self) -> None:
        """Let nobody in, flush what is owed, close with 1012, and abort who is left when the grace is over."""
        self._admission.closed = True
        loop = asyncio.get_running_loop()
        end = loop.time() + self.stops_within
        if self._server:
            self._server.close(close_connections=False)
        sessions = list(self._sessions)
        times = farewell.retry_times(len(sessions), random.Random())  # noqa: S311 - nothing is to be kept secret
        for session, retry_after_ms in zip(sessions, times, strict=True):
            session.close(SHUTTING_DOWN, farewell.reason(retry_after_ms))
        if self._sessions:
            waits = [asyncio.create_task(session.outbound.finished()) for session in self._sessions]
            await asyncio.wait(waits, timeout=self._settings.grace_seconds)
        for session in list(self._sessions):
            session.abort()
        for connection in list(self._connections):  # who never finished the handshake, too
            if hasattr(connection, "transport"):  # it has none before its TLS handshake is done
                connection.transport.abort()
        for task in self._tasks:
            task.cancel()
        for leave, seconds in ((self._sessions_end, end - loop.time()), (self._leave, 0.0)):
            leaving = asyncio.create_task(leave())
            await asyncio.wait([leaving], timeout=max(LEAVE / 2, seconds - LEAVE / 2))
            if not leaving.done():
                log.warning("left_without_a_word")  # NATS hangs; what it was to be told it notices by itself
                leaving.cancel()
            else:
                leaving.result()

    def metrics(self) -> Iterable[Reading]:
        """See `telemetry.instruments.Source`."""
        yield from self._figures.metrics()
        waiting = [session.outbound.waiting for session in self._sessions]
        yield d.QUEUE_BYTES, sum(waiting)
        yield d.QUEUE_LONGEST, max(waiting, default=0)
        yield d.GATEWAY_OPEN, sum(session.open_requests for session in self._sessions)
        connected = Counter(session.client for session in self._sessions)
        yield d.CONNECTIONS, {client: connected[client] for client in CLIENTS}

    async def _sessions_end(self) -> None:
        if self._server:
            await self._server.wait_closed()

    async def _leave(self) -> None:
        # Side by side: each would wait for a NATS that hangs.
        await asyncio.gather(self._quotas.stop(), self._last_use.stop(), self._directory.stop())
        await self._hub.stop()

    def _connect(self, *args: Any, **kwargs: Any) -> Connection:
        connection = Connection(*args, **kwargs)
        self._connections.add(connection)
        return connection

    def _session(self, connection: Connection) -> ClientSession[Any]:
        principal = getattr(connection, "magi_principal", None)
        assert connection.request is not None
        if path_of(connection.request) == VOTER_PATH:
            return VoterSession(connection, self._voters, principal)
        return Session(connection, self._services, principal)

    async def _serve(self, connection: ServerConnection) -> None:
        if connection.request and is_other_version(connection.request):
            await connection.close(UNSUPPORTED_VERSION, "unsupported version: expected v1")
            return
        assert isinstance(connection, Connection)  # see `_connect`
        session = self._session(connection)
        self._figures.opened[session.client] += 1
        self._sessions.add(session)
        opened = asyncio.get_running_loop().time()
        remote = session.remote
        log.info("connection_opened", client=session.client, remote=remote, **session.who)
        try:
            session.check_token()  # revoked between the handshake and now
            if self._admission.closed:
                session.close(SHUTTING_DOWN, farewell.reason(farewell.LEAST_SPREAD_MS))
            await session.run()
        finally:
            self._sessions.discard(session)
            if session.principal:
                self._last_use.seen(session.principal.token_id)
            code, reason, by = how_it_ended(connection)
            log.info(
                "connection_closed",
                client=session.client,
                remote=remote,
                code=code,
                reason=reason,
                by=by,
                seconds=round(asyncio.get_running_loop().time() - opened, 3),
                **session.who,
            )

    async def _sweep(self) -> None:
        """Cut off clients that take nothing off their connection, and ping all: the check costs one pass in a while,
        not a timer a frame."""
        loop = asyncio.get_running_loop()
        stuck, ping = self._settings.limits.stuck_seconds, self._settings.limits.ping_seconds
        interval = min(stuck, ping) / _SWEEPS
        looks = round(ping / interval)
        while True:
            await asyncio.sleep(interval)
            oldest = loop.time() - stuck + 2 * interval  # until the next look, and for the goodbye
            for session in list(self._sessions):
                since = session.outbound.stuck_since
                if since is not None and since < oldest:
                    session.outbound.cut_off()
                else:
                    session.outbound.look(looks)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            for session in list(self._sessions):
                session.look()

    def _tokens_in_use(self) -> set[str]:
        return {session.principal.token_id for session in self._sessions if session.principal}

    async def _on_directory(self, event: DirectoryEvent) -> None:
        if isinstance(event, InitiatorChanged):
            self._quotas.on_directory()
        for session in self._sessions:
            session.on_directory()
