"""The audit of a log: takes in its messages in order and says what is wrong with each.

Places, holes and the head are those of messages; what an event says is checked for each event that a message holds.
Histories are interleaved in the log. Only open requests are held, without their content; what was closed is remembered
as a bit or two, and looked up again should something more come under its name.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from magi.audit.authority import Registry
from magi.audit.events import digest, parts, request_event
from magi.audit.findings import Finding, Findings, Problem
from magi.audit.history_rules import RequestCheck
from magi.audit.rolling import Head
from magi.audit.seen import SeenAggregates, SeenIds
from magi.domain.clock import rfc3339
from magi.domain.voting_request import RequestEvent, VoterResult
from magi.eventstore import subjects
from magi.eventstore.direct import StoredMessage
from magi.eventstore.history import CorruptHistory

Scope = Literal["whole", "tail", "selection"]
"""What is read: a log from its first event; what follows an earlier audit; or some requests' events, with gaps."""

OVERDUE = 60_000
"""Milliseconds past its deadline after which a request without a verdict is noted: its orchestrator may be away."""

REOPENED = 10_000


class Audited(Struct, frozen=True):
    """What was read, and what came out."""

    events: int
    """A message holds one or several of them."""
    first: int
    last: int
    """Sequences of messages; 0 when there was nothing."""
    requests: int
    """Whose history began, or went on, in what was read."""
    votes: int
    verdicts: dict[str, int]
    open: int
    """Requests without a verdict at the end."""


