"""Histories of requests as MAGI makes them, put into a stream: decided by the domain, interleaved as voters answer."""

import uuid
from collections.abc import Iterable, Sequence
from random import Random
from typing import NamedTuple

from magi.domain import voter as voters
from magi.domain import voter_commands
from magi.domain.event import Event
from magi.domain.ids import AggregateId, InitiatorId, RequestId, VoterId, request_aggregate, voter_aggregate
from magi.domain.messages import ProgressBallot, ResultBallot, Submission, Vote
from magi.domain.panel import Candidate, Snapshot
from magi.domain.voting_request import (
    INITIAL,
    CastVote,
    Command,
    Expire,
    Received,
    ReportProgress,
    RequestEvent,
    Submit,
    VotingRequest,
    decide,
    fold,
)
from magi.eventstore.bus import Bus
from magi.eventstore.codec import Codec, pack
from magi.eventstore.history import EMPTY, Head
from tests.eventstore.logs import make_stream, new_name

START = 1_769_860_800_000
PANEL = ("balthasar", "casper", "melchior")
SAID: tuple[Vote, ...] = ("pass", "pass", "pass", "fail", "fail", "abstain")
STRATEGIES = ("minority_rule", "unanimous", "veto", "absolute_majority")


class Said(NamedTuple):
    """An event of an aggregate, not yet stored."""

    aggregate: AggregateId
    event: Event


class Stream:
    """A stream of the shape of the log, and what was put into it."""

    def __init__(self, bus: Bus, name: str, prefix: str) -> None:
        self.bus = bus
        self.name = name
        self.prefix = prefix
        self.stored: list[tuple[str, bytes]] = []
        """Subject without prefix, and bytes, by sequence from 1 on."""
        self._heads: dict[str, Head] = {}
        self._codec: Codec[Event] = Codec(RequestEvent)

    async def put(self, said: Iterable[Said]) -> None:
        """Store each event as a message of its own."""
        for one in said:
            await self.put_together([one])

    async def put_together(self, said: Sequence[Said]) -> int:
        """Store events of one aggregate as one message. Returns its sequence."""
        aggregate = said[0].aggregate
        stamped = self._codec.stamp_all([one.event for one in said], aggregate, self._heads.get(aggregate, EMPTY))
        sequence = await self.put_bytes(aggregate, pack([data for _, data, _ in stamped]))
        _, _, head = stamped[-1]
        self._heads[aggregate] = Head(head.version, sequence, head.digest)
        return sequence

    async def put_bytes(self, aggregate: str, data: bytes) -> int:
        """Store what may be no event. Returns its sequence."""
        ack = await self.bus.store(self.prefix + aggregate, data)
        self.stored.append((aggregate, data))
        return ack.seq


async def new_log(bus: Bus) -> Stream:
    name = new_name("LOG")
    prefix = f"{name}.log."
    return Stream(bus, await make_stream(bus, name, f"{prefix}*.*"), prefix)


async def new_directory(bus: Bus) -> Stream:
    name = new_name("DIR")
    prefix = f"{name}.directory."
    return Stream(bus, await make_stream(bus, name, f"{prefix}*.*"), prefix)


def request(name: str, random: Random, *, now: int = START, initiator: str = "agent") -> list[Said]:
    """One request from its reception to its verdict, or to where its voters fell silent."""
    aggregate = request_aggregate(InitiatorId(initiator), RequestId(name))
    panel = random.sample(PANEL, random.randint(1, 3))
    directory = Snapshot({VoterId(voter): Candidate("active") for voter in PANEL})
    submission = Submission(
        initiator_id=initiator,
        request_id=name,
        user_query=f"question of {name}\twith\\tabs",
        agent_answer="answer\nin two lines",
        voter_list=tuple(panel),
        strategy=random.choice(STRATEGIES),
        decide=random.choice(["all", "early"]),
        timeout_ms=30_000,
        metadata={"model": "m", "n": 1},
    )
    events: list[RequestEvent] = list(decide(INITIAL, Submit(submission, directory, now)))
    state: VotingRequest = fold(events)
    for voter in panel:
        now += random.randint(1, 4000)
        commands: list[Command] = []
        if random.random() < 0.8:
            commands.append(ReportProgress(voter, ProgressBallot(task_id="t"), now))
        if random.random() < 0.9:
            reason = random.choice([None, "because", "tab\there", "line\nbreak \\N"])
            ballot = ResultBallot(task_id="t", vote=random.choice(SAID), reason=reason, confidence=0.5)
            commands.append(CastVote(voter, ballot, now + 1, now + 1))
        for command in commands:
            if not state.verdict:
                new = decide(state, command)
                events += new
                state = fold(new, state)
    if not state.verdict and random.random() < 0.7:
        events += decide(state, Expire(state.deadline))
    return [Said(aggregate, event) for event in events]


def requests(number: int, seed: int = 1, *, first: int = 0) -> list[Said]:
    """Events of many requests, interleaved as in a log."""
    random = Random(seed)
    histories = [
        request(f"r{first + n}", random, now=START + (first + n) * 997, initiator=f"agent{n % 3}")
        for n in range(number)
    ]
    said: list[Said] = []
    while histories:
        one = histories[random.randrange(min(8, len(histories)))]
        said.append(one.pop(0))
        if not one:
            histories.remove(one)
    return said


def in_messages(said: Iterable[Said], seed: int = 1) -> list[list[Said]]:
    """The same events as an orchestrator stores them: `received` alone, of what follows in a request often several
    together."""
    random = Random(seed)
    waiting: dict[str, list[Said]] = {}
    messages: list[list[Said]] = []
    for one in said:
        waiting.setdefault(one.aggregate, []).append(one)
        if isinstance(one.event, Received) or random.random() < 0.4:
            messages.append(waiting.pop(one.aggregate))
    return messages + list(waiting.values())


def registered(*names: str) -> list[Said]:
    said = []
    for name in names:
        command = voter_commands.Register(name, "builtin", f"judges as {name}", "default", "", "test", START)
        said += [
            Said(voter_aggregate(VoterId(name)), event) for event in voter_commands.decide(voters.INITIAL, command)
        ]
    return said


def some_uuid() -> str:
    return str(uuid.uuid4())


def histories_of(said: Sequence[Said]) -> dict[str, list[RequestEvent]]:
    """The events by aggregate."""
    found: dict[str, list[RequestEvent]] = {}
    for aggregate, event in said:
        found.setdefault(aggregate, []).append(event)  # type: ignore[arg-type]
    return found
