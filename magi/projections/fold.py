"""The log's events to rows. Pure: remembers the open requests, and collects what a batch adds to the tables."""

from collections.abc import Iterable, Set
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct

from magi.domain.clock import milliseconds, rfc3339
from magi.domain.voting_request import Adjudicated, Received, RequestEvent, VoterProgress, VoterResult
from magi.projections.errors import CannotApply
from magi.projections.rows import (
    ContentRow,
    RequestRow,
    VerdictHour,
    VerdictRow,
    VoterLatency,
    VoteRow,
    VoterTotals,
)
from magi.projections.text import array, clean, clean_json

_HOUR = 3_600_000
_LONGEST_NAME = 128
"""Characters: a `request_id` may have as many. An index can't hold more than 2,700 bytes, and of a table that is being
filled Postgres would say so only when the indexes are made, without saying which event it was."""


class Batch:
    """What some events add to the tables."""

    def __init__(self) -> None:
        self.requests: dict[str, RequestRow] = {}
        self.contents: list[ContentRow] = []
        self.votes: list[VoteRow] = []
        self.verdicts: list[VerdictRow] = []
        self.totals: dict[str, VoterTotals] = {}
        self.seen_ms: dict[str, int] = {}
        """`last_seen` of the totals in milliseconds, to compare."""
        self.latencies: dict[tuple[str, int], VoterLatency] = {}
        self.hours: dict[tuple[str, str, str, str], VerdictHour] = {}

    def totals_of(self, voter: str) -> VoterTotals:
        found = self.totals.get(voter)
        if found is None:
            found = self.totals[voter] = VoterTotals(voter)
        return found


class OpenRequest(Struct, frozen=True):
    """What the fold remembers of a request until its verdict."""

    received_ms: int
    panel: tuple[str, ...]
    voted: Set[str]
    decided: bool = False
    """It has its verdict: whatever comes now doesn't fit, and it is forgotten."""


class Moment(NamedTuple):
    """A time as text in the form of `rfc3339`, and in milliseconds since 1970."""

    text: str
    ms: int


@lru_cache(maxsize=64)
def _second(text: str) -> int:
    return milliseconds(text + "Z")


def moment(text: str) -> Moment:
    """Raises CannotApply when it is no time."""
    try:
        if len(text) == 24 and text[10] == "T" and text[19] == "." and text[23] == "Z" and text[20:23].isdecimal():
            # As MAGI writes it: three times as fast as parsing all of it, since a second has many events.
            return Moment(text, _second(text[:19]) + int(text[20:23]))
        ms = milliseconds(text)
        return Moment(rfc3339(ms), ms)
    except (ValueError, OverflowError, OSError):
        raise CannotApply(f"expected a time, got {text[:40]!r}") from None


def latency_bucket(ms: int) -> int:
    """The lower bound of the bucket that a latency is counted in: exact below 32 ms, else at most 1/16 too low."""
    if ms < 32:
        return max(0, ms)
    shift = ms.bit_length() - 5
    return ms >> shift << shift


def _behind(known: OpenRequest | None, event: RequestEvent, at: Moment, initiator: str) -> OpenRequest:
    """What is remembered of a request behind `event`. Raises CannotApply when it doesn't fit what was before it."""
    if isinstance(event, Received):
        _check_received(known, event, initiator)
        return OpenRequest(at.ms, event.voters, frozenset())
    if known is None or known.decided:
        raise CannotApply("no open request of this name was received before it")
    if isinstance(event, Adjudicated):
        if event.details.keys() != set(known.panel):
            raise CannotApply("details: not the voters of the panel")
        return OpenRequest(known.received_ms, known.panel, known.voted, decided=True)
    voter = event.voter_id
    if voter not in known.panel:
        raise CannotApply(f"voter_id: {voter[:80]!r} is not on the panel")
    if isinstance(event, VoterProgress):
        return known
    if voter in known.voted:
        raise CannotApply(f"voter_id: {voter[:80]!r} has voted already")
    return OpenRequest(known.received_ms, known.panel, known.voted | {voter})


def _check_received(known: OpenRequest | None, event: Received, initiator: str) -> None:
    if known is not None:
        raise CannotApply("received: the request was received already")
    if event.initiator_id != initiator:
        raise CannotApply(f"initiator_id: expected {initiator!r}, got {event.initiator_id[:80]!r}")
    if event.originator_version != 1:
        raise CannotApply(f"version: expected 1 for the first event of a request, got {event.originator_version}")
    for name in (event.request_id, event.rule.strategy, *event.voters):
        if len(name) > _LONGEST_NAME:
            raise CannotApply(f"expected a name of at most {_LONGEST_NAME} characters, got {len(name)}")
    moment(event.deadline)


