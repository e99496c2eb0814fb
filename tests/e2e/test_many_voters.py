"""48 voters over WebSocket replay recorded votes on 400 requests; some say garbage, three die and come back.

Nothing of ours decides what is right here: the verdicts are counted again from what each voter was told `accepted` for.
"""

import asyncio
import json
import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from magi.domain import initiator as initiators
from magi.domain import voter_commands as voters
from magi.domain.ids import VoterId
from magi.domain.tokens import ENTROPY, new_token, token_hash
from magi.eventstore.consumers import ensure_task_consumer
from magi.eventstore.directory import DirectoryView, change_initiator, change_voter
from magi.eventstore.presence import now_ms
from magi.gateway.server import Gateway
from magi.gateway.settings import GatewaySettings, Limits
from magi.orchestrator.health import HealthSettings
from magi.orchestrator.orchestrator import Orchestrator, OrchestratorSettings
from tests.gateway.client import Client, Message
from tests.orchestrator.world import World
from tests.servers import NatsServer
from tests.waiting import until

SEED = 20261122
VOTERS = [f"v{number:02}" for number in range(48)]
DYING = VOTERS[:3]
REQUESTS = 400
IN_FLIGHT = 60
PANEL = 7
GROUP = "many"
GARBAGE = 0.02
SLOWEST = 0.05
"""Seconds that a voter takes, at most."""
TIMEOUT = 2.5
"""Seconds that a request has, on a machine that answers `IN_FLIGHT` at once in a third of it. On a busy one it has
three times as long as these take: who lives must not be taken for dead."""
WARM_UP = 60.0
HEALTH = HealthSettings(consecutive=3, first_seconds=1.0, longest_seconds=4.0, least_seconds=1.0)
LIMITS = Limits(messages_per_second=100_000, burst=100_000)


def recorded(request: str, voter: str) -> str:
    """The vote that the voter once gave on this request."""
    return random.Random(f"{SEED} {request} {voter}").choices(["pass", "fail", "abstain"], [6, 3, 1])[0]


def garbage(draw: random.Random, task: Message) -> str:
    said: list[Any] = [
        "{",
        {"type": "result", "task_id": task["task_id"], "vote": "perhaps"},
        {"type": "result", "task_id": "nothing", "vote": "pass"},
        {"type": "result", "task_id": task["task_id"], "vote": "pass", "confidence": 7},
        {"type": "vote", "task_id": task["task_id"]},
    ]
    chosen = draw.choice(said)
    return chosen if isinstance(chosen, str) else json.dumps(chosen)


class Many:
    """A gateway, two orchestrators, and the voters' programs."""

    def __init__(self, world: World, exits: AsyncExitStack) -> None:
        self.world = world
        self._exits = exits
        self.port = 0
        self.token = ""
        self.accepted: defaultdict[str, dict[str, str]] = defaultdict(dict)
        """By request and voter: what was `accepted`, and not refused as late afterwards."""
        self.garbage = 0
        self.garbage_share = 0.0
        self.timeout = WARM_UP
        self._tokens: dict[str, str] = {}
        self._programs: dict[str, asyncio.Task[None]] = {}
        self.directory = DirectoryView(world.bus)

    async def start(self) -> None:
        await asyncio.gather(*(self._register(voter) for voter in VOTERS))
        await change_initiator(self.world.directory, initiators.Register("agent", "", "test", now_ms()))
        self.token = new_token("i", os.urandom(ENTROPY))
        issue = initiators.IssueToken("agent", token_hash(self.token), "test", now_ms())
        await change_initiator(self.world.directory, issue)
        settings = OrchestratorSettings(self.world.partitions, PANEL, GROUP, health=HEALTH)
        for number in range(2):
            orchestrator = Orchestrator(await self.world.connect(f"orchestrator {number}"), settings)
            await orchestrator.start()
            self._exits.push_async_callback(orchestrator.stop)
        gateway = Gateway(
            await self.world.connect("gateway"),
            GatewaySettings(port=0, limits=LIMITS),
            partitions=self.world.partitions,
            panel_size=PANEL,
            default_group=GROUP,
        )
        await gateway.start()
        self._exits.push_async_callback(gateway.stop)
        self.port = gateway.port
        await self.directory.start()
        self._exits.push_async_callback(self.directory.stop)
        for voter in VOTERS:
            self.begin(voter)

    async def _register(self, voter: str) -> None:
        token = self._tokens[voter] = new_token("v", os.urandom(ENTROPY))
        store = self.world.directory
        await change_voter(store, voters.Register(voter, "websocket", "", GROUP, "", "test", now_ms(), capacity=64))
        await change_voter(store, voters.IssueToken(voter, token_hash(token), "test", now_ms()))
        await ensure_task_consumer(self.world.bus, VoterId(voter))

    def begin(self, voter: str) -> None:
        """Start a voter's program."""
        self._programs[voter] = asyncio.create_task(self._program(voter))

    async def die(self, voter: str) -> None:
        """Kill a voter's program, whatever it is doing."""
        self._programs[voter].cancel()
        await asyncio.wait([self._programs[voter]])

    async def stop(self) -> None:
        for voter in VOTERS:
            await self.die(voter)

    async def _program(self, voter: str) -> None:
        draw = random.Random(f"{SEED} {voter}")
        said: dict[str, tuple[str, str]] = {}
        async with Client.connect(self.port, self._tokens[voter], path="/v1/voter") as client, asyncio.TaskGroup() as g:

            async def judge(task: Message) -> None:
                await asyncio.sleep(draw.uniform(0, SLOWEST))
                if draw.random() < self.garbage_share:
                    self.garbage += 1
                    await client.send(garbage(draw, task))
                    return  # and no vote
                vote = recorded(task["request_id"], voter)
                said[task["task_id"]] = (task["request_id"], vote)
                await client.send({"type": "progress", "task_id": task["task_id"]})
                await client.send({"type": "result", "task_id": task["task_id"], "vote": vote})

            await client.send({"type": "ready", "capacity": 64})
            while True:
                message = json.loads(await client.connection.recv())
                request, vote = said.get(message.get("task_id", ""), ("", ""))
                if message["type"] == "task":
                    g.create_task(judge(message))
                elif message["type"] == "accepted" and message["kind"] == "result":
                    self.accepted[request][voter] = vote
                elif message["type"] == "error" and request:
                    self.accepted[request].pop(voter, None)

    async def ask(self, names: list[str]) -> dict[str, Message]:
        """Submit requests, so many in flight at once; their verdicts."""
        verdicts: dict[str, Message] = {}
        async with Client.connect(self.port, self.token) as client:
            waiting = list(reversed(names))

            async def submit() -> None:
                name = waiting.pop()
                await client.send(
                    {
                        "type": "request",
                        "request_id": name,
                        "user_query": "?",
                        "agent_answer": name,
                        "timeout_ms": int(1000 * self.timeout),
                    }
                )

            for _ in range(min(IN_FLIGHT, len(names))):
                await submit()
            while len(verdicts) < len(names):
                message = await client.receive()
                assert message["type"] != "error", message
                if message["type"] == "final_result":
                    verdicts[message["request_id"]] = message
                    if waiting:
                        await submit()
        return verdicts

    def status(self, voter: str) -> str:
        return self.directory.directory.voters[VoterId(voter)].status

    async def warm_up(self) -> None:
        """See how quick the machine is; from now on voters speak nonsense now and then."""
        begun = time.monotonic()
        await self.ask([f"to begin {number}" for number in range(IN_FLIGHT)])
        self.timeout = max(TIMEOUT, 3 * (time.monotonic() - begun))
        self.garbage_share = GARBAGE

    async def until_all(self, names: list[str], status: str) -> None:
        async def so() -> bool:
            return all(self.status(voter) == status for voter in names)

        await until(so, f"{names} are {status}", 60)


