"""The event store on JetStream: a stream, a subject an aggregate, compare-and-swap on the subject's last sequence."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

import structlog

from magi.domain.ids import AggregateId
from magi.eventstore.bus import Bus, BusError, NoAck, PubAck, Rejected
from magi.eventstore.codec import Codec, pack
from magi.eventstore.direct import BATCH, DirectReader, StoredMessage
from magi.eventstore.history import AppendConflict, CorruptHistory, E, Head, Recorded, StoreUnavailable
from magi.eventstore.patience import PATIENCE, patiently

log = structlog.get_logger(__name__)

T = TypeVar("T")

EXPECTED = "Nats-Expected-Last-Subject-Sequence"
CONFLICTS = frozenset({10071, 10164, 10201})
"""What the server calls a failed compare-and-swap: on one server, in a cluster with writes under way, in a batch."""


class JetStreamLog(Generic[E]):
    """An `EventStore` in the stream `stream`, whose subjects are `prefix` and the aggregate's id."""

    def __init__(self, bus: Bus, stream: str, prefix: str, events: Any, *, patience: float = PATIENCE) -> None:
        """`events` is the union of the stream's event types. Call `start` before anything else."""
        self.bus = bus
        self.stream = stream
        self.prefix = prefix
        self.direct = DirectReader(bus, stream)
        self.codec: Codec[E] = Codec(events)
        self._patience = patience

    async def start(self) -> None:
        await self.direct.start()

    def subject(self, aggregate: AggregateId) -> str:
        return f"{self.prefix}{aggregate}"

    async def append(self, aggregate: AggregateId, events: Sequence[E], head: Head) -> list[Recorded[E]]:
        """See `EventStore.append`."""
        if not events:
            return []
        stamped = self.codec.stamp_all(events, aggregate, head)
        data = pack([data for _, data, _ in stamped])
        sequence = await self._store(self.subject(aggregate), data, stamped[0][0].id, head.sequence)
        return [
            Recorded(sequence, event, data, Head(made.version, sequence, made.digest)) for event, data, made in stamped
        ]

    async def load(self, aggregate: AggregateId, after: int = 0) -> list[Recorded[E]]:
        """See `EventStore.load`."""
        messages = await self._patiently(lambda: self.direct.of_subject(self.subject(aggregate)))
        history = [recorded for message in messages for recorded in self._recorded(message)]
        for version, recorded in enumerate(history, 1):
            if recorded.head.version != version:
                raise CorruptHistory(f"{aggregate}: version {recorded.head.version} where {version} was expected")
        return history[after:]

    async def read(self, start: int = 1, stop: int | None = None) -> AsyncIterator[Recorded[E]]:
        """See `EventStore.read`."""
        start = max(1, start)
        end = await self.last_sequence()
        if stop is not None:
            end = min(stop, end)
        while start <= end:
            limit = min(BATCH, end - start + 1)
            messages = await self._patiently(lambda first=start, n=limit: self._batch(first, n))  # type: ignore[misc]
            for message in messages:
                if message.sequence != start:
                    raise CorruptHistory(f"{self.stream}: {message.sequence} came where {start} was expected")
                for recorded in self._recorded(message):
                    yield recorded
                start += 1

    async def last_sequence(self) -> int:
        """See `EventStore.last_sequence`."""
        return await self._patiently(self.direct.last_sequence)

    async def _batch(self, start: int, limit: int) -> list[StoredMessage]:
        """The messages from `start`, which is known to be stored. A replica may be asked that hasn't got it yet."""
        messages = await self.direct.batch(start, limit)
        if not messages:
            raise NoAck(f"{start} isn't there, though the stream goes beyond it")
        return messages

    def _recorded(self, message: StoredMessage) -> list[Recorded[E]]:
        try:
            return self.codec.recorded(message.sequence, message.data)
        except CorruptHistory as error:
            aggregate = message.subject.removeprefix(self.prefix)
            raise CorruptHistory(f"{aggregate}: {error} (sequence {message.sequence} of {self.stream})") from error

    async def _store(self, subject: str, data: bytes, event_id: str, expected: int) -> int:
        """Publish until it is known whether this very message is stored; return its sequence. `event_id` is that of its
        first event.

        A lost acknowledgement can't be told from a lost publish. The retry carries the same events and the same
        expectation: stored twice they can't be, and when the server refuses it, the message that follows the expected
        one says whose events stand there.
        """
        headers = {EXPECTED: str(expected)}
        try:
            return (await self._publish(subject, data, headers)).seq
        except Rejected as error:
            if error.err_code not in CONFLICTS:
                raise StoreUnavailable(f"{self.stream} refuses events: {error}") from error
            there = await self._patiently(lambda: self.direct.next_of_subject(subject, expected + 1))
            if there and self._recorded(there)[0].event.id == event_id:
                self.bus.lost_acks[self.stream] += 1
                log.info("lost_ack", stream=self.stream, sequence=there.sequence)
                return there.sequence
            self.bus.conflicts[self.stream] += 1
            raise AppendConflict(f"{subject}: {error}") from error

    async def _publish(self, subject: str, data: bytes, headers: dict[str, str]) -> PubAck:
        try:
            return await self.bus.store(subject, data, headers)  # as good as always, without what patience costs
        except BusError:
            self._tried_again()
        return await self._patiently(lambda: self.bus.store(subject, data, headers))

    async def _patiently(self, operation: Callable[[], Awaitable[T]]) -> T:
        return await patiently(operation, self.stream, self._patience, self._tried_again)

    def _tried_again(self) -> None:
        self.bus.retries[self.stream] += 1
