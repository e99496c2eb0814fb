"""The library's recorders over a stream: each call blocks its thread until the façade's loop has the answer."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    Notification,
    NotSupportedError,
    StoredEvent,
)

from magi.eventstore.persistence.facade import Facade
from magi.eventstore.persistence.records import Records
from magi.eventstore.persistence.subscription import JetStreamSubscription


class JetStreamAggregateRecorder(AggregateRecorder):
    """Inserts and selects the events, or the snapshots, of aggregates."""

    def __init__(self, facade: Facade, records: Records) -> None:
        """`records` has to be started."""
        self.facade = facade
        self.records = records

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        self._insert(stored_events, kwargs)
        return None

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        return self.facade.call(self.records.select(originator_id, gt, lte, desc, limit))

    def _insert(self, stored_events: Sequence[StoredEvent], options: dict[str, Any]) -> list[int]:
        if options.get("tracking") is not None:
            raise NotSupportedError("a position can't be stored with events: no transaction spans both")
        return self.facade.call(self.records.insert(stored_events))


class JetStreamApplicationRecorder(JetStreamAggregateRecorder, ApplicationRecorder):
    """The events of all aggregates in one order as well. What a notification's id is says `records`."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        return self._insert(stored_events, kwargs)

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        first = 1 if start is None else start if inclusive_of_start else start + 1
        return self.facade.call(self.records.notifications(first, limit, stop, topics))

    def max_notification_id(self) -> int | None:
        return self.facade.call(self.records.last_id()) or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> JetStreamSubscription:
        return JetStreamSubscription(self, gt, topics)
