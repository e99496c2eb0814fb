"""What measuring costs: an update of each instrument, all that is counted of a request, and a scrape.

python -m bench.metrics
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from magi.domain.ids import VoterId, task_id
from magi.domain.messages import ProgressBallot, ResultBallot, Submission
from magi.domain.panel import Candidate, Snapshot
from magi.domain.voting_request import CastVote, Received, ReportProgress, Submit, VotingRequest, decide, evolve
from magi.eventstore.pull import Delivery
from magi.orchestrator.inbox import Item
from magi.orchestrator.metrics import RequestMetrics
from magi.orchestrator.watch import Watch
from magi.telemetry.declarations import METRICS, STAGE_SECONDS
from magi.telemetry.instruments import Histogram
from magi.telemetry.registry import Registry
from tests.orchestrator.queue import START, aggregate_of

VOTERS = tuple(map(VoterId, ("melchior", "balthasar", "casper")))


def microseconds(what: Callable[[], object], times: int = 200_000) -> float:
    """One call, the best of five rounds."""
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(times // 5):
            what()
        best = min(best, time.perf_counter() - began)
    return best / (times // 5) * 1e6


def story() -> list[tuple[str, tuple[Any, ...]]]:
    """What `Requests` tells of one request with three voters, as calls of a watch."""
    fields: dict[str, Any] = {"user_query": "?", "agent_answer": "!"}
    submission = Submission(initiator_id="agent", request_id="1", voter_list=VOTERS, **fields)
    aggregate = aggregate_of("agent", submission)
    item = Item(submission, "agent", aggregate, 0, "", Delivery(1, 1, START, 0))
    calls: list[tuple[str, tuple[Any, ...]]] = [("came", (item,))]
    state = VotingRequest()

    def stored(command: Any) -> None:
        nonlocal state
        for event in decide(state, command):
            state = evolve(state, event)
            calls.append(("happened", (aggregate, state, event)))

    stored(Submit(submission, Snapshot({voter: Candidate("active") for voter in VOTERS}), START))
    assert isinstance(state.received, Received)
    calls.append(("dispatched", (aggregate, submission, state.received, VOTERS)))
    for voter in VOTERS:
        task = task_id(aggregate, voter)
        stored(ReportProgress(voter, ProgressBallot(task_id=task), START))
        stored(CastVote(voter, ResultBallot(task_id=task, vote="pass"), START, START))
    calls.append(("dropped", (aggregate,)))
    return calls


def a_request(watch: Watch) -> Callable[[], None]:
    """Calls the watch with all that happens to one request."""
    calls = [(getattr(watch, name), arguments) for name, arguments in story() if hasattr(watch, name)]

    def run() -> None:
        for call, arguments in calls:
            call(*arguments)

    return run


async def main() -> None:
    import prometheus_client as theirs

    registry = theirs.CollectorRegistry()
    counter = theirs.Counter("a", "a", ["voter", "vote"], registry=registry)
    histogram = theirs.Histogram("b", "b", ["stage"], registry=registry)
    counts: Counter[tuple[str, str]] = Counter()
    ours = Histogram(STAGE_SECONDS.buckets)

    def count() -> None:
        counts["casper", "pass"] += 1

    rows = {
        "prometheus-client: labelled counter": microseconds(lambda: counter.labels("casper", "pass").inc()),
        "prometheus-client: labelled histogram": microseconds(lambda: histogram.labels("inbox").observe(0.01)),
        "ours: counter": microseconds(count),
        "ours: histogram": microseconds(lambda: ours.observe(0.01)),
    }
    metrics = RequestMetrics(lambda: START)
    nothing = microseconds(a_request(Watch()), 50_000)
    rows["orchestrator: a request with three voters"] = microseconds(a_request(metrics), 50_000) - nothing
    exposed = Registry("orchestrator", [metrics])
    rows["a scrape of the orchestrator's, without asking NATS"] = microseconds(exposed.expose, 200)
    for what, cost in rows.items():
        print(f"{what:56} {cost:9.2f} µs")
    print(f"{len(METRICS)} metrics, {len(exposed.expose())} bytes")


if __name__ == "__main__":
    asyncio.run(main())
