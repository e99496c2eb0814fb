"""The same events in other messages: what was appended together is one message, and nobody may read more into that."""

from collections.abc import Sequence
from random import Random

import msgspec

from magi.audit.events import parts
from magi.domain.clock import milliseconds
from magi.eventstore.codec import pack
from magi.eventstore.direct import StoredMessage
from magi.eventstore.history import CorruptHistory
from tests.audit.histories import codec, renumbered

AT_ONCE = 1000
"""Milliseconds between the first and the last event of a message: they were decided at about the same time."""


def together(messages: Sequence[StoredMessage]) -> StoredMessage:
    """One message with all their events, at the place of the first."""
    return msgspec.structs.replace(
        messages[0], data=pack([data for message in messages for data in parts(message.data)])
    )


def apart(messages: Sequence[StoredMessage]) -> list[StoredMessage]:
    """Each event in a message of its own."""
    return renumbered(
        msgspec.structs.replace(message, data=data) for message in messages for data in parts(message.data)
    )


def regrouped(messages: Sequence[StoredMessage], chance: Random) -> list[StoredMessage]:
    """The same events in other messages, numbered anew. Each stands where its first event stood: requests are received
    in the same order."""
    groups: list[list[StoredMessage]] = []
    open_groups: dict[str, list[StoredMessage]] = {}
    for message in apart(messages):
        group = open_groups.get(message.subject)
        if group is None or chance.random() < 0.4 or _at(message) - _at(group[0]) > AT_ONCE:
            group = open_groups[message.subject] = []
            groups.append(group)
        group.append(message)
    return renumbered(together(group) for group in groups)


def _at(message: StoredMessage) -> int:
    try:
        return milliseconds(codec.decode(message.data).at)
    except (CorruptHistory, ValueError):
        return 0
