"""What is handled next of what waits for a request: a submission, or ballots that may become one message of the log."""

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from magi.domain.ids import AggregateId, VoterId, task_id
from magi.domain.messages import InboxMessage, ProgressBallot, ResultBallot, Submission
from magi.domain.panel import Candidate, Snapshot
from magi.domain.voting_request import INITIAL, RequestEvent, Submit, decide, fold
from magi.eventstore.codec import Codec, pack
from magi.eventstore.history import EMPTY
from magi.eventstore.pull import Delivery
from magi.orchestrator.deciding import Decided
from magi.orchestrator.held import BYTES_TOGETHER, TOGETHER, HeldRequest
from magi.orchestrator.inbox import Item
from magi.orchestrator.spans import Spans
from magi.telemetry.tracing import OFF

REQUEST = AggregateId("i" * 64 + ".7d1c5cde-1111-4222-8333-944444444444")
VOTERS = tuple(f"{number:064}" for number in range(200))
SUBMISSION = Submission(initiator_id="i" * 64, request_id="1", user_query="?", agent_answer="!", voter_list=VOTERS)
CODEC: Codec[RequestEvent] = Codec(RequestEvent)


def holding(*messages: InboxMessage) -> HeldRequest:
    request = HeldRequest()
    for number, message in enumerate(messages, 1):
        sender = "agent" if isinstance(message, Submission) else message.task_id.rpartition(".")[2]
        request.queue.append(Item(message, sender, REQUEST, 0, "", Delivery(number, 1, 1, 0, number)))
    return request


def result(number: int, reason: str | None = None) -> ResultBallot:
    return ResultBallot(task_id=task_id(REQUEST, VoterId(VOTERS[number])), vote="pass", reason=reason, confidence=0.1)


def all_taken(request: HeldRequest) -> list[list[int]]:
    found = []
    while request.queue:
        found.append([item.delivery.sequence for item in request.take()])
    return found


def test_a_submission_is_taken_alone_and_ballots_up_to_the_next() -> None:
    progress = ProgressBallot(task_id=result(0).task_id)
    request = holding(SUBMISSION, SUBMISSION, progress, result(0), SUBMISSION, result(1))
    assert all_taken(request) == [[1], [2], [3, 4], [5], [6]]


def test_no_more_than_so_many_ballots_are_taken() -> None:
    sizes = list(map(len, all_taken(holding(*(result(number) for number in range(2 * TOGETHER + 1))))))
    assert sizes == [TOGETHER, TOGETHER, 1]


CHARACTERS = st.sampled_from(["x", "\x01", "\x1f", "\x7f", '"', "\\", "\n", "é", "\u2028", "哈", "\U0010ffff"])
REASONS = st.none() | st.builds(lambda one, count: one * count, CHARACTERS, st.integers(0, 4096))
STATUSES = st.builds(lambda one, count: one * count, CHARACTERS, st.integers(1, 64))


@example(["\x01" * 4096] * TOGETHER)
@example([("\x01" * 64,)] * (TOGETHER + 1))
@given(st.lists(REASONS | STATUSES.map(lambda status: (status,)), min_size=1, max_size=100))
def test_what_is_taken_comes_to_no_more_bytes_than_so_many(said: list[str | tuple[str] | None]) -> None:
    """And in order, and all of it, at least one at a time."""
    ballots = [
        ProgressBallot(task_id=result(n).task_id, status=one[0]) if isinstance(one, tuple) else result(n, one)
        for n, one in enumerate(said)
    ]
    assert msgspec.json.decode(msgspec.json.encode(ballots), type=list[ProgressBallot | ResultBallot]) == ballots
    snapshot = Snapshot({VoterId(voter): Candidate("active") for voter in VOTERS})
    state = fold(decide(INITIAL, Submit(SUBMISSION, snapshot, 0)))
    request = holding(*ballots)
    taken: list[Item] = []
    while request.queue:
        items = request.take()
        decided = Decided(state, 0, frozenset())
        with Spans() as stages:
            for item in items:
                decided.take(item, OFF, stages)
        assert len(decided.events) == len(items)
        trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
        events = [msgspec.structs.replace(event, cause=2**63, trace=trace) for event in decided.events]
        assert len(pack([data for _, data, _ in CODEC.stamp_all(events, REQUEST, EMPTY)])) <= BYTES_TOGETHER
        taken += items
    assert [item.delivery.sequence for item in taken] == list(range(1, len(said) + 1))
