"""What follows from a decision, on a real nats-server: tasks, once and not for ever; timers; queues that are full."""

import msgspec
import pytest
from nats.aio.msg import Msg
from structlog.testing import capture_logs

from magi.domain.clock import milliseconds
from magi.domain.voting_request import Received
from magi.eventstore import consumers, subjects
from magi.eventstore.bus import NoAck
from magi.eventstore.declarations import TASKS, find, load_declarations
from magi.eventstore.presence import now_ms
from magi.eventstore.pull import PullConsumer, delivery
from magi.eventstore.streams import apply
from magi.orchestrator.effects import Effects
from tests.orchestrator.deaths import dispatch, receive
from tests.orchestrator.world import World
from tests.waiting import until


async def test_what_is_dispatched_twice_is_one_task(world: World) -> None:
    asked = await world.submit()
    await receive(world, asked)
    await dispatch(world, asked)
    await dispatch(world, asked)
    assert [len(await world.tasks(voter)) for voter in "abc"] == [1, 1, 1]


async def test_a_task_is_gone_after_its_deadline(world: World) -> None:
    asked = await world.submit(timeout_ms=2500)
    await receive(world, asked)
    await dispatch(world, asked)
    assert len(await world.tasks("a")) == 1

    async def gone() -> bool:
        return await world.tasks("a") == []

    await until(gone, "the task has expired")
    received = (await world.history(asked.aggregate))[0]
    assert isinstance(received, Received)
    assert now_ms() > milliseconds(received.deadline) - 500, "and not before; the server counts in whole seconds"


async def test_a_voter_whose_queue_is_full_is_missing_and_the_others_go_on(world: World) -> None:
    declaration = find(load_declarations(), TASKS)
    small = msgspec.structs.replace(declaration.config, max_msgs_per_subject=1)
    await apply(world.bus.nc, [msgspec.structs.replace(declaration, config=small)])
    await world.orchestrator()
    first = await world.submit(voter_list=("a",))
    await world.until_tasks(1, "a")
    with capture_logs() as logged:
        second = await world.submit(timeout_ms=3000)
        await world.until_tasks(1, "b")
        await world.until_tasks(1, "c")
        await world.votes(second.aggregate, b="pass", c="pass")
        await world.until_decided(second.aggregate)
    verdict = await world.check(second.aggregate)
    assert verdict.details == {"a": "missing", "b": "pass", "c": "pass"}
    assert {e["voter"] for e in logged if e["event"] == "task_rejected"} == {"a"}
    await world.vote(first.aggregate, "a", "pass")
    await world.until_decided(first.aggregate)
    await world.until_inbox_empty()


@pytest.fixture
async def taken(world: World, monkeypatch: pytest.MonkeyPatch) -> tuple[World, list[Msg]]:
    """A submission in the inbox that was delivered to us, and each time that it comes: not soon by itself."""
    monkeypatch.setattr(consumers, "ACK_WAIT", 90.0)
    messages: list[Msg] = []

    async def take(msg: Msg) -> None:
        messages.append(msg)

    await (await world.orchestrator()).stop()  # makes the consumers
    asked = await world.submit()
    partition = world.partition_of(asked.submission)
    reader = PullConsumer(
        world.bus, subjects.INBOX, subjects.inbox_consumer(partition), take, want=10, expires=1.0, group=subjects.GROUP
    )
    await reader.start()

    async def came() -> bool:
        return len(messages) == 1

    await until(came, "the submission has come")
    return world, messages


async def test_a_message_comes_again_when_it_was_to_and_an_acknowledgement_ends_that(
    taken: tuple[World, list[Msg]],
) -> None:
    world, messages = taken
    effects = Effects(world.bus, world.partitions, now_ms)
    at = now_ms() + 300
    await effects.wake_at(messages[0].reply, at)

    async def again() -> bool:
        return len(messages) == 2

    await until(again, "it came again")
    assert at <= now_ms() < at + 30_000, "and not when it would have come again by itself"
    assert delivery(messages[1].reply).attempt == 2
    await effects.wake_at(messages[1].reply, now_ms() + 60_000)
    await effects.acknowledge(messages[1].reply)
    await world.until_inbox_empty()


async def test_without_a_connection_no_timer_is_left_in_a_buffer(world: World) -> None:
    """Its delay would be counted from whenever the server gets it."""
    bus = await world.connect()
    effects = Effects(bus, world.partitions, now_ms)
    world.server.stop()

    async def noticed() -> bool:
        return not bus.nc.is_connected

    await until(noticed, "the connection is lost")
    with pytest.raises(NoAck):
        await effects.wake_at("$JS.ACK.MAGI_INBOX.inbox-0.1.1.1.1767225600123456789.0", now_ms() + 1000)
    world.server.start()
