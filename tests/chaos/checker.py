"""What must be true after any run, from the log and what the clients saw alone. Pure: it can be shown planted faults.

Each rule says in its own words what it found; nothing found means that nothing was lost, decided twice or told wrong.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
from msgspec import Struct

from magi.domain.clock import milliseconds
from magi.domain.ids import AggregateId, InitiatorId, RequestId, request_aggregate, split_task_id
from magi.domain.messages import InboxMessage, Submission, Task, Vote
from magi.domain.voting_request import Adjudicated, Content, Received, RequestEvent, VoterResult
from magi.eventstore.history import Recorded
from magi.gateway import wire
from tests.chaos.clients import Asked
from tests.log_rules import History, chain_problems, count_problems, histories_of, log_problems


class Evidence(Struct, frozen=True):
    """What a run has left."""

    asked: Sequence[Asked]
    log: History
    """All events of the log, in its order."""
    inbox: Sequence[InboxMessage] = ()
    """What is still in the inbox."""
    tasks: Sequence[Task] = ()
    """What voters have still to judge, those that nobody is left aside."""


def check(evidence: Evidence, expected_vote: Callable[[str, str], Vote], absent: str) -> list[str]:
    """Everything that is wrong. `absent` is the voter that nobody is."""
    histories = histories_of(evidence.log)
    asked = {aggregate_of(one): one for one in evidence.asked}
    problems = [*log_problems(evidence.log)]
    for aggregate in sorted({*histories, *asked}):
        found: list[str] = []
        history, one = histories.get(aggregate, []), asked.get(aggregate)
        found += _history(aggregate, history)
        if one is None:
            found.append("nobody sent it")
        else:
            found += _promise(history, one)
            found += _content(history, one)
            found += _votes(history, one, expected_vote, absent)
            found += _stream(history, one)
        problems += [f"{aggregate}: {problem}" for problem in found]
    return [*problems, *_left_over(evidence, histories)]


def aggregate_of(asked: Asked) -> AggregateId:
    return request_aggregate(InitiatorId(asked.initiator), RequestId(asked.request.request_id))


# --- The log ----------------------------------------------------------------------------------------------------------


def _history(aggregate: AggregateId, history: History) -> Iterator[str]:
    """Whole, chained, one beginning, one end, at most one vote a voter; and the verdict is what the votes say."""
    yield from chain_problems(history)
    events = [recorded.event for recorded in history]
    if not events:
        return
    received = events[0]
    if not isinstance(received, Received):
        yield f"begins with {type(received).__name__}"
        return
    if any(isinstance(event, Received) for event in events[1:]):
        yield "was received twice"
    verdicts = [n for n, event in enumerate(events) if isinstance(event, Adjudicated)]
    if len(verdicts) != 1:
        yield f"has {len(verdicts)} verdicts"
    elif verdicts[0] != len(events) - 1:
        yield "goes on after the verdict"
    results = [event for event in events if isinstance(event, VoterResult)]
    yield from count_problems(results, received.voters)
    for verdict in events:
        if isinstance(verdict, Adjudicated):
            yield from _verdict(received, results, verdict)


def _verdict(received: Received, results: Iterable[VoterResult], verdict: Adjudicated) -> Iterator[str]:
    cast = {event.voter_id: event.vote for event in results}
    outcome = received.rule.decide(received.voters, cast)
    if (verdict.final_vote, verdict.outcome_reason) != (outcome.final_vote, outcome.reason):
        yield f"the verdict is {verdict.final_vote} ({verdict.outcome_reason}), the votes say {outcome}"
    if verdict.details != {voter: cast.get(voter, "missing") for voter in received.voters}:
        yield f"the verdict's details {verdict.details} are not the votes {cast}"
    missing = len(received.voters) - len(cast)
    match verdict.decided_by:
        case "votes" if missing:
            yield f"decided by votes, {missing} of which are missing"
        case "deadline" if milliseconds(verdict.at) < milliseconds(received.deadline):
            yield "decided by its deadline, before it"
        case "early" if received.decide != "early":
            yield "decided early, which nobody asked for"


# --- What was promised ------------------------------------------------------------------------------------------------


def _promise(history: History, asked: Asked) -> Iterator[str]:
    """Acknowledged means decided. What was never acknowledged is decided or was never heard of, nothing between."""
    if asked.last and not history:
        yield "was acknowledged and is not in the log"
    if history and not isinstance(history[-1].event, Adjudicated):
        yield "was received and not decided"
    if not asked.final:
        yield "its Initiator never got the verdict"


def _content(history: History, asked: Asked) -> Iterator[str]:
    received = history[0].event if history else None
    if not isinstance(received, Received):
        return
    request = asked.request
    if received.content != Content(request.user_query, request.agent_answer) or (
        (received.request_id, received.initiator_id) != (request.request_id, asked.initiator)
    ):
        yield "something else was stored than was sent"
    if received.voters != request.voter_list:
        yield f"the panel is {received.voters}, not {request.voter_list}"


def _votes(history: History, asked: Asked, expected_vote: Callable[[str, str], Vote], absent: str) -> Iterator[str]:
    """Each vote is what its voter says of this answer; and with time enough every voter's vote is there."""
    cast = {event.voter_id: event for recorded in history if isinstance(event := recorded.event, VoterResult)}
    for voter, result in cast.items():
        expected = expected_vote(voter, asked.request.agent_answer)
        if result.vote != expected:
            yield f"{voter} said {expected}, {result.vote} was stored ({result.reason})"
    verdict = history[-1].event if history else None
    if not isinstance(verdict, Adjudicated):
        return
    if absent in asked.request.voter_list:
        if verdict.decided_by != "deadline" or verdict.details.get(absent) != "missing":
            yield f"{absent} votes: {verdict.decided_by}, {verdict.details}"
    elif verdict.decided_by == "deadline":
        yield f"votes are lost: {verdict.details}"


