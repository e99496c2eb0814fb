"""What messages about one request lead to, decided on one after the other: events that are appended together.

Nothing of it is stored yet, and nobody is told: a ballot that was refused behind one that was counted is refused only
if that one is stored.
"""

import msgspec
import structlog
from msgspec import Struct

from magi.domain.errors import Refused, StrategyMissing
from magi.domain.messages import ProgressBallot, ResultBallot
from magi.domain.voting_request import (
    Adjudicated,
    CastVote,
    Command,
    ReportProgress,
    RequestEvent,
    VotingRequest,
    decide,
    evolve,
)
from magi.orchestrator.inbox import Item
from magi.orchestrator.spans import Spans, adjudicating, appending
from magi.telemetry.tracing import Span

log = structlog.get_logger(__name__)


class RefusedBallot(Struct, frozen=True):
    item: Item
    error: Refused


class Decided:
    """Give it each ballot; then `events` is what to append."""

    def __init__(self, state: VotingRequest, now: int, revoked: frozenset[str]) -> None:
        """`now` is in milliseconds since 1970, `revoked` the voters that are revoked by now."""
        self.state = state
        """As it will be once `events` are stored."""
        self.events: list[RequestEvent] = []
        self.handled: list[Item] = []
        """Those that can be acknowledged then, refused ones among them."""
        self.refused: list[RefusedBallot] = []
        self.waiting: list[Item] = []
        """Those that nobody here can decide on until a strategy is installed. They come again."""
        self.failed: list[Item] = []
        """Those that it failed over. They come again."""
        self._now = now
        self._revoked = revoked

    def take(self, item: Item, span: Span, stages: Spans) -> None:
        """Decide on a ballot. `span` is its stage; what begins within it is in `stages`. Never raises for what
        anybody said."""
        try:
            events = decide(self.state, self._command(item))
        except Refused as error:
            span.note("magi.refused", error.code)
            self.refused.append(RefusedBallot(item, error))
        except StrategyMissing as error:  # nothing is wrong with the ballot
            log.error("strategy_missing", request=item.aggregate, error=str(error))
            span.failed("strategy_missing")
            self.waiting.append(item)
            return
        except Exception:
            log.exception("item_failed", request=item.aggregate, sequence=item.delivery.sequence)
            span.failed("internal")
            self.failed.append(item)  # alone: what others say of the request is decided on all the same
            return
        else:
            for event in events:
                self.events.append(caused(event, item, span, stages))
                self.state = evolve(self.state, event)
        self.handled.append(item)

    def _command(self, item: Item) -> Command:
        ballot = item.message
        if isinstance(ballot, ProgressBallot):
            return ReportProgress(item.sender, ballot, self._now, self._revoked)
        assert isinstance(ballot, ResultBallot)
        return CastVote(item.sender, ballot, self._now, item.delivery.stored_ms, self._revoked)


def caused(event: RequestEvent, item: Item, span: Span, stages: Spans) -> RequestEvent:
    """The event with what led to it: the message, and the stage in which it is appended, which begins here. A verdict
    has a stage of its own around that."""
    if isinstance(event, Adjudicated):
        span = stages.begin(adjudicating(span, event))
    made = stages.begin(appending(span, event, item.aggregate))
    return msgspec.structs.replace(event, cause=item.delivery.sequence, trace=made.traceparent)
