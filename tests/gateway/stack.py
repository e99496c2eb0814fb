"""MAGI in this process on a real nats-server: gateways, an orchestrator, and voters that vote as they are told."""

import asyncio
import json
import os
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg

from magi.domain import initiator as initiators
from magi.domain import voter_commands as voters
from magi.domain.ids import AggregateId, InitiatorId, RequestId, VoterId, request_aggregate, task_id
from magi.domain.messages import Opinion, ProgressBallot, Task, Vote, encode
from magi.domain.panel import DEFAULT_GROUP
from magi.domain.tokens import ENTROPY, new_token, token_hash, token_id
from magi.domain.voting_request import RequestEvent
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.codec import unpack
from magi.eventstore.consumers import ensure_task_consumer
from magi.eventstore.declarations import Overrides, load_declarations
from magi.eventstore.directory import change_initiator, change_voter, directory_log
from magi.eventstore.history import Recorded
from magi.eventstore.log import JetStreamLog
from magi.eventstore.presence import now_ms
from magi.eventstore.streams import apply
from magi.gateway.server import Gateway
from magi.gateway.settings import GatewaySettings, Limits
from magi.orchestrator.orchestrator import Orchestrator, OrchestratorSettings
from magi.voters.agent import VoterAgent
from tests.gateway.client import Client
from tests.waiting import until

PARTITIONS = 2
PANEL = ("voter_1", "voter_2", "voter_3")
QUICK = Limits(authentication_seconds=5.0, messages_per_second=100_000, burst=100_000)
"""The default limits, but for the rate: tests send as fast as they can."""


