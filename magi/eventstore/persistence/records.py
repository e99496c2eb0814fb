"""Stored events in a stream: inserted under guard, several messages at once in an atomic batch, and selected by direct
get.

The library wants ids of notifications that are unique and rise from event to event; gaps are allowed (its notification
log asks for what comes from the last id + 1 on). Where a message holds one event the id is its sequence. Where it may
hold several (`Format.together`) the last one has the id sequence * `together` and those before it the numbers below: so
an id tells the message and the place in it, without anything stored for it, and the largest id follows from the last
sequence alone.

Asynchronous, over the same bus and reader as the log. What blocks a thread is in `recorders` and `subscription`.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from typing import TypeVar
from uuid import UUID

from eventsourcing.persistence import (
    DataError,
    IntegrityError,
    Notification,
    OperationalError,
    ProgrammingError,
    StoredEvent,
)
from msgspec import Struct

from magi.eventstore.bus import TOO_LARGE, Bus, NoAck, Rejected
from magi.eventstore.direct import BATCH, DirectReader, StoredMessage
from magi.eventstore.log import CONFLICTS, EXPECTED
from magi.eventstore.patience import PATIENCE, patiently
from magi.eventstore.persistence.formats import Encoded, Format

T = TypeVar("T")

MOST = 1000
"""Events an insert: what JetStream takes in one atomic batch."""
_ATTEMPTS = 5
"""Times an insert is tried that lost a race which the next look at the stream doesn't explain: a replica was behind."""
_OPEN_BATCHES = 16
"""Batches under way at once; a stream has room for 50, which other processes share."""
_BATCH_DISABLED = 10174
_BATCH_TORN = frozenset({10176, 10210})
"""Members that got lost with a connection; too many batches are open. Nothing is stored: again."""


class _Message(Struct, frozen=True):
    subject: str
    encoded: Encoded
    expected: int | None
    """The subject's last sequence, on the first message of each subject: what the server compares before a batch."""


