"""Audits of logs that a real MAGI has written, on a real nats-server: what was done to a copy of one is caught."""

import asyncio
import random
import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from magi.audit.audits import Audit, audit_history, audit_log
from magi.audit.directory_check import check_directory
from magi.audit.findings import Findings
from magi.audit.rolling import Head, parse_head
from magi.audit.source import LogSource
from magi.eventstore.bus import Bus
from magi.eventstore.codec import digest
from magi.eventstore.direct import StoredMessage
from magi.eventstore.presence import now_ms
from tests.audit.histories import changed, codec, dropped, inserted, kinds, swapped
from tests.audit.stored import REQUESTS, Written, copy, everything
from tests.audit.together import apart
from tests.eventstore.logs import delete_message
from tests.servers import NatsServer


async def audit(source: LogSource, log: Written, since: Head | None = None, scope: str = "whole") -> Audit:
    findings = Findings()
    registry = check_directory(log.directory, findings)
    return await audit_log(source, registry, findings, now_ms(), since=since, scope=scope)  # type: ignore[arg-type]


async def audit_copy(bus: Bus, log: Written, messages: Iterable[StoredMessage], since: Head | None = None) -> Audit:
    async with copy(bus, messages) as source:
        return await audit(source, log, since)


async def test_what_a_real_magi_has_written_is_sound(bus: Bus, log: Written) -> None:
    source = LogSource(bus)
    await source.start()
    found = await audit(source, log)
    assert found.findings.first == []
    assert found.outcome == "fine"
    assert (found.read.requests, found.read.open, found.read.votes) == (REQUESTS, 0, 3 * REQUESTS)
    assert (found.read.events, found.read.last) == (8 * REQUESTS, len(log.messages))


async def test_a_copy_of_it_is_sound_and_has_the_same_head(bus: Bus, log: Written) -> None:
    found = await audit_copy(bus, log, log.messages)
    assert found.findings.first == []
    source = LogSource(bus)
    await source.start()
    assert found.head == (await audit(source, log)).head


def within(events: list[StoredMessage]) -> int:
    """The place of a counted vote that is not the last event of its history."""
    return next(i for i, m in enumerate(events) if b'"vote":"pass"' in m.data and i > 10)


async def test_a_changed_event_is_caught(bus: Bus, log: Written) -> None:
    """Whether it is a message of its own or was appended together with others."""
    for messages in (log.messages, apart(log.messages)):
        place = next(i for i, m in enumerate(messages) if b'"vote":"pass"' in m.data)
        found = await audit_copy(bus, log, changed(messages, place, b'"vote":"pass"', b'"vote":"fail"'))
        assert found.outcome == "broken"
        assert "chain" in kinds(found.findings)
        broken = found.findings.first[0]
        assert broken.aggregate == messages[place].subject.removeprefix("magi.log.")
        assert broken.stream.startswith("COPY")


async def test_a_dropped_event_is_caught(bus: Bus, log: Written) -> None:
    events = apart(log.messages)
    found = await audit_copy(bus, log, dropped(events, within(events)))
    assert "version" in kinds(found.findings)


async def test_reordered_events_are_caught(bus: Bus, log: Written) -> None:
    events = apart(log.messages)
    place = within(events)
    next_of_it = next(i for i, m in enumerate(events) if i > place and m.subject == events[place].subject)
    found = await audit_copy(bus, log, swapped(events, place, next_of_it))
    assert found.outcome == "broken"


async def test_an_inserted_event_is_caught(bus: Bus, log: Written) -> None:
    events = apart(log.messages)
    place = within(events)
    event = codec.decode(events[place].data)
    forged = msgspec.structs.replace(
        event,
        id="ffffffffffffffff-1",
        originator_version=event.originator_version + 1,
        prev=digest(events[place].data),
    )
    message = StoredMessage(0, events[place].subject, msgspec.json.encode(forged))
    found = await audit_copy(bus, log, inserted(events, place + 1, message))
    assert "version" in kinds(found.findings)
    assert "history" in kinds(found.findings)


async def test_an_event_under_another_requests_subject_is_caught(bus: Bus, log: Written) -> None:
    other = next(m.subject for m in log.messages if m.subject != log.messages[5].subject)
    moved = msgspec.structs.replace(log.messages[5], subject=other)
    found = await audit_copy(bus, log, [*log.messages[:5], moved, *log.messages[6:]])
    assert "misplaced" in kinds(found.findings)


async def test_a_whole_request_that_was_taken_out_of_a_copy_is_caught_by_an_earlier_head(
    bus: Bus, log: Written
) -> None:
    source = LogSource(bus)
    await source.start()
    head = (await audit(source, log)).head
    left = [m for m in log.messages if m.subject != log.messages[0].subject]
    assert (await audit_copy(bus, log, left)).outcome == "fine"
    assert kinds((await audit_copy(bus, log, left, head)).findings) == ["cut_off"]


