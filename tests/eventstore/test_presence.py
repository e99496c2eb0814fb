"""Instances announce how they are; what one says of itself, or in another's name, doesn't hide the others."""

import msgspec
import pytest
from nats.aio.client import Client

from magi.eventstore import presence, subjects
from magi.eventstore.bus import Bus
from magi.eventstore.declarations import load_declarations
from magi.eventstore.direct import DirectReader
from magi.eventstore.presence import Instance, Presence, alive, make_bucket
from magi.eventstore.streams import ensure_presence
from tests.servers import NatsServer
from tests.waiting import until

ME = Instance("voter.a", "one", capacity=4, host="here")


async def reader(bus: Bus) -> DirectReader:
    made = DirectReader(bus, subjects.PRESENCE)
    await made.start()
    return made


async def test_each_heartbeat_tells_how_the_instance_is_now(
    nats_server: NatsServer, nc: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "HEARTBEAT", 0.05)
    bus = await Bus.connect(nats_server.url, name="t")
    try:
        announced = Presence(
            bus, ME, lambda i: msgspec.structs.replace(i, in_flight=i.in_flight + 1), on_missing=make_bucket
        )
        await announced.start()
        look = await reader(bus)

        async def third() -> bool:
            (found,) = await alive(look, "voter.*")
            assert (found.part, found.instance, found.capacity, found.host) == ("voter.a", "one", 4, "here")
            return found.in_flight >= 3

        await until(third, "the third heartbeat is seen")
        await announced.stop()
        assert await alive(look, "voter.*") == []
    finally:
        await bus.close()


@pytest.mark.parametrize(
    "written",
    [
        b"no JSON",
        b"\xff",
        b'{"part":"voter.b"}',
        b'{"part":"voter.b","instance":"x","capacity":"many"}',
        b'{"part":"voter.a","instance":"x"}',
        b'{"part":"voter.b","instance":"y"}',
        b'{"part":"orchestrator","instance":"x"}',
        b"[" * 100_000,
    ],
)
async def test_what_is_no_announcement_of_its_own_counts_for_nobody(
    nats_server: NatsServer, nc: Client, written: bytes
) -> None:
    await ensure_presence(nc, load_declarations())
    bus = await Bus.connect(nats_server.url, name="t")
    try:
        await bus.store(f"{subjects.PRESENCE_PREFIX}voter.a.one", msgspec.json.encode(ME))
        await bus.store(f"{subjects.PRESENCE_PREFIX}voter.b.x", written)
        assert await alive(await reader(bus), "voter.*") == [ME]
    finally:
        await bus.close()
