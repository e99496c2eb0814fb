"""A client's connection, whoever the client is: lets it in, takes its frames one after the other, and ends.

What an Initiator's messages mean is in `session`, what a voter's do in `voters.session`.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import Any, ClassVar, Generic, TypeVar

import structlog
from websockets.exceptions import ConnectionClosed

from magi.domain.clock import milliseconds
from magi.domain.directory import Principal, VoterPrincipal
from magi.domain.errors import Refused
from magi.domain.tokens import Token
from magi.eventstore.bus import BusError
from magi.eventstore.presence import now_ms
from magi.gateway import errors
from magi.gateway.coming_and_going import shown_address
from magi.gateway.connection import Connection
from magi.gateway.frames import PONG, Authenticate, Ping
from magi.gateway.metrics import Figures
from magi.gateway.outbound import Outbound
from magi.gateway.rate import Bucket
from magi.gateway.settings import Limits

log = structlog.get_logger(__name__)

RATE, AUTHENTICATION_TIMEOUT, TOO_MANY, TOO_MANY_ERRORS, TOKEN_REVOKED = 4003, 4502, 4504, 4505, 4507
TOKEN_EXPIRED, CONTINUITY_LOST, FORBIDDEN = 4005, 4008, 4503
BINARY, SHUTTING_DOWN, TRY_AGAIN_LATER = 1003, 1012, 1013
_LOOK_AGAIN = 3600.0
"""Seconds after which a token that expires later is looked at again: a timer runs by another clock than it does."""

P = TypeVar("P", Principal, VoterPrincipal)


class ClientSession(ABC, Generic[P]):
    """Lives as long as its connection. `principal` is None until the client has authenticated."""

    client: ClassVar[str]
    """What kind of client it is, for whoever counts."""

    def __init__(self, connection: Connection, limits: Limits, principal: P | None, figures: Figures) -> None:
        self._connection = connection
        self._limits = limits
        self.principal: P | None = principal
        self._figures = figures
        self.outbound = Outbound(connection, limits.outbound_bytes, figures.cut_off)
        self._tasks: set[asyncio.Task[None]] = set()
        self._serving = asyncio.current_task()
        self._errors = 0
        self._bucket = Bucket(limits.messages_per_second, limits.burst)
        self._expires = ""
        """When the token does, as far as that is being waited for."""
        self._expiry: asyncio.TimerHandle | None = None

    @property
    def who(self) -> dict[str, str]:
        """Who the client is, for the log; nothing while it has not authenticated."""
        if self.principal is None:
            return {}
        return {"voter_id" if isinstance(self.principal, VoterPrincipal) else "initiator_id": _name(self.principal)}

    @property
    def remote(self) -> str:
        """The client's address, for the log."""
        return shown_address(self._connection)

    @property
    def open_requests(self) -> int:
        """How many requests the client waits for."""
        return 0

    # --- What each kind of client has of its own ---------------------------------------------------------------------

    @abstractmethod
    def _find(self, token: str) -> P | None:
        """Whom a token names, or None when it names nobody who may come in here."""

    @abstractmethod
    def _token(self, principal: P) -> Token | None:
        """What is kept of the token; None when it was revoked."""

    @abstractmethod
    async def _begin(self, principal: P) -> bytes:
        """The client has authenticated. Returns what it is told if it did so by a message. Raises BusError."""

    @abstractmethod
    async def _leave(self) -> None:
        """The connection is over, or being closed: leave nothing behind."""

    @abstractmethod
    def _decode(self, text: str) -> tuple[Any, str | None, Refused | None]:
        """A frame's message, what an error about it is about, and what is wrong with it. Never raises."""

    @abstractmethod
    async def _dispatch(self, message: Any) -> None:
        """Answer a message of an authenticated client. Whatever is raised is answered as an error."""

    @abstractmethod
    def _error(self, refused: Refused, about: str | None) -> bytes:
        """An error as it is sent."""

    def _tell_refused(self, code: str, about: str) -> None:
        """Log that the client got an error: `about` a request or a task, if it was about one."""
        log.info("message_refused", client=self.client, about=about, code=code, remote=self.remote, **self.who)

    # --- The connection's life ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve the connection until it ends."""
        try:
            if self.principal:
                await self._begin(self.principal)
            await self._serve()
        except ConnectionClosed:
            pass
        except BusError as error:
            log.warning("session_failed", error=str(error))
            self.close(TRY_AGAIN_LATER, "try again later")
        finally:
            await self._end()

    def check_token(self) -> None:
        """Close the connection if its token is valid no more, and see to it that it is closed when it expires."""
        if self.principal is None:
            return
        token = self._token(self.principal)
        if token is None:
            self.close(TOKEN_REVOKED, "token revoked")
        elif token.expires != self._expires:
            self._wait_for(token.expires)

    def _wait_for(self, expires: str) -> None:
        """Close the connection at that time, RFC 3339; empty: never."""
        self._expires = expires
        if self._expiry:
            self._expiry.cancel()
            self._expiry = None
        if not expires:
            return
        left = (milliseconds(expires) - now_ms()) / 1000
        if left > 0:
            # A moment late: the clock that it is compared with then has ticks of its own.
            after = min(left + 0.001, _LOOK_AGAIN)
            self._expiry = asyncio.get_running_loop().call_later(after, self._wait_for, expires)
        else:
            self.close(TOKEN_EXPIRED, "token expired")

    def on_directory(self) -> None:
        """The directory has changed."""
        self.check_token()

    def look(self) -> None:
        """Called every few seconds: what may have been missed without a trace?"""

    def close(self, code: int, reason: str) -> None:
        """Close once everything queued is sent."""
        self.outbound.close(code, reason)

    def abort(self) -> None:
        """End the connection and the session at once, whatever it waits for."""
        self.outbound.abort()
        if self._serving:
            self._serving.cancel()

    async def _serve(self) -> None:
        if self.principal is None:
            try:
                async with asyncio.timeout(self._limits.authentication_seconds):
                    while self.principal is None and not self.outbound.closing:
                        await self._next()
            except TimeoutError:
                self.close(AUTHENTICATION_TIMEOUT, "authentication timeout")
        while True:  # to the end, also while we close: unread, its frames would keep its close frame from being read
            await self._next()

    async def _next(self) -> None:
        await self.outbound.room()  # who doesn't take the answers is asked no further questions
        await self._frame(await self._connection.recv())

    async def _end(self) -> None:
        if self._expiry:
            self._expiry.cancel()
        for task in self._tasks:
            task.cancel()
        await self._leave()
        self.outbound.close(1000, "")
        await self.outbound.finished()

    # --- Messages ----------------------------------------------------------------------------------------------------

    async def _frame(self, frame: str | bytes) -> None:
        if self.outbound.closing:
            return  # it came while we waited for the next one
        if isinstance(frame, bytes):
            self.close(BINARY, "text frames only")
            return
        message, about, wrong = self._decode(frame)
        wait = self._bucket.take()
        if wait:
            limited = errors.RateLimited(f"more than {self._limits.messages_per_second} messages a second", wait)
            self._refuse(limited, about, RATE)
            return
        try:
            if wrong:
                raise wrong
            await self._answer(message)
            self._errors = 0
        except ConnectionClosed:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it has an answer, and the connection lives on
            refused = errors.of(error)
            # Beyond a quota it is the same as with too many messages: come back later.
            self._refuse(refused, about, RATE if isinstance(refused, errors.RateLimited) else TOO_MANY_ERRORS)

    async def _answer(self, message: Any) -> None:
        if isinstance(message, Authenticate):
            await self._authenticate(message)
        elif self.principal is None:
            raise errors.Unauthorized("authenticate first")
        elif isinstance(message, Ping):
            self.outbound.send(PONG)
        else:
            await self._dispatch(message)

    async def _authenticate(self, message: Authenticate) -> None:
        found = self._find(message.token)
        if found is None or (self.principal and _name(found) != _name(self.principal)):
            raise errors.Unauthorized("token: unknown, expired or revoked")
        greeting = await self._begin(found)
        self.principal = found
        self.outbound.send(greeting)
        self.check_token()  # revoked while we began

    # --- Housekeeping ------------------------------------------------------------------------------------------------

    def _refuse(self, refused: Refused, about: str | None, close: int = TOO_MANY_ERRORS) -> None:
        """Answer with an error; the tenth in a row ends the connection."""
        self.outbound.send(self._error(refused, about))
        self._errors += 1
        self._figures.errors[self.client, refused.code] += 1
        self._tell_refused(refused.code, about or "")
        if self._errors >= self._limits.errors_in_a_row:
            self.close(close, "too many errors" if close == TOO_MANY_ERRORS else "too many messages")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run what must end with the connection."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("session_task_failed", exc_info=error)
            self.close(CONTINUITY_LOST, "internal error")  # nobody knows what the client wasn't told: it resumes


def _name(principal: Principal | VoterPrincipal) -> str:
    return principal.voter_id if isinstance(principal, VoterPrincipal) else principal.initiator_id