class LogFold:
    """Takes events in the log's order. Of those that are stored together all are folded in; or CannotApply is raised,
    and nothing has changed."""

    def __init__(self, open_requests: Iterable[tuple[str, OpenRequest]] = (), *, content: bool = False) -> None:
        """`content` keeps what was submitted."""
        self.open: dict[str, OpenRequest] = dict(open_requests)
        self.batch = Batch()
        self._content = content

    def take(self) -> Batch:
        """What was collected since the last time."""
        batch, self.batch = self.batch, Batch()
        return batch

    def apply(self, aggregate: str, sequence: int, *events: RequestEvent) -> None:
        """Fold in the events that are stored together at `sequence` under `aggregate`. Raises CannotApply."""
        initiator, _, request = aggregate.partition(".")
        known = self.open.get(request)
        fitting: list[tuple[RequestEvent, Moment, OpenRequest]] = []
        for number, event in enumerate(events, 1):
            try:
                if event.originator_id != aggregate:
                    raise CannotApply(f"it says that it belongs to {event.originator_id[:120]!r}")
                at = moment(event.at)
                known = _behind(known, event, at, initiator)
            except CannotApply as error:
                if len(events) == 1:
                    raise
                raise CannotApply(f"event {number} of {len(events)}: {error}") from error
            fitting.append((event, at, known))
        # All of them fit, and from here on nothing is refused.
        for event, at, behind in fitting:
            match event:
                case VoterResult():
                    self._result(request, sequence, event, at, behind)
                case VoterProgress():
                    self._seen(event.voter_id, at)
                case Received():
                    self._received(initiator, request, sequence, event, at)
                case Adjudicated():
                    self._adjudicated(request, sequence, event, at, behind)
        if known is not None and known.decided:
            self.open.pop(request, None)
        elif known is not None:
            self.open[request] = known

    def _received(self, initiator: str, request: str, sequence: int, event: Received, at: Moment) -> None:
        self.batch.requests[request] = RequestRow(
            request,
            clean(initiator),
            clean(event.request_id),
            at.text,
            moment(event.deadline).text,
            array(event.voters),
            clean(event.rule.strategy),
            clean_json(event.rule.parameters),
            event.decide,
            sequence,
        )
        if self._content:
            content = event.content
            self.batch.contents.append(
                ContentRow(
                    request, clean(content.user_query), clean(content.agent_answer), clean_json(content.metadata)
                )
            )

    def _result(self, request: str, sequence: int, event: VoterResult, at: Moment, known: OpenRequest) -> None:
        voter, vote = event.voter_id, event.vote
        latency = at.ms - known.received_ms
        reason = None if event.reason is None else clean(event.reason)
        self.batch.votes.append(VoteRow(request, voter, vote, at.text, latency, event.confidence, reason, sequence))
        totals = self._seen(voter, at)
        if vote == "pass":
            totals.passes += 1
        elif vote == "fail":
            totals.fails += 1
        else:
            totals.abstentions += 1
        bucket = latency_bucket(latency)
        counted = self.batch.latencies.get((voter, bucket))
        if counted is None:
            counted = self.batch.latencies[voter, bucket] = VoterLatency(voter, bucket)
        counted.votes += 1

    def _adjudicated(self, request: str, sequence: int, event: Adjudicated, at: Moment, known: OpenRequest) -> None:
        tally, verdict, by = event.tally, event.final_vote, event.decided_by
        latency, missing = at.ms - known.received_ms, tally.get("missing", 0)
        row = VerdictRow(
            request,
            verdict,
            at.text,
            by,
            clean(event.outcome_reason),
            tally.get("pass", 0),
            tally.get("fail", 0),
            tally.get("abstain", 0),
            missing,
            latency,
            sequence,
        )
        received = self.batch.requests.get(request)
        if received is None:
            self.batch.verdicts.append(row)
        else:
            received.verdict, received.decided_at, received.decided_by = verdict, at.text, by
            received.reason, received.latency_ms, received.decided_seq = row.reason, latency, sequence
            received.tally_pass, received.tally_fail = row.tally_pass, row.tally_fail
            received.tally_abstain, received.tally_missing = row.tally_abstain, missing
        for voter, said in event.details.items():
            totals = self.batch.totals_of(voter)
            totals.panels += 1
            if said == "missing":
                totals.missing += 1
                totals.timeouts += by == "deadline"
            elif said != "abstain":
                totals.judged += 1
                totals.agreed += said == verdict
        self._hour(event, at, latency, missing)

    def _hour(self, event: Adjudicated, at: Moment, latency: int, missing: int) -> None:
        key = (rfc3339(at.ms - at.ms % _HOUR), clean(event.rule.strategy), event.final_vote, event.decided_by)
        hour = self.batch.hours.get(key)
        if hour is None:
            hour = self.batch.hours[key] = VerdictHour(*key, latency_ms_max=latency)
        hour.requests += 1
        hour.missing += missing
        hour.latency_ms_sum += latency
        hour.latency_ms_max = max(hour.latency_ms_max, latency)

    def _seen(self, voter: str, at: Moment) -> VoterTotals:
        totals = self.batch.totals_of(voter)
        if self.batch.seen_ms.get(voter, -1) < at.ms:
            self.batch.seen_ms[voter], totals.last_seen = at.ms, at.text
        return totals
