"""Replaying a log: every decided request is decided again, by its own rule and by another, and the outcomes counted."""

from collections import Counter
from collections.abc import Callable, Iterator

import msgspec
from msgspec import Struct

from magi.audit.events import NO_CONTENT, parts, request_event
from magi.audit.labels import Errors, Label, Labels
from magi.audit.redecide import CannotDecide, Difference, decide_again, differences
from magi.audit.source import Source
from magi.audit.what_if import Alternative, CannotApply, what_if
from magi.domain.errors import StrategyMissing
from magi.domain.strategies import Rule, Verdict
from magi.domain.voting_request import INITIAL, Adjudicated, Received, RequestEvent, VotingRequest, evolve
from magi.eventstore.direct import StoredMessage
from magi.eventstore.history import CorruptHistory

MOST = 1000
"""Changed requests kept for the report; all of them are counted, and `on_replayed` gets every one."""


class Decided(Struct, frozen=True):
    """A request that has its verdict."""

    before: VotingRequest
    """The state that the verdict was given on, without the content."""
    verdict: Adjudicated

    @property
    def received(self) -> Received:
        assert self.before.received is not None
        return self.before.received


class Replayed(Struct, frozen=True):
    """A decided request, decided again."""

    request: Decided
    differences: tuple[Difference, ...]
    """Where the recorded verdict isn't what its own rule and votes give: never, in a log that is sound."""
    problem: str
    """Why it could not be decided again by its own rule; else empty."""
    inapplicable: str
    """Why the rule that was asked about can't be applied to it; else empty."""
    rule: Rule | None
    """That was asked about, or else its own; None when the one asked about doesn't fit the panel."""
    final_vote: Verdict | None
    """By the rule that was asked about, or else its own; None when that can't be told."""
    reason: str
    needed: int | None
    """Votes after which `final_vote` was certain; None: only at the deadline, or it can't be told."""
    label: Label | None

    @property
    def changed(self) -> bool:
        return self.final_vote is not None and self.final_vote != self.request.verdict.final_vote


class Fold:
    """Events of a log to decided requests. Holds the open ones only, without their content."""

    def __init__(self) -> None:
        self._open: dict[str, VotingRequest] = {}

    @property
    def open(self) -> int:
        return len(self._open)

    def take(self, event: RequestEvent) -> Decided | None:
        """The request that `event` decides. What began before the fold, or goes on after a verdict, is left out."""
        aggregate = event.originator_id
        if isinstance(event, Received):
            self._open[aggregate] = evolve(INITIAL, msgspec.structs.replace(event, content=NO_CONTENT))
            return None
        before = self._open.get(aggregate)
        if before is None:
            return None
        if isinstance(event, Adjudicated):
            del self._open[aggregate]
            return Decided(before, event)
        self._open[aggregate] = evolve(before, event)
        return None


class Replay:
    """Counts what comes of deciding again."""

    def __init__(
        self,
        alternative: Alternative | None = None,
        labels: Labels | None = None,
        wanted: Callable[[Received], bool] = lambda _: True,
    ) -> None:
        """`wanted` says which requests are to be replayed."""
        self.alternative = alternative
        self.labels = labels or Labels()
        self.events = self.requests = self.unreadable = 0
        self.recorded: Counter[str] = Counter()
        self.again: Counter[str] = Counter()
        """`pass`, `fail`, `undetermined` (see `WhatIf`) or `not applicable`."""
        self.different = self.changed = 0
        self.examples: list[Replayed] = []
        """The first `MOST` that differ or change."""
        self.problems: Counter[str] = Counter()
        self.inapplicable: Counter[str] = Counter()
        self.needed: Counter[int] = Counter()
        """Requests by how many votes their verdict was certain after; -1: only at the deadline."""
        self.cast_in_time = 0
        """Votes of those whose verdict was certain before the deadline."""
        self.certain_early = 0
        """Requests whose verdict was certain before the last vote that came."""
        self.errors, self.errors_again = Errors(), Errors()
        self._fold = Fold()
        self._wanted = wanted

    @property
    def open(self) -> int:
        return self._fold.open

    def feed(self, message: StoredMessage) -> list[Replayed]:
        """Take in the log's next message; the request that it decides, decided again, if it decides one."""
        return [one for data in parts(message.data) if (one := self._take(data))]

    def _take(self, data: bytes) -> Replayed | None:
        self.events += 1
        try:
            event = request_event(data)
        except CorruptHistory:
            self.unreadable += 1
            return None
        if isinstance(event, Received) and not self._wanted(event):
            return None
        decided = self._fold.take(event)
        return self._count(self.replay(decided)) if decided else None

    def replay(self, request: Decided) -> Replayed:
        """Decide one again."""
        received, verdict = request.received, request.verdict
        found: tuple[Difference, ...] = ()
        problem = ""
        try:
            again = decide_again(request.before, verdict)
            missing = Difference("final_vote", verdict.final_vote, "none: no verdict was due")
            found = tuple(differences(verdict, again)) if again else (missing,)
        except (StrategyMissing, CannotDecide) as error:
            problem = str(error)
        rule, final_vote, reason, needed, inapplicable = None, None, "", None, ""
        try:
            rule = self.alternative.rule(received.voters) if self.alternative else received.rule
            outcome = what_if(evolve(request.before, verdict), rule)
            final_vote, reason, needed = outcome.final_vote, outcome.reason, outcome.needed
        except CannotApply as error:
            inapplicable = str(error) if self.alternative else ""
        label = self.labels.of(received.initiator_id, received.request_id)
        return Replayed(request, found, problem, inapplicable, rule, final_vote, reason, needed, label)

    def _count(self, one: Replayed) -> Replayed:
        recorded = one.request.verdict.final_vote
        self.requests += 1
        self.recorded[recorded] += 1
        self.again[one.final_vote or one.reason or "not applicable"] += 1
        self.different += bool(one.differences)
        self.changed += one.changed
        if one.problem:
            self.problems[one.problem] += 1
        if one.inapplicable:
            self.inapplicable[one.inapplicable] += 1
        if one.final_vote:
            self.needed[-1 if one.needed is None else one.needed] += 1
            if one.needed is not None:
                cast = len(one.request.before.votes)
                self.cast_in_time += cast
                self.certain_early += one.needed < cast
        if (one.differences or one.changed) and len(self.examples) < MOST:
            self.examples.append(one)
        if one.label:
            self.errors.count(one.label, recorded)
            if one.final_vote:
                self.errors_again.count(one.label, one.final_vote)
        return one


def step_by_step(events: list[RequestEvent]) -> Iterator[tuple[RequestEvent, VotingRequest]]:
    """Each event, and the state after it."""
    state = INITIAL
    for event in events:
        state = evolve(state, event)
        yield event, state


async def replay_log(
    source: Source,
    replay: Replay,
    start: int = 1,
    *,
    on_read: Callable[[int], None] = lambda _: None,
    on_replayed: Callable[[Replayed], None] = lambda _: None,
) -> None:
    """Replay everything that is stored now, from the sequence `start`. `on_read` is called with numbers of messages."""
    async for batch in source.batches(start, await source.last_sequence()):
        for message in batch:
            for replayed in replay.feed(message):
                on_replayed(replayed)
        on_read(len(batch))
