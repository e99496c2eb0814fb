"""The hub: one subscription an Initiator, and everybody hears what they watch, and nothing else."""

import asyncio
import json
from asyncio import to_thread
from collections.abc import AsyncIterator
from urllib.request import urlopen

import msgspec
import pytest
from structlog.testing import capture_logs

from magi.domain.ids import AggregateId, InitiatorId
from magi.domain.voting_request import RequestEvent, VoterProgress
from magi.eventstore.bus import Bus, NoAck
from magi.eventstore.codec import pack
from magi.eventstore.notices import Existing, Notice, Refusal
from magi.gateway.hub import Hub
from tests.servers import NatsServer
from tests.waiting import until

AGENT, OTHER = InitiatorId("agent"), InitiatorId("other")
FIRST, SECOND = AggregateId("agent.first"), AggregateId("agent.second")


class Ear:
    """A listener that writes down what it hears."""

    def __init__(self) -> None:
        self.events: list[tuple[AggregateId, int]] = []
        self.notices: list[Notice] = []
        self.gaps = 0

    def on_event(self, aggregate: AggregateId, event: RequestEvent) -> None:
        self.events.append((aggregate, event.originator_version))

    def on_notice(self, notice: Notice) -> None:
        self.notices.append(notice)

    def on_gap(self) -> None:
        self.gaps += 1


@pytest.fixture
async def bus(nats_server: NatsServer) -> AsyncIterator[Bus]:
    bus = await Bus.connect(nats_server.url, name="hub")
    yield bus
    await bus.close()


@pytest.fixture
async def hub(bus: Bus) -> AsyncIterator[Hub]:
    hub = Hub(bus)
    await hub.start()
    yield hub
    await hub.stop()


def event(aggregate: str, version: int) -> bytes:
    told = VoterProgress(originator_id=aggregate, originator_version=version, voter_id="voter_1", status="processing")
    return msgspec.json.encode(told)


async def live(bus: Bus, aggregate: str, *versions: int) -> None:
    """Tell of these events, which are one message."""
    await bus.nc.publish(f"magi.live.{aggregate}", pack([event(aggregate, version) for version in versions or (1,)]))


async def notify(bus: Bus, initiator: str, notice: Notice) -> None:
    await bus.nc.publish(f"magi.notices.initiator.{initiator}", msgspec.json.encode(notice))


async def settled(bus: Bus) -> None:
    """Return when everything published before has been heard."""
    heard = asyncio.Event()

    async def hear(_: object) -> None:
        heard.set()

    subscription = await bus.subscribe("settled", hear)
    await bus.nc.flush()
    await bus.nc.publish("settled", b"")
    await asyncio.wait_for(heard.wait(), 30)
    await subscription.unsubscribe()


async def subscriptions(server: NatsServer) -> list[str]:
    """What the hub's connection is subscribed to, as the server sees it, besides what it always is."""

    def fetch() -> list[str]:
        with urlopen(f"{server.monitor_url}/connz?subs=1") as answer:
            connections = json.load(answer)["connections"]
        found: list[str] = next(c for c in connections if c.get("name") == "hub").get("subscriptions_list", [])
        return sorted(s for s in found if s.startswith("magi.") and s != "magi.live.GATEWAY.*")

    return await to_thread(fetch)


class TestWatching:
    async def test_only_what_is_watched_is_heard(self, bus: Bus, hub: Hub) -> None:
        ear, deaf = Ear(), Ear()
        await hub.join(AGENT, ear)
        await hub.join(AGENT, deaf)
        hub.watch(FIRST, ear)
        await live(bus, FIRST, 1)
        await live(bus, SECOND, 1)
        await live(bus, FIRST, 2)
        await settled(bus)
        assert ear.events == [(FIRST, 1), (FIRST, 2)]
        assert deaf.events == []

    async def test_what_was_appended_together_is_heard_one_by_one_in_its_order(self, bus: Bus, hub: Hub) -> None:
        ears = [Ear(), Ear()]
        for ear in ears:
            await hub.join(AGENT, ear)
            hub.watch(FIRST, ear)
        await live(bus, FIRST, 1)
        await live(bus, FIRST, 2, 3, 4)
        await live(bus, FIRST, 5, 6)
        await settled(bus)
        for ear in ears:
            assert ear.events == [(FIRST, version) for version in range(1, 7)]

    async def test_several_may_watch_the_same(self, bus: Bus, hub: Hub) -> None:
        ears = [Ear(), Ear(), Ear()]
        for ear in ears:
            await hub.join(AGENT, ear)
            hub.watch(FIRST, ear)
        await live(bus, FIRST)
        await settled(bus)
        hub.unwatch(FIRST, ears[0])
        await live(bus, FIRST, 2)
        await settled(bus)
        assert [len(ear.events) for ear in ears] == [1, 2, 2]

    async def test_what_is_no_event_is_left_aside(self, bus: Bus, hub: Hub) -> None:
        ear = Ear()
        await hub.join(AGENT, ear)
        hub.watch(FIRST, ear)
        with capture_logs() as logs:
            await bus.nc.publish(f"magi.live.{FIRST}", b"no event")
            await bus.nc.publish(f"magi.live.{FIRST}", b"[" + event(FIRST, 7) + b", {}]")
            await bus.nc.publish("magi.notices.initiator.agent", b"no notice")
            await live(bus, FIRST)
            await settled(bus)
        assert ear.events == [(FIRST, 1)]
        assert [entry["event"] for entry in logs] == [*["live_event_unreadable"] * 2, "notice_unreadable"]

    async def test_to_stop_watching_twice_is_no_error(self, hub: Hub) -> None:
        ear = Ear()
        hub.watch(FIRST, ear)
        hub.unwatch(FIRST, ear)
        hub.unwatch(FIRST, ear)
        hub.unwatch(SECOND, ear)


