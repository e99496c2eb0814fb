"""The voters that MAGI runs itself, kept in step with the directory: one agent for each that is registered.

Built-in ones, and the proxies for those that are called: webhooks, language models, commands.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import NamedTuple

import structlog

from magi.domain.directory import DirectoryEvent
from magi.domain.ids import VoterId
from magi.domain.voter import Voter, VoterEvent
from magi.eventstore.bus import Bus, BusError
from magi.eventstore.directory import DirectoryView
from magi.telemetry.instruments import Reading
from magi.voters.agent import Judge, VoterAgent
from magi.voters.kind_settings import BadSettings
from magi.voters.metrics import VoterMetrics

log = structlog.get_logger(__name__)

AGAIN = 5.0
"""Seconds until a voter that could not be started is tried again: its secret may not be there yet."""

MakeJudge = Callable[[VoterId, Voter], AbstractAsyncContextManager[Judge]]
"""Gives a registered voter's judge, for as long as its agent runs. Raises BadSettings."""


class _Agent(NamedTuple):
    made_of: tuple[object, ...]
    """What of its registration it was started with."""
    agent: VoterAgent
    resources: AsyncExitStack


class HostedVoters:
    """Runs every voter of certain kinds, whatever is registered, changed or revoked meanwhile. A part."""

    def __init__(
        self,
        bus: Bus,
        hosts: Callable[[VoterId, Voter], bool],
        make: MakeJudge,
        *,
        only: frozenset[VoterId] | None = None,
        capacity: int | None = None,
    ) -> None:
        """`hosts` says which voters can be run, `make` gives their judges. All of them are run, or `only` some; with
        the capacity that they are registered with, or another one."""
        self._bus = bus
        self._hosts = hosts
        self._make = make
        self._only = only
        self._capacity = capacity
        self._directory = DirectoryView(bus, self._on_directory)
        self._changed = asyncio.Event()
        self._agents: dict[VoterId, _Agent] = {}
        self._keeper: asyncio.Task[None] | None = None
        self._problems: dict[VoterId, str] = {}
        self._counted = VoterMetrics()

    @property
    def running(self) -> frozenset[VoterId]:
        return frozenset(self._agents)

    @property
    def failed(self) -> asyncio.Future[None]:
        """Set when it can't go on: its copy of the directory is broken."""
        return self._directory.failed

    def metrics(self) -> Iterable[Reading]:
        """See `telemetry.instruments.Source`."""
        return self._counted.metrics()

    async def start(self) -> None:
        """Start what is registered now, and follow. Raises BusError."""
        await self._directory.start()
        await self._reconcile()
        known = self._directory.directory.voters
        for name in (self._only or frozenset()) - frozenset(known):
            log.warning("voter_not_registered", voter=name)
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Take no further tasks, and finish those that are open if it doesn't take long."""
        if self._keeper:
            self._keeper.cancel()
        await asyncio.gather(*(self._end(name) for name in list(self._agents)), return_exceptions=True)
        await self._directory.stop()

    async def _on_directory(self, event: DirectoryEvent) -> None:
        if isinstance(event, VoterEvent):
            self._changed.set()

    async def _keep(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AGAIN if self._problems else None):
                    await self._changed.wait()
            self._changed.clear()
            await self._reconcile()

    async def _reconcile(self) -> None:
        wanted = {name: voter for name, voter in self._directory.directory.voters.items() if self._wants(name, voter)}
        for name in [n for n, a in self._agents.items() if n not in wanted or a.made_of != _made_of(wanted[n])]:
            await self._end(name)
        self._problems = {name: why for name, why in self._problems.items() if name in wanted}
        for name, voter in wanted.items():
            if name not in self._agents:
                await self._begin(name, voter)

    def _wants(self, name: VoterId, voter: Voter) -> bool:
        """A suspended voter goes on: its open tasks count, and it is tried with probes."""
        return self._hosts(name, voter) and voter.status != "revoked" and (self._only is None or name in self._only)

    async def _begin(self, name: VoterId, voter: Voter) -> None:
        resources = AsyncExitStack()
        try:
            judge = await resources.enter_async_context(self._make(name, voter))
            agent = VoterAgent(
                self._bus,
                name,
                judge,
                capacity=self._capacity or voter.capacity,
                max_attempts=voter.max_attempts,
                counted=self._counted,
            )
            await agent.start()
        except (BadSettings, BusError) as error:
            await resources.aclose()
            if self._problems.get(name) != str(error):
                log.error("voter_not_hosted", voter=name, kind=voter.kind, error=str(error))
            self._problems[name] = str(error)
            return
        self._problems.pop(name, None)
        self._agents[name] = _Agent(_made_of(voter), agent, resources)

    async def _end(self, name: VoterId) -> None:
        ended = self._agents.pop(name)
        await ended.agent.stop()
        await ended.resources.aclose()


def _made_of(voter: Voter) -> tuple[object, ...]:
    return voter.kind, voter.settings, voter.capacity, voter.max_attempts
