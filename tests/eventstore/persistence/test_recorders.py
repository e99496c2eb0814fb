"""What the library's own cases don't ask of the recorders: all or nothing, and what can't be stored is told apart from
what can. On a log of ours: `test_recorders_on_a_log`."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from eventsourcing.persistence import (
    DataError,
    IntegrityError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    StoredEvent,
    Tracking,
)

from magi.eventstore.bus import Bus
from magi.eventstore.direct import StoredMessage
from magi.eventstore.persistence.facade import Facade
from magi.eventstore.persistence.formats import PlainFormat
from magi.eventstore.persistence.recorders import JetStreamApplicationRecorder
from magi.eventstore.persistence.records import MOST, Records
from tests.eventstore.logs import PREFIX, make_stream, new_name
from tests.eventstore.persistence.conftest import MakeFactory, events

# --- All or nothing ---------------------------------------------------------------------------------------------------


def test_a_version_that_leaves_a_gap_is_refused(recorder: JetStreamApplicationRecorder) -> None:
    one = events(5)
    with pytest.raises(IntegrityError, match="version 3 can't follow nothing"):
        recorder.insert_events(one[2:])
    recorder.insert_events(one[:2])
    for gap in (one[3:], [one[2], one[4]], [one[3], one[2]], one[1:3]):
        with pytest.raises(IntegrityError):
            recorder.insert_events(gap)
    recorder.insert_events(one[2:])
    assert recorder.select_events(one[0].originator_id) == one


def test_what_was_just_stored_is_known_though_a_copy_is_behind(
    recorder: JetStreamApplicationRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of a replicated stream that knows of nothing yet; only what is read of all of a subject is sure."""
    one = events(3)
    recorder.insert_events(one[:1])

    async def nothing(filters: list[str]) -> list[StoredMessage]:
        return []

    async def several() -> bool:
        return True

    monkeypatch.setattr(recorder.records._direct, "last_of_each", nothing)
    monkeypatch.setattr(recorder.records._direct, "replicated", several)
    recorder.insert_events(one[1:2])
    with pytest.raises(IntegrityError, match="version 2 can't follow 2"):
        recorder.insert_events(one[1:2])
    recorder.insert_events(one[2:])
    assert recorder.select_events(one[0].originator_id) == one


def test_of_several_originators_all_events_are_stored_or_none(recorder: JetStreamApplicationRecorder) -> None:
    a, b, c = events(3, "a"), events(3, "b"), events(2, "c")
    assert recorder.insert_events([a[0], b[0], a[1], c[0], b[1]]) == [1, 2, 3, 4, 5]
    with pytest.raises(IntegrityError):
        recorder.insert_events([a[2], b[1]])
    assert recorder.max_notification_id() == 5
    assert recorder.insert_events([c[1], a[2], b[2]]) == [6, 7, 8]
    assert [n.originator_id for n in recorder.select_notifications(None, 100)] == list("abacbcab")
    assert recorder.select_events("a") == a


def test_a_thousand_events_are_inserted_at_once_and_not_one_more(recorder: JetStreamApplicationRecorder) -> None:
    many = events(MOST + 1)
    with pytest.raises(ProgrammingError, match="at most 1000"):
        recorder.insert_events(many)
    assert recorder.insert_events(many[:MOST]) == list(range(1, MOST + 1))


def test_a_thousand_originators_can_be_in_one_insert(recorder: JetStreamApplicationRecorder) -> None:
    first = [events(1, f"originator {n}")[0] for n in range(MOST)]
    assert recorder.insert_events(first) == list(range(1, MOST + 1))
    second = [events(1, f"originator {n}", first=2)[0] for n in range(MOST)]
    assert recorder.insert_events(second) == list(range(MOST + 1, 2 * MOST + 1))


@pytest.mark.parametrize("size", [1, 3])
def test_of_many_recorders_that_insert_at_once_exactly_one_wins(make_factory: MakeFactory, size: int) -> None:
    recorders = [make_factory().application_recorder() for _ in range(8)]
    one = events(size)
    barrier = threading.Barrier(8)

    def insert(recorder: JetStreamApplicationRecorder) -> bool:
        barrier.wait()
        try:
            return bool(recorder.insert_events(one))
        except IntegrityError:
            return False

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(insert, recorders)) == [False] * 7 + [True]
    assert recorders[0].select_events(one[0].originator_id) == one
    assert recorders[0].max_notification_id() == size


def test_positions_of_projections_are_refused(recorder: JetStreamApplicationRecorder) -> None:
    with pytest.raises(NotSupportedError, match="no transaction"):
        recorder.insert_events(events(1), tracking=Tracking("upstream", 1))
    assert recorder.max_notification_id() is None