class Stack:
    """Made by `running`. `token` is one of the Initiator ``agent``."""

    def __init__(self, nats_url: str, stack: AsyncExitStack) -> None:
        self.nats_url = nats_url
        self._stack = stack
        self._held: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.gateway: Gateway
        self.orchestrator: Orchestrator
        self.bus: Bus
        """A connection of the test's own, besides those of the parts."""
        self.token = ""
        self._said = 0
        self.judged: Counter[str] = Counter()
        """How often each voter was asked."""

    @property
    def nc(self) -> NatsClient:
        return self.bus.nc

    async def connect(self, name: str, url: str | None = None) -> Bus:
        """A connection to NATS that is closed with the stack."""
        bus = await Bus.connect(url or self.nats_url, name=name)
        self._stack.push_async_callback(bus.close)
        return bus

    async def start(self, limits: Limits, grace: float) -> None:
        self.bus = await self.connect("test")
        await apply(self.nc, load_declarations(overrides=Overrides(partitions=PARTITIONS)))
        self.log: JetStreamLog[RequestEvent] = JetStreamLog(self.bus, subjects.LOG, subjects.LOG_PREFIX, RequestEvent)
        await self.log.start()
        self.directory = directory_log(self.bus)
        await self.directory.start()
        await asyncio.gather(*(self._register(voter) for voter in PANEL))
        self.token = await self.add_initiator("agent")
        self.orchestrator = Orchestrator(await self.connect("orchestrator"), OrchestratorSettings(PARTITIONS))
        await self.orchestrator.start()
        self._stack.push_async_callback(self.orchestrator.stop)
        bus = await self.connect("voters")
        for voter in PANEL:
            agent = VoterAgent(bus, VoterId(voter), self._judge(voter), capacity=128)
            await agent.start()
            self._stack.push_async_callback(agent.stop, 0.0)
        self.gateway = await self.start_gateway(limits, grace)

    async def start_gateway(self, limits: Limits = QUICK, grace: float = 1.0, bus: Bus | None = None) -> Gateway:
        """One more gateway; it is stopped with the stack."""
        gateway = Gateway(
            bus or await self.connect("gateway"),
            GatewaySettings(port=0, grace_seconds=grace, limits=limits),
            partitions=PARTITIONS,
            panel_size=5,
            default_group=DEFAULT_GROUP,
        )
        await gateway.start()
        self._stack.push_async_callback(gateway.stop)
        return gateway

    # --- Clients -----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def client(self, token: str | None = None, gateway: Gateway | None = None) -> AsyncIterator[Client]:
        """An authenticated connection of an Initiator, by default of ``agent``."""
        async with Client.connect((gateway or self.gateway).port, token or self.token) as client:
            yield client

    # --- Voters ------------------------------------------------------------------------------------------------------

    def _judge(self, voter: str) -> Callable[[Task], Awaitable[Opinion]]:
        async def judge(task: Task) -> Opinion:
            self.judged[voter] += 1
            told = task.metadata.get(voter, "pass")
            if told == "never":
                await asyncio.Event().wait()
            if told == "held":
                await self._held[f"{task.request_id}/{voter}"].wait()
                told = "pass"
            vote: Vote = told
            return Opinion(vote, f"{voter} says {vote}" + "\x01" * task.metadata.get("padding", 0))

        return judge

    def release(self, request_id: str, *names: str) -> None:
        """Let voters that hold their vote on a request (``held`` in its metadata) give it: pass. By default all."""
        for voter in names or PANEL:
            self._held[f"{request_id}/{voter}"].set()

    async def progress(self, request_id: str, voter: str) -> None:
        """Have a voter say once more that it is at work on a request of ``agent``; at most 16 times are kept."""
        request = aggregate(request_id)
        self._said += 1
        ballot = ProgressBallot(task_id=task_id(request, VoterId(voter)), status=f"step {self._said}")
        await self.bus.store(subjects.ballot(request, VoterId(voter), PARTITIONS), encode(ballot))

    def lose_live(self, lost: Callable[[int], bool]) -> list[int]:
        """Lose the live events whose `seq` is to be lost, on their way to the gateway; returns the list of those.

        Only for Initiators that connect afterwards.
        """
        hub = self.gateway._hub
        deliver = hub._on_live
        dropped: list[int] = []

        def on_live(msg: Msg) -> None:
            for one in one_by_one(msg):
                seq = json.loads(one.data)["version"]
                if lost(seq):
                    dropped.append(seq)
                else:
                    deliver(one)

        hub._on_live = on_live  # type: ignore[method-assign]
        return dropped

    # --- The directory -----------------------------------------------------------------------------------------------

    async def _register(self, voter: str, group: str = DEFAULT_GROUP) -> None:
        command = voters.Register(voter, "nats", f"votes as told, named {voter}", group, "", "test", now_ms())
        await change_voter(self.directory, command)
        await ensure_task_consumer(self.bus, VoterId(voter))

    async def add_voter(self, voter: str) -> None:
        """Register a voter that nobody is, outside of the default group."""
        await self._register(voter, "nobody")
        await self._until_voter(voter, "active")

    async def add_voters(self, names: Sequence[str]) -> None:
        """`add_voter` for many."""
        await asyncio.gather(*(self.add_voter(name) for name in names))

    async def suspend(self, voter: str) -> None:
        """Suspend a voter, and return when gateway and orchestrator know."""
        await change_voter(self.directory, voters.Suspend(voter, "a test", "test", now_ms()))
        await self._until_voter(voter, "suspended")

    async def revoke(self, voter: str) -> None:
        """Revoke a voter, and return when gateway and orchestrator know."""
        await change_voter(self.directory, voters.Revoke(voter, "a test", "test", now_ms()))
        await self._until_voter(voter, "revoked")

    async def _until_voter(self, voter: str, status: str) -> None:
        views = [self.gateway._directory, self.orchestrator._directory]

        async def known() -> bool:
            found = [view.directory.voters.get(VoterId(voter)) for view in views]
            return all(v is not None and v.status == status for v in found)

        await until(known, f"gateway and orchestrator know that {voter} is {status}")

    async def add_initiator(self, name: str) -> str:
        """A new Initiator that the gateway knows; returns its token."""
        await change_initiator(self.directory, initiators.Register(name, "a test", "test", now_ms()))
        return await self.issue_token(name)

    async def issue_token(self, initiator: str, **fields: Any) -> str:
        """A new token of an Initiator, once the gateway knows it (if there is one). `fields` are of the command."""
        token = new_token("i", os.urandom(ENTROPY))
        digest = token_hash(token)
        await change_initiator(self.directory, initiators.IssueToken(initiator, digest, "test", now_ms(), **fields))

        async def known() -> bool:
            return self.gateway._directory.directory.authenticate(digest) is not None

        if hasattr(self, "gateway"):
            await until(known, f"the gateway knows a token of {initiator}")
        return token

    async def set_quotas(self, initiator: str, *gateways: Gateway, **quotas: float) -> None:
        """Quotas of its own, which these gateways (by default ours) know when it returns."""
        await change_initiator(self.directory, initiators.Change(initiator, "test", now_ms(), **quotas))  # type: ignore[arg-type]

        async def known() -> bool:
            views = [gateway._directory.directory for gateway in gateways or (self.gateway,)]
            found = [view.initiators[InitiatorId(initiator)].quotas for view in views]
            return all(getattr(one, name) == value for one in found for name, value in quotas.items())

        await until(known, f"the gateways know the quotas of {initiator}")

    async def revoke_token(self, initiator: str, token: str) -> None:
        which = token_id(token_hash(token))
        await change_initiator(self.directory, initiators.RevokeToken(initiator, which, "", "test", now_ms()))

    async def revoke_initiator(self, initiator: str) -> None:
        await change_initiator(self.directory, initiators.Revoke(initiator, "", "test", now_ms()))

    # --- The streams -------------------------------------------------------------------------------------------------

    async def change_stream(self, name: str, **fields: Any) -> None:
        """Change fields of a live stream's configuration."""
        config = json.loads(await self.bus.request(f"$JS.API.STREAM.INFO.{name}"))["config"]
        answer = await self.bus.request(f"$JS.API.STREAM.UPDATE.{name}", json.dumps({**config, **fields}).encode())
        assert b'"error"' not in answer, answer

    async def delete_stream(self, name: str) -> None:
        await self.bus.request(f"$JS.API.STREAM.DELETE.{name}")

    # --- The log -----------------------------------------------------------------------------------------------------

    async def stored(self, request_id: str, initiator: str = "agent") -> list[Recorded[RequestEvent]]:
        """What the log holds of a request."""
        return await self.log.load(aggregate(request_id, initiator))

    async def until_stored(self, request_id: str, events: int, initiator: str = "agent") -> None:
        async def there() -> bool:
            return len(await self.stored(request_id, initiator)) >= events

        await until(there, f"{events} events of {request_id!r} are stored")


