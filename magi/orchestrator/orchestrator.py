"""The orchestrator as a part: reads its partitions of the inbox and handles what comes, until stopped."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import get_args

import structlog
from msgspec import Struct
from nats.aio.msg import Msg

import magi
from magi.domain.directory import DirectoryEvent
from magi.domain.ids import AggregateId, VoterId, partition_of
from magi.domain.panel import DEFAULT_GROUP, Snapshot
from magi.domain.voter import VoterRegistered, VoterRevoked
from magi.domain.voting_request import RequestEvent
from magi.eventstore import subjects
from magi.eventstore.bus import Bus, BusError
from magi.eventstore.consumers import ensure_task_consumer
from magi.eventstore.directory import DirectoryView
from magi.eventstore.log import JetStreamLog
from magi.eventstore.presence import Instance, now_ms
from magi.orchestrator.alerts import Alerts, Name, Sink
from magi.orchestrator.arrivals import Arrivals
from magi.orchestrator.backlog import Backlog
from magi.orchestrator.effects import Effects
from magi.orchestrator.health import HealthSettings
from magi.orchestrator.inbox import BadItem, Item, parse
from magi.orchestrator.metrics import RequestMetrics, Watches
from magi.orchestrator.partitions import PART, Partitions
from magi.orchestrator.requests import Requests
from magi.orchestrator.supervision import Supervision
from magi.telemetry import declarations as d
from magi.telemetry.instruments import Reading

log = structlog.get_logger(__name__)

IN_HAND = 2048
"""Messages taken and not yet handled, over all partitions. Beyond it they stay in the inbox, where others find them."""
OVERDUE = 60_000
"""Milliseconds past its deadline after which a request without a verdict is counted as overdue: twice `AT_MOST`."""
SETTLE = 2.0
"""Seconds that a stopping orchestrator takes to finish what it has in hand."""


class OrchestratorSettings(Struct, frozen=True):
    partitions: int
    """Of the inbox, as the live stream says."""
    panel_size: int = 5
    default_group: str = DEFAULT_GROUP
    health: HealthSettings = HealthSettings()
    default_panel: str = ""
    """The template of requests that name neither voters nor a panel; empty: the default group."""


class Orchestrator:
    """Several of them share the partitions; any may be killed at any time."""

    def __init__(self, bus: Bus, settings: OrchestratorSettings, sinks: Sequence[Sink] = ()) -> None:
        """`sinks` get every alert."""
        self._bus = bus
        self._settings = settings
        self._log: JetStreamLog[RequestEvent] = JetStreamLog(bus, subjects.LOG, subjects.LOG_PREFIX, RequestEvent)
        self._directory = DirectoryView(bus, self._on_directory)
        self._effects = Effects(bus, settings.partitions, now_ms)
        self._arrivals = Arrivals()
        instance = Instance(part=PART, instance=uuid.uuid4().hex[:12], version=magi.__version__, since_ms=now_ms())
        self.alerts = Alerts(sinks)
        self._supervision = Supervision(
            bus,
            instance.instance,
            lambda: self._directory.directory,
            lambda: self._snapshot(Counter()),
            self._effects,
            self.alerts,
            settings.health,
            self._mine,
            now_ms,
            settings.panel_size,
        )
        self._revoked: frozenset[str] = frozenset()
        self._counted = RequestMetrics(now_ms)
        self._backlog = Backlog(bus, settings.partitions, lambda: self._directory.directory, now_ms)
        self._requests = Requests(
            self._log,
            self._effects,
            self._arrivals,
            self._snapshot,
            now_ms,
            self._mine,
            self._done,
            lambda: self._revoked,
            Watches(self._supervision, self._counted),
        )
        self._partitions = Partitions(
            bus,
            settings.partitions,
            instance,
            self._receive,
            lambda: IN_HAND - len(self._in_hand),
            self._taken,
            self._requests.tidy,
            self._requests.leave,
            self._counted.left,
        )
        self._in_hand: set[int] = set()
        """Sequences of the messages that were taken and not yet handled: a redelivery of one is left alone."""
        self._asking: set[asyncio.Task[None]] = set()

    @property
    def owned(self) -> frozenset[int]:
        return self._partitions.owned

    @property
    def open(self) -> int:
        """How many requests are in memory."""
        return self._requests.open

    @property
    def refused(self) -> Counter[str]:
        """Ballots that were refused here, by the code of their error."""
        return self._effects.refused

    @property
    def failed(self) -> asyncio.Future[None]:
        """Set when it can't go on: its copy of the directory is broken."""
        return self._directory.failed

    async def start(self) -> None:
        """Begin to work. Raises BusError when NATS doesn't answer as it must."""
        await self._log.start()
        await self._directory.start()
        await self._supervision.start()
        self._bus.on_reconnected.append(self._on_reconnected)
        await self._partitions.start()

    async def stop(self) -> None:
        """Give the partitions back and finish what is in hand."""
        if self._on_reconnected in self._bus.on_reconnected:
            self._bus.on_reconnected.remove(self._on_reconnected)
        await self._partitions.stop()
        await self._requests.settle(SETTLE)
        await self._supervision.stop()
        await self._directory.stop()

    async def refresh(self) -> None:
        """Look at the streams, for `metrics`."""
        await self._backlog.refresh()

    def metrics(self) -> Iterable[Reading]:
        """See `telemetry.instruments.Source`."""
        yield from self._counted.metrics()
        yield from self._backlog.metrics()
        yield d.OPEN_REQUESTS, self.open
        yield d.OVERDUE_REQUESTS, self._requests.overdue(now_ms() - OVERDUE)
        yield d.IN_HAND, len(self._in_hand)
        yield d.BALLOTS_REFUSED, self.refused
        yield d.ALERTS, {name: self.alerts.raised[name] for name in get_args(Name)}
        owned = self.owned
        yield d.PARTITION_OWNED, {str(p): float(p in owned) for p in range(self._settings.partitions)}
        voters = self._directory.directory.voters.items()
        yield d.VOTER_ACTIVE, {str(n): float(v.status == "active") for n, v in voters if v.status != "revoked"}

    async def _receive(self, msg: Msg) -> None:
        items = parse(msg)
        partition, delivery = items[0].partition, items[0].delivery
        # Whatever it is: it has a number, and one that is left out would pass for lost.
        if not self._arrivals.came(partition, delivery, now_ms()):
            log.info("delivery_lost", partition=partition, before=delivery.number)
        if delivery.sequence in self._in_hand:
            return
        self._in_hand.add(delivery.sequence)
        try:
            for item in items:
                await self._take_in(item)
        except Exception:
            self._in_hand.discard(delivery.sequence)  # it isn't acknowledged, and must be heard when it comes again
            raise

    async def _take_in(self, item: Item | BadItem) -> None:
        if isinstance(item, Item) and not self._supervision.takes(item):
            self._counted.came(item)
            self._requests.accept(item)
            return
        if isinstance(item, BadItem):
            # Not what is wrong with it: that quotes it.
            log.warning("bad_item", kind=item.kind, sender=item.sender, code=item.code)
            self._supervision.unreadable(item)
            if item.kind == "ballot":
                await self._effects.refuse_ballot(item.sender, item.task_id, item.code, item.problem)
        if item.whole.handled():
            await self._effects.acknowledge(item.reply)
        self._done(item)

    def _done(self, item: Item | BadItem) -> None:
        if not item.whole.let_go():
            return
        full = len(self._in_hand) >= IN_HAND // 2
        self._in_hand.discard(item.delivery.sequence)
        if full and len(self._in_hand) < IN_HAND // 2:
            asking = asyncio.create_task(self._partitions.ask())
            self._asking.add(asking)
            asking.add_done_callback(self._asking.discard)

    def _snapshot(self, load: Counter[VoterId]) -> Snapshot:
        """The directory as panels are chosen from it; `load` is the number of open tasks a voter."""
        settings = self._settings
        return self._directory.directory.snapshot(
            load, settings.panel_size, settings.default_group, settings.default_panel
        )

    def _mine(self, aggregate: AggregateId) -> bool:
        return partition_of(aggregate, self._settings.partitions) in self.owned

    def _taken(self, partition: int) -> None:
        self._arrivals.interrupted(partition, now_ms())

    async def _on_reconnected(self) -> None:
        for partition in self.owned:
            self._arrivals.interrupted(partition, now_ms())

    async def _on_directory(self, event: DirectoryEvent) -> None:
        self._supervision.on_directory(event)
        if isinstance(event, VoterRevoked):
            await self._withdraw(event)
        if not isinstance(event, VoterRegistered):
            return
        try:
            await ensure_task_consumer(self._bus, VoterId(event.voter_id))
        except BusError as error:
            # Whoever registers a voter makes its consumer as well; tasks wait in the stream until there is one.
            log.warning("no_task_consumer", voter=event.voter_id, error=str(error))

    async def _withdraw(self, event: VoterRevoked) -> None:
        voter = event.originator_id.partition(".")[2]
        self._revoked |= {voter}
        try:
            await self._requests.withdraw(voter)
        except BusError as error:
            log.info("revoked_while_away", voter=voter, error=str(error))  # the deadlines come all the same