class Records:
    """The events of a stream whose subjects are `prefix` and the originator. Call `start` before anything else."""

    def __init__(self, bus: Bus, stream: str, prefix: str, form: Format, *, patience: float = PATIENCE) -> None:
        self.bus = bus
        self.stream = stream
        self.prefix = prefix
        self.form = form
        self._patience = patience
        self._direct = DirectReader(bus, stream)
        self._batches = asyncio.Semaphore(_OPEN_BATCHES)

    async def start(self) -> None:
        await self._direct.start()

    async def insert(self, events: Sequence[StoredEvent]) -> list[int]:
        """Store all of `events` or none; return their ids. Those of one originator that follow each other are one
        message if the format has it.

        Raises IntegrityError when a version is there already or one before it isn't, ProgrammingError for what can't be
        inserted ever, OperationalError or StoreUnavailable when the outcome is unknown.
        """
        if not events:
            return []
        if len(events) > MOST:
            raise ProgrammingError(f"at most {MOST} events can be inserted at once, not {len(events)}")
        histories: dict[str, list[StoredEvent]] = {}
        for event in events:
            histories.setdefault(self._subject(event.originator_id), []).append(event)
        runs = self._runs(events)
        encoded = [(subject, self.form.encode(run)) for subject, run in runs]
        for attempt in range(_ATTEMPTS):
            stored = await self._checked(histories)
            lasts = {subject: messages[-1].sequence for subject, messages in stored.items() if messages}
            sequences = await self._store(self._messages(encoded, lasts))
            if sequences:
                stored_runs = zip(sequences, runs, strict=True)
                return [one for sequence, (_, run) in stored_runs for one in self._ids(sequence, len(run))]
            await asyncio.sleep(0.01 * 2**attempt)
        raise IntegrityError(f"{self.stream}: other writers were faster {_ATTEMPTS} times")

    async def select(
        self, originator_id: UUID | str, gt: int | None, lte: int | None, desc: bool, limit: int | None
    ) -> list[StoredEvent]:
        """The originator's events with a version above `gt` up to `lte`, by version. Raises DataError."""
        subject = self._subject(originator_id)
        messages = await self._patiently(lambda: self._direct.of_subject(subject))
        history = [event for message in messages for event in self.form.decode(message)]
        self._check_history(subject, history)
        wanted = [
            event
            for event in sorted(history, key=lambda event: event.originator_version, reverse=desc)
            if (gt is None or event.originator_version > gt) and (lte is None or event.originator_version <= lte)
        ]
        return wanted[:limit]

    async def notifications(
        self, start: int, limit: int, stop: int | None, topics: Sequence[str]
    ) -> list[Notification]:
        """Up to `limit` events with an id from `start` up to `stop`, in order, of `topics` if there are any."""
        found: list[Notification] = []
        sequence = self.sequence_of(max(1, start))
        while len(found) < limit:
            asked = BATCH if topics else min(BATCH, limit - len(found))
            messages = await self._patiently(lambda first=sequence, n=asked: self._direct.batch(first, n))  # type: ignore[misc]
            for notification in chain.from_iterable(map(self.notifications_of, messages)):
                if notification.id < start:
                    continue
                if stop is not None and notification.id > stop:
                    return found
                if not topics or notification.topic in topics:
                    found.append(notification)
                    if len(found) == limit:
                        return found
            if len(messages) < asked:
                break
            sequence = messages[-1].sequence + 1
        return found

    async def last_id(self) -> int:
        """The id of the last event stored; 0 when there is none."""
        return await self._patiently(self._direct.last_sequence) * self.form.together

    def notifications_of(self, message: StoredMessage) -> list[Notification]:
        """The events of a message. Raises DataError when it holds what is none."""
        events = self.form.decode(message)
        return [
            Notification(
                originator_id=event.originator_id,
                originator_version=event.originator_version,
                topic=event.topic,
                state=event.state,
                id=number,
            )
            for event, number in zip(events, self._ids(message.sequence, len(events)), strict=True)
        ]

    def sequence_of(self, notification_id: int) -> int:
        """Of the message that the id is one of."""
        return -(-notification_id // self.form.together)

    def _ids(self, sequence: int, events: int) -> range:
        """Those of the events of a message."""
        last = sequence * self.form.together
        return range(last - events + 1, last + 1)

    def _runs(self, events: Sequence[StoredEvent]) -> list[tuple[str, list[StoredEvent]]]:
        """What is stored as one message each, with its subject."""
        runs: list[tuple[str, list[StoredEvent]]] = []
        for event in events:
            subject = self._subject(event.originator_id)
            if not runs or runs[-1][0] != subject or len(runs[-1][1]) == self.form.together:
                runs.append((subject, []))
            runs[-1][1].append(event)
        return runs

    def _subject(self, originator_id: UUID | str) -> str:
        return self.prefix + self.form.token(originator_id)

    async def _stored(self, subjects: list[str]) -> dict[str, list[StoredMessage]]:
        """What an insert is checked against, by subject: the last message of each."""
        return {message.subject: [message] for message in await self._direct.last_of_each(subjects)}

    async def _checked(self, histories: dict[str, list[StoredEvent]]) -> dict[str, list[StoredMessage]]:
        """What is stored of these subjects, once the new events can follow it. Raises IntegrityError."""
        stored = await self._patiently(lambda: self._stored(list(histories)))
        try:
            self._check_all(histories, stored)
        except IntegrityError:
            if not await self._patiently(self._direct.replicated):
                raise
            # A copy may have answered that is behind what we stored ourselves.
            stored = await self._patiently(lambda: self._whole(list(histories)))
            self._check_all(histories, stored)
        return stored

    def _check_all(self, new: dict[str, list[StoredEvent]], stored: dict[str, list[StoredMessage]]) -> None:
        for subject, events in new.items():
            self._check(events, stored.get(subject, []))

    async def _whole(self, subjects: list[str]) -> dict[str, list[StoredMessage]]:
        """All that the leader has of each subject."""
        found = await asyncio.gather(*(self._direct.of_subject(subject) for subject in subjects))
        return dict(zip(subjects, found, strict=True))

    def _check(self, new: list[StoredEvent], stored: list[StoredMessage]) -> None:
        """Raises IntegrityError unless the versions of `new` go on where those of `stored` end."""
        last = self.form.decode(stored[-1])[-1] if stored else None
        before = last.state if last else None
        version = last.originator_version if last else None
        for event in new:
            allowed = self.form.first_versions if version is None else {version + 1}
            if event.originator_version not in allowed:
                raise IntegrityError(
                    f"{event.originator_id}: version {event.originator_version} can't follow "
                    f"{'nothing' if version is None else version}"
                )
            self.form.check_follows(event.state, before)
            version, before = event.originator_version, event.state

    def _check_history(self, subject: str, history: list[StoredEvent]) -> None:
        """Raises DataError when a version is missing."""
        allowed = self.form.first_versions
        for event in history:
            if event.originator_version not in allowed:
                raise DataError(f"{subject}: version {event.originator_version} where {min(allowed)} was expected")
            allowed = frozenset({event.originator_version + 1})

    def _messages(self, encoded: list[tuple[str, Encoded]], lasts: dict[str, int]) -> list[_Message]:
        messages: list[_Message] = []
        seen: set[str] = set()
        for subject, ready in encoded:
            messages.append(_Message(subject, ready, None if subject in seen else lasts.get(subject, 0)))
            seen.add(subject)
        return messages

    async def _store(self, messages: list[_Message]) -> list[int]:
        """Publish until the outcome is known; return the sequences. None of them when somebody else was faster."""
        publish = self._publish_one if len(messages) == 1 else self._publish_batch
        try:
            last = await self._patiently(lambda: publish(messages))
            return list(range(last - len(messages) + 1, last + 1))
        except Rejected as error:
            if error.err_code in {_BATCH_DISABLED, TOO_LARGE}:
                raise ProgrammingError(f"{self.stream}: {error}") from error
            if error.err_code not in CONFLICTS:
                raise OperationalError(f"{self.stream} refuses events: {error}") from error
        first = messages[0]
        assert first.expected is not None
        after = first.expected + 1
        there = await self._patiently(lambda: self._direct.next_of_subject(first.subject, after))
        if there and self.form.id_of(there) == first.encoded.id:  # it is ours: an acknowledgement was lost
            return list(range(there.sequence, there.sequence + len(messages)))
        return []

    async def _publish_one(self, messages: list[_Message]) -> int:
        message = messages[0]
        headers = {**message.encoded.headers, EXPECTED: str(message.expected)}
        return (await self.bus.store(message.subject, message.encoded.data, headers)).seq

    async def _publish_batch(self, messages: list[_Message]) -> int:
        """All or nothing (ADR-50): the members wait at the server until the last one commits them."""
        batch = uuid.uuid4().hex
        async with self._batches:
            for number, message in enumerate(messages, 1):
                headers = {**message.encoded.headers, "Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
                if message.expected is not None:
                    headers[EXPECTED] = str(message.expected)
                if number < len(messages):
                    await self.bus.publish(message.subject, message.encoded.data, headers=headers)
                    continue
                headers["Nats-Batch-Commit"] = "1"
                try:
                    return (await self.bus.store(message.subject, message.encoded.data, headers)).seq
                except Rejected as error:
                    if error.err_code in _BATCH_TORN:
                        raise NoAck(str(error)) from error
                    raise
        raise AssertionError("a batch has a last member")

    async def _patiently(self, operation: Callable[[], Awaitable[T]]) -> T:
        return await patiently(operation, self.stream, self._patience)


class SnapshotRecords(Records):
    """Snapshots: an originator's versions have gaps and come in any order; each is there once."""

    async def _stored(self, subjects: list[str]) -> dict[str, list[StoredMessage]]:
        return await self._whole(subjects)

    def _check(self, new: list[StoredEvent], stored: list[StoredMessage]) -> None:
        versions = {event.originator_version for message in stored for event in self.form.decode(message)}
        for event in new:
            if event.originator_version in versions:
                raise IntegrityError(f"{event.originator_id}: version {event.originator_version} is there already")
            versions.add(event.originator_version)

    def _check_history(self, subject: str, history: list[StoredEvent]) -> None:
        pass
