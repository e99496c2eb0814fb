"""How fast the projections catch up with a full log, how fast a rebuild is, and how far they lag behind under load.

    python -m bench.projections [--events 200000] [--rate 2000] [--seconds 10]

Real servers (nats-server and PostgreSQL from their wheels), the streams as declared, events as the domain decides them:
requests with three voters, so one event in eight leads to a row of `requests` and three to one of `votes`. A request is
three messages: its reception, what its voters report, and their votes with the verdict.
"""

import argparse
import asyncio
import itertools
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

import psycopg
import uvloop

from bench.environment import cpu_seconds, describe
from magi.domain.event import Event
from magi.domain.ids import AggregateId, InitiatorId, RequestId, VoterId, request_aggregate
from magi.domain.messages import ProgressBallot, ResultBallot, Submission, Vote
from magi.domain.panel import Candidate, Snapshot
from magi.domain.voting_request import INITIAL, CastVote, Command, ReportProgress, RequestEvent, Submit, decide, fold
from magi.embedded import DataDir, EmbeddedServers
from magi.eventstore.bus import Bus
from magi.eventstore.codec import Codec, pack
from magi.eventstore.declarations import load_declarations
from magi.eventstore.history import EMPTY, Head
from magi.eventstore.streams import apply
from magi.projections.feed import Batching, Feed
from magi.projections.postgres import Connection, connect
from magi.projections.projector import Projector, ProjectorSettings
from magi.projections.rebuild import Rebuild
from magi.projections.status import status

PANEL = ("balthasar", "casper", "melchior")
OPEN = 64
"""Requests that are under way at once in the log."""
IN_FLIGHT = 1000
START = 1_769_860_800_000
DIRECTORY = Snapshot({VoterId(name): Candidate("active") for name in PANEL})
VOTES: tuple[Vote, ...] = ("pass", "pass", "fail", "abstain")


class Together(NamedTuple):
    """Events that are one message."""

    aggregate: AggregateId
    events: list[Event]


def history(number: int, now: int, random: Random) -> Iterator[Together]:
    """The eight events of a request: about 250 bytes each, `received` 900."""
    initiator = f"agent-{number % 20}"
    aggregate = request_aggregate(InitiatorId(initiator), RequestId(f"request-{number}"))
    submission = Submission(
        initiator_id=initiator,
        request_id=f"request-{number}",
        user_query="Please write a function that greets the user by name, with a test. " * 2,
        agent_answer="def greet(name: str) -> str:\n    return f'Hello, {name}!'\n" * 5,
        voter_list=PANEL,
        metadata={"model": "m-1", "attempt": 1},
    )
    reports = [ReportProgress(voter, ProgressBallot(task_id="t"), now) for voter in PANEL]
    said = (random.choice(VOTES) for _ in PANEL)
    ballots = [
        ResultBallot(task_id="t", vote=v, reason="no problem was found in the code", confidence=0.9) for v in said
    ]
    votes = [CastVote(voter, ballot, now + 5, now) for voter, ballot in zip(PANEL, ballots, strict=True)]
    together: list[Sequence[Command]] = [[Submit(submission, DIRECTORY, now)], reports, votes]
    state = INITIAL
    for commands in together:
        events: list[Event] = []
        for command in commands:
            new = decide(state, command)
            events += new
            state = fold(new, state)
        yield Together(aggregate, events)


def ballot(vote: Vote) -> ResultBallot:
    return ResultBallot(task_id="t", vote=vote, reason="no problem was found in the code", confidence=0.9)


def log_of(number: int) -> Iterator[Together]:
    """The messages of `number` events or a few more, those of OPEN requests interleaved."""
    random = Random(7)
    names = itertools.count()
    under_way = [history(next(names), START, random) for _ in range(OPEN)]
    at = 0
    while at < number:
        place = random.randrange(OPEN)
        message = next(under_way[place], None)
        if message is None:
            under_way[place] = history(next(names), START + at, random)
            message = next(under_way[place])
        at += len(message.events)
        yield message


