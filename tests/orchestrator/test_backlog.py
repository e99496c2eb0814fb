"""`magi.orchestrator.backlog`: what waits in the streams, as a scrape tells it."""

from magi.domain.directory import Directory
from magi.domain.ids import VoterId
from magi.domain.voter import Voter
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.consumers import ensure_inbox_consumer, ensure_task_consumer
from magi.eventstore.declarations import load_declarations
from magi.eventstore.presence import now_ms
from magi.eventstore.streams import apply
from magi.orchestrator.backlog import Backlog
from magi.telemetry import declarations as d
from magi.telemetry.registry import Registry
from tests.servers import NatsServer
from tests.telemetry.strict import read, total


async def test_it_counts_what_waits_and_says_what_does_not_answer(nats_server: NatsServer) -> None:
    bus = await Bus.connect(nats_server.url, name="test")
    try:
        await apply(bus.nc, load_declarations())
        await ensure_inbox_consumer(bus, 0)
        await ensure_task_consumer(bus, VoterId("casper"))
        directory = Directory()
        directory.voters[VoterId("casper")] = Voter(voter_id="casper")
        directory.voters[VoterId("nobody")] = Voter(voter_id="nobody")
        directory.voters[VoterId("gone")] = Voter(voter_id="gone", status="revoked")
        await bus.store("magi.inbox.0.ballot.casper", b"{}")
        for _ in range(2):
            await bus.store(subjects.tasks(VoterId("casper")), b"{}")
        backlog = Backlog(bus, 1, lambda: directory, lambda: now_ms() + 5000)
        registry = Registry("orchestrator", [backlog])
        await registry.refresh()
        found = read(registry.expose().decode())
        assert found[d.INBOX_UNTAKEN.name].value(partition="0") == 1
        assert found[d.TASKS_UNTAKEN.name].value(voter="casper") == 2
        assert found[d.STREAM_MESSAGES.name].value(stream=subjects.TASKS) == 2
        assert found[d.STREAM_BYTES.name].value(stream=subjects.TASKS) > 0
        assert found[d.STREAM_LAST.name].value(stream=subjects.INBOX) == 1
        assert 5 <= found[d.STREAM_OLDEST.name].value(stream=subjects.INBOX) < 30
        assert found[d.STREAM_MISSING.name].value(stream=subjects.LOG) == 0
        assert found[d.STREAM_USED.name].value(stream=subjects.INBOX) == 1 / 500_000
        assert total(found, d.TASKS_UNTAKEN.name, voter="nobody") == 0
        assert found[d.POLL_FAILURES.name].value(source="tasks") == 1
        await bus.store(subjects.tasks(VoterId("casper")), b"{}")
        await registry.refresh()  # at once: nobody is asked again
        assert read(registry.expose().decode())[d.TASKS_UNTAKEN.name].value(voter="casper") == 2
    finally:
        await bus.close()


async def test_a_hole_in_the_log_is_seen(nats_server: NatsServer) -> None:
    bus = await Bus.connect(nats_server.url, name="test")
    try:
        await bus.nc.jetstream().add_stream(name=subjects.LOG, subjects=["magi.log.>"])
        for _ in range(3):
            await bus.store("magi.log.a.b", b"{}")
        await bus.nc.jetstream().delete_msg(subjects.LOG, 2)
        backlog = Backlog(bus, 0, Directory, now_ms)
        await backlog.refresh()
        found = read(Registry("orchestrator", [backlog]).expose().decode())
        assert found[d.STREAM_MISSING.name].value(stream=subjects.LOG) == 1
    finally:
        await bus.close()