class SlowReading:
    """Makes a gateway's next reading of the log late: it gets its answer at once, and goes on after `go_on`."""

    def __init__(self, gateway: Gateway) -> None:
        self._log = gateway._log
        self._load = gateway._log.load
        self._answered = asyncio.Event()
        self._go_on = asyncio.Event()
        self._log.load = self._late  # type: ignore[method-assign]

    async def _late(self, aggregate: AggregateId, after: int = 0) -> list[Recorded[RequestEvent]]:
        self._log.load = self._load  # type: ignore[method-assign]
        history = await self._load(aggregate, after)
        self._answered.set()
        await self._go_on.wait()
        return history

    async def answered(self) -> None:
        """Return once it has its answer, which grows old from here on."""
        await asyncio.wait_for(self._answered.wait(), 30)

    def go_on(self) -> None:
        self._go_on.set()


def one_by_one(msg: Msg) -> list[Msg]:
    """What is told live, as it would be had each event been appended by itself. How many are together is chance."""
    return [Msg(msg._client, msg.subject, data=data, headers=msg.headers) for data in unpack(msg.data)]


def aggregate(request_id: str, initiator: str = "agent") -> AggregateId:
    return request_aggregate(InitiatorId(initiator), RequestId(request_id))


@asynccontextmanager
async def running(nats_url: str, limits: Limits = QUICK, *, grace: float = 1.0) -> AsyncIterator[Stack]:
    """A whole MAGI on the nats-server at `nats_url`, which must hold no streams."""
    async with AsyncExitStack() as exits:
        stack = Stack(nats_url, exits)
        await stack.start(limits, grace)
        yield stack
