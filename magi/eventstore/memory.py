"""An event store in memory, for tests of what uses one: as strict as the real one, and held to the same contract."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Generic

from magi.domain.ids import AggregateId
from magi.eventstore.codec import Codec
from magi.eventstore.history import EMPTY, AppendConflict, E, Head, Recorded


class MemoryStore(Generic[E]):
    """An `EventStore` that ends with its process."""

    def __init__(self, events: Any) -> None:
        """`events` is the union of its event types."""
        self._codec: Codec[E] = Codec(events)
        self._log: list[Recorded[E]] = []
        self._histories: dict[AggregateId, list[Recorded[E]]] = {}

    async def append(
        self, aggregate: AggregateId, events: Sequence[E], head: Head, *, cause: int = 0, trace: str = ""
    ) -> list[Recorded[E]]:
        """See `EventStore.append`."""
        history = self._histories.setdefault(aggregate, [])
        stored: list[Recorded[E]] = []
        for event in events:
            actual = history[-1].head if history else EMPTY
            if actual.sequence != head.sequence:
                raise AppendConflict(f"{aggregate}: ends at {actual.sequence}, not at {head.sequence}")
            _, data = self._codec.stamp(event, aggregate, head, cause, trace)
            recorded: Recorded[E] = self._codec.recorded(len(self._log) + 1, data)
            self._log.append(recorded)
            history.append(recorded)
            stored.append(recorded)
            head = recorded.head
        return stored

    async def load(self, aggregate: AggregateId, after: int = 0) -> list[Recorded[E]]:
        """See `EventStore.load`."""
        return self._histories.get(aggregate, [])[after:]

    async def read(self, start: int = 1, stop: int | None = None) -> AsyncIterator[Recorded[E]]:
        """See `EventStore.read`."""
        for recorded in self._log[max(0, start - 1) : stop]:
            yield recorded

    async def last_sequence(self) -> int:
        """See `EventStore.last_sequence`."""
        return len(self._log)