def test_notifications_of_a_topic_are_found_among_thousands_of_others(recorder: JetStreamApplicationRecorder) -> None:
    for n in range(3):
        recorder.insert_events(events(900, f"noise {n}", topic="noise"))
        recorder.insert_events(events(1, f"rare {n}", topic="rare"))
    found = recorder.select_notifications(None, 10, topics=["rare"])
    assert [n.id for n in found] == [901, 1802, 2703]
    assert [n.id for n in recorder.select_notifications(902, 1, topics=["rare"])] == [1802]
    assert [n.id for n in recorder.select_notifications(None, 10, stop=1802, topics=["rare"])] == [901, 1802]


# --- Snapshots --------------------------------------------------------------------------------------------------------


def test_snapshots_come_in_any_order_and_each_once(make_factory: MakeFactory) -> None:
    recorder = make_factory().aggregate_recorder(purpose="snapshots")
    tenth, fourth = events(1, "a", first=10)[0], events(1, "a", first=4)[0]
    recorder.insert_events([tenth])
    recorder.insert_events([fourth])
    with pytest.raises(IntegrityError, match="version 4 is there already"):
        recorder.insert_events([fourth])
    assert recorder.select_events("a") == [fourth, tenth]
    assert recorder.select_events("a", desc=True, limit=1) == [tenth]
    assert recorder.select_events("a", lte=9, desc=True, limit=1) == [fourth]


def test_snapshots_are_no_notifications(make_factory: MakeFactory) -> None:
    factory = make_factory()
    factory.aggregate_recorder(purpose="snapshots").insert_events(events(1))
    assert factory.application_recorder().max_notification_id() is None


# --- What is wrong with a stream --------------------------------------------------------------------------------------


@pytest.fixture
def plain_recorder(facade: Facade) -> Callable[[str], JetStreamApplicationRecorder]:
    """Makes recorders of plain events on a stream of any name."""

    def make(stream: str) -> JetStreamApplicationRecorder:
        records = Records(facade.bus, stream, PREFIX, PlainFormat(), patience=0.3)
        facade.call(records.start())
        return JetStreamApplicationRecorder(facade, records)

    return make


def test_a_missing_stream_is_an_operational_error_after_the_patience_is_spent(
    plain_recorder: Callable[[str], JetStreamApplicationRecorder],
) -> None:
    recorder = plain_recorder("NO_SUCH_STREAM")
    started = time.monotonic()
    for operation in (
        lambda: recorder.insert_events(events(1)),
        lambda: recorder.select_events("a"),
        lambda: recorder.select_notifications(1, 10),
        recorder.max_notification_id,
        recorder.subscribe,
    ):
        with pytest.raises(OperationalError, match="NO_SUCH_STREAM"):
            operation()
    assert time.monotonic() - started < 25.0


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        (b"{}", {}),
        (b"{}", {PlainFormat.VERSION: "x", PlainFormat.TOPIC: "t", PlainFormat.ORIGINATOR: "str"}),
        (b"{}", {PlainFormat.VERSION: "1", PlainFormat.TOPIC: "t", PlainFormat.ORIGINATOR: "uuid"}),
    ],
)
async def test_what_is_no_stored_event_is_a_data_error(
    bus: Bus,
    log_stream: str,
    plain_recorder: Callable[[str], JetStreamApplicationRecorder],
    data: bytes,
    headers: dict[str, str],
) -> None:
    await bus.store(f"{PREFIX}a", data, headers)
    recorder = await asyncio.to_thread(plain_recorder, log_stream)
    for operation in (lambda: recorder.select_events("a"), lambda: recorder.select_notifications(1, 10)):
        with pytest.raises(DataError, match="sequence 1"):
            await asyncio.to_thread(operation)


def test_an_event_that_is_too_large_is_refused_at_once(recorder: JetStreamApplicationRecorder) -> None:
    started = time.monotonic()
    with pytest.raises(ProgrammingError, match="message size exceeds"):
        recorder.insert_events([StoredEvent("a", 1, "topic", b"x" * 1_100_000)])
    assert time.monotonic() - started < 8.0, "and not when the patience is spent"


async def test_a_stream_without_batches_is_told(
    bus: Bus, plain_recorder: Callable[[str], JetStreamApplicationRecorder]
) -> None:
    stream = await make_stream(bus, new_name("LOG"), "test.log.>", allow_atomic=False)
    recorder = await asyncio.to_thread(plain_recorder, stream)
    assert await asyncio.to_thread(recorder.insert_events, events(1)) == [1]
    with pytest.raises(ProgrammingError, match="atomic publish is disabled"):
        await asyncio.to_thread(recorder.insert_events, events(2))
