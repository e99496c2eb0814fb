"""The open requests of an orchestrator: each with its state and its queue, worked off in order.

Requests run side by side, the messages of one request never do: what comes while an append is under way waits, and the
ballots among it are then decided on one after the other and appended together. So under load many become one append,
and whoever comes alone doesn't wait. A state lives here from its first message to its verdict; for a request that
somebody else began it is loaded from the log.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from magi.domain.clock import milliseconds
from magi.domain.errors import Late, Refused, StrategyMissing
from magi.domain.ids import AggregateId, VoterId
from magi.domain.messages import Submission
from magi.domain.panel import Snapshot
from magi.domain.voting_request import (
    INITIAL,
    Command,
    Expire,
    Received,
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
from magi.eventstore.history import EMPTY, AppendConflict, EventStore, StoreError
from magi.orchestrator.arrivals import AT_MOST, LOOK_AGAIN, Arrivals
from magi.orchestrator.deciding import Decided, caused
from magi.orchestrator.effects import Effects
from magi.orchestrator.held import HeldRequest
from magi.orchestrator.inbox import Item
from magi.orchestrator.putting_off import PuttingOff
from magi.orchestrator.spans import Spans, handling
from magi.orchestrator.telling import tell, tell_dispatched, tell_refused_ballot
from magi.orchestrator.watch import Watch
from magi.telemetry.tracing import Span

T = TypeVar("T")

log = structlog.get_logger(__name__)

ATTEMPTS = 5
"""Decisions made anew after somebody else appended first: orchestrators meet only while a partition changes hands."""
JITTER = 0.01
"""Seconds between two of them, times their number, at most: so that two orchestrators don't go on meeting."""


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
        self._requests: dict[AggregateId, HeldRequest] = {}
        self._putting_off = PuttingOff(effects, now)
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
            request = self._requests[item.aggregate] = HeldRequest()
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
        await self._putting_off.all_now()

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

    def _drop(self, aggregate: AggregateId, request: HeldRequest) -> None:
        self._requests.pop(aggregate, None)
        self._watch.dropped(aggregate)
        self._count(request.state, -1)

    def _count(self, state: VotingRequest, sign: int) -> None:
        for voter in state.outstanding:
            self.load[VoterId(voter)] += sign

    async def _work(self, aggregate: AggregateId, request: HeldRequest) -> None:
        try:
            while request.queue:
                items = request.take()
                try:
                    await self._handle(aggregate, request, items)
                except (StoreError, BusError, Rejected) as error:
                    self._leave(aggregate, request, items, error)
                except Exception as error:
                    log.exception("item_failed", request=aggregate, sequence=items[0].delivery.sequence)
                    self._leave(aggregate, request, items, error)
                finally:
                    for item in items:
                        self._on_done(item)
        finally:
            request.worker = None
            done = request.state.verdict or not request.state.version
            if done or not request.known or not self._mine(aggregate):
                self._drop(aggregate, request)

    def _leave(self, aggregate: AggregateId, request: HeldRequest, items: list[Item], error: Exception) -> None:
        """What is stored is not known now. Nothing was acknowledged: the items come again, to us or to another."""
        ours = isinstance(error, StoreError | BusError | Rejected)  # others may quote what was submitted
        why = str(error) if ours else type(error).__name__
        log.warning("item_left", request=aggregate, sequence=items[0].delivery.sequence, items=len(items), error=why)
        self._come_again(aggregate, request, items)

    def _come_again(self, aggregate: AggregateId, request: HeldRequest, items: list[Item]) -> None:
        """These could not be handled. The request isn't decided for want of them while they are on their way, and what
        we know of it may be why: it is loaded anew."""
        for _ in items:
            self._arrivals.left(aggregate, self._now())
            self._watch.left()
        self._watch.dropped(aggregate)
        self._count(request.state, -1)
        request.forget()

    async def _handle(self, aggregate: AggregateId, request: HeldRequest, items: list[Item]) -> None:
        first = items[0]
        submission = first.message if isinstance(first.message, Submission) else None
        # A submission that was never delivered before begins a request, as good as always: then there is nothing to
        # load, and if there is, the compare-and-swap finds out.
        if not request.known and not (submission and first.delivery.attempt == 1):
            await self._load(aggregate, request)
        if submission is None:
            await self._ballots(aggregate, request, items)
            return
        with handling(first, request.state) as request.span:
            try:
                await self._submission(request, first, submission)
            except StrategyMissing as error:  # nothing is wrong with it: it comes again until it can be decided on
                log.error("strategy_missing", request=aggregate, error=str(error))
                request.span.failed("strategy_missing")
                self._arrivals.waits(aggregate, self._now())

    async def _submission(self, request: HeldRequest, item: Item, submission: Submission) -> None:
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
        await self._putting_off.later(request, deadline)

    def _ballots_to_come(self, request: HeldRequest, item: Item, received: Received) -> int:
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

    async def _ballots(self, aggregate: AggregateId, request: HeldRequest, items: list[Item]) -> None:
        with Spans() as stages:
            taken = [(item, stages.begin(handling(item, request.state))) for item in items]
            decided = await self._insist(aggregate, request, lambda: self._decide_on(aggregate, request, taken))
        for refused in decided.refused:
            voter, error = refused.item.sender, refused.error
            if isinstance(error, Late):
                self._watch.too_late(request.state, voter, refused.item.delivery.stored_ms)
            tell_refused_ballot(aggregate, request.state, voter, error.code)
            assert not isinstance(refused.item.message, Submission)
            await self._effects.refuse_ballot(voter, refused.item.message.task_id, error.code, error.message)
        if request.state.verdict and request.timer:
            await self._effects.acknowledge(request.timer)
            request.timer = ""
        for item in decided.handled:
            if item.whole.handled():
                await self._effects.acknowledge(item.reply)
        if decided.failed:
            self._come_again(aggregate, request, decided.failed)
        if decided.waiting:
            self._arrivals.waits(aggregate, self._now())

    async def _decide_on(self, aggregate: AggregateId, request: HeldRequest, taken: list[tuple[Item, Span]]) -> Decided:
        """Decide on ballots, one after the other, and append what they lead to as one. Raises StoreError."""
        decided = Decided(request.state, self._now(), self._revoked())
        with Spans() as stages:
            for item, span in taken:
                decided.take(item, span, stages)
            await self._append(aggregate, request, decided.events)
        return decided

    async def _decide(self, request: HeldRequest, item: Item, command: Callable[[], Command]) -> list[RequestEvent]:
        """Decide on what a submission leads to, and append it. Raises Refused, StrategyMissing, StoreError."""

        async def decide_once() -> list[RequestEvent]:
            with Spans() as stages:
                events = [caused(e, item, request.span, stages) for e in decide(request.state, command())]
                await self._append(item.aggregate, request, events)
            return events

        return await self._insist(item.aggregate, request, decide_once)

    async def _insist(self, aggregate: AggregateId, request: HeldRequest, step: Callable[[], Awaitable[T]]) -> T:
        """Decide and append; decide anew on what somebody else appended in between."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await step()
            except AppendConflict:
                log.info("append_conflict", request=aggregate, attempt=attempt)
                if attempt == ATTEMPTS:
                    raise
                await asyncio.sleep(random.uniform(0, JITTER) * attempt)  # noqa: S311 - jitter
                await self._load(aggregate, request)
        raise AssertionError("unreachable")

    async def _append(self, aggregate: AggregateId, request: HeldRequest, events: list[RequestEvent]) -> None:
        if not events:
            return
        stored = await self._store.append(aggregate, events, request.head)
        request.head, request.known = stored[-1].head, True
        for recorded in stored:
            self._evolve(request, recorded.event)
            self._watch.happened(aggregate, request.state, recorded.event)

    def _evolve(self, request: HeldRequest, event: RequestEvent) -> None:
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

    async def _load(self, aggregate: AggregateId, request: HeldRequest) -> None:
        history = await self._store.load(aggregate)
        self._count(request.state, -1)
        request.state = INITIAL
        for recorded in history:
            request.state = evolve(request.state, recorded.event)
        request.deadline = request.state.deadline
        self._count(request.state, 1)
        request.head, request.known = history[-1].head if history else EMPTY, True
