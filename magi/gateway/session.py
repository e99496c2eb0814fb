"""One Initiator's connection: authenticates, answers each message, and tells the events of its requests."""

import asyncio
import uuid
from collections.abc import Coroutine
from typing import Any

import structlog
from msgspec import Struct
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from magi.domain.directory import Principal
from magi.domain.errors import Refused, RequestConflict, UnknownRequest
from magi.domain.ids import AggregateId, RequestId, request_aggregate
from magi.domain.messages import Submission, encode
from magi.domain.panel import choose_panel
from magi.domain.strategies import choose
from magi.domain.tokens import is_token, token_hash
from magi.domain.voting_request import Adjudicated, Received, RequestEvent, content_digest
from magi.eventstore import subjects
from magi.eventstore.bus import Bus, BusError, Rejected
from magi.eventstore.directory import DirectoryView
from magi.eventstore.history import StoreError
from magi.eventstore.log import JetStreamLog
from magi.eventstore.notices import Existing, Notice
from magi.gateway import wire
from magi.gateway.hub import Hub
from magi.gateway.outbound import Outbound
from magi.gateway.rate import Bucket
from magi.gateway.settings import Limits
from magi.gateway.tracker import Tracker

log = structlog.get_logger(__name__)

RATE, AUTHENTICATION_TIMEOUT, TOO_MANY_ERRORS, TOKEN_REVOKED, BINARY = 4003, 4502, 4505, 4507, 1003
RETRY_AFTER_MS = 1000


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
        self._trackers: dict[AggregateId, Tracker] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._errors = 0
        self._bucket = Bucket(services.limits.messages_per_second, services.limits.burst)

    async def run(self) -> None:
        """Serve the connection until it ends."""
        try:
            if self.principal:
                await self._services.hub.join(self.principal.initiator_id, self)
            await self._serve()
        except ConnectionClosed:
            pass
        except BusError as error:
            log.warning("session_failed", error=str(error))
            self.outbound.close(1013, "try again later")
        finally:
            await self._end()

    def check_token(self) -> None:
        """Close the connection if its token is valid no more."""
        if self.principal and not self._services.directory.directory.is_valid(self.principal):
            self.outbound.close(TOKEN_REVOKED, "token revoked")

    async def _serve(self) -> None:
        if self.principal is None:
            try:
                async with asyncio.timeout(self._limits.authentication_seconds):
                    while self.principal is None and not self.outbound.closing:
                        await self._frame(await self._connection.recv())
            except TimeoutError:
                self.outbound.close(AUTHENTICATION_TIMEOUT, "authentication timeout")
                return
        async for frame in self._connection:
            await self._frame(frame)
            if self.outbound.closing:
                return

    async def _end(self) -> None:
        for tracker in self._trackers.values():
            self._services.hub.unwatch(tracker.aggregate, self)
        for task in self._tasks:
            task.cancel()
        if self.principal:
            await self._services.hub.leave(self.principal.initiator_id, self)
        self.outbound.close(1000, "")
        await self.outbound.finished()

    # --- Messages ----------------------------------------------------------------------------------------------------

    async def _frame(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            self.outbound.close(BINARY, "text frames only")
            return
        wait = self._bucket.take()
        if wait:
            limited = wire.RateLimited(f"more than {self._limits.messages_per_second} messages a second", wait)
            self._refuse(limited, None, close=RATE)
            return
        incoming = wire.decode(frame, self._limits)
        if incoming.error or incoming.message is None:
            self._refuse(incoming.error or wire.InvalidJson("empty"), incoming.request_id)
            return
        try:
            await self._dispatch(incoming.message)
            self._errors = 0
        except Refused as refused:
            self._refuse(refused, incoming.request_id)
        except (BusError, StoreError, Rejected) as error:
            log.warning("unavailable", error=str(error))
            self._refuse(wire.Unavailable("the log can't be reached", RETRY_AFTER_MS), incoming.request_id)
        except ConnectionClosed:
            raise
        except Exception:
            trace = uuid.uuid4().hex
            log.exception("internal_error", trace_id=trace)
            self.outbound.send(wire.internal_error(trace, incoming.request_id))

    async def _dispatch(self, message: wire.ClientMessage) -> None:
        if isinstance(message, wire.Authenticate):
            await self._authenticate(message)
            return
        if self.principal is None:
            raise wire.Unauthorized("authenticate first")
        match message:
            case wire.Request():
                await self._request(message, self.principal)
            case wire.Resume():
                await self._resume(message, self.principal)
            case wire.GetVoters():
                self.outbound.send(wire.voters(self._services.directory.directory))
            case wire.Ping():
                self.outbound.send(wire.PONG)

    async def _authenticate(self, message: wire.Authenticate) -> None:
        found = authenticate(self._services, message.token)
        if found is None or (self.principal and found.initiator_id != self.principal.initiator_id):
            raise wire.Unauthorized("token: unknown, expired or revoked")
        if self.principal is None:
            await self._services.hub.join(found.initiator_id, self)
        self.principal = found
        self.outbound.send(wire.authenticated(found.initiator_id))

    async def _request(self, request: wire.Request, principal: Principal) -> None:
        aggregate = request_aggregate(principal.initiator_id, RequestId(request.request_id))
        submission = wire.submission(request, principal.initiator_id)
        digest = content_digest(submission)
        known = self._trackers.get(aggregate)
        if known and known.digest and known.digest != digest:
            raise RequestConflict("request_id: taken by a request with other content")
        if known is None and self._open() >= self._limits.open_requests:
            raise wire.RateLimited(f"{self._limits.open_requests} requests are open", RETRY_AFTER_MS)
        try:
            self._check(submission)
        except Refused:
            # Today it would be refused. It may have been submitted before, when it was not.
            if not await self._is_stored(aggregate, digest):
                raise
        tracker = self._track(aggregate, RequestId(request.request_id))
        tracker.digest = digest
        self._spawn(self._submit(tracker, submission))

    def _check(self, submission: Submission) -> None:
        """Refuse now what the orchestrator would refuse. It decides again: its directory is the one that counts."""
        directory = self._services.directory.directory
        snapshot = directory.snapshot({}, self._services.panel_size, self._services.default_group)
        choose(submission.strategy, choose_panel(submission.voter_list, snapshot))

    async def _is_stored(self, aggregate: AggregateId, digest: str) -> bool:
        history = await self._services.log.load(aggregate)
        if not history:
            return False
        first = history[0].event
        if not isinstance(first, Received) or first.digest != digest:
            raise RequestConflict("request_id: taken by a request with other content")
        return True

    async def _submit(self, tracker: Tracker, submission: Submission) -> None:
        principal = self.principal
        if principal is None:
            return
        subject = subjects.submission(tracker.aggregate, principal.initiator_id, self._services.partitions)
        try:
            await self._services.bus.store(subject, encode(submission))
        except (BusError, Rejected) as error:
            # It may be stored all the same. The client sends it again, and nothing is voted twice.
            log.warning("submission_not_stored", error=str(error))
            if tracker.digest:
                self._untrack(tracker)
            self._refuse(wire.Unavailable("the inbox can't be reached", RETRY_AFTER_MS), tracker.request_id)
        else:
            log.info("submitted", initiator=principal.initiator_id, request=tracker.aggregate)

    async def _resume(self, message: wire.Resume, principal: Principal) -> None:
        request_id = RequestId(message.request_id)
        aggregate = request_aggregate(principal.initiator_id, request_id)
        tracker = self._track(aggregate, request_id)
        before = tracker.position
        tracker.rewind(message.after_seq)
        last = 0
        try:
            last = await self._replay(tracker)
        finally:
            tracker.loading = False
            if not last and not tracker.digest:
                self._untrack(tracker)
        if not last:
            tracker.position = before  # its submission may be on the way: its events are told from the first
            if tracker.behind:
                self._load(tracker)
            raise UnknownRequest("request_id: nothing is stored under it")
        self.outbound.send(wire.resumed(request_id, last))
        if tracker.final:
            self._untrack(tracker)
        elif tracker.behind:
            self._load(tracker)

    def _open(self) -> int:
        return sum(1 for tracker in self._trackers.values() if not tracker.final)

    # --- Events ------------------------------------------------------------------------------------------------------

    def on_event(self, aggregate: AggregateId, event: RequestEvent) -> None:
        """See `Listener`."""
        tracker = self._trackers.get(aggregate)
        if tracker is None:
            return
        if tracker.live(event.originator_version):
            self._tell(tracker, event)
            if tracker.final:
                self._untrack(tracker)
        elif tracker.behind:
            self._load(tracker)

    def on_notice(self, notice: Notice) -> None:
        """See `Listener`. A notice is for whoever sent a submission of this digest and waits for its first event."""
        if notice.request_id is None or self.principal is None:
            return
        aggregate = request_aggregate(self.principal.initiator_id, RequestId(notice.request_id))
        tracker = self._trackers.get(aggregate)
        if tracker is None or tracker.digest != notice.digest:
            return
        if isinstance(notice, Existing):
            tracker.rewind(0)
            tracker.loading = False
            self._load(tracker)
            return
        if not tracker.position:
            self._untrack(tracker)
        tracker.digest = ""
        self._refuse(_Refusal(notice.code, notice.message), notice.request_id)

    def on_gap(self) -> None:
        """See `Listener`."""
        for tracker in self._trackers.values():
            if not tracker.loading:
                self._load(tracker)

    def _tell(self, tracker: Tracker, event: RequestEvent) -> None:
        self.outbound.send(wire.event(tracker.request_id, event))
        tracker.sent(event.originator_version, final=isinstance(event, Adjudicated))

    def _load(self, tracker: Tracker) -> None:
        tracker.loading = True
        self._spawn(self._catch_up(tracker))

    async def _catch_up(self, tracker: Tracker) -> None:
        try:
            await self._replay(tracker)
        except StoreError as error:
            # What was missed can't be told now: the client resumes when it can be.
            log.warning("catch_up_failed", request=tracker.aggregate, error=str(error))
            self.outbound.close(1013, "try again later")
            return
        finally:
            tracker.loading = False
        if tracker.final:
            self._untrack(tracker)
        elif tracker.behind:
            self._load(tracker)

    async def _replay(self, tracker: Tracker) -> int:
        """Send the stored events behind the tracker's position; return the last `seq` stored, 0 when nothing is."""
        history = await self._services.log.load(tracker.aggregate)
        for recorded in history:
            if recorded.head.version > tracker.position:
                await self.outbound.room()
                self._tell(tracker, recorded.event)
        if not history:
            return 0
        last = history[-1]
        tracker.position = last.head.version
        tracker.final = isinstance(last.event, Adjudicated)
        return last.head.version

    # --- Housekeeping ------------------------------------------------------------------------------------------------

    def _track(self, aggregate: AggregateId, request_id: RequestId) -> Tracker:
        tracker = self._trackers.get(aggregate)
        if tracker is None:
            tracker = self._trackers[aggregate] = Tracker(aggregate, request_id)
            self._services.hub.watch(aggregate, self)
        return tracker

    def _untrack(self, tracker: Tracker) -> None:
        self._trackers.pop(tracker.aggregate, None)
        self._services.hub.unwatch(tracker.aggregate, self)

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
        task.add_done_callback(self._tasks.discard)


class _Refusal(Refused):
    """What the orchestrator refused, by its code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]
