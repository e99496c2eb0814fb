"""The partitions that this orchestrator reads: taken and given back as orchestrators come and go.

Who should read what follows from who is alive (`assignment`). That nobody else reads it is the server's doing: a
partition's consumer is pinned to one reader. While they disagree, the log's compare-and-swap decides.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import structlog
from nats.aio.msg import Msg

from magi.eventstore import subjects
from magi.eventstore.bus import Bus, BusError
from magi.eventstore.consumers import ensure_inbox_consumer, unpin
from magi.eventstore.direct import DirectReader
from magi.eventstore.presence import HEARTBEAT, Instance, Presence, alive, make_bucket
from magi.eventstore.pull import PullConsumer
from magi.orchestrator.assignment import assign
from magi.orchestrator.strays import Strays, deliver_again

log = structlog.get_logger(__name__)

PART = "orchestrator"
PULL_EXPIRES = 1.0
"""Seconds a pull request waits. A third of the pin's time-out: an idle owner keeps its pin."""
WANT = 256
"""Messages asked for at once a partition."""
HEARING = 2 * HEARTBEAT
"""Seconds after a reconnect in which nothing is taken or given: a restarted server has forgotten who is alive, and each
would take everything until it has heard of the others."""
TIDY_EVERY = 10
"""Heartbeats."""


class Partitions:
    """Reads this orchestrator's share of the inbox, and calls `on_message` for each message."""

    def __init__(
        self,
        bus: Bus,
        partitions: int,
        instance: Instance,
        on_message: Callable[[Msg], Awaitable[None]],
        room: Callable[[], int],
        on_taken: Callable[[int], None],
        tidy: Callable[[], None],
        on_given: Callable[[], None],
        on_failed: Callable[[], None],
    ) -> None:
        """`room()` says how many more messages can be had. `on_taken` is called before a partition is read, `tidy` now
        and then, `on_given` after partitions were given away, `on_failed` each time that `on_message` raises."""
        self._bus = bus
        self._partitions = partitions
        self._reader = DirectReader(bus, subjects.PRESENCE)
        self._presence = Presence(bus, instance, on_missing=make_bucket)
        self._on_message = on_message
        self._room = room
        self._on_taken = on_taken
        self._tidy = tidy
        self._on_given = on_given
        self._on_failed = on_failed
        self._strays = Strays(bus)
        self._consumers: dict[int, PullConsumer] = {}
        self._gone: set[int] = set()
        """Partitions whose consumers were missing when they were asked."""
        self._task: asyncio.Task[None] | None = None
        self._hearing_until = 0.0
        self._stopping = False

    @property
    def owned(self) -> frozenset[int]:
        """The partitions that are read here."""
        return frozenset(self._consumers)

    async def start(self) -> None:
        """Join the orchestrators and take a share. Raises BusError."""
        await self._reader.start()
        for partition in range(self._partitions):
            await ensure_inbox_consumer(self._bus, partition)
        await self._presence.start()
        await self._balance()
        self._bus.on_reconnected.append(self._on_reconnected)
        self._task = asyncio.create_task(self._keep_balance())

    async def stop(self) -> None:
        """Leave: others take the partitions at once."""
        if self._on_reconnected in self._bus.on_reconnected:
            self._bus.on_reconnected.remove(self._on_reconnected)
        self._stopping = True
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._presence.stop()
        for partition in self.owned:
            await self._release(partition)
        self._on_given()

    async def ask(self) -> None:
        """There is room again."""
        for consumer in list(self._consumers.values()):
            await consumer.ask()

    async def _on_reconnected(self) -> None:
        self._hearing_until = asyncio.get_running_loop().time() + HEARING

    async def _keep_balance(self) -> None:
        loop = asyncio.get_running_loop()
        for beat in itertools.count(1):
            if self._stopping:  # until Python 3.12 `wait_for` forgets a cancellation that comes with the answer
                return
            await asyncio.sleep(HEARTBEAT)
            await self._try(self._make_anew)
            if loop.time() >= self._hearing_until:
                await self._try(self._balance)
            if beat % TIDY_EVERY == 0:
                self._tidy()
                await self._try(self._recover_strays)

    async def _try(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except BusError as error:
            log.info("balance_waits", error=str(error))  # what we own we go on reading
        except Exception:  # without our task partitions would stay with the dead for ever
            log.exception("balance_failed")

    async def _make_anew(self) -> None:
        """Make the consumers that are gone."""
        for partition in tuple(self._gone):
            await ensure_inbox_consumer(self._bus, partition)
            self._gone.discard(partition)
            log.info("inbox_consumer_ensured", partition=partition)

    async def _recover_strays(self) -> None:
        for partition in await self._strays.look(self.owned):
            await deliver_again(self._bus, partition)
            self._gone.add(partition)

    async def _balance(self) -> None:
        me = self._presence.instance.instance
        members = [i.instance for i in await alive(self._reader, PART)]
        if me not in members:
            return  # the bucket is new: it doesn't know the others either
        owners = assign(members, self._partitions)
        mine = {partition for partition, owner in owners.items() if owner == me}
        given = self.owned - mine
        taken = mine - self.owned
        for partition in given:
            await self._release(partition)
        for partition in taken:
            await self._take(partition)
        if given or taken:
            log.info("partitions", owned=sorted(self.owned), orchestrators=len(owners and set(owners.values())))
        if given:
            self._on_given()

    async def _take(self, partition: int) -> None:
        consumer = PullConsumer(
            self._bus,
            subjects.INBOX,
            subjects.inbox_consumer(partition),
            self._on_message,
            want=WANT,
            expires=PULL_EXPIRES,
            group=subjects.GROUP,
            room=self._room,
            on_gone=lambda: self._gone.add(partition),
            on_failed=self._on_failed,
        )
        self._consumers[partition] = consumer
        self._on_taken(partition)
        await consumer.start()

    async def _release(self, partition: int) -> None:
        await self._consumers[partition].stop()
        del self._consumers[partition]
        try:
            await unpin(self._bus, partition)
        except BusError as error:
            log.debug("unpin_failed", partition=partition, error=str(error))  # the pin runs out by itself
