"""What every event store gives and takes: the port that JetStream and the in-memory fake implement."""

from collections.abc import AsyncIterator, Sequence
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from magi.domain.event import Event
from magi.domain.ids import AggregateId

E = TypeVar("E", bound=Event)


class StoreError(Exception):
    """Base of what an event store raises."""


class AppendConflict(StoreError):
    """Somebody else has appended to the aggregate: load it again and decide again."""


class StoreUnavailable(StoreError):
    """The store didn't answer. Whether the event is stored is unknown: forget the state, load it again."""


class CorruptHistory(StoreError):
    """What is stored can't be what was appended: a hole, a version twice, bytes that are no event."""


class Head(Struct, frozen=True):
    """Where an aggregate's history ends: what the next append is checked against."""

    version: int = 0
    sequence: int = 0
    """Of the message in the stream that holds its last event; 0: it has none."""
    digest: str = ""
    """SHA-256 (hex) of the stored bytes of its last event."""


EMPTY = Head()


class Recorded(Struct, Generic[E], frozen=True):
    """An event as it is stored."""

    sequence: int
    """Of the message that holds it: 1, 2, 3 … over all aggregates of the stream. Events that were appended together
    share it."""
    event: E
    data: bytes
    """The stored bytes of this event alone."""
    head: Head
    """Of its aggregate, with this event as the last."""


class EventStore(Protocol[E]):
    """An append-only log of aggregates' histories with one order over all of them."""

    async def append(self, aggregate: AggregateId, events: Sequence[E], head: Head) -> list[Recorded[E]]:
        """Store `events` behind `head`, all of them or none; return them as they are stored, durably.

        They hold what only their sender knows, `at`, `cause` and `trace`; the rest of the envelope is filled in here.
        Together they are one message of the stream. `head` is that of the history's last event: one before it in the
        same message can't be told from it. Raises AppendConflict when the aggregate's history doesn't end at
        `head`, StoreUnavailable when the outcome is unknown.
        """
        ...

    async def load(self, aggregate: AggregateId, after: int = 0) -> list[Recorded[E]]:
        """The aggregate's events with a version above `after`, in order. Raises StoreUnavailable, CorruptHistory."""
        ...

    def read(self, start: int = 1, stop: int | None = None) -> AsyncIterator[Recorded[E]]:
        """Events of all aggregates with a sequence from `start` up to `stop`, by default up to the last one stored:
        those of one message all or none."""
        ...

    async def last_sequence(self) -> int:
        """The sequence of the last message stored; 0 when there is none."""
        ...
