"""The requests of one Initiator that were submitted at this gateway and have no verdict yet, whoever is connected.

They are counted by what is heard live. What wasn't heard is looked up in the log when its time is over, or when
something may have been missed.
"""

import time
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from msgspec import Struct

from magi.domain.ids import AggregateId, InitiatorId, RequestId, request_aggregate
from magi.domain.voting_request import Adjudicated, RequestEvent
from magi.eventstore.history import EventStore, StoreError
from magi.eventstore.notices import Existing, Notice
from magi.gateway.hub import Hub

log = structlog.get_logger(__name__)

LATE = 5.0
"""Seconds after its time in which the verdict of a request is waited for, before the log is read for it."""
GIVEN_UP = 60.0
"""Seconds after its time after which a request counts no more, whatever has become of it."""


class _Open(Struct):
    digest: str
    due: float
    """When its verdict is there at the latest, by the monotonic clock."""


class OpenRequests:
    """A `Listener` of the hub while it holds any."""

    def __init__(
        self,
        initiator: InitiatorId,
        store: EventStore[RequestEvent],
        hub: Hub,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        changed: Callable[[int], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`changed` is told how many there are, each time that it changes; `spawn` runs what reads the log."""
        self._initiator = initiator
        self._log = store
        self._hub = hub
        self._spawn = spawn
        self._changed = changed
        self._clock = clock
        self._open: dict[AggregateId, _Open] = {}
        self._joined = False
        self._to_look: dict[AggregateId, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    async def add(self, aggregate: AggregateId, digest: str, timeout_ms: int) -> None:
        """A request is being submitted. Once is enough, however often it is. Raises BusError."""
        if aggregate in self._open:
            return
        self._open[aggregate] = _Open(digest, self._clock() + timeout_ms / 1000)
        self._hub.watch(aggregate, self)
        self._changed(len(self._open))
        if not self._joined:
            await self._hub.join(self._initiator, self)
            self._joined = True

    def drop(self, aggregate: AggregateId, digest: str) -> None:
        """It has its verdict, or was never taken: that of `digest`, should there be two of one name."""
        found = self._open.get(aggregate)
        if found and found.digest == digest:
            del self._open[aggregate]
            self._hub.unwatch(aggregate, self)
            self._changed(len(self._open))

    async def stop(self) -> None:
        """Leave the hub. To be called when nothing is open, too: it joins again when something is."""
        for aggregate, found in list(self._open.items()):
            self.drop(aggregate, found.digest)
        if self._joined:
            self._joined = False
            await self._hub.leave(self._initiator, self)

    # --- See `Listener` ----------------------------------------------------------------------------------------------

    def on_event(self, aggregate: AggregateId, event: RequestEvent) -> None:
        if isinstance(event, Adjudicated) and (found := self._open.get(aggregate)):
            self.drop(aggregate, found.digest)

    def on_notice(self, notice: Notice) -> None:
        if notice.request_id is None:
            return
        aggregate = request_aggregate(self._initiator, RequestId(notice.request_id))
        if isinstance(notice, Existing):
            if aggregate in self._open:  # it may have its verdict already, of which nothing would be heard
                self._look([aggregate])
        else:
            self.drop(aggregate, notice.digest)

    def on_gap(self) -> None:
        self._look(list(self._open))

    def on_look(self) -> None:
        """Called now and then: verdicts may have been missed."""
        now = self._clock()
        for aggregate, found in list(self._open.items()):
            if now > found.due + GIVEN_UP:
                self.drop(aggregate, found.digest)
        self._look([aggregate for aggregate, found in self._open.items() if now > found.due + LATE])

    def _look(self, aggregates: list[AggregateId]) -> None:
        looking = bool(self._to_look)
        self._to_look.update(dict.fromkeys(aggregates))
        if self._to_look and not looking:
            self._spawn(self._read())

    async def _read(self) -> None:
        """Look up what has become of those that are to be looked up, one after the other."""
        try:
            while self._to_look:
                aggregate = next(iter(self._to_look))
                found = self._open.get(aggregate)
                history = await self._log.load(aggregate) if found else []
                if found and history and isinstance(history[-1].event, Adjudicated):
                    self.drop(aggregate, found.digest)
                del self._to_look[aggregate]
        except StoreError as error:
            log.info("open_requests_unread", initiator=self._initiator, error=str(error))  # `on_look` comes again
        finally:
            self._to_look.clear()
