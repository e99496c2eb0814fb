"""A connection as it is seen from outside: present as an instance of its voter, with how it has fared lately."""

import asyncio
import uuid
from collections.abc import Callable

import msgspec
import structlog

from magi.domain.ids import VoterId
from magi.eventstore.bus import Bus, BusError, Rejected
from magi.eventstore.presence import HEARTBEAT, Instance, Presence, host_name, now_ms
from magi.eventstore.recent import Recent
from magi.eventstore.streams import StreamsError
from magi.gateway.voters.tasks import OpenTask, Tasks

log = structlog.get_logger(__name__)


class Seen:
    """Announced by `announce`, until `stop`."""

    def __init__(self, bus: Bus, voter: VoterId, tasks: Tasks, capacity: Callable[[], int]) -> None:
        self.version = ""
        """Of the voter's own program."""
        self._tasks = tasks
        self._capacity = capacity
        self._recent = Recent()
        self._announced = False
        instance = Instance(f"voter.{voter}", uuid.uuid4().hex[:12], since_ms=now_ms(), host=host_name())
        self._presence = Presence(bus, instance, self._as_it_is)

    def voted(self, task: OpenTask) -> None:
        """A result was accepted."""
        assert task.result
        if task.result.failed:
            self._recent.failed(now_ms())
        else:
            self._recent.succeeded(now_ms() - task.since, now_ms())

    def missed(self) -> None:
        """A task came to its deadline without a result."""
        self._recent.failed(now_ms())

    async def announce(self) -> None:
        """Be seen as alive. That must not keep a voter from its work."""
        while not self._announced:
            try:
                await self._presence.start()
                self._announced = True
            except (BusError, Rejected, StreamsError) as error:
                log.info("presence_missed", part=self._presence.instance.part, error=str(error))
                await asyncio.sleep(HEARTBEAT)

    async def stop(self) -> None:
        if self._announced:
            await self._presence.stop()

    def _as_it_is(self, instance: Instance) -> Instance:
        figures = self._recent.figures(now_ms())
        return msgspec.structs.replace(
            instance,
            version=self.version,
            capacity=self._capacity(),
            in_flight=len(self._tasks),
            p95_ms=figures.p95_ms,
            succeeded=figures.succeeded,
            failed=figures.failed,
        )
