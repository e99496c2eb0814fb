"""Consumers of the inbox that are gone, or pass over what is stored: nothing stays where nobody comes for it."""

import msgspec
import pytest
from nats.aio.msg import Msg

from magi.eventstore import subjects
from magi.eventstore.consumers import ensure_inbox_consumer
from magi.orchestrator import partitions, strays
from magi.orchestrator.strays import Strays
from tests.orchestrator.world import World
from tests.waiting import until


@pytest.fixture
def watchful(hasty: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Orchestrators look for strays with every heartbeat."""
    monkeypatch.setattr(partitions, "TIDY_EVERY", 1)
    monkeypatch.setattr(strays, "LOOKS", 3)


async def pass_over(world: World, partition: int) -> None:
    """Have the consumer of a partition never deliver what is in it now: it begins with another filter, behind that."""
    name = subjects.inbox_consumer(partition)
    await ensure_inbox_consumer(world.bus, partition)
    answer = await world.bus.request(f"$JS.API.CONSUMER.INFO.{subjects.INBOX}.{name}")
    config = msgspec.json.decode(answer)["config"]
    await world.bus.request(f"$JS.API.CONSUMER.DELETE.{subjects.INBOX}.{name}")
    elsewhere = f"magi.inbox.{partition}.ballot.nobody"
    subject = f"$JS.API.CONSUMER.DURABLE.CREATE.{subjects.INBOX}.{name}"
    for filter_subject in (elsewhere, config["filter_subject"]):
        changed = {**config, "filter_subject": filter_subject}
        answer = await world.bus.request(
            subject, msgspec.json.encode({"stream_name": subjects.INBOX, "config": changed})
        )
        assert b'"error"' not in answer, answer
        if filter_subject == elsewhere:
            await world.bus.store(elsewhere, b"moves the consumer on")
            await acknowledge_next(world, partition)


async def acknowledge_next(world: World, partition: int) -> None:
    taken: list[Msg] = []

    async def take(msg: Msg) -> None:
        taken.append(msg)

    async def came() -> bool:
        return bool(taken)

    inbox = world.bus.nc.new_inbox()
    await world.bus.subscribe(inbox, take)
    subject = f"$JS.API.CONSUMER.MSG.NEXT.{subjects.INBOX}.{subjects.inbox_consumer(partition)}"
    await world.bus.publish(subject, b'{"batch":1,"expires":5000000000,"group":"orchestrator"}', reply=inbox)
    await until(came, "it was delivered")
    await world.bus.publish(taken[0].reply, b"+ACK")


async def count(world: World) -> int:
    return (await world.state(subjects.INBOX)).messages


@pytest.mark.usefixtures("watchful")
async def test_what_a_consumer_passes_over_is_handled_all_the_same(world: World) -> None:
    asked = await world.submit()
    partition = world.partition_of(asked.submission)
    await pass_over(world, partition)
    assert await Strays(world.bus)._count(partition) == 1
    orchestrator = await world.orchestrator()
    await world.until_tasks(1)
    await world.votes(asked.aggregate, a="pass", b="pass", c="pass")
    await world.until_decided(asked.aggregate)
    await world.check(asked.aggregate)
    await world.until_inbox_empty()
    assert orchestrator.open == 0


@pytest.mark.usefixtures("watchful")
async def test_open_requests_survive_that_their_partition_is_delivered_again(world: World) -> None:
    orchestrator = await world.orchestrator()
    asked = [await world.submit() for _ in range(10)]
    await world.until_tasks(10)
    await world.votes(asked[0].aggregate, a="pass")
    for partition in range(world.partitions):
        await strays.deliver_again(world.bus, partition)
    for one in asked[1:]:
        await world.votes(one.aggregate, a="pass")
    for one in asked:
        await world.votes(one.aggregate, b="pass", c="pass")
    await world.until_decided(*(one.aggregate for one in asked))
    await world.until_inbox_empty()
    for one in asked:
        assert (await world.check(one.aggregate)).decided_by == "votes"
    assert [len(await world.tasks(voter)) for voter in "abc"] == [10, 10, 10]
    assert orchestrator.open == 0


async def test_open_requests_are_no_strays(world: World, hasty: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strays, "LOOKS", 1)
    await world.orchestrator()
    asked = [await world.submit() for _ in range(10)]
    await world.until_tasks(10)
    assert await Strays(world.bus).look(frozenset(range(world.partitions))) == []
    assert await count(world) == len(asked)