class LogVerifier:
    """Feed it every message in order: first `wants`, then `feed`, at last `finish`."""

    def __init__(
        self,
        registry: Registry,
        findings: Findings,
        scope: Scope = "whole",
        since: Head | None = None,
        *,
        stream: str = subjects.LOG,
        prefix: str = subjects.LOG_PREFIX,
    ) -> None:
        """`since` is where an earlier audit ended. A `tail` begins with its message; a `whole` log must come to it."""
        self.findings = findings
        self.head = since if scope == "tail" and since else Head()
        self._registry = registry
        self._scope = scope
        self._since = since
        self._stream = stream
        self._prefix = prefix
        self._open: dict[str, RequestCheck] = {}
        self._reopened: set[str] = set()
        """Requests that something came after the end of: they stay open, lest each further event load them again."""
        self._seen = SeenAggregates()
        self._ids = SeenIds()
        self._compared = scope != "tail" or not since or not since.sequence
        self._events = self._first = self._votes = self._requests = 0
        self._verdicts: Counter[str] = Counter()

    def aggregate(self, message: StoredMessage) -> str:
        return message.subject.removeprefix(self._prefix)

    def holds(self, aggregate: str) -> bool:
        """Whether the request is open, and its state at hand."""
        return aggregate in self._open

    def wants(self, message: StoredMessage) -> bool:
        """Whether `feed` needs what was stored before of the message's request.

        In a tail that is so for every request that comes up; in a whole log only for one that something comes after its
        end of, which is a fault, or that is taken for a known one.
        """
        aggregate = self.aggregate(message)
        if aggregate in self._open or self._is_known(message):
            return False
        return not self._seen.add(aggregate) or self._scope == "tail"

    def _is_known(self, message: StoredMessage) -> bool:
        """Whether it is the message that an earlier audit ended with."""
        return self._scope == "tail" and self._since is not None and message.sequence == self._since.sequence

    def feed(self, message: StoredMessage, earlier: Sequence[StoredMessage] = ()) -> list[Finding]:
        """What is wrong with the next message. `earlier` is its request's history before it, when `wants` says so."""
        sha = digest(message.data)
        if self._is_known(message):
            return self._compare(message, sha)
        aggregate = self.aggregate(message)
        problems = self._place(message.sequence)
        self._first = self._first or message.sequence
        self.head = self.head.then(message.sequence, sha)
        if self._since and message.sequence == self._since.sequence and self.head != self._since:
            problems.append(Problem("changed_since", "up to here the log is not the one that was audited before"))
        check = self._open.get(aggregate) or self._begin(aggregate, earlier)
        found: list[Finding] = []
        for data in parts(message.data):
            version, wrong = self._take(check, data)
            found += self.findings.add(self._stream, message.sequence, aggregate, version, [*problems, *wrong])
            problems = []  # what is wrong with the message as a whole is told once, with its first event
        return found

    def _take(self, check: RequestCheck, data: bytes) -> tuple[int, list[Problem]]:
        """The version of the request's next event, and what is wrong with it."""
        self._events += 1
        decided = check.state.verdict is not None
        version, event, problems = _read(check, data)
        if event is None:
            return version, problems
        if not event.id or not self._ids.add(event.id):
            what = f"the id {event.id!r} is another event's too" if event.id else "it has no id"
            problems.append(Problem("event_id", what))
        if isinstance(event, VoterResult):
            self._votes += 1
        if check.state.verdict:
            if check.aggregate not in self._reopened:
                self._open.pop(check.aggregate, None)
            if not decided:
                self._verdicts[check.state.verdict.final_vote] += 1
        return version, problems

    def _begin(self, aggregate: str, earlier: Sequence[StoredMessage]) -> RequestCheck:
        """The request as it was before this message; what was wrong with it is told if nobody has told it yet."""
        check = RequestCheck(aggregate, self._registry)
        for message in earlier:
            for data in parts(message.data):
                version, _, problems = _read(check, data)
                if self._scope == "tail":
                    self.findings.add(self._stream, message.sequence, aggregate, version, problems)
        if not earlier or self._scope == "tail":
            self._requests += 1
        elif len(self._reopened) < REOPENED:
            self._reopened.add(aggregate)
        self._open[aggregate] = check
        return check

    def _place(self, sequence: int) -> list[Problem]:
        expected = self.head.sequence + 1
        if not self._compared:
            self._compared = True
            return [Problem("hole", f"sequence {expected - 1}, where the audit before this one ended, is missing")]
        if self._scope == "selection" or sequence == expected:
            return []
        if sequence < expected:
            return [Problem("hole", f"sequence {sequence} came after {self.head.sequence}")]
        return [Problem("hole", f"sequences {expected} to {sequence - 1} are missing")]

    def _compare(self, message: StoredMessage, sha: bytes) -> list[Finding]:
        assert self._since is not None
        self._compared = True
        if sha == self._since.last:
            return []
        problem = Problem("changed_since", "the last message of the audit before this one is another one now")
        return self.findings.add(self._stream, message.sequence, self.aggregate(message), 0, [problem])

    def finish(self, last: int, now: int) -> Audited:
        """The end: `last` is the log's own last sequence, `now` the time in milliseconds since 1970."""
        problems = []
        if self._scope != "selection" and self.head.sequence < last:
            problems.append(Problem("hole", f"sequences {self.head.sequence + 1} to {last} are missing"))
        if self._since and last < self._since.sequence:
            message = f"the log ends at {last}; when it was audited before it went up to {self._since.sequence}"
            problems.append(Problem("cut_off", message))
        self.findings.add(self._stream, 0, "", 0, problems)
        undecided = {a: check for a, check in self._open.items() if not check.state.verdict}
        for aggregate, check in undecided.items():
            late = now - check.state.deadline if check.state.received else 0
            if late > OVERDUE:
                problem = Problem(
                    "overdue", f"no verdict by {rfc3339(now)}, though its deadline was {late // 1000} s ago"
                )
                self.findings.add(self._stream, 0, aggregate, check.state.version, [problem])
        return Audited(
            self._events,
            self._first,
            self.head.sequence,
            self._requests,
            self._votes,
            dict(self._verdicts),
            len(undecided),
        )


def _read(check: RequestCheck, data: bytes) -> tuple[int, RequestEvent | None, list[Problem]]:
    """The version of a history's next event, the event when it is one, and what is wrong with it."""
    sha = digest(data).hex()
    try:
        event = request_event(data)
    except CorruptHistory as error:
        version = check.link.version + 1
        check.skip(sha)
        return version, None, [Problem("unreadable", str(error))]
    return event.originator_version, event, check.take(event, sha)
