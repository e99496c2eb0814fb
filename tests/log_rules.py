"""What must be true of every log and every history in it, whoever wrote them: for the simulation and for chaos."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from magi.domain.ids import AggregateId
from magi.domain.voting_request import RequestEvent, VoterResult
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
    """No sequence is left out, no event's id is there twice."""
    for expected, recorded in enumerate(log, 1):
        if recorded.sequence != expected:
            yield f"the log has {recorded.sequence} where {expected} was expected"
            return
    ids = Counter(recorded.event.id for recorded in log)
    yield from (f"{count} events are named {name!r}" for name, count in ids.items() if count > 1)


def chain_problems(history: History) -> Iterator[str]:
    """Versions without a gap, each event chained to the one before it."""
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
