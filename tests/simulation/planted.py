"""Faults planted into MAGI, each of which the simulation has to find."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

from magi.domain.clock import rfc3339
from magi.domain.ids import AggregateId
from magi.domain.messages import Submission
from magi.domain.voting_request import CastVote, Command, RequestEvent, VoterResult, VotingRequest, decide
from magi.eventstore import log
from magi.eventstore.bus import Bus, PubAck
from magi.eventstore.direct import DirectReader
from magi.gateway.following import Following
from magi.orchestrator.deciding import Decided
from magi.orchestrator.effects import Effects
from magi.orchestrator.held import HeldRequest
from magi.orchestrator.inbox import Item
from magi.orchestrator.requests import Requests
from magi.voters.agent import VoterAgent
from tests.simulation.nemesis import LOSSY
from tests.simulation.world import World


def harsh(world: World) -> None:
    """A network that loses a tenth of what may be lost: what takes many seeds to show comes sooner."""
    draw = random.Random("harsh")
    world.server.loses = lambda kind, link: kind in LOSSY and draw.random() < 0.1


def behind(world: World) -> None:
    """Three copies of each stream, of which two don't know yet what was stored in the last two seconds."""
    world.copies, world.server.behind = 3, 2.0


Plant = Callable[[], AbstractContextManager[Any]]


def acknowledge_before_appending() -> AbstractContextManager[Any]:
    handle = Requests._handle

    async def early(self: Requests, aggregate: AggregateId, request: HeldRequest, items: list[Item]) -> None:
        ballots = [item for item in items if not isinstance(item.message, Submission)]
        for item in ballots:
            await self._effects.acknowledge(item.reply)
        if ballots:
            await asyncio.sleep(0.3)  # written in one go both would arrive, whoever dies meanwhile
        await handle(self, aggregate, request, items)

    return mock.patch.object(Requests, "_handle", early)


def count_a_vote_twice() -> AbstractContextManager[Any]:
    """A ballot that comes again is counted again."""

    def twice(state: VotingRequest, command: Command) -> list[RequestEvent]:
        events = decide(state, command)
        if isinstance(command, CastVote) and not events and not state.verdict:
            return [VoterResult(voter_id=command.voter, vote=command.ballot.vote, at=rfc3339(command.now))]
        return events

    return mock.patch("magi.orchestrator.deciding.decide", twice)


def decide_on_what_was_stored_before() -> AbstractContextManager[Any]:
    """Of ballots that are decided on together none knows of the others."""
    take = Decided.take

    def unaware(self: Decided, item: Item, *more: Any) -> None:
        state = self.state
        take(self, item, *more)
        self.state = state

    return mock.patch.object(Decided, "take", unaware)


def forget_the_deadline() -> AbstractContextManager[Any]:
    async def never(self: Effects, reply: str, deadline: int) -> None:
        await self._bus.publish(reply, b"+ACK")

    return mock.patch.object(Effects, "wake_at", never)


def lose_what_comes_while_away() -> AbstractContextManager[Any]:
    """A gateway that was cut off from NATS doesn't read what it has missed, nor does it look now and then."""
    return mock.patch.multiple(Following, on_gap=lambda self: None, look=lambda self: None)


def resume_from_the_present() -> AbstractContextManager[Any]:
    """Who resumes is told what comes, not what came."""
    resume = Following.resume

    async def forgetful(self: Following, request_id: Any, after_seq: int) -> None:
        await resume(self, request_id, after_seq + 1)

    return mock.patch.object(Following, "resume", forgetful)


def append_whatever_is_there() -> AbstractContextManager[Any]:
    """Without the compare-and-swap."""
    store = Bus.store

    async def blindly(self: Bus, subject: str, data: bytes, headers: Any = None, timeout: float = 5.0) -> PubAck:
        kept = {name: value for name, value in (headers or {}).items() if name != log.EXPECTED}
        return await store(self, subject, data, kept, timeout)

    return mock.patch.object(Bus, "store", blindly)


def acknowledge_a_task_before_its_vote() -> AbstractContextManager[Any]:
    work = VoterAgent._work

    async def early(self: VoterAgent, msg: Any) -> None:
        await self._bus.publish(msg.reply, b"+ACK")
        await work(self, msg)

    return mock.patch.object(VoterAgent, "_work", early)


def believe_any_copy() -> AbstractContextManager[Any]:
    """What a copy that is behind doesn't have is taken for what there isn't."""

    async def unasked(self: DirectReader, subject: str) -> None:
        pass

    return mock.patch.object(DirectReader, "_look", unasked)


def project_twice() -> AbstractContextManager[Any]:
    """The projector's rows are written, and its position is not."""
    from tests.simulation.postgres import Connection

    execute = Connection.execute

    async def stuck(self: Connection, query: Any, parameters: Any = None) -> Any:
        if isinstance(parameters, dict) and "to" in parameters and parameters["from"] % 7 == 3:
            parameters = {**parameters, "to": parameters["from"]}
        return await execute(self, query, parameters)

    return mock.patch.object(Connection, "execute", stuck)


PLANTS: dict[str, Plant] = {
    plant.__name__: plant
    for plant in (
        acknowledge_before_appending,
        count_a_vote_twice,
        decide_on_what_was_stored_before,
        forget_the_deadline,
        lose_what_comes_while_away,
        resume_from_the_present,
        append_whatever_is_there,
        acknowledge_a_task_before_its_vote,
        project_twice,
    )
}
