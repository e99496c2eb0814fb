"""Ballots that are decided on together lead to what each would have led to by itself, in its turn."""

import hypothesis.strategies as st
import msgspec
from hypothesis import given

from magi.domain.errors import Refused
from magi.domain.ids import InitiatorId, RequestId, VoterId, request_aggregate, task_id
from magi.domain.messages import Ballot, ProgressBallot, ResultBallot, Submission
from magi.domain.panel import Candidate, Snapshot
from magi.domain.voting_request import INITIAL, CastVote, ReportProgress, RequestEvent, Submit, decide, evolve, fold
from magi.eventstore.pull import Delivery
from magi.orchestrator.deciding import Decided
from magi.orchestrator.inbox import Item
from magi.orchestrator.spans import Spans
from magi.telemetry.tracing import OFF

NOW = 1_769_860_800_000
TIMEOUT = 10_000
AGGREGATE = request_aggregate(InitiatorId("agent"), RequestId("1"))
SNAPSHOT = Snapshot({VoterId(voter): Candidate("active") for voter in "abcd"})
SENDERS = st.sampled_from("abcd")


@st.composite
def items(draw: st.DrawFn) -> Item:
    sender = draw(SENDERS)
    task = task_id(AGGREGATE, VoterId(sender))
    ballot: Ballot
    if draw(st.booleans()):
        ballot = ResultBallot(task_id=task, vote=draw(st.sampled_from(["pass", "fail", "abstain"])))  # type: ignore[arg-type]
    else:
        ballot = ProgressBallot(task_id=task, status=draw(st.sampled_from(["processing", "done soon"])))
    stored = NOW + draw(st.sampled_from([0, TIMEOUT - 1, TIMEOUT]))
    sequence = draw(st.integers(1, 2**62))
    return Item(ballot, sender, AGGREGATE, 0, "", Delivery(sequence, 1, stored, 0, 1))


@given(
    st.lists(items(), max_size=12),
    st.sampled_from([("a",), ("a", "b"), ("a", "b", "c")]),
    st.sampled_from(["all", "early"]),
    st.frozensets(SENDERS, max_size=2),
)
def test_each_leads_to_what_it_would_have_led_to_alone(
    taken: list[Item], panel: tuple[str, ...], when: str, revoked: frozenset[str]
) -> None:
    fields = {"user_query": "?", "agent_answer": "!", "voter_list": panel, "decide": when, "timeout_ms": TIMEOUT}
    submission = Submission(initiator_id="agent", request_id="1", **fields)  # type: ignore[arg-type]
    state = fold(decide(INITIAL, Submit(submission, SNAPSHOT, NOW)))
    decided = Decided(state, NOW, revoked)
    with Spans() as stages:
        for item in taken:
            decided.take(item, OFF, stages)

    events: list[RequestEvent] = []
    refused: list[tuple[Item, str]] = []
    for item in taken:
        try:
            led = decide(state, _command(item, revoked))
        except Refused as error:
            refused.append((item, error.code))
            continue
        for event in led:
            events.append(msgspec.structs.replace(event, cause=item.delivery.sequence))
            state = evolve(state, event)
    assert decided.events == events
    assert decided.state == state
    assert [(one.item, one.error.code) for one in decided.refused] == refused
    assert (decided.handled, decided.waiting, decided.failed) == (taken, [], [])


def _command(item: Item, revoked: frozenset[str]) -> CastVote | ReportProgress:
    if isinstance(item.message, ProgressBallot):
        return ReportProgress(item.sender, item.message, NOW, revoked)
    assert isinstance(item.message, ResultBallot)
    return CastVote(item.sender, item.message, NOW, item.delivery.stored_ms, revoked)
