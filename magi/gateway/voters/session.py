"""One voter's connection: an instance of the voter, with tasks of its own. Answers each of its messages."""

import asyncio
from collections import Counter
from typing import Any

import msgspec
import structlog
from msgspec import Struct, field
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from magi.domain.directory import VoterPrincipal
from magi.domain.errors import Refused
from magi.domain.ids import VoterId, split_task_id
from magi.domain.messages import ProgressBallot, ResultBallot
from magi.domain.tokens import Token, is_token, token_hash, vote_scope
from magi.domain.voter import INITIAL, Voter
from magi.eventstore import subjects
from magi.eventstore.bus import Bus, BusError
from magi.eventstore.directory import DirectoryView
from magi.eventstore.notices import Refusal, decode_notice
from magi.eventstore.presence import now_ms
from magi.gateway import errors
from magi.gateway.client import TOO_MANY, ClientSession
from magi.gateway.connection import Connection
from magi.gateway.metrics import Figures
from magi.gateway.settings import Limits
from magi.gateway.voters import ballots, wire
from magi.gateway.voters.seen import Seen
from magi.gateway.voters.taking import Taking
from magi.gateway.voters.tasks import OpenTask, Tasks

log = structlog.get_logger(__name__)

FINISH = 1.0
"""Seconds that results on their way to the inbox get when their connection is over."""


class VoterServices(Struct, frozen=True):
    """What the sessions of voters share."""

    bus: Bus
    directory: DirectoryView
    limits: Limits
    connected: Counter[VoterId]
    """How many connections each voter has."""
    figures: Figures = field(default_factory=Figures)


def authenticate(services: VoterServices, token: str) -> VoterPrincipal | None:
    """The voter whom a token names, or None."""
    if not is_token(token, "v"):
        return None
    directory = services.directory.directory
    found = directory.authenticate_voter(token_hash(token))
    kept = directory.token(found) if found else None
    if not found or not kept or kept.has_expired(now_ms()) or vote_scope(found.voter_id) not in kept.scopes:
        return None
    return found


