"""The directory's stream: panel templates beside voters, also in a stream that was made before there were any."""

import asyncio

import msgspec
import pytest
from nats.aio.client import Client

from magi.domain.clock import rfc3339
from magi.domain.directory import DirectoryEvent
from magi.domain.errors import Conflict
from magi.domain.ids import panel_aggregate
from magi.domain.operations import OperatorActed, operations_aggregate
from magi.domain.template import Define, PanelDefined, PanelRemoved, Remove
from magi.domain.voter_commands import Register
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.declarations import StreamDeclaration, find, load_declarations
from magi.eventstore.directory import DirectoryView, change_template, change_voter, directory_log, record_operation
from magi.eventstore.history import EMPTY, CorruptHistory
from magi.eventstore.streams import WeakerStreams, apply, check, diff
from tests.servers import NatsServer
from tests.waiting import until

NOW = 1_769_860_800_000
DECLARATIONS = load_declarations()
DEFINE = Define("code", ("a", "1 of llm"), "", "", "test", NOW)


def of_old() -> tuple[StreamDeclaration, ...]:
    """The declarations as they were before there were panel templates, and records of operations."""
    now = find(DECLARATIONS, subjects.DIRECTORY)
    old = tuple(subject for subject in now.config.subjects if not subject.endswith((".panel.*", ".operations.*")))
    assert len(old) == 2
    was = StreamDeclaration(now.name, msgspec.structs.replace(now.config, subjects=old))
    return tuple(was if d is now else d for d in DECLARATIONS)


async def test_a_live_copy_has_the_templates_as_they_change(nats_server: NatsServer, nc: Client) -> None:
    await apply(nc, DECLARATIONS)
    bus = await Bus.connect(nats_server.url, name="t")
    store = directory_log(bus)
    await store.start()
    view = DirectoryView(bus)
    await view.start()
    try:
        await change_template(store, DEFINE)
        assert await change_template(store, DEFINE) == []

        async def members(expected: tuple[str, ...]) -> None:
            async def known() -> bool:
                template = view.directory.templates.get("code")
                return template is not None and template.members == expected

            await until(known, f"the template is {expected}")

        await members(("a", "1 of llm"))
        await change_template(store, Remove("code", "", "test", NOW))
        await members(())
        with pytest.raises(Conflict):
            await change_template(store, Remove("other", "", "test", NOW))
    finally:
        await view.stop()
        await bus.close()


async def test_a_live_copy_takes_all_events_of_a_message_in_their_order(nats_server: NatsServer, nc: Client) -> None:
    await apply(nc, DECLARATIONS)
    bus = await Bus.connect(nats_server.url, name="t")
    store = directory_log(bus)
    await store.start()
    seen: list[DirectoryEvent] = []

    async def on_change(event: DirectoryEvent) -> None:
        seen.append(event)

    def defined(*members: str) -> DirectoryEvent:
        return PanelDefined(at=rfc3339(NOW), panel_id="code", members=members, by="test")

    def known() -> tuple[str, ...]:
        return view.directory.templates["code"].members

    removed = PanelRemoved(at=rfc3339(NOW), by="test")
    stored = await store.append(panel_aggregate("code"), [defined("a"), removed, defined("b", "c")], EMPTY)
    view = DirectoryView(bus, on_change)
    await view.start()
    try:
        assert known() == ("b", "c")
        stored += await store.append(panel_aggregate("code"), [removed, defined("d")], stored[-1].head)

        async def all_there() -> bool:
            return len(seen) == 5

        await until(all_there, "what came later is known, too")
        assert seen == [recorded.event for recorded in stored]
        assert known() == ("d",)
        assert await store.last_sequence() == 2
    finally:
        await view.stop()
        await bus.close()


async def test_a_stream_of_old_takes_panels_by_an_update_that_loses_nothing(
    nats_server: NatsServer, nc: Client
) -> None:
    await apply(nc, of_old())
    bus = await Bus.connect(nats_server.url, name="t")
    store = directory_log(bus)
    await store.start()
    try:
        await change_voter(store, Register("a", "nats", "", "default", "", "test", NOW))
        with pytest.raises(WeakerStreams, match=r"MAGI_DIRECTORY: subjects is .* declared"):
            await check(nc, DECLARATIONS)
        (difference,) = await diff(nc, DECLARATIONS)
        assert (difference.field, difference.weaker) == ("subjects", True)
        (updated,) = [done for done in await apply(nc, DECLARATIONS) if done.action != "unchanged"]
        assert (updated.stream, updated.action) == (subjects.DIRECTORY, "updated")
        await check(nc, DECLARATIONS)
        await change_template(store, DEFINE)
        stored = [(recorded.sequence, recorded.event.originator_id) async for recorded in store.read()]
        assert stored == [(1, "voter.a"), (2, "panel.code")]
    finally:
        await bus.close()


async def test_what_a_later_version_records_of_operators_stops_no_live_copy(
    nats_server: NatsServer, nc: Client
) -> None:
    await apply(nc, DECLARATIONS)
    bus = await Bus.connect(nats_server.url, name="test")
    store = directory_log(bus)
    await store.start()
    await bus.store(f"{subjects.DIRECTORY_PREFIX}operations.cluster", b'{"type":"cluster_grew","by":"somebody"}')
    await change_voter(store, Register("a", "nats", "", "default", "", "somebody", 1))
    view = DirectoryView(bus)
    await view.start()
    assert list(view.directory.voters) == ["a"]
    await bus.store(f"{subjects.DIRECTORY_PREFIX}operations.cluster", b'[{"type":"cluster_grew"},{"type":"it_shrank"}]')
    await change_voter(store, Register("c", "nats", "", "default", "", "somebody", 1))

    async def goes_on() -> bool:
        return list(view.directory.voters) == ["a", "c"]

    await until(goes_on, "what comes behind it is known")
    await bus.store(f"{subjects.DIRECTORY_PREFIX}voter.b", b'{"type":"voter_promoted"}')
    with pytest.raises(CorruptHistory):
        await asyncio.wait_for(view.failed, 30)
    await view.stop()
    await bus.close()


async def test_what_is_refused_again_and_again_is_on_record_once_a_day(nats_server: NatsServer, nc: Client) -> None:
    await apply(nc, DECLARATIONS)
    bus = await Bus.connect(nats_server.url, name="t")
    store = directory_log(bus)
    await store.start()
    day = 24 * 60 * 60 * 1000

    def acted(after: int, by: str = "cron", outcome: str = "refused") -> OperatorActed:
        at = rfc3339(NOW + after)
        return OperatorActed(at=at, action="voters add", what="x exists", by=by, outcome=outcome)

    try:
        for event in (acted(0), acted(60_000), acted(day - 1), acted(day), acted(day + 1), acted(day + 2, by="alice")):
            await record_operation(store, "refused", event)
        on_record = [recorded.event for recorded in await store.load(operations_aggregate("refused"))]
        assert [event.at for event in on_record] == [rfc3339(NOW + after) for after in (0, day, day + 2)]
        for event in (acted(0, outcome="done"), acted(1, outcome="done")):
            await record_operation(store, "streams", event)
        assert len(await store.load(operations_aggregate("streams"))) == 2
    finally:
        await bus.close()
