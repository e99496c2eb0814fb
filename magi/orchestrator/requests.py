"""The open requests of an orchestrator: each with its state and its queue, worked off one message after the other.

Requests run side by side, the messages of one request never do. A state lives here from its first message to its
verdict; for a request that somebody else began it is loaded from the log.
"""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable

import structlog

from magi.domain.clock import milliseconds
from magi.domain.errors import Late, Refused, StrategyMissing
from magi.domain.ids import AggregateId, VoterId
from magi.domain.messages import ProgressBallot, ResultBallot, Submission
from magi.domain.panel import Snapshot
from magi.domain.voting_request import (
    INITIAL,
    CastVote,
    Command,
    Expire,
    Received,
    ReportProgress,
    RequestEvent,
    Submit,
    VoterProgress,
    VoterResult,
    VotingRequest,
    Withdraw,
    decide,
    evolve,
)
from magi.eventstore.bus import BusError, Rejected
from magi.eventstore.history import EMPTY, AppendConflict, EventStore, Head, StoreError
from magi.orchestrator.arrivals import AT_MOST, LOOK_AGAIN, Arrivals
from magi.orchestrator.effects import Effects
from magi.orchestrator.inbox import Item
from magi.orchestrator.spans import appending, deciding, handling
from magi.orchestrator.telling import tell, tell_dispatched, tell_refused_ballot
from magi.orchestrator.watch import Watch
from magi.telemetry.tracing import OFF, Span

log = structlog.get_logger(__name__)

ATTEMPTS = 5
"""Decisions made anew after somebody else appended first: orchestrators meet only while a partition changes hands."""
JITTER = 0.01
"""Seconds between two of them, times their number, at most: so that two orchestrators don't go on meeting."""
PUT_OFF_AFTER = 1000
"""Milliseconds that a submission stays as it was delivered before it is put off until its deadline: a fifth of the time
after which it would come again. Most requests are decided by then, and nothing has to be put off: with each one that is
nats-server looks through all that it has put off (a partition's share of 100,000 open requests takes it 1 ms)."""
PUT_OFF_EVERY = 50
"""Milliseconds between two looks at what is to be put off."""


class _Request:
    """One request in memory."""

    __slots__ = ("deadline", "head", "known", "queue", "span", "state", "timer", "worker")

    def __init__(self) -> None:
        self.state: VotingRequest = INITIAL
        self.deadline = 0
        """That of `state`. It is asked of every request again and again, and reading it from its text takes 1 µs."""
        self.head: Head = EMPTY
        self.known = False
        """Whether `state` is what the log holds."""
        self.timer = ""
        """Where the submission waits to be acknowledged, once its tasks were dispatched here or are overdue; else
        empty."""
        self.queue: deque[Item] = deque()
        self.span: Span = OFF
        """Of the item that is being handled."""
        self.worker: asyncio.Task[None] | None = None


