"""An event store in memory, for tests of what uses one: as strict as the real one, and held to the same contract."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Generic

from magi.domain.ids import AggregateId
from magi.eventstore.codec import Codec, pack
from magi.eventstore.history import EMPTY, AppendConflict, E, Head, Recorded


class MemoryStore(Generic[E]):
    """An `EventStore` that ends with its process."""

    def __init__(self, events: Any) -> None:
        """`events` is the union of its event types."""
        self._codec: Codec[E] = Codec(events)
        self._log: list[list[Recorded[E]]] = []
        """What was appended, each time."""
        self._histories: dict[AggregateId, list[Recorded[E]]] = {}

    async def append(self, aggregate: AggregateId, events: Sequence[E], head: Head) -> list[Recorded[E]]:
        """See `EventStore.append`."""
        if not events:
            return []
        history = self._histories.setdefault(aggregate, [])
        actual = history[-1].head if history else EMPTY
        if actual.sequence != head.sequence:
            raise AppendConflict(f"{aggregate}: ends at {actual.sequence}, not at {head.sequence}")
        data = pack([data for _, data, _ in self._codec.stamp_all(events, aggregate, head)])
        stored: list[Recorded[E]] = self._codec.recorded(len(self._log) + 1, data)
        self._log.append(stored)
        history += stored
        return list(stored)

    async def load(self, aggregate: AggregateId, after: int = 0) -> list[Recorded[E]]:
        """See `EventStore.load`."""
        return self._histories.get(aggregate, [])[after:]

    async def read(self, start: int = 1, stop: int | None = None) -> AsyncIterator[Recorded[E]]:
        """See `EventStore.read`."""
        for stored in self._log[max(0, start - 1) : stop]:
            for recorded in stored:
                yield recorded

    async def last_sequence(self) -> int:
        """See `EventStore.last_sequence`."""
        return len(self._log)
