"""The requests that one connection follows: each is told from the log first and then live (`tracker` says which event).

Three things read the log: the client's `resume`, a request that was submitted before, and a hole in the live events.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from magi.domain.errors import Refused, RequestConflict, UnknownRequest
from magi.domain.ids import AggregateId, InitiatorId, RequestId, request_aggregate
from magi.domain.voting_request import Adjudicated, Received, RequestEvent
from magi.eventstore.history import CorruptHistory, EventStore, Recorded, StoreError
from magi.eventstore.notices import Existing, Notice
from magi.eventstore.subjects import LIVE_PREFIX
from magi.gateway import errors, wire
from magi.gateway.client import CONTINUITY_LOST
from magi.gateway.hub import Hub
from magi.gateway.metrics import Figures
from magi.gateway.outbound import Outbound
from magi.gateway.tracker import Tracker
from magi.telemetry import detail, tracing
from magi.telemetry.stages import TELL
from magi.telemetry.trace_context import trace_id

log = structlog.get_logger(__name__)

LAG = 0.05
"""Seconds until the log is read again when it doesn't have yet what came live: in a cluster a replica may answer that
is behind the leader."""


class Following:
    """What an authenticated connection follows. A `Listener` of the hub."""

    def __init__(
        self,
        initiator: InitiatorId,
        store: EventStore[RequestEvent],
        hub: Hub,
        outbound: Outbound,
        refuse: Callable[[Refused, str | None], None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        figures: Figures,
    ) -> None:
        """`refuse` sends an error about a request; `spawn` runs what must end with the connection."""
        self.initiator = initiator
        self._log = store
        self._hub = hub
        self._outbound = outbound
        self._refuse = refuse
        self._spawn = spawn
        self._figures = figures
        self._trackers: dict[AggregateId, Tracker] = {}

    def __len__(self) -> int:
        """How many requests are open: without a verdict, as far as the client was told."""
        return len(self._trackers)

    async def start(self) -> None:
        """Join the hub. Raises BusError."""
        await self._hub.join(self.initiator, self)

    async def stop(self) -> None:
        for tracker in list(self._trackers.values()):
            self.drop(tracker)
        await self._hub.leave(self.initiator, self)

    def find(self, request_id: RequestId) -> Tracker | None:
        return self._trackers.get(request_aggregate(self.initiator, request_id))

    def follow(self, request_id: RequestId) -> Tracker:
        """The tracker of a request, from now on told of its live events."""
        aggregate = request_aggregate(self.initiator, request_id)
        tracker = self._trackers.get(aggregate)
        if tracker is None:
            tracker = self._trackers[aggregate] = Tracker(aggregate, request_id)
            self._hub.watch(aggregate, self)
        return tracker

    def drop(self, tracker: Tracker) -> None:
        """Tell nothing more of a request."""
        tracker.stop()
        if self._trackers.get(tracker.aggregate) is tracker:
            del self._trackers[tracker.aggregate]
            self._hub.unwatch(tracker.aggregate, self)

    def refuse(self, tracker: Tracker, refused: Refused) -> None:
        """Answer what was submitted with an error."""
        tracker.asked = ""
        if not tracker.resumed:
            self.drop(tracker)
        self._refuse(refused, tracker.request_id)

    # --- What the client asks for ------------------------------------------------------------------------------------

    async def resume(self, request_id: RequestId, after_seq: int) -> None:
        """Tell the stored events behind `after_seq`, then `resumed`; the live ones follow.

        Raises UnknownRequest when nothing is stored, StoreError. What was told of the request before goes on then.
        """
        tracker = self.follow(request_id)
        position, resumed = tracker.position, tracker.resumed
        tracker.resumed = True
        try:
            history = await self._read(tracker, tracker.rewind(after_seq))
            while not history and tracker.behind:  # it is being received at this moment
                history = await self._read(tracker, tracker.rewind(after_seq))
            if not history:
                raise UnknownRequest("request_id: nothing is stored under it")
        except (StoreError, UnknownRequest):
            tracker.resumed = resumed
            if tracker.asked or tracker.content:
                tracker.position, tracker.doubt = position, True
                self._go_on(tracker)
            else:
                self.drop(tracker)
            raise
        last = history[-1]
        # Behind the end there is nothing to wait for: from here on it is told what comes.
        tracker.position = min(tracker.position, last.head.version)
        tracker.final = isinstance(last.event, Adjudicated)
        self._outbound.send(wire.resumed(request_id, last.head.version))
        self._go_on(tracker)

    async def repeat(self, request_id: RequestId, digest: str) -> bool:
        """Answer a request from the log alone if it is stored there already: with its events, or with a conflict.

        Returns whether it was. Raises StoreError.
        """
        tracker = self.follow(request_id)
        asked, tracker.asked = tracker.asked, digest
        try:
            history = await self._read(tracker, tracker.rewind(0))
        except StoreError:
            self._forget(tracker, asked)
            raise
        if not history:
            self._forget(tracker, asked)
            return False
        self._go_on(tracker)
        return True

    def _forget(self, tracker: Tracker, asked: str) -> None:
        """Nothing came of a repetition: the tracker waits for what it waited for before."""
        tracker.asked = asked
        if asked or tracker.content:
            tracker.doubt = True
            self._go_on(tracker)
        else:
            self.drop(tracker)

    # --- What comes live: see `Listener` -----------------------------------------------------------------------------

    def on_event(self, aggregate: AggregateId, event: RequestEvent) -> None:
        """A live event. It is told if it is the next one; else the log is read."""
        tracker = self._trackers.get(aggregate)
        if tracker is None:
            return
        if not tracker.live(event.originator_version):
            self._figures.holes += tracker.behind
            self._go_on(tracker)
        elif self._learn(tracker, event):
            self._tell_traced(tracker, event)
            if isinstance(event, Adjudicated):
                asked = asyncio.get_running_loop().time() - tracker.asked_at if tracker.asked_at else None
                self._figures.told(event, asked)
            self._go_on(tracker)

    def on_notice(self, notice: Notice) -> None:
        """A notice is for whoever sent a submission of its digest that nothing has answered yet."""
        if notice.request_id is None:
            return
        tracker = self.find(RequestId(notice.request_id))
        if tracker is None or not tracker.asked or tracker.asked != notice.digest:
            return
        if isinstance(notice, Existing):
            tracker.exists()
            self._go_on(tracker)
        else:
            self.refuse(tracker, errors.of_notice(notice))

    def on_gap(self) -> None:
        """Live events may have been missed."""
        for tracker in list(self._trackers.values()):
            tracker.doubt = True
            self._go_on(tracker)

    def look(self) -> None:
        """To be called every few seconds: the last live events of a request may have been lost without a trace."""
        for tracker in list(self._trackers.values()):
            tracker.look()
            self._go_on(tracker)

    # --- Telling -----------------------------------------------------------------------------------------------------

    def _learn(self, tracker: Tracker, first: RequestEvent) -> bool:
        """Take in the first event of a request; whether its events may be told here.

        They may not when this connection waits for the answer to a submission of other content: to tell them would be
        to say that what it sent is being judged.
        """
        if not isinstance(first, Received) or tracker.learn(first.digest):
            return True
        self.refuse(tracker, RequestConflict("request_id: taken by a request with other content"))
        return tracker.resumed

    def _tell_traced(self, tracker: Tracker, event: RequestEvent) -> None:
        """As `_tell`, for an event that the client waits for, and not one of long ago that it asked for."""
        if not tracing.recording():
            self._tell(tracker, event)
            return
        trace, destination = event.trace, LIVE_PREFIX + tracker.aggregate
        with tracing.stage(TELL, trace, tracker.aggregate, tracker.request_id, destination, link=trace) as span:
            span.note("magi.event", str(event.__struct_config__.tag))
            self._tell(tracker, event)

    def _tell(self, tracker: Tracker, event: RequestEvent) -> None:
        self._outbound.send(wire.event(tracker.request_id, event))
        if detail.wanted():
            log.debug(
                "event_sent",
                request=tracker.aggregate,
                request_id=tracker.request_id,
                initiator_id=self.initiator,
                trace=event.trace,
                seq=event.originator_version,
                type=event.__struct_config__.tag,
            )
        if isinstance(event, Received) and tracker.asked_at:  # else it was only asked for what is stored
            log.info(
                "submission_acknowledged",
                request=tracker.aggregate,
                request_id=tracker.request_id,
                initiator_id=self.initiator,
                trace=event.trace,
                latency_ms=round((asyncio.get_running_loop().time() - tracker.asked_at) * 1000),
            )
        tracker.told(event.originator_version, final=isinstance(event, Adjudicated))

    def _go_on(self, tracker: Tracker) -> None:
        """See to what comes after what was told."""
        if tracker.final:
            self.drop(tracker)
        elif tracker.behind:
            self._spawn(self._catch_up(tracker, tracker.read()))

    async def _catch_up(self, tracker: Tracker, reading: int) -> None:
        position = tracker.position
        try:
            await self._read(tracker, reading)
        except CorruptHistory as error:
            self.drop(tracker)
            self._refuse(errors.of(error), tracker.request_id)
        except StoreError as error:
            # What was missed can't be told now: the client resumes when it can be.
            log.warning("catch_up_failed", request=tracker.aggregate, error=str(error))
            self._outbound.close(CONTINUITY_LOST, "resume: events may be missing")
        else:
            if tracker.behind and tracker.position == position:
                await asyncio.sleep(LAG)
            self._go_on(tracker)

    async def _read(self, tracker: Tracker, reading: int) -> list[Recorded[RequestEvent]]:
        """Tell what is stored behind the tracker's position, unless a later reading overtakes this one.

        Returns all that is stored. Raises StoreError.
        """
        try:
            history = await self._log.load(tracker.aggregate)
            if history and tracker.reading == reading and not self._learn(tracker, history[0].event):
                return history
            for recorded in history:
                await self._outbound.room()
                if tracker.stored(reading, recorded.head.version):
                    # What comes of another submission than ours was told in its trace, then.
                    ours = tracker.trace and trace_id(recorded.event.trace) == trace_id(tracker.trace)
                    (self._tell_traced if ours else self._tell)(tracker, recorded.event)
            return history
        finally:
            tracker.done(reading)