class TestNotices:
    async def test_they_go_to_every_connection_of_the_initiator_and_to_no_other(self, bus: Bus, hub: Hub) -> None:
        one, two, stranger = Ear(), Ear(), Ear()
        await hub.join(AGENT, one)
        await hub.join(AGENT, two)
        await hub.join(OTHER, stranger)
        notices: list[Notice] = [Existing("abc123", "digest"), Refusal("no_voters", "nobody", request_id="abc123")]
        for notice in notices:
            await notify(bus, "agent", notice)
        await settled(bus)
        assert one.notices == two.notices == notices
        assert stranger.notices == []


class TestSubscriptions:
    async def test_an_initiator_has_one_however_many_connections_it_has(
        self, bus: Bus, hub: Hub, nats_server: NatsServer
    ) -> None:
        ears = [Ear() for _ in range(20)]
        await asyncio.gather(*(hub.join(AGENT, ear) for ear in ears))
        await bus.nc.flush()
        assert await subscriptions(nats_server) == ["magi.live.agent.*", "magi.notices.initiator.agent"]
        await notify(bus, "agent", Existing("abc123", "digest"))
        await settled(bus)
        assert all(len(ear.notices) == 1 for ear in ears)

    async def test_it_ends_with_the_last_connection(self, bus: Bus, hub: Hub, nats_server: NatsServer) -> None:
        one, two = Ear(), Ear()
        await hub.join(AGENT, one)
        await hub.join(AGENT, two)
        await hub.leave(AGENT, one)
        await bus.nc.flush()
        assert len(await subscriptions(nats_server)) == 2
        await hub.leave(AGENT, two)
        await bus.nc.flush()
        assert await subscriptions(nats_server) == []
        assert hub.listeners() == []
        await hub.leave(AGENT, two)

    async def test_whoever_comes_back_hears_again(self, bus: Bus, hub: Hub) -> None:
        ear = Ear()
        for _ in range(3):
            await hub.join(AGENT, ear)
            await hub.leave(AGENT, ear)
        await hub.join(AGENT, ear)
        await notify(bus, "agent", Existing("abc123", "digest"))
        await settled(bus)
        assert len(ear.notices) == 1

    async def test_one_that_cannot_be_made_is_not_taken_for_made(self, hub: Hub, bus: Bus) -> None:
        subscribe = bus.subscribe

        async def fail(*_: object) -> None:
            raise NoAck("the connection was closed")

        bus.subscribe = fail  # type: ignore[method-assign,assignment]
        with pytest.raises(NoAck):
            await hub.join(AGENT, Ear())
        assert hub.listeners() == []
        bus.subscribe = subscribe  # type: ignore[method-assign]
        ear = Ear()
        await hub.join(AGENT, ear)
        await notify(bus, "agent", Existing("abc123", "digest"))
        await settled(bus)
        assert len(ear.notices) == 1


async def test_a_break_is_a_gap_for_everybody(fresh_nats: NatsServer) -> None:
    bus = await Bus.connect(fresh_nats.url, name="hub")
    hub = Hub(bus)
    await hub.start()
    ears = [Ear(), Ear()]
    await hub.join(AGENT, ears[0])
    await hub.join(OTHER, ears[1])
    fresh_nats.kill()
    fresh_nats.start()

    async def told() -> bool:
        return [ear.gaps for ear in ears] == [1, 1]

    await until(told, "everybody was told of the break")
    await hub.stop()
    await bus.close()
    assert bus.on_reconnected == []
