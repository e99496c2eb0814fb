"""Three nats-servers on loopback that hold three copies of every stream, and their leader killed again and again.

Measured is the outage that an Initiator sees: after each kill, the longest time without a verdict of what it asks
steadily.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from magi.cli.children import PartCommand
from magi.embedded.datadir import DataDir
from magi.eventstore import subjects
from magi.eventstore.bus import Bus, BusError
from magi.eventstore.streams import StreamsError
from tests.chaos.checker import check
from tests.chaos.clients import Asked, Initiator
from tests.chaos.cluster import GATEWAYS, JUDGE, ORCHESTRATORS, Cluster, prepare
from tests.chaos.content import GHOST, requests
from tests.chaos.evidence import gather, verified
from tests.chaos.run import PATIENCE, Clock, all_decided, talking
from tests.ports import lasting_port
from tests.servers import NatsServer
from tests.voters.judges import expected_vote
from tests.waiting import until

SERVERS = 3
EVERY = 0.04
"""Seconds between two requests."""
BEFORE = 1.0
"""Seconds of quiet before each kill."""
BACK_WITHIN = 90.0
"""Seconds until requests are decided again, and until all copies are whole again."""
STREAMS = (subjects.LOG, subjects.INBOX, subjects.TASKS, subjects.DIRECTORY)
PARTS = (
    PartCommand(GATEWAYS[0], ("gateway",), "MAGI_GATEWAY_PORT"),
    *(PartCommand(name, ("orchestrator",)) for name in ORCHESTRATORS),
    PartCommand("voters-1", ("voter", *(f"{voter}={JUDGE}" for voter in "abc"))),
)


class Outage(Struct):
    """One kill, as the Initiator saw it. Seconds."""

    killed: str
    longest_gap: float
    """Without a verdict."""
    until_decided: float
    """From the kill until something that was asked after it was decided."""


class Report(Struct):
    seed: int
    kills: int = 0
    requests: int = 0
    events: int = 0
    outages: list[Outage] = []
    outage_p50: float = 0.0
    outage_max: float = 0.0
    gap_without_kills: float = 0.0
    """The longest time without a verdict before the first kill."""
    seconds: dict[str, float] = {}

    def __str__(self) -> str:
        return msgspec.json.format(msgspec.json.encode(self), indent=1).decode()


class Servers:
    """Three of them, by their names."""

    def __init__(self, directory: Path) -> None:
        ports = {f"nats-{n}": lasting_port() for n in range(SERVERS)}
        routes = ", ".join(f'"nats-route://127.0.0.1:{port}"' for port in ports.values())
        self.by_name = {
            name: NatsServer(
                directory / name,
                jetstream="sync_interval: always",
                config=f"server_name: {name}\n"
                f"cluster {{ name: chaos, listen: 127.0.0.1:{port}, routes: [{routes}] }}\nmax_payload: 4MB",
            )
            for name, port in ports.items()
        }
        for server in self.by_name.values():
            server.port, server.monitor_port = lasting_port(), lasting_port()

    @property
    def url(self) -> str:
        return ",".join(server.url for server in self.by_name.values())

    async def start(self) -> None:
        await asyncio.gather(*(asyncio.to_thread(server.start) for server in self.by_name.values()))

    def stop(self) -> None:
        for server in self.by_name.values():
            server.kill()


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[tuple[Cluster, Servers]]:
    """Three servers and the parts over them, all ready."""
    async with AsyncExitStack() as stack:
        servers = Servers(path / "servers")
        stack.callback(servers.stop)
        await servers.start()
        bus = await _prepared(servers.url)
        stack.push_async_callback(bus.close)
        data = stack.enter_context(DataDir.open(path / "data"))
        # Where the servers tell how they sync may be down when it is asked.
        own = {"MAGI_NATS_SYNC_INTERVAL": "any", "MAGI_NATS_URL": servers.url, "MAGI_NATS_REPLICAS": str(SERVERS)}
        cluster = Cluster(data, bus, own, {})
        await cluster.start(stack, PARTS, {})
        yield cluster, servers


async def _prepared(url: str) -> Bus:
    """A connection to servers that have found each other and hold the streams."""
    bus = await Bus.connect(url, name="chaos")

    async def led() -> bool:
        try:
            return b"account_info_response" in await bus.request("$JS.API.INFO", timeout=0.5)
        except BusError:
            return False

    async def ready() -> bool:
        try:
            await prepare(bus, SERVERS)
        except (StreamsError, BusError):
            return False
        return True

    await until(led, "three servers have a leader", BACK_WITHIN)
    await until(ready, "three servers hold the streams", BACK_WITHIN)
    return bus


async def run(path: Path, seed: int, seconds: float, kills: int) -> tuple[Report, list[str]]:
    """Kills of whoever leads the log, under load, until there were `kills` and `seconds` are over; then the check."""
    report, clock = Report(seed), Clock()
    async with running(path) as (cluster, servers):
        clock.lap("start")
        async with talking(cluster, ["initiator-0"]) as (initiator,):
            asking = asyncio.create_task(_ask_steadily(initiator, seed))
            begun = time.monotonic()
            await asyncio.sleep(2 * BEFORE)
            report.gap_without_kills = round(_longest_gap(initiator, begun), 3)
            behind = ""
            while not behind and (report.kills < kills or time.monotonic() - begun < seconds):
                await asyncio.sleep(BEFORE)
                outage, behind = await _kill_leader(cluster, servers, initiator)
                report.outages.append(outage)
                report.kills += 1
            asking.cancel()
            clock.lap("load")
            await all_decided([initiator], PATIENCE)
            clock.lap("drain")
            asked = list(initiator.asked.values())
            evidence = await gather(cluster, asked)
        problems = (
            ([behind] if behind else [])
            + initiator.problems
            + check(evidence, expected_vote, GHOST)
            + await verified(cluster)
        )
        clock.lap("check")
    clock.lap("stop")
    report.requests, report.events, report.seconds = len(asked), len(evidence.log), clock.laps
    gaps = sorted(outage.longest_gap for outage in report.outages)
    report.outage_p50, report.outage_max = gaps[len(gaps) // 2], gaps[-1]
    return report, problems


async def _ask_steadily(initiator: Initiator, seed: int) -> None:
    """One request after the other, each with its time."""
    number = 0
    while True:
        for request in requests(seed + number, 100, f"{initiator.name} {number}"):
            initiator.ask(request)
            await asyncio.sleep(EVERY)
        number += 1


async def _kill_leader(cluster: Cluster, servers: Servers, initiator: Initiator) -> tuple[Outage, str]:
    """Kill it, wait until requests are decided again, bring it back, and wait until its copies are whole.

    Returns with the outage what is wrong if they don't become so.
    """
    name = await _leader(cluster)
    killed_at = time.monotonic()
    servers.by_name[name].kill()

    async def decided() -> bool:
        return any(one.final and one.began > killed_at for one in _of_the_present(initiator))

    await until(decided, "requests are decided again", BACK_WITHIN)
    back = time.monotonic()
    await asyncio.to_thread(servers.by_name[name].start)
    behind = ""
    try:
        await until(lambda: _whole(cluster), "all copies are whole again", BACK_WITHIN)
    except AssertionError:
        said = [line for line in servers.by_name[name].log.splitlines() if "[ERR] Filestore" in line]
        behind = f"{name} is not current {BACK_WITHIN:g} s after it came back: {said[-1:]}"
    return Outage(name, round(_longest_gap(initiator, killed_at), 3), round(back - killed_at, 3)), behind


def _of_the_present(initiator: Initiator) -> list[Asked]:
    """Without those that wait for the ghost: they end at their deadline."""
    return [one for one in initiator.asked.values() if GHOST not in one.request.voter_list]


def _longest_gap(initiator: Initiator, since: float) -> float:
    ends = sorted(one.began + one.took for one in _of_the_present(initiator) if one.final)
    moments = [since, *(end for end in ends if end > since), time.monotonic()]
    return max(after - before for before, after in itertools.pairwise(moments))


class _Replica(Struct, frozen=True):
    current: bool = False


class _Placed(Struct, frozen=True):
    leader: str = ""
    replicas: tuple[_Replica, ...] = ()


class _Info(Struct, frozen=True):
    cluster: _Placed = _Placed()


async def _placed(cluster: Cluster, stream: str) -> _Placed:
    try:
        answer = await cluster.bus.request(f"$JS.API.STREAM.INFO.{stream}")
    except BusError:
        return _Placed()
    return msgspec.json.decode(answer, type=_Info).cluster


async def _leader(cluster: Cluster) -> str:
    name = ""

    async def led() -> bool:
        nonlocal name
        name = (await _placed(cluster, subjects.LOG)).leader
        return bool(name)

    await until(led, "the log has a leader", BACK_WITHIN)
    return name


async def _whole(cluster: Cluster) -> bool:
    for stream in STREAMS:
        placed = await _placed(cluster, stream)
        if not placed.leader or len(placed.replicas) < SERVERS - 1 or not all(r.current for r in placed.replicas):
            return False
    return True
