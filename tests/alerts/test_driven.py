"""Each alert, driven by what it is about: real parts on real servers, scraped over HTTP. Only the clock is ours.

Not by the real cause: a disk that is nearly full (its size is made up: a small file system takes a mount), and requests
that are overdue (they count from 60 s after their deadline, here from an hour before it: in truth there are none).
"""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import psycopg
import pytest

import magi.cli.operations
import magi.orchestrator.backlog
import magi.orchestrator.orchestrator
from magi.cli.operations import Machine
from magi.domain import voter_commands as voters
from magi.domain.ids import VoterId, task_id
from magi.domain.messages import ResultBallot, Vote, encode
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.directory import change_voter
from magi.eventstore.metrics import BusMetrics
from magi.eventstore.presence import now_ms
from magi.orchestrator.health import HealthSettings
from magi.orchestrator.orchestrator import Orchestrator, OrchestratorSettings
from magi.telemetry.loop_lag import LoopLag
from tests.alerts.watched import Watched
from tests.gateway.client import request
from tests.gateway.hostile.raw import Raw
from tests.gateway.stack import PANEL, QUICK, running
from tests.orchestrator.world import Asked, World
from tests.projections import histories
from tests.projections import world as projecting
from tests.projections.test_projector import skip_it
from tests.servers import NatsServer
from tests.waiting import until

WELL = HealthSettings(enabled=False)
MINUTE = 60.0


@pytest.fixture
async def watched(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watched]:
    """At each scrape the servers are asked anew."""
    monkeypatch.setattr(magi.orchestrator.backlog, "FRESH", 0.0)
    monkeypatch.setattr(magi.cli.operations, "FRESH", 0.0)
    watched = Watched()
    yield watched
    await watched.close()


async def judged(world: World, count: int, vote: Vote) -> None:
    """Requests that all voters judge alike."""
    asked = await asyncio.gather(*(world.submit() for _ in range(count)))
    for one in asked:
        await world.votes(one.aggregate, a=vote, b=vote, c=vote)
    await world.until_decided(*(one.aggregate for one in asked), within=30)


async def failed(world: World, asked: Asked, voter: str) -> None:
    ballot = ResultBallot(task_id=task_id(asked.aggregate, VoterId(voter)), vote="abstain", failed=True)
    await world.ballot(asked.aggregate, voter, encode(ballot))


async def change(bus: Bus, stream: str, **fields: Any) -> None:
    manager = bus.nc.jetstream()
    config = (await manager.stream_info(stream)).config
    await manager.update_stream(config, **fields)


async def test_voters_that_are_away_fail_or_judge_otherwise(nats_server: NatsServer, watched: Watched) -> None:
    async with World.over(nats_server, partitions=2) as world:
        orchestrator = await world.orchestrator(health=WELL)
        await watched.show("orchestrator", [orchestrator])
        await judged(world, 1, "pass")
        assert [a.name for a in await watched.look()] == ["MagiProjectorStopped"]  # there is none

        # Twenty pass, and a quarter of an hour later twenty fail.
        await judged(world, 20, "pass")
        await watched.look(15 * MINUTE)
        await judged(world, 20, "fail")
        moved = await watched.fires("MagiVotesMoved", voter="a")
        assert moved.summary == "voter a passes 100% more or less than in the day before"
        await watched.fires("MagiVerdictsMoved")
        await watched.ends("MagiVotesMoved", 11 * MINUTE)
        await watched.ends("MagiVerdictsMoved")

        # One is missing at every deadline, one can't judge.
        asked = await asyncio.gather(*(world.submit(timeout_ms=6000) for _ in range(10)))
        for one in asked:
            await world.vote(one.aggregate, "a", "pass")
            await failed(world, one, "b")
        await world.until_decided(*(one.aggregate for one in asked), within=30)
        missing = await watched.fires("MagiVoterMissing", voter="c")
        assert missing.summary == "voter c let 100% of its deadlines pass"
        await watched.fires("MagiVoterFailing", voter="b")
        undecided = await watched.fires("MagiUndecided")
        assert undecided.severity == "critical"
        await watched.ends("MagiVoterMissing", 6 * MINUTE)
        await watched.ends("MagiVoterFailing")
        await watched.ends("MagiUndecided", 60 * MINUTE)

        # One is suspended by hand.
        await change_voter(world.directory, voters.Suspend("c", "a test", "test", now_ms()))
        await active(orchestrator, "c", wanted=False)
        await watched.fires("MagiVoterSuspended", 6 * MINUTE, voter="c")
        await change_voter(world.directory, voters.Reinstate("c", "a test", "test", now_ms()))
        await active(orchestrator, "c", wanted=True)
        await watched.ends("MagiVoterSuspended")

        # Its tasks pile up.
        for _ in range(101):
            await world.bus.store(subjects.tasks(VoterId("a")), b"{}")
        behind = await watched.fires("MagiVoterBehind", 6 * MINUTE, voter="a")
        assert "tasks wait for voter a" in behind.summary
        await world.bus.nc.jetstream().purge_stream(subjects.TASKS)
        await watched.ends("MagiVoterBehind")

        # Those that don't answer can't all be suspended.
        await orchestrator.stop()
        hasty = await world.orchestrator(health=HealthSettings(consecutive=1, least_seconds=0))
        await watched.show("orchestrator", [hasty])
        await watched.look()

        unanswered = [await world.submit(timeout_ms=1000) for _ in range(4)]
        await world.until_decided(*(one.aggregate for one in unanswered), within=30)

        async def kept() -> bool:
            return hasty.alerts.raised["voter.kept"] > 0

        await until(kept, "a voter is kept", 30)
        await watched.fires("MagiVoterKept")
        await watched.ends("MagiVoterKept", 16 * MINUTE)


