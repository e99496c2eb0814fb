"""Exports: histories written to a file with all that is needed to check them without a server."""

import hashlib
from collections.abc import Iterable
from typing import BinaryIO, Literal

from magi.audit.events import digest, parts, request_event
from magi.audit.manifest import FORMAT, Header, Manifest, header_line, manifest_line, message_line
from magi.audit.rolling import Head
from magi.domain.ids import InitiatorId, VoterId, initiator_aggregate, voter_aggregate
from magi.domain.voting_request import Received
from magi.eventstore import subjects
from magi.eventstore.direct import StoredMessage
from magi.eventstore.history import CorruptHistory


class ExportWriter:
    """Writes one export: messages of requests in the order of the log, then those of the directory, then `finish`."""

    def __init__(self, file: BinaryIO, created_at: str, selection: str, scope: Literal["whole", "selection"]) -> None:
        self._file = file
        self._scope = scope
        self._sha = hashlib.sha256()
        self._head = Head()
        self._events = self._requests = self._directory = self._first = 0
        self._first_at = self._last_at = ""
        self.concerned: set[str] = set()
        """The aggregates of the directory that the written requests rest on."""
        self._write(header_line(Header(magi_export=FORMAT, created_at=created_at, selection=selection)))

    def _write(self, line: bytes) -> None:
        self._sha.update(line)
        self._file.write(line)

    def message(self, message: StoredMessage) -> None:
        """Write one of the log."""
        self._write(message_line(subjects.LOG, message))
        self._first = self._first or message.sequence
        self._head = self._head.then(message.sequence, digest(message.data))
        for data in parts(message.data):
            self._count(data)

    def _count(self, data: bytes) -> None:
        self._events += 1
        try:
            event = request_event(data)
        except CorruptHistory:
            return  # written as it is: whoever verifies the export is told
        self._first_at = self._first_at or event.at
        self._last_at = event.at
        if isinstance(event, Received):
            self._requests += 1
            self.concerned.update(voter_aggregate(VoterId(voter)) for voter in event.voters)
            self.concerned.add(initiator_aggregate(InitiatorId(event.initiator_id)))

    def directory(self, messages: Iterable[StoredMessage]) -> None:
        """Write those of `concerned`; of a whole log all."""
        for message in messages:
            aggregate = message.subject.removeprefix(subjects.DIRECTORY_PREFIX)
            if self._scope == "whole" or aggregate in self.concerned:
                self._write(message_line(subjects.DIRECTORY, message))
                self._directory += len(parts(message.data))

    def finish(self) -> Manifest:
        """Write the manifest and return it."""
        manifest = Manifest(
            scope=self._scope,
            requests=self._requests,
            events=self._events,
            first_sequence=self._first,
            last_sequence=self._head.sequence,
            first_at=self._first_at,
            last_at=self._last_at,
            directory_events=self._directory,
            head=str(self._head),
            sha256=self._sha.hexdigest(),
        )
        self._file.write(manifest_line(manifest))
        return manifest
