"""One Initiator's connection: lets it in, and answers each of its messages."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog
from msgspec import Struct
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from magi.domain.directory import Principal
from magi.domain.errors import Refused, RequestConflict
from magi.domain.ids import RequestId
from magi.domain.messages import Submission, encode
from magi.domain.panel import choose_panel
from magi.domain.strategies import choose
from magi.domain.tokens import is_token, token_hash
from magi.domain.voting_request import RequestEvent, content_digest
from magi.eventstore import subjects
from magi.eventstore.bus import Bus, BusError, Rejected
from magi.eventstore.directory import DirectoryView
from magi.eventstore.log import JetStreamLog
from magi.gateway import errors, wire
from magi.gateway.following import TRY_AGAIN_LATER, Following
from magi.gateway.hub import Hub
from magi.gateway.outbound import Outbound
from magi.gateway.rate import Bucket
from magi.gateway.settings import Limits
from magi.gateway.tracker import Tracker

log = structlog.get_logger(__name__)

RATE, AUTHENTICATION_TIMEOUT, TOO_MANY_ERRORS, TOKEN_REVOKED, BINARY, INTERNAL = 4003, 4502, 4505, 4507, 1003, 1011


class Services(Struct, frozen=True):
    """What the sessions of a gateway share."""

    bus: Bus
    log: JetStreamLog[RequestEvent]
    directory: DirectoryView
    hub: Hub
    partitions: int
    panel_size: int
    default_group: str
    limits: Limits


def authenticate(services: Services, token: str) -> Principal | None:
    """Whom a token names, or None."""
    if not is_token(token, "i"):
        return None
    return services.directory.directory.authenticate(token_hash(token))


class Session:
    """Lives as long as its connection. `principal` is None until the client has authenticated."""

    def __init__(self, connection: ServerConnection, services: Services, principal: Principal | None) -> None:
        self._connection = connection
        self._services = services
        self._limits = services.limits
        self.principal = principal
        self.outbound = Outbound(connection, services.limits.outbound_bytes)
        self._following: Following | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._serving = asyncio.current_task()
        self._errors = 0
        self._bucket = Bucket(services.limits.messages_per_second, services.limits.burst)

    async def run(self) -> None:
        """Serve the connection until it ends."""
        try:
            if self.principal:
                self._following = await self._follow(self.principal)
            await self._serve()
        except ConnectionClosed:
            pass
        except BusError as error:
            log.warning("session_failed", error=str(error))
            self.outbound.close(TRY_AGAIN_LATER, "try again later")
        finally:
            await self._end()

    def check_token(self) -> None:
        """Close the connection if its token is valid no more."""
        if self.principal and not self._services.directory.directory.is_valid(self.principal):
            self.outbound.close(TOKEN_REVOKED, "token revoked")

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
                self.outbound.close(AUTHENTICATION_TIMEOUT, "authentication timeout")
        while True:  # to the end, also while we close: unread, its frames would keep its close frame from being read
            await self._next()

    async def _next(self) -> None:
        await self.outbound.room()  # who doesn't take the answers is asked no further questions
        await self._frame(await self._connection.recv())

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._following:
            await self._following.stop()
        self.outbound.close(1000, "")
        await self.outbound.finished()

    async def _follow(self, principal: Principal) -> Following:
        services = self._services
        following = Following(
            principal.initiator_id, services.log, services.hub, self.outbound, self._refuse, self._spawn
        )
        await following.start()
        return following

    # --- Messages ----------------------------------------------------------------------------------------------------

    async def _frame(self, frame: str | bytes) -> None:
        if self.outbound.closing:
            return  # it came while we waited for the next one
        if isinstance(frame, bytes):
            self.outbound.close(BINARY, "text frames only")
            return
        incoming = wire.decode(frame, self._limits)
        wait = self._bucket.take()
        if wait:
            limited = errors.RateLimited(f"more than {self._limits.messages_per_second} messages a second", wait)
            self._refuse(limited, incoming.request_id, RATE)
            return
        try:
            if incoming.error:
                raise incoming.error
            assert incoming.message is not None
            await self._dispatch(incoming.message)
            self._errors = 0
        except ConnectionClosed:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it has an answer, and the connection lives on
            self._refuse(errors.of(error), incoming.request_id)

    async def _dispatch(self, message: wire.ClientMessage) -> None:
        if isinstance(message, wire.Authenticate):
            await self._authenticate(message)
            return
        if self._following is None:
            raise errors.Unauthorized("authenticate first")
        match message:
            case wire.Request():
                await self._request(message, self._following)
            case wire.Resume():
                await self._following.resume(RequestId(message.request_id), message.after_seq)
            case wire.GetVoters():
                self.outbound.send(wire.voters(self._services.directory.directory))
            case wire.Ping():
                self.outbound.send(wire.PONG)

    async def _authenticate(self, message: wire.Authenticate) -> None:
        found = authenticate(self._services, message.token)
        if found is None or (self.principal and found.initiator_id != self.principal.initiator_id):
            raise errors.Unauthorized("token: unknown, expired or revoked")
        if self._following is None:
            self._following = await self._follow(found)
        self.principal = found
        self.outbound.send(wire.authenticated(found.initiator_id))

    async def _request(self, request: wire.Request, following: Following) -> None:
        request_id = RequestId(request.request_id)
        submission = wire.submission(request, following.initiator)
        digest = content_digest(submission)
        known = following.find(request_id)
        if known and (known.content or known.asked) not in (digest, ""):
            raise RequestConflict("request_id: taken by a request with other content")
        if known and known.content:
            await following.repeat(request_id, digest)
            return
        if known is None and len(following) >= self._limits.open_requests:
            raise errors.RateLimited(f"{self._limits.open_requests} requests are open")
        try:
            self._check(submission)
        except Refused:
            # Today it would be refused. It may have been submitted before, when it was not.
            if not await following.repeat(request_id, digest):
                raise
            return
        tracker = following.follow(request_id)
        tracker.asked = digest
        self._spawn(self._submit(following, tracker, submission))

    def _check(self, submission: Submission) -> None:
        """Refuse now what the orchestrator would refuse. It decides again: its directory is the one that counts."""
        directory = self._services.directory.directory
        snapshot = directory.snapshot({}, self._services.panel_size, self._services.default_group)
        choose(submission.strategy, choose_panel(submission.voter_list, snapshot))

    async def _submit(self, following: Following, tracker: Tracker, submission: Submission) -> None:
        digest = tracker.asked
        subject = subjects.submission(tracker.aggregate, following.initiator, self._services.partitions)
        try:
            await self._services.bus.store(subject, encode(submission))
        except (BusError, Rejected) as error:
            # It may be stored all the same. The client sends it again, and nothing is voted twice.
            if tracker.asked == digest:
                following.refuse(tracker, errors.of(error))
        else:
            log.info("submitted", initiator=following.initiator, request=tracker.aggregate)

    # --- Housekeeping ------------------------------------------------------------------------------------------------

    def _refuse(self, refused: Refused, request_id: str | None, close: int = TOO_MANY_ERRORS) -> None:
        """Answer with an error; the tenth in a row ends the connection."""
        self.outbound.send(wire.error(refused, request_id))
        self._errors += 1
        log.debug("refused", code=refused.code)
        if self._errors >= self._limits.errors_in_a_row:
            self.outbound.close(close, "too many errors" if close == TOO_MANY_ERRORS else "too many messages")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("session_task_failed", exc_info=error)
            self.outbound.close(INTERNAL, "internal error")  # nobody knows what the client wasn't told: it resumes