@pytest.fixture
async def many(fresh_nats: NatsServer) -> AsyncIterator[Many]:
    async with World.over(fresh_nats) as world, AsyncExitStack() as exits:
        many = Many(world, exits)
        await many.start()
        exits.push_async_callback(many.stop)
        yield many


def counted(panel: list[str], votes: dict[str, str]) -> str:
    """Minority rule, as PROTOCOL §4 has it."""
    said = Counter(votes.values())
    quorum = len(panel) // 2 + 1
    return "pass" if said["pass"] > said["fail"] and said["pass"] + said["fail"] >= quorum else "fail"


def votes_on(many: Many, name: str, verdict: Message) -> dict[str, str]:
    """What the panel was told is accepted. Voters that are tried out vote, too, and aren't on the panel."""
    return {voter: vote for voter, vote in many.accepted[name].items() if voter in verdict["details"]}


def in_the_verdict(verdict: Message) -> dict[str, str]:
    return {voter: said for voter, said in verdict["details"].items() if said != "missing"}


async def check(many: Many, verdicts: dict[str, Message]) -> None:
    async def told() -> bool:
        """On a busy machine some vote too late, and hear of it after the verdict."""
        return all(in_the_verdict(v) == votes_on(many, name, v) for name, v in verdicts.items())

    await until(told, "each vote that was accepted is in its verdict, or was refused")
    for name, verdict in verdicts.items():
        votes = votes_on(many, name, verdict)
        assert verdict["final_vote"] == counted(list(verdict["details"]), votes), name
        assert all(vote == recorded(name, voter) for voter, vote in votes.items())


@pytest.mark.timeout(300)
async def test_every_verdict_is_what_the_votes_say_and_the_dead_are_out_until_they_return(many: Many) -> None:
    await many.warm_up()
    names = [f"request {number}" for number in range(REQUESTS)]
    healthy = await many.ask(names[:100])
    assert all(many.status(voter) == "active" for voter in VOTERS)
    for voter in DYING:
        await many.die(voter)
    without = await many.ask(names[100:300])
    await many.until_all(DYING, "suspended")
    # All of the others, but for one that a busy machine kept from answering in time.
    assert sum(many.status(voter) != "active" for voter in VOTERS if voter not in DYING) <= len(DYING)
    for voter in DYING:
        many.begin(voter)
    more = 0
    again: dict[str, Message] = {}
    while any(many.status(voter) != "active" for voter in DYING):  # probes need requests to be sent with
        again |= await many.ask([f"between {more + n}" for n in range(20)])
        more += 20
        assert more < 4000, {voter: many.status(voter) for voter in DYING}
    again |= await many.ask(names[300:])
    verdicts = {**healthy, **without, **again}
    await check(many, verdicts)
    assert many.garbage > 0
    assert {verdict["final_vote"] for verdict in verdicts.values()} == {"pass", "fail"}
    judged = {voter for verdict in again.values() for voter, said in verdict["details"].items() if said != "missing"}
    assert judged >= set(DYING)
