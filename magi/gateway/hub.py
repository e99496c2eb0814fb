"""The live hub: one subscription an Initiator, however many connections it has, and everyone who waits for an event.

Live events are core NATS: they may be dropped, or missed while the connection to NATS is down. Trackers notice by the
gap in `seq`, and after a reconnect everyone reads the log again.
"""

from collections import defaultdict
from typing import Protocol

import msgspec
import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from magi.domain.ids import AggregateId, InitiatorId
from magi.domain.voting_request import RequestEvent
from magi.eventstore import subjects
from magi.eventstore.bus import Bus, Handler
from magi.eventstore.codec import Codec, unpack
from magi.eventstore.history import CorruptHistory
from magi.eventstore.notices import Notice, decode_notice

log = structlog.get_logger(__name__)

_NOBODY = InitiatorId("GATEWAY")
"""The Initiator of no event: names have no capitals. To listen for it shows whether we may listen to live events."""


class Listener(Protocol):
    """A session, as the hub sees it."""

    def on_event(self, aggregate: AggregateId, event: RequestEvent) -> None:
        """A live event of a request that the session watches."""
        ...

    def on_notice(self, notice: Notice) -> None:
        """A notice for the session's Initiator."""
        ...

    def on_gap(self) -> None:
        """Events may have been missed: read the log for everything that is watched."""
        ...


class Hub:
    """Brings live events and notices to the sessions of this gateway."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._codec: Codec[RequestEvent] = Codec(RequestEvent)
        self._listeners: dict[InitiatorId, set[Listener]] = defaultdict(set)
        self._watchers: dict[AggregateId, set[Listener]] = defaultdict(set)
        self._subscriptions: dict[InitiatorId, list[Subscription]] = {}
        self._listening = False
        """Whether what was missed while there was no connection has been seen to."""

    @property
    def attached(self) -> bool:
        """Whether live events come, as far as this side can tell."""
        return self._listening and not any(s.startswith(subjects.LIVE_PREFIX) for s in self._bus.denied)

    async def start(self) -> None:
        """Raises BusError."""
        await self._bus.listen(subjects.live(_NOBODY), self._on_live)
        self._bus.on_disconnected.append(self._on_disconnected)
        self._bus.on_reconnected.append(self._on_reconnected)
        self._listening = True

    async def stop(self) -> None:
        self._listening = False
        for callbacks, callback in (
            (self._bus.on_disconnected, self._on_disconnected),
            (self._bus.on_reconnected, self._on_reconnected),
        ):
            if callback in callbacks:
                callbacks.remove(callback)

    def listeners(self) -> list[Listener]:
        """Every session that has joined."""
        return [listener for group in self._listeners.values() for listener in group]

    def connections(self, initiator: InitiatorId) -> int:
        """How many of its sessions have joined."""
        return len(self._listeners.get(initiator, ()))

    async def join(self, initiator: InitiatorId, listener: Listener) -> None:
        """Bring `listener` the Initiator's notices, and the events of what it watches. Raises BusError."""
        self._listeners[initiator].add(listener)
        if initiator in self._subscriptions:
            return
        # Noted before it is awaited, so that two sessions that join at once make one subscription.
        made = self._subscriptions[initiator] = []
        try:
            made.append(await self._bus.listen(subjects.live(initiator), self._on_live))
            made.append(
                await self._bus.subscribe(subjects.notice_initiator(initiator), self._notice_handler(initiator))
            )
        except BaseException:
            await self.leave(initiator, listener)  # or whoever comes next would take the subscription for made
            raise

    async def leave(self, initiator: InitiatorId, listener: Listener) -> None:
        self._listeners[initiator].discard(listener)
        if not self._listeners[initiator]:
            del self._listeners[initiator]
            for subscription in self._subscriptions.pop(initiator, []):
                if not self._bus.nc.is_closed:
                    await subscription.unsubscribe()

    def watch(self, aggregate: AggregateId, listener: Listener) -> None:
        self._watchers[aggregate].add(listener)

    def unwatch(self, aggregate: AggregateId, listener: Listener) -> None:
        watchers = self._watchers.get(aggregate)
        if watchers:
            watchers.discard(listener)
            if not watchers:
                del self._watchers[aggregate]

    def _on_live(self, msg: Msg) -> None:
        aggregate = AggregateId(msg.subject[len(subjects.LIVE_PREFIX) :])
        watchers = self._watchers.get(aggregate)
        if not watchers:
            return
        try:
            events = [self._codec.decode(data) for data in unpack(msg.data)]
        except CorruptHistory as error:
            log.error("live_event_unreadable", aggregate=aggregate, error=str(error))
            return
        for listener in list(watchers):
            for event in events:
                listener.on_event(aggregate, event)

    def _notice_handler(self, initiator: InitiatorId) -> Handler:
        async def on_notice(msg: Msg) -> None:
            try:
                notice = decode_notice(msg.data)
            except msgspec.DecodeError as error:
                log.error("notice_unreadable", initiator=initiator, error=str(error))
                return
            for listener in list(self._listeners.get(initiator, ())):
                listener.on_notice(notice)

        return on_notice

    async def _on_disconnected(self) -> None:
        self._listening = False

    async def _on_reconnected(self) -> None:
        for listener in self.listeners():
            listener.on_gap()
        self._listening = True
