"""The event store on JetStream: a stream, a subject an aggregate, compare-and-swap on the subject's last sequence."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

import structlog

from magi.domain.ids import AggregateId
from magi.eventstore.bus import Bus, BusError, Rejected
from magi.eventstore.codec import Codec
from magi.eventstore.direct import BATCH, DirectReader
from magi.eventstore.history import AppendConflict, CorruptHistory, E, Head, Recorded, StoreUnavailable

log = structlog.get_logger(__name__)

T = TypeVar("T")

EXPECTED = "Nats-Expected-Last-Subject-Sequence"
CONFLICTS = frozenset({10071, 10164, 10201})
"""What the server calls a failed compare-and-swap: on one server, in a cluster with writes under way, in a batch."""
PATIENCE = 30.0
"""Seconds to go on trying while the stream doesn't answer: five times the longest election measured (5.5 s)."""
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


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

    async def append(
        self, aggregate: AggregateId, events: Sequence[E], head: Head, *, cause: int = 0, trace: str = ""
    ) -> list[Recorded[E]]:
        """See `EventStore.append`."""
        stored: list[Recorded[E]] = []
        for event in events:
            stamped, data = self.codec.stamp(event, aggregate, head, cause, trace)
            sequence = await self._store(self.subject(aggregate), data, stamped.id, head.sequence)
            recorded: Recorded[E] = self.codec.recorded(sequence, data)
            stored.append(recorded)
            head = recorded.head
        return stored

    async def load(self, aggregate: AggregateId, after: int = 0) -> list[Recorded[E]]:
        """See `EventStore.load`."""
        messages = await self._patiently(lambda: self.direct.of_subject(self.subject(aggregate)))
        history = [self.codec.recorded(m.sequence, m.data) for m in messages]
        for version, recorded in enumerate(history, 1):
            if recorded.head.version != version:
                raise CorruptHistory(f"{aggregate}: version {recorded.head.version} where {version} was expected")
        return history[after:]

    async def read(self, start: int = 1, stop: int | None = None) -> AsyncIterator[Recorded[E]]:
        """See `EventStore.read`."""
        end = await self.last_sequence() if stop is None else stop
        while start <= end:
            limit = min(BATCH, end - start + 1)
            messages = await self._patiently(lambda first=start, n=limit: self.direct.batch(first, n))  # type: ignore[misc]
            if not messages:
                return
            for message in messages:
                if message.sequence > end:
                    return
                yield self.codec.recorded(message.sequence, message.data)
            start = messages[-1].sequence + 1

    async def last_sequence(self) -> int:
        """See `EventStore.last_sequence`."""
        return await self._patiently(self.direct.last_sequence)

    async def _store(self, subject: str, data: bytes, event_id: str, expected: int) -> int:
        """Publish until it is known whether this very event is stored; return its sequence.

        A lost acknowledgement can't be told from a lost publish. The retry carries the same event and the same
        expectation: stored twice it can't be, and when the server refuses it, the subject's last message says whose
        event stands there.
        """
        headers = {EXPECTED: str(expected)}
        try:
            return (await self._patiently(lambda: self.bus.store(subject, data, headers))).seq
        except Rejected as error:
            if error.err_code not in CONFLICTS:
                raise StoreUnavailable(f"{self.stream} refuses events: {error}") from error
            last = await self._patiently(lambda: self.direct.last_of_subject(subject))
            if last and self.codec.decode(last.data).id == event_id:
                log.info("lost_ack", stream=self.stream, sequence=last.sequence)
                return last.sequence
            raise AppendConflict(f"{subject}: {error}") from error

    async def _patiently(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Do it, again and again while the stream doesn't answer. Raises StoreUnavailable in the end."""
        give_up = asyncio.get_running_loop().time() + self._patience
        pause = _FIRST_PAUSE
        while True:
            try:
                return await operation()
            except BusError as error:
                if asyncio.get_running_loop().time() + pause > give_up:
                    raise StoreUnavailable(f"{self.stream}: {error}") from error
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
                pause = min(2 * pause, _LONGEST_PAUSE)
