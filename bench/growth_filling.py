"""Fills a log with requests that were decided long ago: as many as are wanted, at the rate that nats-server stores.

Every one is a whole history as the orchestrator writes it, with three voters eight events in three messages: decided by
the domain, stamped by the codec, its hash chain closed, each publish with the compare-and-swap that proves its place.
Only the sequence for that is not waited for: who writes alone knows it beforehand, and is refused if he is wrong.
"""

import asyncio
import itertools
import random
import uuid
from collections.abc import Iterator, Sequence

import msgspec

from bench.load import ANSWER, QUERY
from magi.audit.chain import START, check_link
from magi.domain.ids import AggregateId, InitiatorId, RequestId, VoterId, request_aggregate
from magi.domain.messages import ProgressBallot, ResultBallot, Submission
from magi.domain.panel import Candidate, Snapshot
from magi.domain.voting_request import (
    INITIAL,
    CastVote,
    Command,
    Received,
    ReportProgress,
    RequestEvent,
    Submit,
    decide,
    fold,
)
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.client import Message
from magi.eventstore.codec import Codec, pack
from magi.eventstore.history import EMPTY, Head
from magi.eventstore.log import EXPECTED, JetStreamLog
from magi.eventstore.presence import now_ms

INITIATOR = InitiatorId("archive")
"""Whose requests they are. Nobody is connected as this one, so that the gateways are spared."""
TOGETHER = 64
"""Requests whose messages are interleaved, as those that are under way at once are."""
UNDER_WAY = 4096
"""Messages that may wait for their acknowledgement."""


class Refused(Exception):
    """The server refused a message: somebody else writes, too."""


def history(panel: tuple[str, ...]) -> list[list[RequestEvent]]:
    """The events of one request, without their envelopes: its reception, what its voters report, and their votes with
    the verdict are appended together each."""
    now = now_ms()
    directory = Snapshot({VoterId(voter): Candidate("active") for voter in panel})
    submission = Submission(
        initiator_id=INITIATOR, request_id="", user_query=QUERY, agent_answer=ANSWER, voter_list=panel
    )
    reports = [ReportProgress(voter, ProgressBallot(task_id=""), now + 1) for voter in panel]
    votes = [CastVote(voter, ResultBallot(task_id="", vote="pass"), now + 2, now + 2) for voter in panel]
    together: list[Sequence[Command]] = [[Submit(submission, directory, now)], reports, votes]
    trace = f"00-{random.getrandbits(128):032x}-{random.getrandbits(64):016x}-00"
    state, parts = INITIAL, []
    for commands in together:
        part: list[RequestEvent] = []
        for command in commands:
            events = [msgspec.structs.replace(event, trace=trace) for event in decide(state, command)]
            state = fold(events, state)
            part += events
        parts.append(part)
    return parts


def messages(requests: Iterator[str], parts: list[list[RequestEvent]], last: int) -> Iterator[tuple[str, bytes, int]]:
    """Aggregate, bytes and expected sequence of what is to be stored behind `last`, in order."""
    codec: Codec[RequestEvent] = Codec(RequestEvent)
    while names := list(itertools.islice(requests, TOGETHER)):
        heads = [(name, request_aggregate(INITIATOR, RequestId(name)), EMPTY) for name in names]
        for part in parts:
            following = []
            for name, aggregate, head in heads:
                stamped = codec.stamp_all([_of(name, event, last) for event in part], aggregate, head)
                yield aggregate, pack([data for _, data, _ in stamped]), head.sequence
                last += 1
                behind = stamped[-1][2]
                following.append((name, aggregate, Head(behind.version, last, behind.digest)))
            heads = following


def _of(name: str, event: RequestEvent, cause: int) -> RequestEvent:
    """The event as one of the request of this name."""
    if isinstance(event, Received):
        return msgspec.structs.replace(event, request_id=name, cause=cause)
    return msgspec.structs.replace(event, cause=cause)


class Filling:
    """Stores with many publishes under way. Nobody else may write to the log meanwhile."""

    def __init__(self, bus: Bus) -> None:
        """`bus` is one that may write events: the orchestrator's."""
        self._bus = bus
        self._free = asyncio.Event()
        self._under_way = 0
        self._refused = b""

    async def fill(self, requests: int, panel: tuple[str, ...]) -> int:
        """Store that many, and return how many events these are. Raises Refused."""
        log = self.log()
        await log.start()
        inbox = self._bus.nc.new_inbox()
        heard = await self._bus.listen(inbox, self._on_answer)
        header = f"NATS/1.0\r\n{EXPECTED}: ".encode()
        names = (uuid.uuid4().hex for _ in range(requests))
        parts = history(panel)
        for aggregate, data, expected in messages(names, parts, await log.last_sequence()):
            self._bus.nc.put(subjects.LOG_PREFIX + aggregate, inbox, data, b"%b%d\r\n\r\n" % (header, expected))
            self._under_way += 1
            if self._under_way >= UNDER_WAY:
                await self._until(UNDER_WAY // 2)
        await self._until(0)
        await heard.unsubscribe()
        return requests * sum(map(len, parts))

    def log(self) -> JetStreamLog[RequestEvent]:
        return JetStreamLog(self._bus, subjects.LOG, subjects.LOG_PREFIX, RequestEvent)

    async def _until(self, most: int) -> None:
        while self._under_way > most:
            if self._refused:
                raise Refused(self._refused.decode())
            self._free.clear()
            await asyncio.wait_for(self._free.wait(), 60)

    def _on_answer(self, msg: Message) -> None:
        if b'"error"' in msg.data:
            self._refused = msg.data
        self._under_way -= 1
        if self._under_way <= UNDER_WAY // 2:
            self._free.set()

    async def check(self, sample: int) -> None:
        """Read some of what is stored and check its hash chains."""
        log = self.log()
        await log.start()
        last = await log.last_sequence()
        for sequence in random.sample(range(1, last + 1), min(sample, last)):
            recorded, *_ = [one async for one in log.read(sequence, sequence)]
            link = START
            aggregate = AggregateId(recorded.event.originator_id)
            for one in await log.load(aggregate):
                problems = check_link(link, aggregate, one.event)
                assert not problems, problems
                link = msgspec.structs.replace(link, version=one.head.version, digest=one.head.digest)
