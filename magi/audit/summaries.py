"""Finding requests in the log: one summary a request, the newest first, from messages read backwards."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from typing import Literal

from msgspec import Struct

from magi.audit.events import parts, request_event
from magi.audit.source import MARGIN, LogSource
from magi.domain.clock import milliseconds
from magi.domain.voting_request import Adjudicated, Received, RequestEvent, VoterResult
from magi.eventstore.direct import StoredMessage
from magi.eventstore.history import CorruptHistory


class Summary(Struct, frozen=True, kw_only=True):
    """What a list of requests tells of each."""

    initiator_id: str
    request_id: str
    received_at: str
    voters: tuple[str, ...]
    strategy: str
    votes: int
    """How many voted."""
    verdict: Literal["pass", "fail", "open"]
    outcome_reason: str = ""
    decided_by: str = ""
    decided_at: str = ""
    """Empty while it is open, like the two before it."""


class Query(Struct, frozen=True, kw_only=True):
    """Which requests are looked for; what is empty or None excludes none. Times are milliseconds since 1970."""

    since: int | None = None
    until: int | None = None
    """Received at `since` or later, and before `until`."""
    initiator: str = ""
    voter: str = ""
    """On the panel."""
    verdict: str = ""
    strategy: str = ""
    limit: int = 50

    def received_in_time(self, at: int) -> bool:
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)

    def matches(self, one: Summary) -> bool:
        return (
            self.received_in_time(milliseconds(one.received_at))
            and self.initiator in ("", one.initiator_id)
            and (not self.voter or self.voter in one.voters)
            and self.verdict in ("", one.verdict)
            and self.strategy in ("", one.strategy)
        )


class _Later(Struct):
    """What came after the reception, as far as it was read."""

    votes: int = 0
    verdict: Adjudicated | None = None


class Backwards:
    """Events from the last to the first, to summaries. Remembers what belongs to a reception that is still to come."""

    def __init__(self) -> None:
        self._later: dict[str, _Later] = {}

    def take(self, event: RequestEvent) -> Summary | None:
        """The summary of the request that `event` begins."""
        if not isinstance(event, Received):
            later = self._later.setdefault(event.originator_id, _Later())
            if isinstance(event, Adjudicated):
                later.verdict = event
            later.votes += isinstance(event, VoterResult)
            return None
        later = self._later.pop(event.originator_id, _Later())
        verdict = later.verdict
        return Summary(
            initiator_id=event.initiator_id,
            request_id=event.request_id,
            received_at=event.at,
            voters=event.voters,
            strategy=event.rule.strategy,
            votes=later.votes,
            verdict=verdict.final_vote if verdict else "open",
            outcome_reason=verdict.outcome_reason if verdict else "",
            decided_by=verdict.decided_by if verdict else "",
            decided_at=verdict.at if verdict else "",
        )


async def find_in_log(source: LogSource, query: Query) -> AsyncIterator[Summary]:
    """The requests that match, the newest first, at most `query.limit`. Events that can't be read are left out."""
    last = await source.last_sequence()
    start = min(last, await source.sequence_at(query.until + 2 * MARGIN)) if query.until is not None else last
    backwards, found = Backwards(), 0
    async for message in source.backwards(start):
        for event in _last_to_first(message):
            if query.since is not None and milliseconds(event.at) < query.since - MARGIN:
                return
            summary = backwards.take(event)
            if summary and summary.verdict == "open" and start < last:
                summary = _summary(await source.history(event.originator_id)) or summary  # it may be decided later
            if summary and query.matches(summary):
                yield summary
                found += 1
                if found == query.limit:
                    return


def _summary(history: Sequence[StoredMessage]) -> Summary | None:
    backwards, summary = Backwards(), None
    for message in reversed(history):
        for event in _last_to_first(message):
            summary = backwards.take(event) or summary
    return summary


def _last_to_first(message: StoredMessage) -> Iterator[RequestEvent]:
    """The message's events that can be read."""
    for data in reversed(parts(message.data)):
        with suppress(CorruptHistory):
            yield request_event(data)
