"""A voter with a key of its own on a server that knows what it may do: its whole job, and nothing else."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from magi.domain.ids import VoterId
from magi.embedded import nkey
from magi.embedded.users import NatsUser, render
from magi.eventstore import subjects
from magi.eventstore.bus import Bus, BusError
from magi.eventstore.direct import DirectReader
from magi.eventstore.presence import alive
from magi.eventstore.rights import voter_rights
from magi.voters.agent import VoterAgent
from tests.eventstore.rights import EDGE
from tests.orchestrator.world import World
from tests.servers import NatsServer
from tests.voters.judges import expected_vote, judge_by_content
from tests.waiting import until

A, B = VoterId("a"), VoterId("b")


class Locked:
    """A server that lets in MAGI's own parts and the voters a and b."""

    def __init__(self, directory: Path) -> None:
        component, self.seed = nkey.generate()
        users = []
        self.seeds: dict[VoterId, str] = {}
        for voter in (A, B):
            public, self.seeds[voter] = nkey.generate()
            rights = voter_rights(voter)
            users.append(NatsUser(public, rights.publish, rights.subscribe, rights.account))
        self.server = NatsServer(directory, config=render(component, users, EDGE).decode())


@pytest.fixture
async def locked(tmp_path: Path) -> AsyncIterator[tuple[Locked, World]]:
    locked = Locked(tmp_path / "nats")
    with locked.server:
        async with World.over(locked.server, seed=locked.seed) as world:
            yield locked, world


async def connect(locked: Locked, world: World, voter: VoterId) -> Bus:
    """As `run` does for a voter."""
    bus = await Bus.connect(locked.server.url, name=voter, seed=locked.seeds[voter], inbox_prefix=f"_INBOX_{voter}")
    world.at_the_end(bus.close)
    return bus


async def test_its_rights_are_enough_for_its_whole_job(locked: tuple[Locked, World]) -> None:
    server, world = locked
    await world.orchestrator()
    buses = []
    for voter in (A, B):
        buses.append(await connect(server, world, voter))
        running = VoterAgent(buses[-1], voter, judge_by_content)
        await running.start()
        world.at_the_end(running.stop)
    asked = [await world.submit(voter_list=(A, B)) for _ in range(10)]
    await world.until_decided(*(one.aggregate for one in asked))
    for one in asked:
        expected = {voter: expected_vote(voter, one.submission.agent_answer) for voter in (A, B)}
        assert (await world.check(one.aggregate)).details == expected
    await world.until_inbox_empty()

    async def all_done() -> bool:
        return (await world.state(subjects.TASKS)).messages == 0

    await until(all_done, "its acknowledgements are heard")
    reader = DirectReader(world.bus, subjects.PRESENCE)
    await reader.start()

    async def seen() -> bool:
        return [i.part for i in await alive(reader, "voter.*")] == ["voter.a", "voter.b"]

    await until(seen, "both are seen as alive")
    await world.vote(one.aggregate, A, "abstain")
    await world.until_refused()
    assert [bus._problem for bus in buses] == ["", ""], "nothing that it wanted was denied"


async def test_it_judges_even_while_nobody_can_see_that_it_is_alive(locked: tuple[Locked, World]) -> None:
    """As after a restart of the server, which has forgotten the bucket: a voter has no right to make it."""
    server, world = locked
    await world.orchestrator()
    await world.bus.request("$JS.API.STREAM.DELETE.KV_magi_presence")
    running = VoterAgent(await connect(server, world, A), A, judge_by_content)
    await running.start()
    asked = await world.submit(voter_list=(A,))
    await world.until_decided(asked.aggregate)
    await running.stop()


async def denied(bus: Bus, what: str) -> None:
    """Wait for the server to say that it denies what was just tried."""

    async def refused() -> bool:
        return f"violation for {what}" in bus._problem.lower()

    await until(refused, "it is denied", 30)
    bus._problem = ""