class Requests:
    """Handles the items of the inbox, those of one request in order and those of others meanwhile."""

    def __init__(
        self,
        store: EventStore[RequestEvent],
        effects: Effects,
        arrivals: Arrivals,
        voters: Callable[[Counter[VoterId]], Snapshot],
        now: Callable[[], int],
        mine: Callable[[AggregateId], bool],
        on_done: Callable[[Item], None],
        revoked: Callable[[], frozenset[str]] = frozenset,
        watch: Watch | None = None,
    ) -> None:
        """`voters` gives the directory as it is, with the load of each voter; `now` the time in milliseconds.

        `mine` says whether a request's partition is read here. `on_done` is called for each item when it is out of our
        hands: handled, or left to come again. `revoked` gives the voters that are revoked by now.
        """
        self._store = store
        self._effects = effects
        self._arrivals = arrivals
        self._voters = voters
        self._now = now
        self._mine = mine
        self._on_done = on_done
        self._revoked = revoked
        self._watch = watch or Watch()
        self._requests: dict[AggregateId, _Request] = {}
        self._fresh: deque[tuple[int, _Request, str]] = deque()
        """When to put off what, and where its submission waits, in the order of the times."""
        self._putting_off: asyncio.Task[None] | None = None
        self.load: Counter[VoterId] = Counter()
        """Open tasks a voter, of the requests that are in memory."""

    @property
    def open(self) -> int:
        """How many requests are in memory."""
        return len(self._requests)

    def overdue(self, since: int) -> int:
        """How many requests in memory have no verdict although their deadline was before `since` (milliseconds)."""
        return sum(1 for r in self._requests.values() if 0 < r.deadline < since)

    def accept(self, item: Item) -> None:
        """Queue an item behind those of its request."""
        request = self._requests.get(item.aggregate)
        if request is None:
            request = self._requests[item.aggregate] = _Request()
        request.queue.append(item)
        if request.worker is None:
            request.worker = asyncio.create_task(self._work(item.aggregate, request))

    async def withdraw(self, voter: str) -> None:
        """A voter was revoked. Requests that wait for it are looked at again: their submissions, put off until the
        deadline, come at once. One whose submission another orchestrator had before is decided at its deadline, or with
        the next ballot. Raises NoAck without a connection."""
        for request in list(self._requests.values()):
            if request.timer and voter in request.state.outstanding:
                await self._effects.wake_at(request.timer, self._now())

    async def settle(self, timeout: float) -> None:
        """Wait until everything accepted is out of our hands, at most `timeout` seconds."""
        workers = [r.worker for r in self._requests.values() if r.worker]
        if workers:
            await asyncio.wait(workers, timeout=timeout)
        if self._putting_off:
            self._putting_off.cancel()
            await asyncio.wait([self._putting_off])
        await self._put_off(self._now() + PUT_OFF_AFTER)

    def tidy(self) -> None:
        """Drop idle requests whose deadline somebody else was woken for. Should they be ours all the same, they are
        loaded. Looks at every request in memory: 5 ms for 100,000 of them."""
        self._arrivals.tidy(self._now())
        overdue = self._now() - 2 * AT_MOST
        gone = [(a, r) for a, r in self._requests.items() if r.deadline < overdue and r.worker is None]
        for aggregate, request in gone:
            self._drop(aggregate, request)

    def leave(self) -> None:
        """Drop idle requests that aren't ours any more: partitions were given away. Those that are not idle are dropped
        when they are."""
        gone = [(a, r) for a, r in self._requests.items() if r.worker is None and not self._mine(a)]
        for aggregate, request in gone:
            self._drop(aggregate, request)

    def _drop(self, aggregate: AggregateId, request: _Request) -> None:
        self._requests.pop(aggregate, None)
        self._watch.dropped(aggregate)
        self._count(request.state, -1)

    def _count(self, state: VotingRequest, sign: int) -> None:
        for voter in state.outstanding:
            self.load[VoterId(voter)] += sign

    async def _work(self, aggregate: AggregateId, request: _Request) -> None:
        try:
            while request.queue:
                item = request.queue.popleft()
                try:
                    await self._handle(request, item)
                except (StoreError, BusError, Rejected) as error:
                    self._leave(request, item, error)
                except Exception as error:
                    log.exception("item_failed", request=aggregate, sequence=item.delivery.sequence)
                    self._leave(request, item, error)
                finally:
                    self._on_done(item)
        finally:
            request.worker = None
            done = request.state.verdict or not request.state.version
            if done or not request.known or not self._mine(aggregate):
                self._drop(aggregate, request)

    def _leave(self, request: _Request, item: Item, error: Exception) -> None:
        """What is stored is not known now. Nothing was acknowledged: the item comes again, to us or to another."""
        ours = isinstance(error, StoreError | BusError | Rejected)  # others may quote what was submitted
        why = str(error) if ours else type(error).__name__
        log.warning("item_left", request=item.aggregate, sequence=item.delivery.sequence, error=why)
        self._arrivals.left(item.aggregate, self._now())
        self._watch.left()
        self._watch.dropped(item.aggregate)
        self._count(request.state, -1)
        request.state, request.deadline, request.head, request.known = INITIAL, 0, EMPTY, False

    async def _handle(self, request: _Request, item: Item) -> None:
        # A submission that was never delivered before begins a request, as good as always: then there is nothing to
        # load, and if there is, the compare-and-swap finds out.
        begins = isinstance(item.message, Submission) and item.delivery.attempt == 1
        if not request.known and not begins:
            await self._load(item.aggregate, request)
        with handling(item, request.state) as request.span:
            await self._take(request, item)

    async def _take(self, request: _Request, item: Item) -> None:
        try:
            if isinstance(item.message, Submission):
                await self._submission(request, item, item.message)
            else:
                await self._ballot(request, item, item.message)
        except StrategyMissing as error:  # nothing is wrong with the item: it comes again until it can be decided on
            log.error("strategy_missing", request=item.aggregate, error=str(error))
            request.span.failed("strategy_missing")
            self._arrivals.waits(item.aggregate, self._now())

    async def _submission(self, request: _Request, item: Item, submission: Submission) -> None:
        try:
            new = await self._decide(request, item, lambda: Submit(submission, self._voters(self.load), self._now()))
        except Refused as error:
            if not request.known:  # it may have been accepted before, when its voters were still active
                await self._load(item.aggregate, request)
                await self._submission(request, item, submission)
                return
            self._watch.refused(error.code)
            request.span.note("magi.refused", error.code)
            log.info(
                "submission_refused",
                request=item.aggregate,
                request_id=submission.request_id,
                initiator_id=submission.initiator_id,
                trace=submission.trace,
                code=error.code,
            )
            await self._effects.refuse_submission(submission, error)
            await self._effects.acknowledge(item.reply)
            return
        received = request.state.received
        if received is None or received.cause != item.delivery.sequence:
            self._watch.repeated()
            request.span.note("magi.repeated", True)
            await self._effects.say_existing(submission)
            await self._effects.acknowledge(item.reply)
            return
        if not new:  # it comes again: at its deadline, or because its last owner died over it
            wait = self._ballots_to_come(request, item, received)
            if wait:
                request.timer = item.reply
                await self._effects.wake_at(item.reply, self._now() + wait)
                return
            await self._decide(request, item, lambda: Expire(self._now()))
            await self._decide(request, item, lambda: Withdraw(self._revoked(), self._now()))
        if request.state.verdict:
            await self._effects.acknowledge(item.reply)
            return
        deadline = request.state.deadline
        if not request.timer:
            voters = request.state.outstanding
            got = await self._effects.dispatch(item.aggregate, received, voters, deadline, request.span)
            self._watch.dispatched(item.aggregate, submission, received, got)
            tell_dispatched(item.aggregate, received, got)
        request.timer = item.reply
        if deadline - self._now() < 2 * PUT_OFF_AFTER:
            await self._effects.wake_at(item.reply, deadline)
            return
        self._fresh.append((self._now() + PUT_OFF_AFTER, request, item.reply))
        if self._putting_off is None:
            self._putting_off = asyncio.create_task(self._put_off_always())

    async def _put_off_always(self) -> None:
        try:
            while self._fresh:
                await asyncio.sleep(max(PUT_OFF_EVERY, self._fresh[0][0] - self._now()) / 1000)
                await self._put_off(self._now())
        finally:
            self._putting_off = None

    async def _put_off(self, until: int) -> None:
        """Put off what is still open of that which was to be put off until then (milliseconds)."""
        while self._fresh and self._fresh[0][0] <= until:
            _, request, timer = self._fresh.popleft()
            if request.timer != timer or request.state.verdict:
                continue
            try:
                await self._effects.wake_at(timer, request.state.deadline)
            except (BusError, Rejected) as error:
                log.info("not_put_off", error=str(error))  # it comes again after its consumer's ack_wait

    def _ballots_to_come(self, request: _Request, item: Item, received: Received) -> int:
        """Milliseconds to wait for ballots that may have been stored before the deadline, once it is over."""
        now, deadline = self._now(), request.state.deadline
        if now < deadline or not request.state.outstanding:
            return 0
        if now < deadline + AT_MOST and any(not isinstance(queued.message, Submission) for queued in request.queue):
            # They came behind this wake-up, as all at once after a pause, and may have been stored before the deadline.
            return LOOK_AGAIN
        return self._arrivals.put_off(
            item.partition,
            item.aggregate,
            pending=item.delivery.pending,
            received=milliseconds(received.at),
            deadline=deadline,
            now=now,
        )

    async def _ballot(self, request: _Request, item: Item, ballot: ProgressBallot | ResultBallot) -> None:
        voter = item.sender
        command: Command
        if isinstance(ballot, ProgressBallot):
            command = ReportProgress(voter, ballot, self._now(), self._revoked())
        else:
            command = CastVote(voter, ballot, self._now(), item.delivery.stored_ms, self._revoked())
        try:
            await self._decide(request, item, lambda: command)
        except Refused as error:
            if isinstance(error, Late):
                self._watch.too_late(request.state, voter, item.delivery.stored_ms)
            tell_refused_ballot(item.aggregate, request.state, voter, error.code)
            request.span.note("magi.refused", error.code)
            await self._effects.refuse_ballot(voter, ballot.task_id, error.code, error.message)
        if request.state.verdict and request.timer:
            await self._effects.acknowledge(request.timer)
            request.timer = ""
        if item.whole.handled():
            await self._effects.acknowledge(item.reply)

    async def _decide(self, request: _Request, item: Item, command: Callable[[], Command]) -> list[RequestEvent]:
        """Decide and append; decide anew on what somebody else appended in between. Raises Refused, StoreError."""
        for attempt in range(1, ATTEMPTS + 1):
            events = decide(request.state, command())
            if not events:
                return events
            try:
                await self._append(request, item, events)
                return events
            except AppendConflict:
                log.info("append_conflict", request=item.aggregate, attempt=attempt)
                if attempt == ATTEMPTS:
                    raise
                await asyncio.sleep(random.uniform(0, JITTER) * attempt)  # noqa: S311 - jitter
                await self._load(item.aggregate, request)
        raise AssertionError("unreachable")

    async def _append(self, request: _Request, item: Item, events: list[RequestEvent]) -> None:
        for event in events:
            with deciding(request.span, event) as decision, appending(decision, event, item.aggregate) as span:
                (recorded,) = await self._store.append(
                    item.aggregate, [event], request.head, cause=item.delivery.sequence, trace=span.traceparent
                )
            request.head, request.known = recorded.head, True
            self._evolve(request, recorded.event)
            self._watch.happened(item.aggregate, request.state, recorded.event)

    def _evolve(self, request: _Request, event: RequestEvent) -> None:
        before = request.state
        request.state = evolve(before, event)
        if isinstance(event, Received):
            request.deadline = request.state.deadline
        if isinstance(event, VoterResult):
            self.load[VoterId(event.voter_id)] -= 1
        elif not isinstance(event, VoterProgress):  # it changes nobody's load
            self._count(before, -1)
            self._count(request.state, 1)
        tell(request.state, event)

    async def _load(self, aggregate: AggregateId, request: _Request) -> None:
        history = await self._store.load(aggregate)
        self._count(request.state, -1)
        request.state = INITIAL
        for recorded in history:
            request.state = evolve(request.state, recorded.event)
        request.deadline = request.state.deadline
        self._count(request.state, 1)
        request.head, request.known = history[-1].head if history else EMPTY, True
