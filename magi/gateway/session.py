"""An Initiator's connection: what each of its messages means (PROTOCOL §1)."""

import asyncio
from typing import Any

import msgspec
import structlog
from msgspec import Struct, field
from websockets.exceptions import ConnectionClosed

from magi.domain.directory import Principal
from magi.domain.errors import Refused, RequestConflict, UnknownRequest
from magi.domain.ids import InitiatorId, RequestId, request_aggregate
from magi.domain.messages import Submission, encode
from magi.domain.panel import choose_panel, weights
from magi.domain.strategies import choose
from magi.domain.tokens import INITIATE, READ, Token, is_token, token_hash
from magi.domain.voting_request import RequestEvent, content_digest
from magi.eventstore import subjects
from magi.eventstore.bus import Bus, BusError, Rejected
from magi.eventstore.directory import DirectoryView
from magi.eventstore.log import JetStreamLog
from magi.eventstore.presence import now_ms
from magi.gateway import errors, wire
from magi.gateway.client import FORBIDDEN, TOO_MANY, ClientSession
from magi.gateway.connection import Connection
from magi.gateway.following import Following
from magi.gateway.hub import Hub
from magi.gateway.metrics import Figures
from magi.gateway.quotas import Quotas
from magi.gateway.settings import Limits
from magi.gateway.tracker import Tracker
from magi.telemetry import tracing
from magi.telemetry.stages import SEND_SUBMISSION
from magi.telemetry.tracing import Span

log = structlog.get_logger(__name__)

AGAIN = 1.0
"""Seconds after which a request that is sent again, and has no answer yet, is submitted again: the answer may have been
lost. Before that a flood of one request would be one of submissions, and use up the quota."""


class Services(Struct, frozen=True):
    """What the sessions of a gateway share."""

    bus: Bus
    log: JetStreamLog[RequestEvent]
    directory: DirectoryView
    hub: Hub
    quotas: Quotas
    partitions: int
    panel_size: int
    default_group: str
    limits: Limits
    default_panel: str = ""
    figures: Figures = field(default_factory=Figures)


def authenticate(services: Services, token: str) -> Principal | None:
    """The Initiator whom a token names, or None."""
    if not is_token(token, "i"):
        return None
    directory = services.directory.directory
    found = directory.authenticate(token_hash(token))
    return found if found and directory.admits(found, now_ms()) else None


