"""How fast an auditor reads: ``python -m bench.audit --requests 25000`` fills a log of its own and audits it.

Prints events a second for reading alone, for `magi audit verify --all` and for `magi replay --all` without a what-if
and with one, all in this process, and the memory that it took at most.
"""

import argparse
import asyncio
import itertools
import os
import platform
import random
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop

from magi.audit.audits import audit_log
from magi.audit.directory_check import check_directory
from magi.audit.findings import Findings
from magi.audit.replay import Replay, replay_log
from magi.audit.source import LogSource
from magi.audit.what_if import Alternative
from magi.domain import initiator as initiators
from magi.domain import voter_commands as voters
from magi.domain.ids import AggregateId, InitiatorId, RequestId, VoterId, request_aggregate
from magi.domain.messages import ProgressBallot, ResultBallot, Submission, Vote
from magi.domain.panel import DEFAULT_GROUP, Candidate, Snapshot
from magi.domain.voting_request import INITIAL, CastVote, Command, ReportProgress, RequestEvent, Submit, decide, fold
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.codec import Codec, pack
from magi.eventstore.declarations import load_declarations
from magi.eventstore.directory import change_initiator, change_voter, directory_log
from magi.eventstore.history import Head
from magi.eventstore.presence import now_ms
from magi.eventstore.streams import apply
from tests.servers import NatsServer

VOTERS = ("balthasar", "casper", "melchior")
START = 1_790_000_000_000
IN_FLIGHT = 128


EVENTS = 2 + 2 * len(VOTERS)
"""Of a request."""


def messages_of(number: int, chance: random.Random) -> list[tuple[AggregateId, bytes]]:
    """The stored messages of one request: received; three voters that report; their votes, with the verdict."""
    now = START + number * 37
    request = RequestId(f"request-{number}")
    aggregate = request_aggregate(InitiatorId("bench"), request)
    asked = Submission(initiator_id="bench", request_id=request, user_query="q" * 200, agent_answer="a" * 800)
    directory = Snapshot({VoterId(voter): Candidate("active") for voter in VOTERS})
    said: list[Vote] = chance.choices(["pass", "fail", "abstain"], [6, 3, 1], k=len(VOTERS))
    votes: list[Command] = []
    for voter, vote in zip(VOTERS, said, strict=True):
        ballot = ResultBallot(task_id="", vote=vote, reason="the reason that a voter gives", confidence=0.8)
        votes.append(CastVote(voter, ballot, now + 10, now + 10))
    reports = [ReportProgress(voter, ProgressBallot(task_id=""), now + 2) for voter in VOTERS]
    together: list[Sequence[Command]] = [[Submit(asked, directory, now)], reports, votes]
    causes = itertools.count(number * (1 + 2 * len(VOTERS)) + 1)
    codec: Codec[RequestEvent] = Codec(RequestEvent)
    state, head, stored = INITIAL, Head(), []
    for commands in together:
        events: list[RequestEvent] = []
        for command in commands:
            cause = next(causes)
            new = [msgspec.structs.replace(event, cause=cause) for event in decide(state, command)]
            state = fold(new, state)
            events += new
        stamped = codec.stamp_all(events, aggregate, head)
        head = stamped[-1][2]
        stored.append((aggregate, pack([data for _, data, _ in stamped])))
    return stored


async def fill(bus: Bus, requests: int) -> None:
    """A directory and a log with `requests` requests of eight events in three messages."""
    await apply(bus.nc, load_declarations())
    directory = directory_log(bus)
    await directory.start()
    for voter in VOTERS:
        await change_voter(directory, voters.Register(voter, "nats", "", DEFAULT_GROUP, "", "bench", START - 60_000))
    await change_initiator(directory, initiators.Register("bench", "", "bench", START - 60_000))
    chance, room = random.Random(1), asyncio.Semaphore(IN_FLIGHT)

    async def store(aggregate: AggregateId, data: bytes) -> None:
        async with room:
            await bus.store(f"{subjects.LOG_PREFIX}{aggregate}", data)

    for first in range(0, requests, 500):
        block = [one for n in range(first, min(first + 500, requests)) for one in messages_of(n, chance)]
        await asyncio.gather(*(store(aggregate, data) for aggregate, data in block))


def report(what: str, events: int, started: float, cpu: float) -> None:
    took = time.perf_counter() - started
    print(f"{what:<28} {events / took:>10,.0f} events/s  {took:6.1f} s, {time.process_time() - cpu:.1f} s of this CPU")


async def measure(bus: Bus, events: int) -> None:
    source = LogSource(bus)
    await source.start()
    directory = LogSource(bus, subjects.DIRECTORY, subjects.DIRECTORY_PREFIX)
    await directory.start()
    started, cpu = time.perf_counter(), time.process_time()
    async for _ in source.batches(1, await source.last_sequence()):
        pass
    report("reading alone", events, started, cpu)
    started, cpu = time.perf_counter(), time.process_time()
    findings = Findings()
    stored = [m async for batch in directory.batches(1, await directory.last_sequence()) for m in batch]
    audit = await audit_log(source, check_directory(stored, findings), findings, now_ms())
    report(f"audit verify --all: {audit.outcome}", audit.read.events, started, cpu)
    for name, alternative in (("replay --all", None), ("replay --all --strategy veto", Alternative("veto"))):
        started, cpu = time.perf_counter(), time.process_time()
        await replay_log(source, Replay(alternative))
        report(name, events, started, cpu)
    print(f"at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB of memory")


async def main(requests: int, server: NatsServer) -> None:
    bus = await Bus.connect(server.url, name="bench")
    started = time.perf_counter()
    await fill(bus, requests)
    print(f"filled {requests:,} requests in {time.perf_counter() - started:.1f} s")
    await measure(bus, requests * EVENTS)
    await bus.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=25_000)
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, load {load:.1f}, default sync_interval")
    with tempfile.TemporaryDirectory() as folder, NatsServer(Path(folder)) as nats:
        uvloop.run(main(arguments.requests, nats))
