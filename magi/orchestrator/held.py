"""A request in an orchestrator's memory: its state, and the messages about it that wait to be handled."""

import asyncio
from collections import deque

from magi.domain.messages import InboxMessage, ResultBallot, Submission
from magi.domain.voting_request import INITIAL, VotingRequest
from magi.eventstore.history import EMPTY, Head
from magi.orchestrator.inbox import Item
from magi.telemetry.tracing import OFF, Span

TOGETHER = 64
"""Ballots that are handled at once, and whose events become one message of the log, at most."""
BYTES_TOGETHER = 256 * 1024
"""What those events may come to, by the longest that they can be: as much as a submission, far from `max_payload`."""
_ENVELOPE = 1536
"""Bytes of an event of a ballot without the voter's reason, at most."""
_ESCAPED = 6
"""Bytes of a character in JSON, at most."""


class HeldRequest:
    """Its owner is `Requests`."""

    __slots__ = ("deadline", "head", "known", "queue", "span", "state", "timer", "worker")

    def __init__(self) -> None:
        self.state: VotingRequest = INITIAL
        self.deadline = 0
        """That of `state`. It is asked of every request again and again, and reading it from its text takes 1 µs."""
        self.head: Head = EMPTY
        self.known = False
        """Whether `state` is what the log holds."""
        self.timer = ""
        """Where the submission waits to be acknowledged, once its tasks were dispatched here or are overdue; else
        empty."""
        self.queue: deque[Item] = deque()
        self.span: Span = OFF
        """Of the submission that is being handled."""
        self.worker: asyncio.Task[None] | None = None

    def forget(self) -> None:
        """What is stored is not known any more."""
        self.state, self.deadline, self.head, self.known = INITIAL, 0, EMPTY, False

    def take(self) -> list[Item]:
        """What is handled next: a submission, or the ballots before the next one that may become one message."""
        items = [self.queue.popleft()]
        if isinstance(items[0].message, Submission):
            return items
        room = BYTES_TOGETHER - _at_most(items[0].message)
        while self.queue and len(items) < TOGETHER and not isinstance(self.queue[0].message, Submission):
            room -= _at_most(self.queue[0].message)
            if room < 0:
                break
            items.append(self.queue.popleft())
        return items


def _at_most(ballot: InboxMessage) -> int:
    """Bytes of the event that a ballot leads to, at most."""
    said = ballot.reason if isinstance(ballot, ResultBallot) else None
    return _ENVELOPE + _ESCAPED * len(said or "")
