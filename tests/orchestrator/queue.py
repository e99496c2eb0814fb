"""`Requests` on a work queue and a log in memory that fail as real ones do, with a clock of their own.

The queue delivers what was never delivered in order, and again what was neither acknowledged nor put off for five
seconds, or was put off until now. The log may lose an append, lose only its acknowledgement, store it some time after
it was given up, or say that somebody else was faster.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Literal

import msgspec

from magi.domain.ids import AggregateId, InitiatorId, RequestId, VoterId, request_aggregate, split_task_id
from magi.domain.messages import InboxMessage, Submission, decode_inbox, encode
from magi.domain.panel import Candidate, Snapshot
from magi.domain.voting_request import RequestEvent
from magi.eventstore.bus import NoAck
from magi.eventstore.consumers import ACK_WAIT
from magi.eventstore.history import AppendConflict, Head, Recorded, StoreUnavailable
from magi.eventstore.memory import MemoryStore
from magi.eventstore.pull import Delivery
from magi.orchestrator.arrivals import Arrivals
from magi.orchestrator.effects import Effects
from magi.orchestrator.inbox import Item
from magi.orchestrator.metrics import RequestMetrics
from magi.orchestrator.requests import Requests

Failure = Literal["", "lost", "ack lost", "stored later", "conflict"]
START = 1_769_860_800_000
VOTERS = Snapshot({VoterId(voter): Candidate("active") for voter in "abcd"})


class Waiting(msgspec.Struct):
    """A message in the queue."""

    sequence: int
    sender: str
    data: bytes
    stored: int
    attempts: int = 0
    again: int = 0
    """When it is due again, once it was delivered."""


class _Nak(msgspec.Struct):
    delay: int


class Queue:
    """The inbox, and the bus that leads to it. Times are milliseconds."""

    def __init__(self) -> None:
        self.now = START
        self.waiting: dict[int, Waiting] = {}
        self.tasks: list[tuple[str, str]] = []
        """(subject, message id) of each task that was stored."""
        self.notices: list[tuple[str, Any]] = []
        self.broken = 0
        """How many of the next publishes fail."""
        self.acknowledged: dict[int, Waiting] = {}
        """What is no longer in the queue, by its sequence."""
        self.nc = SimpleNamespace(is_connected=True)
        self._last = 0
        self._delivered = 0

    def put(self, sender: str, message: InboxMessage) -> int:
        self._last += 1
        self.waiting[self._last] = Waiting(self._last, sender, encode(message), self.now)
        return self._last

    def due(self) -> list[Waiting]:
        """What can be delivered now: what comes again, then the rest."""
        again = [w for w in self.waiting.values() if w.attempts and w.again <= self.now]
        fresh = [w for w in self.waiting.values() if not w.attempts]
        return sorted(again, key=lambda w: w.again) + fresh[:1]

    def deliver(self, waiting: Waiting) -> Item:
        self._delivered += 1
        waiting.attempts += 1
        waiting.again = self.now + int(ACK_WAIT * 1000)
        (message,) = decode_inbox(waiting.data)
        pending = sum(1 for w in self.waiting.values() if not w.attempts)
        about = Delivery(waiting.sequence, waiting.attempts, waiting.stored, pending, self._delivered)
        return Item(message, waiting.sender, aggregate_of(waiting.sender, message), 0, str(waiting.sequence), about)

    # --- As a Bus -----------------------------------------------------------------------------------------------------

    async def publish(self, subject: str, data: bytes = b"", **_: Any) -> None:
        await self._perhaps_fail()
        if subject.startswith("magi.notices."):
            self.notices.append((subject, msgspec.json.decode(data)))
        elif data == b"+ACK":
            if done := self.waiting.pop(int(subject), None):
                self.acknowledged[done.sequence] = done
        elif int(subject) in self.waiting:
            nak = msgspec.json.decode(data.removeprefix(b"-NAK "), type=_Nak)
            self.waiting[int(subject)].again = self.now + nak.delay // 1_000_000

    async def ready(self) -> None:
        pass

    def post(self, subject: str, data: bytes, headers: Mapping[str, str]) -> "asyncio.Future[Any]":
        return asyncio.ensure_future(self._stored(subject, headers))

    async def _stored(self, subject: str, headers: Mapping[str, str]) -> Any:
        await self._perhaps_fail()
        task = (subject, headers["Nats-Msg-Id"])
        if task not in self.tasks:
            self.tasks.append(task)
        return SimpleNamespace(data=b"{}")

    async def _perhaps_fail(self) -> None:
        await asyncio.sleep(0)
        if self.broken:
            self.broken -= 1
            raise NoAck("the connection was lost")


def aggregate_of(sender: str, message: InboxMessage) -> AggregateId:
    if isinstance(message, Submission):
        return request_aggregate(InitiatorId(sender), RequestId(message.request_id))
    found = split_task_id(message.task_id)
    assert found == (found and found[0], VoterId(sender))
    assert found
    return found[0]


class ShakyStore(MemoryStore[RequestEvent]):
    """A log that fails as it is told to."""

    def __init__(self) -> None:
        super().__init__(RequestEvent)
        self.failures: deque[Failure] = deque()
        """What becomes of the next appends; afterwards all go well."""
        self.unloadable = 0
        """How many of the next loads fail."""
        self.gate = asyncio.Event()
        """What every append waits for."""
        self.gate.set()
        self.under_way = 0
        """Appends that wait for it."""
        self._later: list[tuple[AggregateId, Sequence[RequestEvent], Head]] = []

    async def append(
        self, aggregate: AggregateId, events: Sequence[RequestEvent], head: Head
    ) -> list[Recorded[RequestEvent]]:
        await asyncio.sleep(0)
        self.under_way += 1
        try:
            await self.gate.wait()
        finally:
            self.under_way -= 1
        failure = self.failures.popleft() if self.failures else ""
        match failure:
            case "lost":
                raise StoreUnavailable("it was lost")
            case "stored later":
                self._later.append((aggregate, events, head))
                raise StoreUnavailable("it is on its way")
            case "conflict":
                raise AppendConflict("somebody else was faster, and has failed since")
        stored = await super().append(aggregate, events, head)
        await asyncio.sleep(0)
        if failure == "ack lost":
            raise StoreUnavailable("it is stored, and nobody knows")
        return stored

    async def load(self, aggregate: AggregateId, after: int = 0) -> list[Recorded[RequestEvent]]:
        await asyncio.sleep(0)
        if self.unloadable:
            self.unloadable -= 1
            raise StoreUnavailable("no answer")
        return list(await super().load(aggregate, after))

    async def arrive(self) -> None:
        """What was on its way gets there: too late, if anything else was stored meanwhile."""
        for aggregate, events, head in self._later:
            try:
                await super().append(aggregate, events, head)
            except AppendConflict:
                continue
        self._later.clear()


class Owner:
    """What an orchestrator has in memory."""

    def __init__(self, store: ShakyStore, queue: Queue) -> None:
        self._queue = queue
        self.arrivals = Arrivals()
        self.arrivals.interrupted(0, queue.now)
        self.in_hand: set[int] = set()
        self.voters = VOTERS
        self.metrics = RequestMetrics(lambda: queue.now, lambda: queue.now / 1000)
        self.requests = Requests(
            store,
            Effects(queue, 1, lambda: queue.now),  # type: ignore[arg-type]
            self.arrivals,
            lambda load: self.voters,
            lambda: queue.now,
            lambda aggregate: True,
            self._done,
            watch=self.metrics,
        )

    def take(self, item: Item) -> None:
        """As `Orchestrator._receive` does."""
        self.arrivals.came(item.partition, item.delivery, self._queue.now)
        if item.delivery.sequence not in self.in_hand:
            self.in_hand.add(item.delivery.sequence)
            self.metrics.came(item)
            self.requests.accept(item)

    def _done(self, item: Item) -> None:
        self.in_hand.discard(item.delivery.sequence)
