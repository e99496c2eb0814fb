"""What must be true after any run: from the log, from what each Initiator saw, and from what was ever stored.

Everything that is found wrong comes in words. Nothing means that nothing was lost, decided twice, or told wrong.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby

import msgspec

from magi.domain.clock import milliseconds
from magi.domain.ids import AggregateId, InitiatorId, RequestId, request_aggregate, split_task_id
from magi.domain.messages import ResultBallot, decode_inbox
from magi.domain.voting_request import Adjudicated, Received, RequestEvent, VoterResult
from magi.eventstore import subjects
from magi.eventstore.codec import Codec
from magi.eventstore.history import Recorded
from magi.gateway import wire
from magi.projections.errors import CannotApply
from magi.projections.fold import LogFold
from tests.log_rules import History, chain_problems, count_problems, histories_of, log_problems
from tests.simulation.initiators import Asked
from tests.simulation.postgres import rows_of
from tests.simulation.world import GHOST, World
from tests.voters.judges import expected_vote

_codec: Codec[RequestEvent] = Codec(RequestEvent)


def log_of(world: World) -> list[Recorded[RequestEvent]]:
    """All events of the log, in its order."""
    messages = world.server.streams[subjects.LOG].messages
    return [recorded for seq in sorted(messages) for recorded in _codec.recorded(seq, messages[seq].data)]


def check(world: World, log: History) -> list[str]:
    """Everything that is wrong. `log` is all of the log."""
    histories = histories_of(log)
    found = [*world.problems, *log_problems(log)]
    asked = {_aggregate(one): one for initiator in world.initiators for one in initiator.asked.values()}
    ballots = _ballots(world)
    for aggregate in sorted({*asked, *histories}):
        history, one = histories.get(aggregate, []), asked.get(aggregate)
        problems = [*_history(history), *_in_time(history, ballots[aggregate])]
        problems += _promise(history, one) if one else ["nobody asked for it"]
        found += [f"{aggregate}: {problem}" for problem in problems]
    for initiator in world.initiators:
        found += initiator.problems
    return [*found, *_projection(world, log)]


def _aggregate(asked: Asked) -> AggregateId:
    return request_aggregate(InitiatorId(asked.initiator), RequestId(asked.request.request_id))


def _history(history: History) -> Iterator[str]:
    """Chained, received once, decided once and last; each vote once, and the verdict follows from them."""
    yield from chain_problems(history)
    events = [recorded.event for recorded in history]
    if not events:
        return
    if [n for n, event in enumerate(events) if isinstance(event, Received)] != [0]:
        yield "was not received once, at the beginning"
        return
    if [n for n, event in enumerate(events) if isinstance(event, Adjudicated)] != [len(events) - 1]:
        yield "has not one verdict, at the end"
        return
    received, verdict = events[0], events[-1]
    assert isinstance(received, Received)
    assert isinstance(verdict, Adjudicated)
    results = [event for event in events if isinstance(event, VoterResult)]
    cast = {event.voter_id: event.vote for event in results}
    yield from count_problems(results, received.voters)
    outcome = received.rule.decide(received.voters, cast)
    if (verdict.final_vote, verdict.outcome_reason) != (outcome.final_vote, outcome.reason):
        yield f"the verdict is {verdict.final_vote} ({verdict.outcome_reason}), the votes say {outcome}"
    if verdict.details != {voter: cast.get(voter, "missing") for voter in received.voters}:
        yield f"the details {verdict.details} are not the votes {cast}"
    if verdict.decided_by == "votes" and len(cast) < len(received.voters):
        yield "was decided by votes that are missing"
    if verdict.decided_by == "deadline" and milliseconds(verdict.at) < milliseconds(received.deadline):
        yield "was decided by its deadline, before it"
    for result in results:
        said = expected_vote(result.voter_id, received.content.agent_answer)
        if result.vote != said and not result.failed:
            yield f"{result.voter_id} said {said}, {result.vote} was stored"


def _ballots(world: World) -> "defaultdict[AggregateId, dict[str, int]]":
    """When each voter's first result reached the inbox, in milliseconds since 1970."""
    found: defaultdict[AggregateId, dict[str, int]] = defaultdict(dict)
    for stream, message in world.stored:
        if stream == subjects.INBOX:
            for ballot in decode_inbox(message.data):
                if isinstance(ballot, ResultBallot) and (about := split_task_id(ballot.task_id)):
                    found[about[0]].setdefault(about[1], message.time // 1_000_000)
    return found


def _in_time(history: History, ballots: dict[str, int]) -> Iterator[str]:
    """A ballot that was stored before the deadline counts, whenever it is looked at."""
    received, verdict = (history[0].event, history[-1].event) if history else (None, None)
    if isinstance(received, Received) and isinstance(verdict, Adjudicated) and verdict.decided_by == "deadline":
        deadline = milliseconds(received.deadline)
        for voter, at in ballots.items():
            if at < deadline and verdict.details.get(voter) == "missing":
                yield f"{voter} voted {deadline - at} ms before the deadline, and is missing"


def _promise(history: History, one: Asked) -> Iterator[str]:
    """Acknowledged means decided, and the Initiator saw what is stored: in order, to the end, nothing else."""
    if not one.final:
        yield f"its Initiator never got the verdict (it saw {one.last} of {len(history)} events)"
    if one.last and not history:
        yield "was acknowledged, and is not in the log"
    verdict = history[-1].event if history else None
    if GHOST in one.request.voter_list and isinstance(verdict, Adjudicated) and verdict.decided_by == "votes":
        yield "was decided by the votes of a voter that nobody is"
    stored = [msgspec.json.decode(wire.event(one.request.request_id, r.event)) for r in history]
    if one.frames != stored[: len(one.frames)] or (one.final and len(one.frames) != len(stored)):
        yield f"its Initiator saw {len(one.frames)} events, which are not the {len(stored)} that are stored"
    yield from (f"its Initiator {problem}" for problem in one.problems)


def _projection(world: World, log: History) -> Iterator[str]:
    """What the projector wrote, batch by batch and through all of its deaths, is the fold of the whole log."""
    fold = LogFold()
    try:
        for sequence, together in groupby(log, lambda recorded: recorded.sequence):
            events = [recorded.event for recorded in together]
            fold.apply(events[0].originator_id, sequence, *events)
        whole, there = _final(rows_of(fold.take())), _final(world.database.rows)
    except (CannotApply, AssertionError, KeyError) as error:
        yield f"the projection: {error!r}"
        return
    if whole != there:
        yield f"the projection has {len(there)} rows that differ from the fold's {len(whole)}"
    if world.database.open:
        yield f"the projection believes {sorted(world.database.open)} to be open"


def _final(rows: list[tuple[str, dict[str, object]]]) -> dict[tuple[str, object, object], dict[str, object]]:
    """Rows by what names them, a verdict in the row of its request. Raises AssertionError when one is there twice."""
    found: dict[tuple[str, object, object], dict[str, object]] = {}
    for table, row in rows:
        key = (table, row.get("id"), row.get("voter_id"))
        if table == "verdicts":
            request = found[("requests", row["id"], None)]
            assert request["verdict"] is None, f"the verdict of {row['id']} was projected twice"
            request.update(row)
        else:
            assert key not in found, f"{key} was projected twice"
            found[key] = dict(row)
    return found
