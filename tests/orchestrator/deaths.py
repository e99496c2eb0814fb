"""How orchestrators die: one that can, and what one that did may have left behind."""

import asyncio
from typing import Any

import msgspec
from nats.aio.msg import Msg

from magi.domain.clock import milliseconds
from magi.domain.ids import AggregateId, VoterId, task_id
from magi.domain.messages import ResultBallot, Vote
from magi.domain.panel import Candidate, Snapshot
from magi.domain.voting_request import INITIAL, CastVote, Command, Received, Submit, decide, fold
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.consumers import ensure_inbox_consumer
from magi.eventstore.history import EMPTY
from magi.eventstore.presence import now_ms
from magi.eventstore.pull import delivery
from magi.orchestrator.effects import Effects
from magi.orchestrator.orchestrator import Orchestrator, OrchestratorSettings
from tests.orchestrator.world import Asked, World
from tests.proxy import Proxy

# --- What is left behind: written as an orchestrator does, up to a point ----------------------------------------------


async def _decide(world: World, aggregate: AggregateId, command: Command, cause: int, only: int | None = None) -> None:
    """Append what `command` leads to; or only the first few events of it, as was possible when each was appended by
    itself."""
    stored = await world.stored(aggregate)
    events = decide(fold(recorded.event for recorded in stored), command)
    events = [msgspec.structs.replace(event, cause=cause) for event in events[:only]]
    await world.log.append(aggregate, events, stored[-1].head if stored else EMPTY)


async def receive(world: World, asked: Asked, **fields: Any) -> Received:
    """Append `received`, as its orchestrator does. `fields` replace the event's own."""
    snapshot = Snapshot({VoterId(voter): Candidate("active") for voter in asked.submission.voter_list})
    (event,) = decide(INITIAL, Submit(asked.submission, snapshot, now_ms()))
    assert isinstance(event, Received)
    event = msgspec.structs.replace(event, cause=asked.sequence, **fields)
    await world.log.append(asked.aggregate, [event], EMPTY)
    return event


async def count(world: World, asked: Asked, voter: str, vote: Vote, only: int | None = None) -> None:
    """Put a ballot into the inbox and append what it leads to, or only the first few events of it."""
    sequence = await world.vote(asked.aggregate, voter, vote)
    ballot = ResultBallot(task_id=task_id(asked.aggregate, VoterId(voter)), vote=vote)
    await _decide(world, asked.aggregate, CastVote(voter, ballot, now_ms(), now_ms()), sequence, only)


async def dispatch(world: World, asked: Asked) -> None:
    """Give the voters their tasks, as the orchestrator does."""
    received = (await world.history(asked.aggregate))[0]
    assert isinstance(received, Received)
    effects = Effects(world.bus, world.partitions, now_ms)
    await effects.dispatch(asked.aggregate, received, received.voters, milliseconds(received.deadline))


async def take_and_die(world: World) -> dict[int, str]:
    """Read all there is in the inbox and acknowledge nothing: what an orchestrator had when it died.

    Returns where the server wants the acknowledgement of each message, by its sequence.
    """
    replies: dict[int, str] = {}
    for partition in range(world.partitions):
        await ensure_inbox_consumer(world.bus, partition)
        waiting = asyncio.Event()

        async def take(msg: Msg, ended: asyncio.Event = waiting) -> None:
            if msg.headers and "Status" in msg.headers:
                ended.set()
            else:
                replies[delivery(msg.reply).sequence] = msg.reply

        inbox = world.bus.nc.new_inbox()
        await world.bus.subscribe(inbox, take)
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{subjects.INBOX}.{subjects.inbox_consumer(partition)}"
        await world.bus.publish(subject, b'{"batch":1000,"no_wait":true,"group":"orchestrator"}', reply=inbox)
        await asyncio.wait_for(waiting.wait(), 30)
    return replies


# --- Dying ---


class _Line(Proxy):
    """A connection that can be dead for a while."""

    dead = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.dead:
            writer.transport.abort()
        else:
            await super()._serve(reader, writer)


class Mortal:
    """An orchestrator whose connection to NATS can be ended: to everybody else it is dead then.

    To itself it isn't: once revived it goes on with what it remembers, as one that was stopped by SIGSTOP or cut off
    from the network would.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._line = _Line(world.server.port)
        self.orchestrator: Orchestrator
        self.bus: Bus

    @classmethod
    async def begin(cls, world: World) -> "Mortal":
        """A started one, buried at the end of the test."""
        mortal = cls(world)
        await mortal._start()
        world.at_the_end(mortal._bury)
        return mortal

    async def _start(self) -> None:
        await self._line.__aenter__()
        self.bus = await Bus.connect(self._line.url, name="mortal")
        self.orchestrator = Orchestrator(self.bus, OrchestratorSettings(self._world.partitions))
        await self.orchestrator.start()

    def die(self) -> None:
        """Nothing comes from it any more, and nothing reaches it."""
        self._line.dead = True
        self._line.cut()

    def revive(self) -> None:
        """Its next try to connect is a success."""
        self._line.dead = False

    async def _bury(self) -> None:
        """End what is left of it, without a word to the others."""
        self.die()
        await self.bus.close()
        await self._line.__aexit__(None, None, None)