async def test_deleted_messages_are_holes_wherever_they_were(bus: Bus, log: Written) -> None:
    events = apart(log.messages)
    async with copy(bus, events) as source:
        last = len(events)
        for sequence in (1, 20, 21, last):
            await delete_message(bus, source.stream, sequence)
        found = await audit(source, log)
    holes = [f.message for f in found.findings.first if f.kind == "hole"]
    assert holes == [
        "sequences 1 to 1 are missing",
        "sequences 20 to 21 are missing",
        f"sequences {last} to {last} are missing",
    ]


async def test_only_what_came_later_is_read_and_the_requests_that_go_on_are_whole(bus: Bus, log: Written) -> None:
    async with copy(bus, log.messages) as source:
        whole = await audit(source, log)
        for place in (1, len(log.messages) // 2, len(log.messages) - 1, len(log.messages)):
            head = parse_head(str(head_of(log.messages[:place])))
            found = await audit(source, log, head, "tail")
            assert found.findings.first == [], place
            assert found.read.events == len(apart(log.messages[place:]))
            assert found.head == whole.head


def head_of(messages: Iterable[StoredMessage]) -> Head:
    head = Head()
    for place, message in enumerate(messages, 1):
        head = head.then(place, bytes.fromhex(digest(message.data)))
    return head


async def test_one_request_is_audited_alone(bus: Bus, log: Written) -> None:
    source = LogSource(bus)
    await source.start()
    history = await source.history(log.messages[0].subject.removeprefix("magi.log."))
    registry = check_directory(log.directory, Findings())
    found = audit_history(history, registry, Findings(), now_ms())
    assert (found.outcome, found.read.events) == ("fine", 8)
    damaged = changed(history, len(history) - 1, b'"at"', b'"ta"')
    assert audit_history(damaged, registry, Findings(), now_ms()).outcome == "broken"


async def test_a_message_that_somebody_else_put_under_a_subject_of_the_log_is_caught(bus: Bus, log: Written) -> None:
    strange = StoredMessage(0, "magi.log.agent.not-a-request", b'{"hello":"world"}')
    found = await audit_copy(bus, log, [*log.messages, strange])
    assert kinds(found.findings) == ["unreadable"]


# --- A file of the server that was written to -----------------------------------------------------------------------


class Damaged:
    """The files of a server that is stopped, for somebody to write to."""

    def __init__(self, log: Written, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(log.files, folder / "jetstream")
        [self._messages] = folder.rglob("MAGI_LOG/msgs")
        [self.block] = self._messages.glob("*.blk")

    def replace(self, old: bytes, new: bytes) -> None:
        """Change the last place of a text, and nothing else."""
        data = self.block.read_bytes()
        place = data.rindex(old)
        self.block.write_bytes(data[:place] + new + data[place + len(old) :])

    def forget_index(self) -> None:
        """What a server does without, that has to look at its blocks again."""
        (self._messages / "index.db").unlink()


@pytest.fixture
def damaged(tmp_path: Path, log: Written) -> Damaged:
    return Damaged(log, tmp_path / "damaged")


async def audit_files(damaged: Damaged, log: Written, since: Head | None = None) -> Audit:
    with NatsServer(damaged.folder) as server:
        bus = await Bus.connect(server.url, name="auditor")
        try:
            source = LogSource(bus)
            await source.start()
            async with asyncio.timeout(30):
                return await audit(source, log, since)
        finally:
            await bus.close()


async def test_the_files_of_a_log_are_read_as_they_were(damaged: Damaged, log: Written) -> None:
    found = await audit_files(damaged, log)
    assert found.findings.first == []
    assert found.head == head_of(log.messages)


async def test_a_vote_that_was_changed_in_the_servers_file_is_caught(damaged: Damaged, log: Written) -> None:
    """The server's own checksum doesn't fit any more: it serves the message no longer, which leaves a hole."""
    damaged.replace(b'"vote":"pass"', b'"vote":"fail"')
    found = await audit_files(damaged, log)
    assert found.outcome == "broken"
    assert "hole" in kinds(found.findings)


async def test_what_a_server_forgets_of_a_changed_file_is_caught_by_an_earlier_head(
    damaged: Damaged, log: Written
) -> None:
    """Without its index it ends the log before the message whose checksum doesn't fit, and says nothing: only who
    remembers how long the log was can tell."""
    damaged.replace(b'"vote":"pass"', b'"vote":"fail"')
    damaged.forget_index()
    found = await audit_files(damaged, log, head_of(log.messages))
    assert found.read.last < len(log.messages)
    assert "cut_off" in kinds(found.findings)


async def test_random_damage_to_a_copy_is_always_caught(bus: Bus, log: Written) -> None:
    chance = random.Random(7)
    for _ in range(12):
        place = chance.randrange(len(log.messages))
        data = bytearray(log.messages[place].data)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(7)
        damaged = list(log.messages)
        damaged[place] = msgspec.structs.replace(damaged[place], data=bytes(data))
        found = await audit_copy(bus, log, damaged, head_of(log.messages))
        assert found.outcome == "broken", (place, bytes(data))


async def test_what_is_read_is_what_is_stored(bus: Bus, log: Written) -> None:
    async with copy(bus, log.messages) as source:
        assert [m.data for m in await everything(LogSource(bus, source.stream, source.prefix))] == [
            m.data for m in log.messages
        ]
