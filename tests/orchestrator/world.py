"""A MAGI without gateways on a real nats-server: its streams and voters, and any number of orchestrators.

Submissions and ballots are put into the inbox by the tests, as gateways and voters would, so that each can be wrong,
late or there twice.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec

from magi.domain import voter_commands as voters
from magi.domain.ids import AggregateId, InitiatorId, RequestId, VoterId, partition_of, request_aggregate, task_id
from magi.domain.messages import ProgressBallot, ResultBallot, Submission, Task, Vote, decode_task, encode
from magi.domain.voting_request import (
    Adjudicated,
    Received,
    RequestEvent,
    VoterProgress,
    VoterResult,
)
from magi.eventstore import subjects
from magi.eventstore.bus import Bus, BusError
from magi.eventstore.consumers import ensure_task_consumer
from magi.eventstore.declarations import PRESENCE, Overrides, StreamDeclaration, load_declarations
from magi.eventstore.directory import DirectoryLog, change_voter, directory_log
from magi.eventstore.history import Recorded
from magi.eventstore.log import JetStreamLog
from magi.eventstore.notices import Existing, Notice, Refusal, decode_notice
from magi.eventstore.presence import now_ms
from magi.eventstore.streams import apply
from magi.orchestrator.orchestrator import Orchestrator, OrchestratorSettings
from magi.voters.agent import Judge, VoterAgent
from tests.eventstore.contract import check_chain
from tests.servers import NatsServer
from tests.waiting import until

INITIATOR = InitiatorId("agent")
PANEL = ("a", "b", "c")
TIMEOUT = 30_000


class StreamState(msgspec.Struct):
    messages: int = 0
    last_seq: int = 0


class _Info(msgspec.Struct):
    state: StreamState


class _Stored(msgspec.Struct):
    data: bytes
    seq: int


class _Get(msgspec.Struct):
    message: _Stored | None = None


class Asked(msgspec.Struct, frozen=True):
    """A submission that is in the inbox."""

    submission: Submission
    aggregate: AggregateId
    sequence: int
    """Its sequence in the inbox."""


class World:
    """Made by the fixture `world`."""

    presence_forgets_after = 0.0
    """Seconds; 0: as declared."""

    def __init__(self, server: NatsServer, bus: Bus, partitions: int) -> None:
        self.server = server
        self.bus = bus
        self.partitions = partitions
        self.log: JetStreamLog[RequestEvent] = JetStreamLog(bus, subjects.LOG, subjects.LOG_PREFIX, RequestEvent)
        self.directory: DirectoryLog = directory_log(bus)
        self.refusals: list[Refusal] = []
        """Notices of refusals, to voters and Initiators, as they came."""
        self.existing: list[Existing] = []
        self._seed: str | None = None
        self._stack = AsyncExitStack()
        self._requests = 0

    async def start(self, panel: Iterable[str] = PANEL) -> None:
        declarations = load_declarations(overrides=Overrides(partitions=self.partitions))
        await apply(self.bus.nc, [self._hasty(declaration) for declaration in declarations])
        await self.log.start()
        await self.directory.start()
        for voter in panel:
            await self.register(voter)

        async def on_notice(msg: Any) -> None:
            notice: Notice = decode_notice(msg.data)
            if isinstance(notice, Existing):
                self.existing.append(notice)
            else:
                self.refusals.append(notice)

        await self.bus.subscribe("magi.notices.>", on_notice)

    def _hasty(self, declaration: StreamDeclaration) -> StreamDeclaration:
        if declaration.name != PRESENCE or not self.presence_forgets_after:
            return declaration
        age = int(self.presence_forgets_after * 1e9)
        config = msgspec.structs.replace(declaration.config, max_age=age, duplicate_window=age)
        return msgspec.structs.replace(declaration, config=config)

    async def close(self) -> None:
        await self._stack.aclose()

    @classmethod
    @asynccontextmanager
    async def over(cls, server: NatsServer, partitions: int = 4, seed: str | None = None) -> "AsyncIterator[World]":
        """One over `server`, which is empty; closed in the end."""
        bus = await Bus.connect(server.url, name="test", seed=seed)
        world = cls(server, bus, partitions)
        world._seed = seed
        await world.start()
        try:
            yield world
        finally:
            await world.close()
            await bus.close()

    # --- Who takes part -----------------------------------------------------------------------------------------------

    async def register(self, voter: str, public_key: str = "") -> None:
        command = voters.Register(voter, "nats", f"the voter {voter}", "default", public_key, "test", now_ms())
        await change_voter(self.directory, command)
        await ensure_task_consumer(self.bus, VoterId(voter))

    async def connect(self, name: str = "test", url: str = "") -> Bus:
        """A connection of its own, closed at the end of the test."""
        bus = await Bus.connect(url or self.server.url, name=name, seed=self._seed)
        self._stack.push_async_callback(bus.close)
        return bus

    async def orchestrator(self, **settings: Any) -> Orchestrator:
        """A started orchestrator on a connection of its own; stopped at the end of the test."""
        bus = await self.connect("orchestrator")
        orchestrator = Orchestrator(bus, OrchestratorSettings(self.partitions, **settings))
        await orchestrator.start()
        self._stack.push_async_callback(orchestrator.stop)
        return orchestrator

    async def voter(self, voter: str, judge: Judge, **options: Any) -> VoterAgent:
        """A started instance of a registered voter on a connection of its own; stopped at the end of the test."""
        agent = VoterAgent(await self.connect(f"voter {voter}"), VoterId(voter), judge, **options)
        await agent.start()
        self._stack.push_async_callback(agent.stop, 0.2)
        return agent

    def at_the_end(self, do: Callable[[], Awaitable[None]]) -> None:
        """Have something done when the test is over."""
        self._stack.push_async_callback(do)

    # --- Into the inbox -----------------------------------------------------------------------------------------------

    def submission(self, request_id: str = "", **fields: Any) -> Submission:
        self._requests += 1
        given: dict[str, Any] = {
            "initiator_id": INITIATOR,
            "request_id": request_id or f"request {self._requests}",
            "user_query": "Please generate some code for me",
            "agent_answer": "print('hello')",
            "voter_list": PANEL,
            "timeout_ms": TIMEOUT,
            **fields,
        }
        return Submission(**given)

    def aggregate(self, request_id: str) -> AggregateId:
        return request_aggregate(INITIATOR, RequestId(request_id))

    def partition_of(self, submission: Submission) -> int:
        return partition_of(request_aggregate(INITIATOR, RequestId(submission.request_id)), self.partitions)

    async def submit_patiently(self) -> Asked:
        """Submit, again and again until it is known to be in the inbox: perhaps twice."""
        submission = self.submission()
        while True:
            try:
                return await self.submit(submission)
            except BusError:
                await asyncio.sleep(0.05)

    async def submit(self, submission: Submission | None = None, **fields: Any) -> Asked:
        """Put a submission into the inbox, as a gateway does."""
        submission = submission or self.submission(**fields)
        aggregate = request_aggregate(INITIATOR, RequestId(submission.request_id))
        subject = subjects.submission(aggregate, INITIATOR, self.partitions)
        ack = await self.bus.store(subject, encode(submission))
        return Asked(submission, aggregate, ack.seq)

    async def ballot(self, aggregate: AggregateId, voter: str, data: bytes) -> int:
        """Put bytes into the inbox where `voter` puts its ballots on a request. Returns the sequence."""
        return (await self.bus.store(subjects.ballot(aggregate, VoterId(voter), self.partitions), data)).seq

    async def vote(self, aggregate: AggregateId, voter: str, vote: Vote, reason: str | None = None) -> int:
        result = ResultBallot(task_id=task_id(aggregate, VoterId(voter)), vote=vote, reason=reason)
        return await self.ballot(aggregate, voter, encode(result))

    async def votes(self, aggregate: AggregateId, **votes: Vote) -> None:
        for voter, vote in votes.items():
            await self.vote(aggregate, voter, vote)

    async def progress(self, aggregate: AggregateId, voter: str, status: str = "processing") -> int:
        ballot = ProgressBallot(task_id=task_id(aggregate, VoterId(voter)), status=status)
        return await self.ballot(aggregate, voter, encode(ballot))

    # --- What is there ------------------------------------------------------------------------------------------------

    async def state(self, stream: str) -> StreamState:
        return msgspec.json.decode(await self.bus.request(f"$JS.API.STREAM.INFO.{stream}"), type=_Info).state

    async def stored(self, aggregate: AggregateId) -> list[Recorded[RequestEvent]]:
        return await self.log.load(aggregate)

    async def history(self, aggregate: AggregateId) -> list[RequestEvent]:
        return [recorded.event for recorded in await self.stored(aggregate)]

    async def tasks(self, voter: str) -> list[Task]:
        """The tasks that wait for a voter."""
        found: list[Task] = []
        start = 1
        while True:
            query = {"seq": start, "next_by_subj": subjects.tasks(VoterId(voter))}
            answer = await self.bus.request(f"$JS.API.STREAM.MSG.GET.{subjects.TASKS}", msgspec.json.encode(query))
            message = msgspec.json.decode(answer, type=_Get).message
            if message is None:
                return found
            found.append(decode_task(message.data))
            start = message.seq + 1

    def codes(self) -> list[str]:
        return [refusal.code for refusal in self.refusals]

    # --- Waiting ------------------------------------------------------------------------------------------------------

    async def until_decided(self, *requests: AggregateId, within: float = 30.0) -> None:
        async def decided() -> bool:
            for request in requests:
                history = await self.history(request)
                if not history or not isinstance(history[-1], Adjudicated):
                    return False
            return True

        await until(decided, "there is a verdict", within)

    async def until_inbox_empty(self, within: float = 30.0) -> None:
        """Everything was handled and acknowledged."""

        async def empty() -> bool:
            return (await self.state(subjects.INBOX)).messages == 0

        await until(empty, "the inbox is empty", within)

    async def until_tasks(self, count: int, voter: str = "a") -> list[Task]:
        """Wait for that many tasks of a voter."""

        async def there() -> bool:
            return len(await self.tasks(voter)) == count

        await until(there, f"{count} tasks wait for {voter}")
        return await self.tasks(voter)

    async def until_events(self, aggregate: AggregateId, count: int) -> list[RequestEvent]:
        async def there() -> bool:
            return len(await self.stored(aggregate)) >= count

        await until(there, f"{count} events are stored")
        return await self.history(aggregate)

    async def until_refused(self, count: int = 1) -> list[Refusal]:
        async def there() -> bool:
            return len(self.refusals) >= count

        await until(there, f"{count} refusals were told")
        return self.refusals

    # --- Judging ------------------------------------------------------------------------------------------------------

    async def check(self, aggregate: AggregateId) -> Adjudicated:
        """The verdict of a request whose history is as it must be."""
        stored = await self.stored(aggregate)
        check_chain(stored, aggregate)
        return check_history([recorded.event for recorded in stored])


def check_history(history: Sequence[RequestEvent]) -> Adjudicated:
    """Received once, at most one vote a voter, one verdict at the end, which follows from the votes."""
    assert history, "nothing was received"
    received, verdict = history[0], history[-1]
    assert isinstance(received, Received)
    assert isinstance(verdict, Adjudicated), [type(event).__name__ for event in history]
    between = history[1:-1]
    assert all(isinstance(event, VoterProgress | VoterResult) for event in between)
    votes = [event for event in between if isinstance(event, VoterResult)]
    cast = {event.voter_id: event.vote for event in votes}
    assert len(cast) == len(votes), "a voter was counted twice"
    outcome = received.rule.decide(received.voters, cast)
    assert (verdict.final_vote, verdict.outcome_reason) == (outcome.final_vote, outcome.reason)
    assert verdict.details == {voter: cast.get(voter, "missing") for voter in received.voters}
    return verdict
