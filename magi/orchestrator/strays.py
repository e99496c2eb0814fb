"""Messages that lie in the inbox although their consumer doesn't have them: found, so that they are delivered again.

nats-server 2.15.1, killed amid its work, may bring back messages that were acknowledged; their consumer counts them as
done, delivers them no more, and nobody takes them away (seen: one ballot of 15,000 after 13 kills). They do no harm but
that the inbox is never empty again, which a change of its partitions waits for. And should a consumer ever pass over
a message that nobody has had, that would be a request that is never decided.
"""

from collections import Counter

import msgspec
import structlog
from msgspec import Struct

from magi.eventstore import subjects
from magi.eventstore.bus import Bus, BusError

log = structlog.get_logger(__name__)

LOOKS = 12
"""Looks in a row that have to find strays before they are believed: stream and consumer are asked one after the other,
and under load what was acknowledged in between looks like one, every other time."""


class _State(Struct, frozen=True):
    subjects: dict[str, int] | None = None


class _Stream(Struct, frozen=True):
    state: _State


class _Consumer(Struct, frozen=True):
    num_ack_pending: int
    num_pending: int


class Strays:
    """Looks for strays in the partitions that are read here."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._found: Counter[int] = Counter()

    async def look(self, partitions: frozenset[int]) -> list[int]:
        """The partitions whose consumers have to be made anew, since they pass over messages. Raises BusError."""
        believed = []
        for partition in partitions:
            if await self._count(partition) > 0:
                self._found[partition] += 1
            else:
                self._found[partition] = 0
            if self._found[partition] >= LOOKS:
                self._found[partition] = 0
                believed.append(partition)
        return believed

    async def _count(self, partition: int) -> int:
        """How many messages the stream has and the consumer hasn't; 0 or less when all is well."""
        query = msgspec.json.encode({"subjects_filter": subjects.inbox_filter(partition)})
        name = f"{subjects.INBOX}.{subjects.inbox_consumer(partition)}"
        try:
            stream = msgspec.json.decode(
                await self._bus.request(f"$JS.API.STREAM.INFO.{subjects.INBOX}", query), type=_Stream
            )
            consumer = msgspec.json.decode(await self._bus.request(f"$JS.API.CONSUMER.INFO.{name}"), type=_Consumer)
        except msgspec.ValidationError as error:
            raise BusError(f"can't look into {name}: {error}") from error
        stored = sum((stream.state.subjects or {}).values())
        return stored - consumer.num_ack_pending - consumer.num_pending


async def deliver_again(bus: Bus, partition: int) -> None:
    """Delete the partition's consumer: whoever reads it makes it anew, and gets all that is still in the partition.

    What was handled yields no events and is acknowledged; an open submission is put off once more. Raises BusError.
    """
    log.warning("strays_found", partition=partition)
    await bus.request(f"$JS.API.CONSUMER.DELETE.{subjects.INBOX}.{subjects.inbox_consumer(partition)}")