class Stamping:
    """Makes messages of events, each behind the ones before it of its request."""

    def __init__(self) -> None:
        self._codec: Codec[Event] = Codec(RequestEvent)
        self._heads: dict[str, Head] = {}

    def message(self, of: Together) -> bytes:
        stamped = self._codec.stamp_all(of.events, of.aggregate, self._heads.get(of.aggregate, EMPTY))
        self._heads[of.aggregate] = stamped[-1][2]
        return pack([data for _, data, _ in stamped])


class Stored(NamedTuple):
    messages: int
    events: int


async def put(bus: Bus, said: Iterator[Together]) -> Stored:
    stamping, messages, events = Stamping(), 0, 0
    for chunk in iter(lambda: list(itertools.islice(said, IN_FLIGHT)), []):
        await asyncio.gather(*(bus.store(f"magi.log.{one.aggregate}", stamping.message(one)) for one in chunk))
        messages += len(chunk)
        events += sum(len(one.events) for one in chunk)
    return Stored(messages, events)


class Cost:
    """Seconds and processor time of a stretch of work."""

    def __init__(self, servers: EmbeddedServers) -> None:
        self._pids = {"python": os.getpid(), "nats": servers.nats.pid or 0, "postgres": servers.postgres.pid or 0}
        self._began = time.perf_counter()
        self._cpu = self._now()

    def _now(self) -> dict[str, float]:
        python = time.process_time()
        return {n: python if n == "python" else cpu_seconds(pid) for n, pid in self._pids.items()}

    def line(self, what: str, events: int) -> str:
        seconds = time.perf_counter() - self._began
        spent = self._now()
        each = ", ".join(f"{name} {(spent[name] - self._cpu[name]) / events * 1e6:.1f}" for name in spent)
        return f"{what:<34} {events / seconds:>9,.0f} events/s  {seconds:6.1f} s   µs of processor an event: {each}"


@asynccontextmanager
async def projecting(bus: Bus, settings: ProjectorSettings) -> AsyncIterator[None]:
    projector = Projector(bus, settings)
    await projector.start()
    try:
        yield
    finally:
        await projector.stop()


async def reached(connection: Connection, version: int, messages: int) -> None:
    """Return when the version's tables are that far."""
    while True:
        try:
            row = await (
                await connection.execute(
                    f"SELECT sequence FROM magi_v{version}.positions WHERE projection = 'requests'"
                )
            ).fetchone()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            row = None
        if row and row[0] >= messages:
            return
        await asyncio.sleep(0.02)


async def reading(bus: Bus, servers: EmbeddedServers, stored: Stored) -> None:
    """What the projector does before it looks at a message: the follower, and nothing behind it."""
    feed = Feed(bus, "MAGI_LOG", 1)
    cost = Cost(servers)
    await feed.start()
    read = 0
    while read < stored.messages:
        read += len(await feed.take(5000, Batching(), 10))
    print(cost.line("reading alone", stored.events), flush=True)
    await feed.stop()


async def catch_up(bus: Bus, url: str, servers: EmbeddedServers, stored: Stored) -> None:
    messages, events = stored
    connection = await connect(url)
    for most in (500, 5000):
        cost = Cost(servers)
        async with projecting(bus, ProjectorSettings(url, batching=Batching(most=most))):
            await reached(connection, 1, messages)
            print(cost.line(f"projector, batches of {most}", events), flush=True)
        await connection.execute("DROP SCHEMA magi, magi_v1, magi_meta CASCADE")
    async with projecting(bus, ProjectorSettings(url)):
        await reached(connection, 1, messages)
    costs: list[tuple[str, Cost]] = []

    def step(name: str) -> None:
        if costs:
            print(costs[-1][1].line(f"rebuild: {costs[-1][0]}", events), flush=True)
        costs.append((name, Cost(servers)))

    whole = Cost(servers)
    rebuilt = await Rebuild(bus, url, on_step=step).rebuild()
    step("")
    print(whole.line("rebuild as a whole", events))
    print(f"verified {rebuilt.verified.rows:,} rows, {len(rebuilt.verified.differences)} differences", flush=True)
    await connection.close()


