"""The lines that a request's events leave in the orchestrator's log (`telemetry.steps`). Nothing of its content."""

import structlog

from magi.domain.clock import milliseconds
from magi.domain.voting_request import Adjudicated, Received, RequestEvent, VoterProgress, VoterResult, VotingRequest
from magi.telemetry import detail

log = structlog.get_logger(__name__)


def tell(state: VotingRequest, event: RequestEvent) -> None:
    """`event` was stored, and led to `state`."""
    received = state.received
    if received is None or not (isinstance(event, Adjudicated) or detail.wanted()):
        return
    match event:
        case Adjudicated():
            log.info(
                "adjudicated",
                request=event.originator_id,
                request_id=received.request_id,
                initiator_id=received.initiator_id,
                trace=received.trace,
                verdict=event.final_vote,
                decided_by=event.decided_by,
                strategy=event.rule.strategy,
                reason=event.outcome_reason,
                votes=len(state.votes),
                latency_ms=milliseconds(event.at) - milliseconds(received.at),
            )
        case VoterResult():
            log.debug(
                "vote_counted",
                request=event.originator_id,
                request_id=received.request_id,
                initiator_id=received.initiator_id,
                trace=received.trace,
                voter_id=event.voter_id,
                vote=event.vote,
                failed=event.failed or None,
            )
        case VoterProgress():
            log.debug(
                "voter_progress",
                request=event.originator_id,
                request_id=received.request_id,
                initiator_id=received.initiator_id,
                trace=received.trace,
                voter_id=event.voter_id,
            )
        case Received():
            log.debug(
                "request_received",
                request=event.originator_id,
                request_id=event.request_id,
                initiator_id=event.initiator_id,
                trace=event.trace,
                panel=event.voters,
            )


def tell_dispatched(request: str, received: Received, voters: tuple[str, ...]) -> None:
    """`voters` have their tasks."""
    if not detail.wanted():
        return
    log.debug(
        "tasks_dispatched",
        request=request,
        request_id=received.request_id,
        initiator_id=received.initiator_id,
        trace=received.trace,
        voters=voters,
    )


def tell_refused_ballot(request: str, state: VotingRequest, voter: str, code: str) -> None:
    received = state.received
    log.info(
        "ballot_refused",
        request=request,
        request_id=received.request_id if received else "",
        initiator_id=received.initiator_id if received else request.partition(".")[0],
        trace=received.trace if received else "",
        voter_id=voter,
        code=code,
    )