class VoterSession(ClientSession[VoterPrincipal]):
    """See `ClientSession`."""

    client = "voter"

    def __init__(self, connection: Connection, services: VoterServices, principal: VoterPrincipal | None) -> None:
        super().__init__(connection, services.limits, principal, services.figures)
        self._services = services
        self._known = Tasks()
        self._wanted: int | None = None
        """The capacity that it says it has; None: it isn't ready yet."""
        self._storing: set[asyncio.Task[None]] = set()
        self._stopping: asyncio.Task[None] | None = None
        self._voter: VoterId | None = None
        self._taking: Taking
        self._seen: Seen
        self._notices: Subscription | None = None

    # --- The connection's life ---------------------------------------------------------------------------------------

    def _find(self, token: str) -> VoterPrincipal | None:
        return authenticate(self._services, token)

    def _token(self, principal: VoterPrincipal) -> Token | None:
        return self._services.directory.directory.token(principal)

    @property
    def _registered(self) -> Voter:
        directory = self._services.directory.directory
        return directory.voters.get(self._voter, INITIAL) if self._voter else INITIAL

    async def _begin(self, principal: VoterPrincipal) -> bytes:
        voter, bus = principal.voter_id, self._services.bus
        greeting = wire.authenticated(voter)
        if self._voter:
            return greeting
        if self._services.connected[voter] >= self._limits.instances:
            self.close(TOO_MANY, "too many connections")
            return greeting
        seen = Seen(bus, voter, self._known, lambda: taking.capacity)
        taking = Taking(
            bus,
            voter,
            self._known,
            self.outbound,
            max_attempts=lambda: self._registered.max_attempts,
            on_overdue=seen.missed,
        )
        self._services.connected[voter] += 1  # before it waits: many may come at once
        try:
            await taking.start()
            self._notices = await bus.subscribe(subjects.notice_voter(voter), self._on_notice)
        except BusError:
            self._services.connected[voter] -= 1
            raise
        self._taking, self._seen, self._voter = taking, seen, voter
        return greeting

    def close(self, code: int, reason: str) -> None:
        super().close(code, reason)
        self._stop()  # nobody's tasks wait for the client to take its leave

    def _stop(self) -> asyncio.Task[None] | None:
        """Begin to give its tasks back."""
        if self._stopping is None and self._voter:
            self._stopping = asyncio.create_task(self._taking.stop())
        return self._stopping

    async def _leave(self) -> None:
        if not self._voter:
            return
        self._services.connected[self._voter] -= 1
        stopping = self._stop()
        assert stopping
        await asyncio.shield(stopping)
        if self._storing:
            _, late = await asyncio.wait(self._storing, timeout=FINISH)
            for task in late:
                task.cancel()
        await self._taking.give_back_rest()
        if self._notices and not self._services.bus.nc.is_closed:
            try:
                await self._notices.unsubscribe()
            except NatsError as error:
                log.debug("unsubscribe_failed", error=str(error))  # the connection was closed
        await self._seen.stop()

    def on_directory(self) -> None:
        super().on_directory()
        if self._wanted is None or self.outbound.closing:
            return
        capacity = min(self._wanted, self._registered.capacity)
        if capacity != self._taking.capacity:
            self._spawn(self._taking.resize(capacity))

    # --- Messages ----------------------------------------------------------------------------------------------------

    def _decode(self, text: str) -> tuple[wire.VoterMessage | None, str | None, Refused | None]:
        incoming = wire.decode(text)
        return incoming.message, incoming.task_id, incoming.error

    def _error(self, refused: Refused, about: str | None) -> bytes:
        return wire.error(refused, about)

    def _tell_refused(self, code: str, about: str) -> None:
        super()._tell_refused(code, about if split_task_id(about) else "")  # else it may be any text

    async def _dispatch(self, message: Any) -> None:
        match message:
            case wire.Ready():
                await self._ready(message)
            case ProgressBallot():
                self._store(self._progress(self._known.report(message.task_id), message))
            case ResultBallot():
                self._result(message)

    async def _ready(self, ready: wire.Ready) -> None:
        first, self._wanted = self._wanted is None, ready.capacity
        self._seen.version = ready.version or self._seen.version
        await self._taking.resize(min(ready.capacity, self._registered.capacity))
        if first:
            self._spawn(self._seen.announce())

    def _result(self, ballot: ResultBallot) -> None:
        task = self._known.cast(ballots.without_trace(ballot))
        if task.accepted:
            self.outbound.send(wire.accepted(task.task_id, "result"))
        elif task.unanswered == 1:
            self._store(self._vote(task, ballot))

    async def _vote(self, task: OpenTask, ballot: ResultBallot) -> None:
        try:
            await ballots.store(self._services.bus, task, ballot)
        except errors.Unavailable as error:
            times, task.unanswered, task.result = task.unanswered, 0, None
            log.warning("ballot_not_stored", voter=self._voter, task=task.task_id)
            for _ in range(times):
                self._refuse(error, task.task_id)
            if not self.outbound.closing:
                self._taking.overdue(task)
            return
        times, task.unanswered, task.accepted = task.unanswered, 0, True
        task.span.note("magi.vote", ballot.vote)
        for _ in range(times):
            self.outbound.send(wire.accepted(task.task_id, "result"))
        self._seen.voted(task)
        log.debug(
            "vote_sent",
            request=task.task_id.rpartition(".")[0],
            request_id=task.request_id,
            trace=task.span.traceparent,
            voter_id=self._voter,
            vote=ballot.vote,
            failed=ballot.failed or None,
            latency_ms=now_ms() - task.since,
        )
        self._tell_refusals(task)
        if task.over:
            return
        await self._taking.voted(task)

    async def _progress(self, task: OpenTask, ballot: ProgressBallot) -> None:
        try:
            await ballots.store(self._services.bus, task, ballot)
        except errors.Unavailable as error:
            self._refuse(error, task.task_id)
        else:
            self.outbound.send(wire.accepted(task.task_id, "progress"))
        finally:
            task.progress -= 1
        self._tell_refusals(task)

    def _store(self, work: Any) -> None:
        """Run what takes a ballot to the inbox: it may outlive the connection for a moment."""
        storing = asyncio.create_task(work)
        self._storing.add(storing)
        storing.add_done_callback(self._storing.discard)
        storing.add_done_callback(self._finished)

    # --- Refusals ----------------------------------------------------------------------------------------------------

    async def _on_notice(self, msg: Msg) -> None:
        try:
            notice = decode_notice(msg.data)
        except msgspec.DecodeError as error:
            log.error("notice_unreadable", voter=self._voter, error=str(error))
            return
        if not isinstance(notice, Refusal) or notice.task_id is None:
            return
        task = self._known.find(notice.task_id)
        if task is None or not task.said:
            return  # another connection's
        task.refused.append(errors.of_notice(notice))
        self._tell_refusals(task)

    def _tell_refusals(self, task: OpenTask) -> None:
        """Say what was refused, once it was accepted."""
        if task.unanswered or task.progress:
            return
        refused, task.refused = task.refused, []
        for one in refused:
            self._refuse(one, task.task_id)
