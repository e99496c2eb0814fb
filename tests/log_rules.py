"""What must be true of every log and every history in it, whoever wrote them: for the simulation and for chaos."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from magi.domain.ids import AggregateId
from magi.domain.voting_request import RequestEvent, VoterProgress, VoterResult
from magi.eventstore.codec import digest
from magi.eventstore.history import Recorded

History = Sequence[Recorded[RequestEvent]]


def histories_of(log: History) -> "defaultdict[AggregateId, list[Recorded[RequestEvent]]]":
    """The log, request by request."""
    found: defaultdict[AggregateId, list[Recorded[RequestEvent]]] = defaultdict(list)
    for recorded in log:
        found[AggregateId(recorded.event.originator_id)].append(recorded)
    return found


def log_problems(log: History) -> Iterator[str]:
    """No sequence is left out, what shares one is of one request, no event's id is there twice."""
    last, of = 0, ""
    for recorded in log:
        request = recorded.event.originator_id
        if recorded.sequence == last:
            if request != of:
                yield f"message {last} holds events of {of} and of {request}"
        elif recorded.sequence == last + 1:
            last, of = recorded.sequence, request
        else:
            yield f"the log has {recorded.sequence} where {last + 1} was expected"
            return
    ids = Counter(recorded.event.id for recorded in log)
    yield from (f"{count} events are named {name!r}" for name, count in ids.items() if count > 1)


def of_several_voters(log: History) -> int:
    """How many messages hold what the ballots of more than one voter led to."""
    voters: defaultdict[int, set[str]] = defaultdict(set)
    for recorded in log:
        if isinstance(recorded.event, VoterProgress | VoterResult):
            voters[recorded.sequence].add(recorded.event.voter_id)
    return sum(len(one) > 1 for one in voters.values())


def chain_problems(history: History) -> Iterator[str]:
    """Versions without a gap, each event chained to the one before it, in its own message or in an earlier one."""
    before = ""
    for version, recorded in enumerate(history, 1):
        if recorded.event.originator_version != version:
            yield f"version {recorded.event.originator_version} stands where {version} was expected"
        if recorded.event.prev != before:
            yield f"the chain breaks before version {version}"
        before = digest(recorded.data)


def count_problems(results: Sequence[VoterResult], panel: Sequence[str]) -> Iterator[str]:
    """Each voter is counted once, and nobody who isn't on the panel."""
    counted = Counter(result.voter_id for result in results)
    yield from (f"{voter} was counted {count} times" for voter, count in counted.items() if count > 1)
    yield from (f"{voter} is not on the panel" for voter in counted if voter not in panel)