async def active(orchestrator: Orchestrator, voter: str, *, wanted: bool) -> None:
    async def known() -> bool:
        return (orchestrator._directory.directory.voters[VoterId(voter)].status == "active") == wanted

    await until(known, f"the orchestrator knows of {voter}", 30)


async def test_orchestrators_that_are_gone_slow_or_stuck(
    nats_server: NatsServer, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with World.over(nats_server, partitions=2) as world:
        first = await world.orchestrator(health=WELL)
        await judged(world, 1, "pass")  # its consumers are there
        await first.stop()
        missing = await watched.fires("MagiNoOrchestrator", MINUTE)
        assert missing.labels == {}

        # One that doesn't take anything, while more and more comes.
        bus = await world.connect("orchestrator")
        second = Orchestrator(bus, OrchestratorSettings(2, health=WELL))
        await watched.show("orchestrator", [second, BusMetrics(bus)])
        await watched.ends("MagiNoOrchestrator")
        asked = [await world.submit() for _ in range(12)]
        for number in range(1001):
            await world.bus.store(f"magi.inbox.{number % 2}.ballot.a", b"{}")
        await change(world.bus, subjects.INBOX, max_msgs=1200)
        await asyncio.sleep(0.6)  # so long they wait for their orchestrator: more than half a second is too slow
        waits = await watched.fires("MagiInboxWaits", 3 * MINUTE)
        assert waits.value >= 1001
        await watched.fires("MagiPartitionUnowned", partition="1")
        await watched.fires("MagiStreamNearlyFull", stream=subjects.INBOX)

        # It begins: they are judged, and it took too long.
        await second.start()
        world.at_the_end(second.stop)
        for one in asked:
            await world.votes(one.aggregate, a="pass", b="pass", c="pass")
        await world.until_decided(*(one.aggregate for one in asked), within=30)
        await world.until_inbox_empty(within=30)
        slow = await watched.fires("MagiSlow")
        assert slow.summary == "100% of requests cost more than 0.5 s of MAGI's own time"
        await watched.ends("MagiInboxWaits")
        await watched.ends("MagiPartitionUnowned")
        await watched.ends("MagiStreamNearlyFull")
        await watched.ends("MagiSlow", 60 * MINUTE)

        # A request stays open.
        open_one = await world.submit()
        await world.until_events(open_one.aggregate, 1)
        with monkeypatch.context() as patched:
            patched.setattr(magi.orchestrator.orchestrator, "OVERDUE", -3_600_000)
            await watched.fires("MagiOverdue", 75)
        await world.votes(open_one.aggregate, a="pass", b="pass", c="pass")
        await world.until_decided(open_one.aggregate, within=30)
        await watched.ends("MagiOverdue")

        # The log takes nothing more.
        last = (await world.state(subjects.LOG)).messages
        await change(world.bus, subjects.LOG, max_msgs=last, discard="new")
        refused = [await world.submit(timeout_ms=200) for _ in range(12)]
        await watched.until_told("magi_inbox_left_total", 12)
        await watched.fires("MagiMessagesLeft")
        await change(world.bus, subjects.LOG, max_msgs=-1)
        await world.until_decided(*(one.aggregate for one in refused), within=30)
        await watched.ends("MagiMessagesLeft", 11 * MINUTE)

        # The log answers nobody.
        await change(world.bus, subjects.LOG, subjects=["magi.elsewhere.>"])
        unheard = [await world.submit() for _ in range(3)]
        tried = f'magi_store_retries_total{{stream="{subjects.LOG}"}}'
        await watched.until_told(tried, 1)
        await watched.look()
        await watched.until_told(tried, 18)
        for _ in range(4):
            await watched.look()
        stuck = await watched.fires("MagiCannotStore", stream=subjects.LOG)
        assert stuck.summary.startswith("MAGI_LOG takes nothing: ")
        await change(world.bus, subjects.LOG, subjects=["magi.log.>"])
        for one in unheard:
            await world.votes(one.aggregate, a="pass", b="pass", c="pass")
        await world.until_decided(*(one.aggregate for one in unheard), within=30)
        await watched.ends("MagiCannotStore", 3 * MINUTE)

        # Its port is silent, then back.
        await watched.hide("orchestrator")
        down = await watched.fires("MagiPartDown", MINUTE, part="orchestrator")
        assert down.summary.startswith("the orchestrator at 127.0.0.1:")
        await watched.show("orchestrator", [second, BusMetrics(bus)])
        await watched.ends("MagiPartDown")

        # The log is another one, and lacks a message.
        manager = world.bus.nc.jetstream()
        await manager.delete_stream(subjects.LOG)
        await manager.add_stream(name=subjects.LOG, subjects=["magi.log.>"])
        for _ in range(3):
            await world.bus.store("magi.log.a.b", b"{}")
        await manager.delete_msg(subjects.LOG, 2)
        back = await watched.fires("MagiStreamWentBack", MINUTE, stream=subjects.LOG)
        assert back.summary == "MAGI_LOG ends at 3, and went further within the last hour"
        damaged = await watched.fires("MagiLogDamaged", stream=subjects.LOG)
        assert damaged.value == 1
        await manager.delete_stream(subjects.LOG)
        await manager.add_stream(name=subjects.LOG, subjects=["magi.log.>"])
        await watched.ends("MagiLogDamaged")
        await watched.ends("MagiStreamWentBack", 61 * MINUTE)


async def test_the_machine_and_its_nats_server(
    tmp_path: Path, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    with NatsServer(tmp_path / "nats") as server:
        bus = await Bus.connect(server.url, name="test")
        manager = bus.nc.jetstream()
        await manager.add_stream(name="S", subjects=["s"])
        for _ in range(100):
            await bus.store("s", b"x" * 1000)
        machine, lag = Machine(tmp_path, server.monitor_url), LoopLag()
        await watched.show("orchestrator", [machine, BusMetrics(bus), lag])
        assert not {"MagiNoNats", "MagiBlind", "MagiStorageNearlyFull"} & await watched.firing(2 * MINUTE)

        # The disk is nearly full, as far as the system says so.
        usage = SimpleNamespace(total=1000, used=950, free=50)
        with monkeypatch.context() as patched:
            patched.setattr(shutil, "disk_usage", lambda path: usage)
            full = await watched.fires("MagiDiskNearlyFull", 2 * MINUTE)
            assert full.summary.startswith("5% of the data directory's disk at 127.0.0.1:")
        await watched.look()

        used = int(await watched.told("magi_jetstream_storage_bytes"))

        # The server is away.
        server.stop()

        async def lost() -> bool:
            return not bus.connected

        await until(lost, "the connection is lost", 30)
        for _ in range(3):
            await watched.look(2 * MINUTE)  # it is asked each time
        assert {"MagiNoNats", "MagiBlind"} <= await watched.firing()

        # It comes back, with little more room than it needs.
        server._jetstream = f"max_file_store: {used * 11 // 10}"
        server.start()

        async def back() -> bool:
            return bus.connected

        await until(back, "the connection is back", 30)
        await watched.fires("MagiStorageNearlyFull", 2 * MINUTE)
        await watched.ends("MagiNoNats")
        await watched.ends("MagiBlind", 6 * MINUTE)
        await manager.purge_stream("S")
        await watched.ends("MagiStorageNearlyFull")

        # The event loop does something else.
        await watched.look()
        lag.start()
        try:
            for _ in range(2):
                before = await watched.told("magi_event_loop_lag_seconds_count")
                time.sleep(0.7)  # noqa: ASYNC251 - that is what it is about
                await watched.until_told("magi_event_loop_lag_seconds_count", before + 1)
                await watched.look(3 * MINUTE)
        finally:
            lag.stop()
        stalls = await watched.fires("MagiLoopStalls", part="orchestrator")
        assert stalls.value > 0.25
        await watched.ends("MagiLoopStalls", 6 * MINUTE)
        await bus.close()


async def test_a_gateway_whose_clients_are_refused_or_do_not_read(nats_server: NatsServer, watched: Watched) -> None:
    async with running(nats_server.url) as stack, AsyncExitStack() as exits:
        await watched.show("gateway", [stack.gateway])
        await watched.look()
        client = await exits.enter_async_context(stack.client())
        await stack.change_stream(subjects.INBOX, max_msgs=1, discard="new")
        for number in range(3):
            await client.send(request(f"request {number}", metadata=dict.fromkeys(PANEL, "held")))
        await watched.until_told('magi_gateway_errors_total{client="initiator",code="overloaded"}', 1)
        refused = await watched.fires("MagiInternalErrors")
        assert refused.labels["code"] == "overloaded"
        await watched.ends("MagiInternalErrors", 6 * MINUTE)
        strict = await stack.start_gateway(msgspec.structs.replace(QUICK, ping_seconds=0.5))
        await watched.show("gateway", [strict], "strict")
        await watched.look()
        for _ in range(11):
            await exits.enter_async_context(Raw.open(strict.port, stack.token))  # it answers no ping
        await watched.until_told('magi_gateway_cut_off_total{reason="no_pong"}', 11, "strict")
        cut = await watched.fires("MagiClientsCutOff")
        assert cut.labels["reason"] == "no_pong"
        await watched.ends("MagiClientsCutOff", 11 * MINUTE)


async def test_projectors_that_stop_halt_or_fall_behind(world: projecting.World, watched: Watched) -> None:
    projector = await world.projector()
    await watched.show("projector", [projector])
    requests = '{projection="requests"}'
    caught_up = f"magi_projection_caught_up_timestamp_seconds{requests}"
    await watched.until_told(f"magi_projection_running{requests}", 1)
    await watched.until_told(caught_up, 1)
    assert await watched.firing(MINUTE) == {"MagiNoOrchestrator"}

    # Somebody holds a lock in Postgres.
    connection = await psycopg.AsyncConnection.connect(world.url)
    (live,) = await world.rows("SELECT version FROM magi_meta.versions WHERE state = 'live'")
    await connection.execute(f"LOCK TABLE magi_v{live['version']}.positions".encode())
    await world.log.put(histories.requests(3))
    last = await watched.told(caught_up)
    watched.now = last + 299.5
    behind = await watched.fires("MagiProjectionBehind", after=1, projection="requests")
    assert behind.summary.startswith("the projection requests was last up to date 5m ")
    await connection.close()
    for series in (caught_up, caught_up.replace("requests", "voters")):
        await watched.until_told(series, last + 3)  # it is up to date again, and some time has passed
    await watched.ends("MagiProjectionBehind", after=0.5)

    # What it can't apply.
    poison = await world.log.put_bytes(histories.requests(1, seed=9)[0].aggregate, b"no JSON")
    await watched.until_told(f"magi_projection_halted{requests}", 1)
    await watched.fires("MagiProjectionHalted", projection="requests")
    stopped = await watched.fires("MagiProjectorStopped", 2 * MINUTE, projection="requests")
    assert stopped.severity == "warning"
    await world.halted()
    await skip_it(world, poison)
    await watched.until_told(f"magi_projection_running{requests}", 1)
    await watched.ends("MagiProjectorStopped")
    await watched.ends("MagiProjectionHalted")

    # Nobody is there at all.
    await watched.forget("projector")
    gone = await watched.fires("MagiProjectorStopped", 2 * MINUTE)
    assert gone.labels == {"projection": "requests"}  # it stands for all of them