NOT_TO_PUBLISH = [
    "magi.inbox.0.ballot.b",
    "magi.inbox.0.submission.agent",
    "magi.log.agent.00000000-0000-4000-8000-000000000000",
    "magi.tasks.a",
    "magi.tasks.b",
    "magi.directory.voter.a",
    "magi.notices.voter.b",
    "magi.live.agent.x",
    "$JS.API.CONSUMER.MSG.NEXT.MAGI_TASKS.voter-b",
    "$JS.API.CONSUMER.MSG.NEXT.MAGI_INBOX.inbox-0",
    "$JS.API.CONSUMER.CREATE.MAGI_TASKS",
    "$JS.API.CONSUMER.DELETE.MAGI_TASKS.voter-a",
    "$JS.API.STREAM.MSG.GET.MAGI_TASKS",
    "$JS.API.STREAM.MSG.GET.MAGI_LOG",
    "$JS.API.STREAM.PURGE.MAGI_INBOX",
    "$JS.API.DIRECT.GET.MAGI_LOG",
    "$JS.API.DIRECT.GET.MAGI_DIRECTORY",
    "$JS.ACK.MAGI_TASKS.voter-b.1.1.1.1.0",
    "$JS.ACK.MAGI_INBOX.inbox-0.1.1.1.1.0",
    "$KV.magi_presence.voter.b.x",
    "$KV.magi_presence.orchestrator.x",
    "_INBOX_b.x",
]
NOT_TO_HEAR = [
    *(">", "magi.>", "magi.tasks.b", "magi.tasks.a", "magi.log.>", "magi.live.>", "magi.inbox.>"),
    *("magi.notices.voter.b", "magi.notices.initiator.agent", "_INBOX.>", "_INBOX_b.>", "$JS.>", "$SYS.>"),
]


async def test_it_may_publish_nothing_else(locked: tuple[Locked, World]) -> None:
    server, world = locked
    bus = await connect(server, world, A)
    allowed = []
    for subject in NOT_TO_PUBLISH:
        await bus.publish(subject, b"{}", reply=bus.nc.new_inbox())
        try:
            await denied(bus, "publish")
        except AssertionError:
            allowed.append(subject)
    assert allowed == []


async def test_it_may_listen_to_nothing_else(locked: tuple[Locked, World]) -> None:
    server, world = locked
    bus = await connect(server, world, A)

    async def never(msg: object) -> None:
        raise AssertionError("it was heard")

    allowed = []
    for subject in NOT_TO_HEAR:
        await bus.subscribe(subject, never)
        try:
            await denied(bus, "subscription")
        except AssertionError:
            allowed.append(subject)
    assert allowed == []


async def test_nobody_comes_in_without_a_key_or_with_an_unknown_one(locked: tuple[Locked, World]) -> None:
    server, _ = locked
    for seed in (None, nkey.generate()[1]):
        with pytest.raises(Exception, match="can't connect to NATS"):
            await Bus.connect(server.server.url, name="stranger", seed=seed)


async def test_a_task_is_read_by_nobody_but_its_voter(locked: tuple[Locked, World]) -> None:
    server, world = locked
    await world.orchestrator()
    await world.submit(voter_list=(B,))
    await world.until_tasks(1, B)
    bus = await connect(server, world, A)
    query = msgspec.json.encode({"batch": 1, "no_wait": True})
    with pytest.raises(BusError):
        await bus.request("$JS.API.CONSUMER.MSG.NEXT.MAGI_TASKS.voter-b", query, timeout=0.5)
    heard: list[bytes] = []

    async def take(msg: object) -> None:
        heard.append(msg.data)  # type: ignore[attr-defined]

    mine = await connect(server, world, B)
    inbox = mine.nc.new_inbox()
    await mine.subscribe(inbox, take)
    await mine.publish("$JS.API.CONSUMER.MSG.NEXT.MAGI_TASKS.voter-b", query, reply=inbox)

    async def came() -> bool:
        return bool(heard)

    await until(came, "its own voter reads it")