def _stream(history: History, asked: Asked) -> Iterator[str]:
    """What the Initiator saw is the stored history: in order, from the first to the last, nothing twice."""
    stored = [msgspec.json.decode(wire.event(asked.request.request_id, recorded.event)) for recorded in history]
    beginnings, position = 0, 0
    for run in asked.runs:
        for number, frame in enumerate(run):
            event = msgspec.json.decode(frame)
            seq = event["seq"]
            if seq == 1 and number == 0:
                beginnings += 1
            elif seq != position + 1:
                yield f"its Initiator saw {seq} after {position}"
            position = seq
            if not 1 <= seq <= len(stored) or event != stored[seq - 1]:
                yield f"its Initiator saw something else than is stored as {seq}"
    if beginnings > max(1, asked.sent):
        yield f"its Initiator sent it {asked.sent} times, and saw it begin {beginnings} times"
    if asked.final and position != len(stored):
        yield f"its Initiator saw {position} of {len(stored)} events"


# --- What is left over ------------------------------------------------------------------------------------------------


def _left_over(evidence: Evidence, histories: dict[AggregateId, list[Recorded[RequestEvent]]]) -> Iterator[str]:
    """Only of requests that are decided: submissions that wait for their own deadline to be forgotten, and ballots that
    a killed nats-server brought back though they were acknowledged (seen: one of 15,000 after 13 kills)."""
    for message in evidence.inbox:
        if isinstance(message, Submission):
            aggregate = request_aggregate(InitiatorId(message.initiator_id), RequestId(message.request_id))
        else:
            found = split_task_id(message.task_id)
            if found is None:
                yield f"a ballot on nothing is left in the inbox: {message}"
                continue
            aggregate, _ = found
        history = histories.get(aggregate)
        if not history or not isinstance(history[-1].event, Adjudicated):
            yield f"{aggregate}: its {type(message).__name__} is left in the inbox, and it is not decided"
    for task in evidence.tasks:
        yield f"a task is left: {split_task_id(task.task_id)}"