class Session(ClientSession[Principal]):
    """See `ClientSession`."""

    client = "initiator"

    def __init__(self, connection: Connection, services: Services, principal: Principal | None) -> None:
        super().__init__(connection, services.limits, principal, services.figures)
        self._services = services
        self._following: Following | None = None
        self._connected: InitiatorId | None = None
        """Whose connection it counts as."""

    def _find(self, token: str) -> Principal | None:
        return authenticate(self._services, token)

    def _token(self, principal: Principal) -> Token | None:
        return self._services.directory.directory.token(principal)

    def _may(self, principal: Principal, *scopes: str) -> bool:
        """Whether the token is good for one of these."""
        token = self._token(principal)
        return token is not None and not token.has_expired(now_ms()) and not set(scopes).isdisjoint(token.scopes)

    async def _begin(self, principal: Principal) -> bytes:
        services = self._services
        if self._following is None:
            if not self._may(principal, INITIATE, READ):
                self.close(FORBIDDEN, "forbidden: this token is good for nothing here")
                return b""
            if self._connected is None and not self._connect(principal.initiator_id):
                self.close(TOO_MANY, "too many connections")
                return b""
            following = Following(
                principal.initiator_id,
                services.log,
                services.hub,
                self.outbound,
                self._refuse,
                self._spawn,
                services.figures,
            )
            await following.start()
            self._following = following
        return wire.authenticated(principal.initiator_id)

    @property
    def open_requests(self) -> int:
        return len(self._following) if self._following is not None else 0

    def look(self) -> None:
        if self._following is not None:
            self._following.look()

    def _connect(self, initiator: InitiatorId) -> bool:
        """Count this connection, if there may be one more."""
        quotas = self._services.quotas
        if quotas.connections(initiator) >= self._limits.connections or not quotas.may_connect(initiator):
            return False
        self._connected = initiator
        quotas.connected(initiator)
        return True

    async def _leave(self) -> None:
        if self._connected:
            self._services.quotas.disconnected(self._connected)
        if self._following is not None:  # it is false when nothing is open
            await self._following.stop()

    def _decode(self, text: str) -> tuple[wire.ClientMessage | None, RequestId | None, Refused | None]:
        incoming = wire.decode(text, self._limits)
        return incoming.message, incoming.request_id, incoming.error

    def _error(self, refused: Refused, about: str | None) -> bytes:
        return wire.error(refused, about)

    def _tell_refused(self, code: str, about: str) -> None:
        if not about or code == UnknownRequest.code:
            super()._tell_refused(code, about)
            return
        log.info("submission_refused", request_id=about, code=code, **self.who)

    async def _dispatch(self, message: Any) -> None:
        assert self._following is not None
        assert self.principal is not None
        scopes = (INITIATE,) if isinstance(message, wire.Request) else (INITIATE, READ)
        if not self._may(self.principal, *scopes):
            raise errors.Forbidden(f"{message.__struct_config__.tag}: not allowed with this token")
        match message:
            case wire.Request():
                await self._request(message, self._following)
            case wire.Resume():
                await self._following.resume(RequestId(message.request_id), message.after_seq)
            case wire.GetVoters():
                self.outbound.send(wire.voters(self._services.directory.directory))

    async def _request(self, request: wire.Request, following: Following) -> None:
        """Submit a request. Its first span ends when it is in the inbox, or with the answer that it has here."""
        submission = wire.submission(request, following.initiator)
        aggregate = request_aggregate(following.initiator, RequestId(request.request_id))
        span = tracing.begin(aggregate, request.request_id, submission.trace)
        try:
            await self._take(msgspec.structs.replace(submission, trace=span.traceparent), following, span)
        except ConnectionClosed:
            span.end()
            raise
        except Exception as error:
            # Whatever it is, it is answered: here it is known which trace it is of.
            refused = errors.of(error, span.traceparent)
            span.note("magi.refused", refused.code)
            span.end()
            if refused is error:
                raise
            raise refused from error

    async def _take(self, submission: Submission, following: Following, span: Span) -> None:
        request_id = RequestId(submission.request_id)
        digest = content_digest(submission)
        known = following.find(request_id)
        if known and (known.content or known.asked) not in (digest, ""):
            raise RequestConflict("request_id: taken by a request with other content")
        if known and known.content:
            self._figures.requests["repeated"] += 1
            await following.repeat(request_id, digest)
            _repeated(span)
            return
        if known is None and len(following) >= self._limits.open_requests:
            raise errors.RateLimited(f"{self._limits.open_requests} requests are open")
        try:
            self._check(submission)
        except Refused:
            # Today it would be refused. It may have been submitted before, when it was not.
            if not await following.repeat(request_id, digest):
                raise
            self._figures.requests["repeated"] += 1
            _repeated(span)
            return
        now = asyncio.get_running_loop().time()
        if known and known.asked and now < known.asked_at + AGAIN:
            _repeated(span)
            return  # the answer is on its way
        quotas = self._services.quotas
        quotas.check(following.initiator)
        tracker = following.follow(request_id)
        tracker.asked, tracker.asked_at, tracker.trace = digest, now, submission.trace
        log.debug(
            "submission_received",
            request=tracker.aggregate,
            request_id=request_id,
            initiator_id=following.initiator,
            trace=submission.trace,
        )
        await quotas.opened(following.initiator, tracker.aggregate, digest, submission.timeout_ms)
        self._spawn(self._submit(following, tracker, submission, span))

    def _check(self, submission: Submission) -> None:
        """Refuse now what the orchestrator would refuse. It decides again: its directory is the one that counts."""
        directory = self._services.directory.directory
        services = self._services
        snapshot = directory.snapshot({}, services.panel_size, services.default_group, services.default_panel)
        panel = choose_panel(submission.voter_list, snapshot, submission.panel)
        choose(submission.strategy, panel, weights(panel, snapshot))

    async def _submit(self, following: Following, tracker: Tracker, submission: Submission, span: Span) -> None:
        digest = tracker.asked
        subject = subjects.submission(tracker.aggregate, following.initiator, self._services.partitions)
        try:
            with span, span.child(SEND_SUBMISSION, subject) as sending:
                sent = msgspec.structs.replace(submission, trace=sending.traceparent)
                await self._services.bus.store(subject, encode(sent))
        except (BusError, Rejected) as error:
            # It may be stored all the same. The client sends it again, and nothing is voted twice.
            self._figures.requests["failed"] += 1
            self._services.quotas.refused(following.initiator, tracker.aggregate, digest)
            if tracker.asked == digest:
                following.refuse(tracker, errors.of(error, span.traceparent))
        else:
            self._figures.requests["submitted"] += 1
            log.debug(
                "submission_stored",
                request=tracker.aggregate,
                request_id=tracker.request_id,
                initiator_id=following.initiator,
                trace=submission.trace,
            )


def _repeated(span: Span) -> None:
    """It was submitted before: its events are in the trace that began then."""
    span.note("magi.repeated", True)
    span.end()