async def lag(servers: EmbeddedServers, bus: Bus, url: str, rate: int, seconds: float, stored: Stored) -> None:
    """Events at a steady rate; the projector in a process of its own; the position looked at every few milliseconds."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.projections", "--projector", servers.nats_url, url, str(servers.nats_seed_file)
    )
    at: dict[int, float] = {}
    lags: list[float] = []
    connection = await connect(url)
    said = list(itertools.islice(log_of(stored.events + int(rate * seconds) + 100), stored.messages, None))
    last, end = stored.messages, stored.messages + len(said)

    async def watch() -> None:
        nonlocal last
        while last < end:
            row = await (
                await connection.execute("SELECT sequence FROM magi_v2.positions WHERE projection = 'requests'")
            ).fetchone()
            now = time.perf_counter()
            assert row is not None
            while last < row[0]:
                last += 1
                lags.append(now - at.pop(last, now))
            await asyncio.sleep(0.003)

    watcher = asyncio.create_task(watch())
    stamping, events = Stamping(), 0
    for before in itertools.islice(log_of(stored.events), stored.messages):
        stamping.message(before)
    while "requests" not in (await status(connection, None)).working:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.1)
    await asyncio.sleep(1.0)  # until it has loaded and reads
    begin = time.perf_counter()
    for number, message in enumerate(said, stored.messages + 1):
        data = stamping.message(message)
        events += len(message.events)
        due = begin + events / rate
        if due > time.perf_counter():
            await asyncio.sleep(due - time.perf_counter())
        at[number] = time.perf_counter()
        await bus.publish(f"magi.log.{message.aggregate}", data)
    await asyncio.wait_for(watcher, 60)
    lags.sort()
    p50, p99 = lags[len(lags) // 2], lags[len(lags) * 99 // 100]
    print(
        f"lag at {rate} events/s, from publish to committed row: p50 {p50 * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms, "
        f"max {lags[-1] * 1e3:.0f} ms ({len(lags):,} messages)",
        flush=True,
    )
    child.terminate()
    await child.wait()
    await connection.close()


async def projector_alone(nats: str, url: str, seed_file: str) -> None:
    bus = await Bus.connect(nats, name="projector", seed=Path(seed_file).read_text().strip())  # noqa: ASYNC240
    async with projecting(bus, ProjectorSettings(url)):
        await asyncio.Event().wait()


async def main(options: argparse.Namespace) -> None:
    print(describe(events=options.events, open_requests=OPEN, sync_interval="2m"))
    with tempfile.TemporaryDirectory(prefix="magi-bench-") as folder, DataDir.open(Path(folder) / "data") as data:
        async with EmbeddedServers(data, sync_interval="2m") as servers:
            bus = await Bus.connect(servers.nats_url, name="bench", seed=servers.nats_seed_file.read_text().strip())
            await apply(bus.nc, load_declarations())
            began = time.perf_counter()
            stored = await put(bus, log_of(options.events))
            took = time.perf_counter() - began
            print(f"stored {stored.events:,} events in {stored.messages:,} messages, {took:.1f} s", flush=True)
            url = servers.postgres_url
            if options.profile:
                await profiled(bus, url, stored.messages)
                return
            await reading(bus, servers, stored)
            await reading(bus, servers, stored)
            await catch_up(bus, url, servers, stored)
            if options.seconds:
                await lag(servers, bus, url, options.rate, options.seconds, stored)
            await bus.close()


async def profiled(bus: Bus, url: str, messages: int) -> None:
    """Where the time of our own process goes."""
    import cProfile
    import pstats

    profile = cProfile.Profile()
    connection = await connect(url)
    profile.enable()
    async with projecting(bus, ProjectorSettings(url)):
        await reached(connection, 1, messages)
    profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--profile", action="store_true", help="only catch up, under cProfile")
    parser.add_argument("--projector", nargs=3, metavar=("NATS", "POSTGRES", "SEED_FILE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    uvloop.run(projector_alone(*given.projector) if given.projector else main(given))
